"""Whether dimensions come apart as beta rises: many trainings with random settings (Figure 4).

Ma et al. (2019, Section 3.4) drew beta and sigma0 at random, and set what the lists are worth
against how uncorrelated the dimensions are. The same draws are trained with each number of
concepts. What is measured is the last epoch: beta rises while training goes on, and the best epoch
would often be one in which it was still small. Nothing is chosen by the validation users, then, and
the lists are measured on them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.stats import rankdata

from macrid.data.splits import Split
from macrid.errors import TooLarge, TrainingDiverged
from macrid.evaluation.cells import FORMAT, Cell, check_folder, find_cell, keep_cell
from macrid.evaluation.disentanglement import item_uncorrelatedness, people_uncorrelatedness
from macrid.evaluation.plan import FEWEST, Plan
from macrid.evaluation.protocol import check_people, evaluate
from macrid.evaluation.search import MACHINE
from macrid.evaluation.significance import LEVEL, RESAMPLES
from macrid.models.macridvae import MacridVAE

METRIC = "recall@20"
REPORTS = frozenset({"sweep.csv", "sweep.md", "sweep.svg", "sweep.html"})
_MEASURED = (METRIC, "ndcg@100")
_OF = ("items", "people")
_BLOCK = 2**22  # drawn numbers at a time
_ROUNDING = 1e-9  # share of a side's squares that is nothing
# What uncorrelatedness is correlated with, and what is held fixed: both settings move it.
_WITH = (("beta", None), ("beta", "prior_std"), ("prior_std", None), (METRIC, None))
_FAILURES = (TooLarge, TrainingDiverged)


@dataclass(frozen=True, eq=False)
class Swept:
    """What a sweep found.

    Args:
        cells: A row per training: ``n_concepts, n_dims, setting`` (from 0), ``beta, prior_std``,
            on the validation users ``recall@20, recall@20_se, ndcg@100``, the uncorrelatedness of
            ``items`` and of training users (``people``; null where nothing varies), how many
            dimensions do not vary (``constant_dims``, of people), ``seconds``.
        correlations: A row for each number of concepts, ``of`` items or people, and ``with`` beta,
            beta given prior_std (the partial correlation: both settings move what is measured),
            prior_std or recall@20: the number ``n`` of settings, Spearman's ``rho`` and the ends
            ``low`` and ``high`` of its interval (null where fewer than three settings tell).
        failed: A sentence for each training that failed.
        about: Ranges, people, level of the intervals, data.
    """

    cells: pl.DataFrame
    correlations: pl.DataFrame
    failed: list[str]
    about: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "cells": self.cells.to_dicts(),
            "correlations": self.correlations.to_dicts(),
            "failed": self.failed,
            "about": self.about,
        }


def sweep(
    split: Split,
    plan: Plan | None = None,
    *,
    folder: str | Path | None = None,
    overwrite: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Swept:
    """Train MacridVAE with random settings, and measure lists and correlations of each.

    Args:
        split: Models are trained on its training users and ranked for its validation users; the
            test users are left alone.
        plan: By default 60 settings with seven concepts.
        folder: Where finished trainings are kept and looked for; None keeps none.
        overwrite: Whether those in ``folder`` that are of other settings or data are replaced.
        tell: Called with lines of progress.

    Raises:
        DataError: If there are no validation users, or ``folder`` holds another sweep.
        ArtifactError: If ``folder`` holds something else, or cannot be written.
        MacridError: If every training failed: what the first one failed of.

    Example:
        >>> from macrid.data.readers import read
        >>> from macrid.data.splits import hold_out_users
        >>> log = {"user": [u for u in range(12) for _ in range(6)], "item": [*range(6)] * 12}
        >>> plan = Plan(settings=3, concepts=[2], fixed={"epochs": 1, "n_dims": 4})
        >>> sweep(hold_out_users(read(log), n_users=3), plan).cells.shape
        (3, 12)
    """
    plan = plan or Plan()
    check_people(split.validation)
    place = None if folder is None else Path(folder)
    jobs = _jobs(plan, split)
    finished = {} if place is None else _finished(jobs, place, overwrite=overwrite)
    _warn(plan, tell)
    rows, failed, errors = [], [], []
    for number, job in enumerate(jobs, 1):
        tell(f"{number} of {len(jobs)}: {job}{' finished before' * (job.place in finished)}")
        try:
            cell = finished.get(job.place) or _carry_out(job, split, place)
        except _FAILURES as error:
            errors.append(error)
            failed.append(f"{job}: {error}")
            tell(f"  failed: {error}")
            continue
        row = _row(job, cell)
        tell(f"  {METRIC} {row[METRIC]:.4f}, uncorrelatedness of items {_text(row['items'])}, "
             f"of people {_text(row['people'])}, {cell.seconds:,.1f} s")  # fmt: skip
        rows.append(row)
    if not rows:
        raise errors[0]
    cells = pl.DataFrame(rows, schema=_SCHEMA)
    return Swept(cells, _correlations(cells), failed, _about(plan, split))


def spearman_interval(
    left: Float[np.ndarray, " pair"],
    right: Float[np.ndarray, " pair"],
    given: Float[np.ndarray, " pair"] | None = None,
    *,
    level: float = LEVEL,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Spearman's rank correlation, and the ends of its bootstrap interval.

    Pairs are resampled and ranked anew; ends are percentiles. Resamples in which a side is constant
    have no correlation and are left out; if they are most, the ends are NaN.

    Args:
        left: One side.
        right: The other side.
        given: What is held fixed, for the partial correlation: that of what its ranks leave of the
            ranks of both sides.
        level: How often the interval holds.
        n_resamples: Of the pairs.
        seed: Of the draws.

    Example:
        >>> spearman_interval(np.arange(9.0), np.arange(9.0) ** 3)
        (1.0, 1.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    sides = np.stack([left, right] if given is None else [left, right, given])
    size = max(1, _BLOCK // sides.size)
    found = [_rank_correlation(sides[:, None])]
    for start in range(0, n_resamples, size):
        drawn = rng.integers(len(left), size=(min(size, n_resamples - start), len(left)))
        found.append(_rank_correlation(sides[:, drawn]))
    values = np.concatenate(found)
    resampled = values[1:][~np.isnan(values[1:])]
    if len(resampled) < n_resamples / 2:
        return float(values[0]), float("nan"), float("nan")
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(values[0]), float(low), float(high)


def _rank_correlation(
    sides: Float[np.ndarray, "side sample pair"],
) -> Float[np.ndarray, " sample"]:
    """Spearman's, of the first two sides in each sample; NaN where one has nothing of its own."""
    ranks = rankdata(sides, axis=-1)
    ranks -= ranks.mean(-1, keepdims=True)
    whole = (ranks**2).sum(-1)
    one, other, *given = ranks
    if given:
        along = (ranks[:2] * given[0]).sum(-1) / np.where(whole[2] > 0, whole[2], 1)
        one, other = ranks[:2] - along[..., None] * given[0]
    kept = np.stack([(one**2).sum(-1), (other**2).sum(-1)])
    varies = (kept > _ROUNDING * whole[:2]).all(0)
    cosine = (one * other).sum(-1) / np.sqrt(np.where(varies, kept.prod(0), 1))
    return np.where(varies, np.clip(np.round(cosine, 12), -1, 1), np.nan)


