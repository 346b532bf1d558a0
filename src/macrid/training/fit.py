"""The training loop, as a Lightning module: one network, one objective, the best epoch kept.

An epoch's order and noise depend on the seed and its number alone, so that a run which was killed
and resumed ends with the weights of one that was not.
"""

import logging
import pickle
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as lightning
import numpy as np
import torch
from torch import Tensor, nn

from macrid.data.histories import Histories
from macrid.data.interactions import Interactions
from macrid.data.splits import HeldOut
from macrid.errors import DataError, SettingsError, TrainingDiverged
from macrid.parts.ranking import hits, ndcg
from macrid.training.batches import held_out_batches, training_batches
from macrid.training.checkpoint import KeepBest
from macrid.training.lazy import LazyAdam
from macrid.training.memory import Sized, check_training
from macrid.training.objective import (
    Elbo,
    Network,
    Objective,
    UserWeight,
    Watch,
    squared_weights,
)
from macrid.training.progress import Bar, Lines, Watched
from macrid.training.schedule import averaged, cosine, unit_gradients
from macrid.training.settings import TrainingSettings

MONITOR, LIST_LENGTH = "ndcg@100", 100
AVERAGED = 5 / 9  # of a run's steps, at most, are in the fast recipe's mean
_PRECISION = {"32": "32-true", "bf16": "bf16-mixed"}


@dataclass(frozen=True)
class Training:
    """What came of it. Epochs count from 1."""

    best_epoch: int
    epochs: int
    seconds: float
    log: list[dict[str, int | float]]


def fit_network(  # noqa: PLR0913  what, on whom, how, where to
    network: nn.Module,
    train: Interactions,
    validation: HeldOut | None,
    objective: Objective,
    settings: TrainingSettings,
    *,
    folder: Path | None = None,
    resume: bool = False,
    identity: dict[str, Any] | None = None,
    progress: bool = False,
    watch: Watch | None = None,
) -> Training:
    """Train in place; the network ends with the weights of the best validation epoch.

    Args:
        network: A `Network`.
        train: Training users.
        validation: Whom NDCG@100 is measured on after each epoch; without them the last epoch is
            kept.
        objective: Weights of the terms of the loss.
        settings: Epochs, batch size and so on.
        folder: Where ``log.csv`` and the checkpoint of each epoch go; None keeps neither.
        resume: Go on from the checkpoint in ``folder``, if there is one.
        identity: What makes this run itself; resuming one with another identity is refused.
        progress: Whether to show a bar (on a terminal) or a line per epoch (elsewhere), on stderr.
        watch: Called after each epoch with its row of the log; what it raises ends the training.

    Raises:
        TrainingDiverged: If a loss is NaN or infinite.
        DataError: If there is nobody to train on, or the checkpoint is damaged or of another run.
        SettingsError: If the device is not there, the run to resume is longer than ``epochs``, or
            an average is asked of a network whose steps touch a few rows.
        TooLarge: If it would not fit into memory.
    """
    if not len(train):
        raise DataError("there are no events to train on")
    there = accelerator(settings.device)
    if isinstance(network, Sized):
        check_training(network, train, settings, checkpointed=folder is not None)
    passes = getattr(network, "passes", 1)
    batches = training_batches(train, settings.batch_size, seed=settings.seed, passes=passes)
    module = _Module(network, objective, settings, len(batches))
    if settings.evenness:
        lengths = torch.from_numpy(np.diff(train.offsets))
        module.weight = UserWeight.among(lengths, settings.evenness)
    patience = settings.patience if validation else None
    keeper = KeepBest(MONITOR if validation else None, folder, patience, settings.patience_from)
    checkpoint = keeper.resume_from(identity or {}, resume=resume)
    callbacks: list[lightning.Callback] = [keeper, Watched(watch)]
    if progress:
        callbacks.append(Bar() if sys.stderr.isatty() else Lines())
    with _quiet(), _threads(settings.threads):
        trainer = lightning.Trainer(
            max_epochs=settings.epochs,
            accelerator=there,
            devices=1,
            precision=cast(Any, _PRECISION[settings.precision]),
            callbacks=callbacks,
            logger=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
        )
        loaders = (
            batches,
            held_out_batches(validation, settings.batch_size) if validation else None,
        )
        _run(trainer, module, loaders, checkpoint)
    keeper.restore(network)
    if passes > 1:  # all as before the first
        cast(Any, network).begin_pass(0)
    network.requires_grad_(True)
    if not all(weight.isfinite().all() for weight in network.parameters()):
        # The last step's own blow-up: there was no later loss to show it.
        raise TrainingDiverged(trainer.global_step - 1, module.last.get("loss", float("nan")))
    network.eval()
    return Training(
        best_epoch=keeper.best_epoch,
        epochs=len(keeper.rows),
        seconds=sum(row["seconds"] for row in keeper.rows),
        log=keeper.rows,
    )


