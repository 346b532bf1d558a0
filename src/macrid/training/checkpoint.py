"""The best epoch kept in memory, and everything needed to go on kept on disk after each epoch."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn

from macrid.data.files import replace_file
from macrid.errors import DataError, SettingsError
from macrid.training.run_files import ASIDE, CHECKPOINT, IDENTITY, LOG


class KeepBest(Checkpoint):
    """Keeps the weights of the best epoch, the log, and one checkpoint that holds both.

    One file, replaced in one step after each epoch: whenever the process dies, what is on disk is
    the state after some epoch, whole. (Lightning's own checkpoints go through the temporary folder
    and are not replaced in one step when that lies on another disk.)

    Args:
        monitor: The metric to maximise; None keeps the last epoch.
        folder: Where files go; None keeps everything in memory.
        patience: Stop after so many epochs without a better one; None never does.
        patience_from: Epochs after which those begin to count.
    """

    def __init__(
        self,
        monitor: str | None,
        folder: Path | None,
        patience: int | None,
        patience_from: int = 0,
    ) -> None:
        self.monitor, self.folder, self.patience = monitor, folder, patience
        self.patience_from = patience_from
        self.best_score, self.best_epoch = -float("inf"), 0
        self.best: dict[str, Tensor] = {}
        self.rows: list[dict[str, int | float]] = []

    def resume_from(self, identity: dict[str, Any], *, resume: bool) -> Path | None:
        """The checkpoint to go on from, if that is wanted and there is one of this very run.

        Raises:
            DataError: If the checkpoint in the folder is damaged or of another run.
        """
        if self.folder is None:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint, note = self.folder / CHECKPOINT, self.folder / IDENTITY
        mine = json.loads(json.dumps(identity))
        if resume and checkpoint.is_file():
            theirs = _identity(checkpoint, note)
            changed = sorted(key for key in mine | theirs if mine.get(key) != theirs.get(key))
            if changed:
                were = [f"{key} {theirs[key]}" for key in changed if _short(theirs.get(key))]
                said = f" (it had {', '.join(were)})" if were else ""
                raise DataError(
                    f"the run in {self.folder} was started with other {', '.join(changed)}; resume "
                    f"it with the same data and settings{said}, or start anew elsewhere"
                )
            return checkpoint
        for old in (checkpoint, self.folder / LOG):
            old.unlink(missing_ok=True)
        replace_file(note, json.dumps(mine, indent=2).encode())
        return None

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse to end earlier than the run already got."""
        done = checkpoint["epoch"] + 1
        if done > (trainer.max_epochs or 0):
            raise SettingsError(
                f"epochs is {trainer.max_epochs}, but the run in {self.folder} has done {done} "
                f"already; resume it with {done} or more, or start anew elsewhere"
            )

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """A run that was killed after its last epoch has nothing left to do."""
        self._stop_if_done(trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Compare, log, write."""
        row = pl_module.row
        self.rows.append(row)
        score = row[self.monitor] if self.monitor else row["epoch"]
        if score > self.best_score:
            self.best_score, self.best_epoch = score, row["epoch"]
            weights = pl_module.kept.state_dict()
            self.best = {name: weight.detach().cpu().clone() for name, weight in weights.items()}
        if self.folder:
            replace_file(self.folder / LOG, _csv(self.rows).encode())
            aside = self.folder / ASIDE
            try:
                trainer.save_checkpoint(aside)
                aside.replace(self.folder / CHECKPOINT)
            finally:
                aside.unlink(missing_ok=True)
        self._stop_if_done(trainer)

    def _stop_if_done(self, trainer: lightning.Trainer) -> None:
        """Early stopping, from the log alone: one state less to save and resume."""
        since = max(self.best_epoch, self.patience_from)
        if self.patience and len(self.rows) - since >= self.patience:
            trainer.should_stop = True

    def restore(self, network: nn.Module) -> None:
        """Give the network the weights of the best epoch."""
        network.load_state_dict(self.best)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        names = ("best_score", "best_epoch", "best", "rows")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up again."""
        for name, value in state_dict.items():
            setattr(self, name, value)


def _identity(checkpoint: Path, note: Path) -> dict[str, Any]:
    """Whose run a checkpoint is, if it is whole: a zip file knows the checksums of its members."""
    try:
        with zipfile.ZipFile(checkpoint) as file:
            if file.testzip():
                raise zipfile.BadZipFile("a checksum is wrong")
        return json.loads(note.read_bytes())
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"the checkpoint in {checkpoint.parent} is damaged, so its run cannot be resumed; "
            "start anew without resume"
        ) from error


def _csv(rows: list[dict[str, int | float]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _short(value: Any) -> bool:
    """Whether a setting, not a digest."""
    return value is not None and len(str(value)) < 24 and not isinstance(value, list)