@dataclass(frozen=True)
class _Job:
    """A training to be: its settings, and all that its outcome depends on."""

    setting: int
    model: dict[str, Any]
    training: dict[str, Any]
    identity: dict[str, Any]

    @property
    def place(self) -> str:
        """Its folder."""
        return f"K{self.model['n_concepts']}/{self.setting:04d}"

    def __str__(self) -> str:
        of = self.model
        return f"K = {of['n_concepts']}, beta {of['beta']:g}, prior_std {of['prior_std']:g}"


def _jobs(plan: Plan, split: Split) -> list[_Job]:
    """All trainings to be; a setting is trained with every number of concepts before the next."""
    search, people = plan.search(), split.validation
    data = {
        "train": split.train.fingerprint(),
        "validation": [people.fold_in.fingerprint(), people.held_out.fingerprint()],
    }
    jobs = []
    for number, (beta, prior_std) in enumerate(plan.draws().tolist()):
        for n_concepts in dict.fromkeys(plan.concepts):
            sizes = {"n_concepts": n_concepts, "n_dims": plan.dims(n_concepts)}
            drawn = {**sizes, "beta": beta, "prior_std": prior_std}
            settings, training = search.parts(drawn)
            model = MacridVAE(**settings)
            options = model.training_settings(training).model_dump()
            same = {name: value for name, value in options.items() if name not in MACHINE}
            identity = {"format": FORMAT, "sweep": list(_MEASURED), **data, **same}
            identity |= model.settings.model_dump(mode="json")
            jobs.append(_Job(number, model.settings.model_dump(), options, identity))
    return jobs