class _Module(lightning.LightningModule):
    """The objective as Lightning wants it."""

    def __init__(
        self, network: nn.Module, objective: Objective, settings: TrainingSettings, n_batches: int
    ) -> None:
        super().__init__()
        self.network, self.objective, self.settings = network, objective, settings
        self.n_batches, self.steps = n_batches, settings.epochs * n_batches
        self.passes = getattr(network, "passes", 1)
        decay = settings.average
        if settings.recipe == "fast":  # of a short run the mean would be that of its first weights
            decay = min(decay, max(0.0, 1 - 1 / (AVERAGED * self.steps)))
        self.average = averaged(network, decay) if decay else None
        self.weight: UserWeight | None = None  # of people in the loss
        self.row: dict[str, int | float] = {}  # of the epoch
        self.last: dict[str, int | float] = {}  # of the step
        self.ndcg: float | None = None

    @property
    def kept(self) -> nn.Module:
        """What is measured and kept: the network, or the mean of its weights so far."""
        return self.average.module if self.average else self.network

    def configure_optimizers(self) -> Any:
        """Plain Adam; where gradients of the tables are sparse, so are its steps."""
        rate, weights = self.settings.learning_rate, self.network.parameters()
        if getattr(self.network, "sparse", False):
            adam = LazyAdam(weights, lr=rate)
        else:
            adam = torch.optim.Adam(weights, lr=rate, fused=True)
        if self.settings.schedule == "constant":
            return adam
        return [adam], [{"scheduler": cosine(adam, self.steps), "interval": "step"}]

    def on_train_epoch_start(self) -> None:
        """Noise that depends on the seed and the epoch alone."""
        seed = np.random.SeedSequence([self.settings.seed, self.current_epoch])
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))
        self.sums = torch.zeros(3, dtype=torch.float64)
        self.n_users, self.started = 0, time.perf_counter()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Some networks treat the passes of an epoch differently, or prepare for each."""
        number, first = divmod(batch_idx * self.passes, self.n_batches)
        if first == 0 and hasattr(self.network, "begin_pass"):
            cast(Any, self.network).begin_pass(number)

    def training_step(self, batch: Sequence[Histories]) -> Tensor:
        """The loss of one batch: a mean over its users."""
        (histories,) = batch
        step = self.global_step
        beta = self.objective.beta(step, self.n_batches)
        bound = cast(Network, self.network)(histories)
        if self.weight:
            weights = self.weight(histories.lengths)
            bound = Elbo(weights * bound.log_likelihood, weights * bound.kl)
        log_likelihood, kl = bound.log_likelihood.mean(), bound.kl.mean()
        counted = (bound.kl * histories.lengths).mean() if self.objective.per_event else kl
        loss = beta * counted - log_likelihood
        if self.objective.l2:
            loss = loss + self.objective.l2 * squared_weights(self.network)
        values = torch.stack([loss, log_likelihood, kl]).detach().cpu()
        if not values.isfinite().all():
            raise TrainingDiverged(step, self.last.get("loss", float("nan")))
        # Plain attributes: Lightning's own logging would cost as much as a small step does.
        self.last = {"loss": float(values[0]), "kl": float(values[2]), "beta": beta}
        self.sums += values * len(histories)
        self.n_users += len(histories)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Gradients are there, and not used yet."""
        if self.settings.gradients == "unit":
            unit_gradients(optimizer)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """The mean of the weights moves with them."""
        if self.average:
            self.average.update_parameters(self.network)

    def on_validation_epoch_start(self) -> None:
        """A fresh list of per-user values, and what ranks by the weights as they are now."""
        self.values: list[Tensor] = []
        self.ranker = cast(Network, self.kept).ranker()

    def validation_step(self, batch: Sequence[Histories]) -> None:
        """NDCG@100 of each validation user."""
        fold_in, held_out = batch
        found = hits(self.ranker.top(fold_in, LIST_LENGTH), held_out)
        self.values.append(ndcg(found, held_out.lengths, LIST_LENGTH))

    def on_validation_epoch_end(self) -> None:
        """Their mean."""
        self.ndcg = torch.cat(self.values).mean().item()

    def on_train_epoch_end(self) -> None:
        """One row of the log."""
        loss, log_likelihood, kl = (self.sums / self.n_users).tolist()
        self.row = {
            "epoch": self.current_epoch + 1,
            "loss": loss,
            "log_likelihood": log_likelihood,
            "kl": kl,
            "beta": self.last["beta"],
        }
        if self.ndcg is not None:
            self.row[MONITOR] = self.ndcg
        self.row["seconds"] = time.perf_counter() - self.started


def accelerator(device: str) -> str:
    """A device in Lightning's words, if it is there.

    Raises:
        SettingsError: If it is not.

    Example:
        >>> accelerator("cpu")
        'cpu'
    """
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device in there and not there[device]():
        raise SettingsError(
            f"device is {device!r}, but torch finds none on this machine; use device='cpu' or "
            "'auto', or install a torch that is built for it"
        )
    return "gpu" if device == "cuda" else device


def _run(
    trainer: lightning.Trainer, module: _Module, loaders: tuple[Any, Any], checkpoint: Path | None
) -> None:
    """Fit; Ctrl-C stays a KeyboardInterrupt, where Lightning would end the process."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, *loaders, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as stopped:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from stopped
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{checkpoint} holds more than numbers and text, so it is not loaded; start anew "
            "without resume"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's greetings and advice, which nobody who calls `fit` could follow."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        log.setLevel(level)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """With so many threads, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
