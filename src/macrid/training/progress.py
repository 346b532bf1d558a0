"""Who is told how a run goes: a bar on a terminal, else a line per epoch; or some function."""

import sys
from typing import Any

import lightning.pytorch as lightning
from lightning.pytorch.callbacks import Checkpoint
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from macrid.training.objective import Watch

# All are checkpoints in Lightning's eyes because those run after the module's own hooks, when the
# row of the epoch is there.


class Bar(Checkpoint):
    """One bar, filled once per epoch: the batch's loss, kl and beta, the last epoch's NDCG@100."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Open it."""
        shown = TextColumn("{task.fields[shown]}")
        columns = ("{task.description}", BarColumn(10), MofNCompleteColumn(), shown)
        self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self.task = self.bar.add_task("", total=trainer.num_training_batches, shown="")
        self.bar.start()

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Empty it."""
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self.bar.update(self.task, description=epoch, completed=0)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move it on; rich draws ten times a second, however often that is."""
        before = {name: pl_module.row[name] for name in ("ndcg@100",) if name in pl_module.row}
        self.bar.update(self.task, advance=1, shown=_shown(pl_module.last | before))

    def on_train_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Take it away."""
        self.bar.stop()

    def on_exception(
        self, trainer: lightning.Trainer, pl_module: Any, exception: BaseException
    ) -> None:
        """Leave the terminal as it was, whatever happened."""
        if hasattr(self, "bar"):
            self.bar.stop()


class Lines(Checkpoint):
    """A line per epoch, the means over its users."""

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Print it."""
        row = {name: value for name, value in pl_module.row.items() if name != "epoch"}
        sys.stderr.write(f"epoch {pl_module.row['epoch']}/{trainer.max_epochs}  {_shown(row)}\n")


class Watched(Checkpoint):
    """Calls a function with the row of each epoch; what it raises ends the run."""

    def __init__(self, watch: Watch | None) -> None:
        self.watch = watch

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: Any) -> None:
        """Tell it."""
        if self.watch:
            self.watch(pl_module.row)


def _shown(values: dict[str, int | float]) -> str:
    """Names and values.

    Example:
        >>> _shown({"loss": 512.3456, "beta": 0.2})
        'loss 512.3  beta 0.2'
    """
    return "  ".join(f"{name} {value:.4g}" for name, value in values.items())