def _finished(jobs: Sequence[_Job], folder: Path, *, overwrite: bool) -> dict[str, Cell]:
    """Those that were finished before; all are looked at before the first of them runs."""
    check_folder(folder, REPORTS)
    found = {job.place: find_cell(folder, job.place, job.identity, overwrite=overwrite)
             for job in jobs}  # fmt: skip
    return {place: cell for place, cell in found.items() if cell is not None}


def _carry_out(job: _Job, split: Split, folder: Path | None) -> Cell:
    """Train, measure, keep."""
    model = MacridVAE(**job.model).fit(split.train, **job.training)
    measured = evaluate(model, split.validation, metrics=_MEASURED)
    items = item_uncorrelatedness(model)
    people = people_uncorrelatedness(model, split.train)
    cell = Cell(
        settings=model.settings.model_dump(mode="json"),
        training=job.training,
        seconds=model.training["seconds"],
        parameters=model.n_parameters(split.train.n_items),
        best_epoch=None,
        epochs=model.training["epochs_run"],
        validation=measured["ndcg@100"].mean,
        beyond={"items": items.value, "people": people.value,
                "constant_dims": people.constant_dims},
        users=measured.users,
    )  # fmt: skip
    if folder is not None:
        keep_cell(folder, job.place, job.identity, cell)
    return cell


_SCHEMA = {
    "n_concepts": pl.Int64, "n_dims": pl.Int64, "setting": pl.Int64, "beta": pl.Float64,
    "prior_std": pl.Float64, METRIC: pl.Float64, f"{METRIC}_se": pl.Float64,
    "ndcg@100": pl.Float64, "items": pl.Float64, "people": pl.Float64,
    "constant_dims": pl.Int64, "seconds": pl.Float64,
}  # fmt: skip


def _row(job: _Job, cell: Cell) -> dict[str, Any]:
    """A finished training as a row."""
    values = cell.users[METRIC].to_numpy()
    return {
        **{name: cell.settings[name] for name in ("n_concepts", "n_dims", "beta", "prior_std")},
        "setting": job.setting,
        METRIC: float(values.mean()),
        f"{METRIC}_se": float(values.std() / np.sqrt(len(values))),
        "ndcg@100": cell.validation,
        **cell.beyond,
        "seconds": cell.seconds,
    }


def _correlations(cells: pl.DataFrame) -> pl.DataFrame:
    """Of beta, prior_std and recall with what is uncorrelated."""
    rows = []
    for n_concepts in cells["n_concepts"].unique(maintain_order=True):
        for of in _OF:
            some = cells.filter(pl.col("n_concepts") == n_concepts).drop_nulls(of)
            for other, given in _WITH:
                told = (None, None, None)
                if len(some) >= FEWEST:
                    fixed = None if given is None else some[given].to_numpy()
                    told = spearman_interval(some[other].to_numpy(), some[of].to_numpy(), fixed)
                name = other if given is None else f"{other} given {given}"
                rows.append((n_concepts, of, name, len(some), *told))
    numbers = dict.fromkeys(("rho", "low", "high"), pl.Float64)
    schema = {"n_concepts": pl.Int64, "of": pl.String, "with": pl.String, "n": pl.Int64, **numbers}
    return pl.DataFrame(rows, schema=schema, orient="row").fill_nan(None)


def _warn(plan: Plan, tell: Callable[[str], None]) -> None:
    """A word if beta cannot get where it is to go."""
    search = plan.search()
    epochs, highest = search.everything()["epochs"], plan.ranges()[0].high
    reached = MacridVAE(beta=highest).objective().beta(epochs, 1)
    if reached < highest:
        tell(
            f"warning: beta rises epoch by epoch, and only reaches {reached:g} in {epochs}; those "
            f"up to {highest:g} need more epochs, or --beta a smaller range"
        )


def _about(plan: Plan, split: Split) -> dict[str, Any]:
    """What else is to be known of a sweep."""
    beta, prior_std = plan.ranges()
    everything = plan.search().everything()
    return {
        "settings": plan.settings,
        "concepts": list(plan.concepts),
        "beta": str(beta),
        "prior_std": str(prior_std),
        "epochs": everything["epochs"],
        "seed": plan.seed,
        "fixed": {n: v for n, v in plan.fixed.items() if n not in MACHINE | {"epochs"}},
        "training_users": split.train.n_users,
        "validation_users": len(split.validation),
        "items": split.train.n_items,
        "level": LEVEL,
        "resamples": RESAMPLES,
    }


def _text(value: float | None) -> str:
    """A measure, where there is one."""
    return "unknown" if value is None else f"{value:.4f}"
