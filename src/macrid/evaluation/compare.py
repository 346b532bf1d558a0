"""Models beside each other: one split, every model, every seed, and what the differences mean.

A cell is one model trained with one seed. Finished cells are kept and not run again, so that a
comparison which was stopped goes on, and a longer one starts from a shorter one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from macrid.data.splits import PUBLISHED_SEED, HeldOut, Split
from macrid.errors import DataError, MacridError, SettingsError, TooLarge, TrainingDiverged
from macrid.evaluation.baselines import RIDGES, best_ease
from macrid.evaluation.beyond import beyond_accuracy
from macrid.evaluation.cells import (
    FORMAT,
    Cell,
    check_folder,
    check_users,
    find_cell,
    keep_cell,
)
from macrid.evaluation.comparison import Comparison, summarise
from macrid.evaluation.protocol import DEFAULT_METRICS, check_people, evaluate, parse_metric
from macrid.evaluation.significance import LEVEL, RESAMPLES
from macrid.models.catalog import model_class
from macrid.models.recommender import Recommender
from macrid.training.settings import no_options

# What one model cannot do need not end a comparison of several.
_FAILURES = (TooLarge, TrainingDiverged, SettingsError)
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Contender:
    """One of the models that are compared.

    Args:
        label: What it is called in tables, and its folder.
        model: Its name in the catalogue.
        settings: Of the model. EASE without ``regularization`` takes the ridge that is best on the
            validation users.
        training: Settings of training; the seed is the comparison's.

    Example:
        >>> Contender("narrow", "multvae", {"n_dims": 50}).build()
        MultVAE(n_dims=50)
    """

    label: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chooses_ridge(self) -> bool:
        """Whether it is EASE without a ridge of its own."""
        return self.model == "ease" and "regularization" not in self.settings

    def build(self) -> Recommender:
        """The model, not fitted.

        Raises:
            SettingsError: If there is no such model or setting.
        """
        return model_class(self.model)(**self.settings)

    def options(self, seed: int | None) -> dict[str, Any]:
        """All settings of its training; none for a model without epochs.

        Raises:
            SettingsError: If one is unknown or out of bounds, or the model takes none.
        """
        model = self.build()
        if model.in_epochs:
            return model.training_settings({**self.training, "seed": seed}).model_dump()
        no_options(self.label, self.training)
        return {}

    def seeds(self, number: int) -> list[int | None]:
        """98765, 1, 2 and so on; None, once, for a model that draws nothing."""
        return [PUBLISHED_SEED, *range(1, number)] if self.build().in_epochs else [None]


@dataclass(frozen=True)
class _Job:
    """A cell to be: which model, which seed, and all that its outcome depends on."""

    contender: Contender
    seed: int | None
    identity: dict[str, Any]

    @property
    def place(self) -> str:
        """Its folder."""
        return f"{self.contender.label}/{'once' if self.seed is None else self.seed}"

    def __str__(self) -> str:
        label = self.contender.label
        return label if self.seed is None else f"{label}, seed {self.seed}"


def compare(  # noqa: PLR0913  on what, which, how often, by what, where to
    split: Split,
    contenders: Sequence[str | Contender],
    *,
    seeds: int = 3,
    metrics: Sequence[str] = DEFAULT_METRICS,
    folder: str | Path | None = None,
    beyond: bool = False,
    overwrite: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Comparison:
    """Train every model with every seed on one split, and compare them on its test users.

    A model that fails (too large, diverged) is a row with the reason; a seed that fails is left out
    of its means, and said. Settings that one cannot follow are refused before any is trained.

    Args:
        split: Training users, validation users to choose epochs by, test users.
        contenders: Names of the catalogue, or `Contender`.
        seeds: How many, up to 1,000: 98765, 1, 2 and so on. Models that draw nothing run once.
        metrics: As for `evaluate`. Models are compared by NDCG@100 if it is among them, else by the
            first.
        folder: Where finished cells are kept and looked for; None keeps none.
        beyond: Whether to measure lists beside accuracy, see `beyond_accuracy`.
        overwrite: Whether cells in ``folder`` that are of other settings or data are replaced.
        tell: Called with a line before and after each cell.

    Raises:
        ValueError: If an argument is out of bounds or a metric is not known.
        SettingsError: If a model, a label or a setting is not in order, or the device not there.
        DataError: If there are fewer than two test users, nothing of the users is held out, or a
            cell in ``folder`` is of another comparison.
        ArtifactError: If ``folder`` holds something else, or cannot be written.
        MacridError: If no model was left: what the first one failed of.

    Example:
        >>> from macrid.data.readers import read
        >>> from macrid.data.splits import hold_out_users
        >>> log = {"user": [u for u in range(12) for _ in range(6)], "item": [*range(6)] * 12}
        >>> found = compare(hold_out_users(read(log), n_users=3), ["popularity"])
        >>> found.models.select("label", "recall@20", "parameters").row(0)
        ('popularity', 1.0, 6)
    """
    chosen = [Contender(one, one) if isinstance(one, str) else one for one in contenders]
    metrics = [metrics] if isinstance(metrics, str) else list(dict.fromkeys(metrics))
    check_request([one.label for one in chosen], seeds)
    _check(split, metrics)
    tell = tell or (lambda line: None)
    place = None if folder is None else Path(folder)
    jobs = _jobs(split, chosen, seeds, {"metrics": metrics, "beyond": beyond})
    finished = {} if place is None else _finished(jobs, place, split.test, overwrite=overwrite)
    _check_devices([job for job in jobs if job.place not in finished])
    cells: dict[str, dict[int | None, Cell]] = {}
    failed: dict[str, list[MacridError]] = {}
    for number, job in enumerate(jobs, 1):
        label, state = job.contender.label, "finished before" if job.place in finished else "…"
        tell(f"{number} of {len(jobs)}: {job} {state}")
        try:
            cell = finished.get(job.place) or _carry_out(job, split, place)
        except _FAILURES as error:
            failed.setdefault(label, []).append(error)
            tell(f"  failed: {error}")
            continue
        tell(f"  {_outcome(job, cell)}")
        cells.setdefault(label, {})[job.seed] = cell
    if not cells:
        raise next(iter(failed.values()))[0]
    return summarise(
        cells,
        models={one.label: one.model for one in chosen},
        failed={
            label: f"{len(errors)} of {len(errors) + len(cells.get(label, ()))} failed: {errors[0]}"
            for label, errors in failed.items()
        },
        metrics=metrics,
        about=_about(split, seeds),
    )


def check_request(labels: Sequence[str], seeds: int) -> None:
    """Refuse labels that are none, twice or no names of folders, and too few or many seeds.

    Raises:
        SettingsError: If the labels are so.
        ValueError: If the seeds are.

    Example:
        >>> check_request(["ease", "multvae"], seeds=3)
    """
    if not labels:
        raise SettingsError("no model was named; name one or more, such as ease,multvae,macridvae")
    for label in labels:
        if labels.count(label) > 1:
            raise SettingsError(
                f"two models are called {label!r}; give each another label, such as another name "
                "of its TOML file"
            )
        if not label or label != Path(label).name or label.startswith("."):
            raise SettingsError(
                f"{label!r} cannot be the name of a folder, which a label has to be; leave out "
                "slashes and leading dots"
            )
    if not 1 <= seeds <= MOST_SEEDS:
        raise ValueError(f"seeds is {seeds}; a model is trained with 1 to {MOST_SEEDS:,} of them")


def _check(split: Split, metrics: Sequence[str]) -> None:
    """Refuse what could not be summed up."""
    if not metrics:
        raise ValueError("no metric was named; known are ndcg@k and recall@k")
    for name in metrics:
        parse_metric(name)
    if len(split.test) < 2:
        raise DataError(
            f"there are {len(split.test)} test users; standard errors need two or more: hold out "
            "more users"
        )
    check_people(split.validation)
    check_people(split.test)


def _jobs(
    split: Split, contenders: Sequence[Contender], seeds: int, measured: Mapping[str, Any]
) -> list[_Job]:
    """All cells to be."""
    features = split.train.features
    kinds = features.columns if measured["beyond"] and features is not None else None
    common = {"format": FORMAT, **measured, "features": kinds, **_fingerprints(split)}
    return [
        _Job(one, seed, common | _identity(one, seed))
        for one in contenders
        for seed in one.seeds(seeds)
    ]


def _finished(
    jobs: Sequence[_Job], folder: Path, people: HeldOut, *, overwrite: bool
) -> dict[str, Cell]:
    """Those that were finished before; all are looked at before the first of them runs."""
    check_folder(folder)
    found = {job.place: find_cell(folder, job.place, job.identity, overwrite=overwrite)
             for job in jobs}  # fmt: skip
    cells = {place: cell for place, cell in found.items() if cell is not None}
    for job in jobs:
        if job.place in cells:
            check_users(folder, job.place, cells[job.place], people, job.identity["metrics"])
    return cells


def _check_devices(jobs: Sequence[_Job]) -> None:
    """Refuse a device that is not there before anything is trained."""
    options = [job.contender.options(job.seed) for job in jobs]
    for device in {one["device"] for one in options if one}:
        from macrid.training.fit import accelerator  # Lightning takes seconds to import

        accelerator(device)


def _identity(contender: Contender, seed: int | None) -> dict[str, Any]:
    """What a cell depends on beside the data, flat, as JSON has it."""
    settings = contender.build().settings.model_dump(mode="json")
    if contender.chooses_ridge:
        settings["regularization"] = list(RIDGES)
    options = contender.options(seed)
    for free in ("device", "threads"):  # they do not make it another outcome
        options.pop(free, None)
    return (
        {"model": contender.model}
        | {f"settings.{name}": value for name, value in settings.items()}
        | {f"training.{name}": value for name, value in options.items()}
    )


def _carry_out(job: _Job, split: Split, folder: Path | None) -> Cell:
    """Train, measure, keep."""
    options, started = job.contender.options(job.seed), time.perf_counter()
    if job.contender.chooses_ridge:
        model: Recommender = best_ease(split)
        seconds = round(time.perf_counter() - started, 3)
    else:
        model = job.contender.build().fit(split.train, split.validation, **options)
        seconds = model.training["seconds"]
    validation = evaluate(model, split.validation, metrics="ndcg@100")
    cell = Cell(
        settings=model.settings.model_dump(mode="json"),
        training=options,
        seconds=seconds,
        parameters=model.n_parameters(split.train.n_items),
        best_epoch=model.training.get("best_epoch"),
        epochs=model.training.get("epochs_run"),
        validation=validation["ndcg@100"].mean,
        beyond=beyond_accuracy(model, split.test) if job.identity["beyond"] else {},
        users=evaluate(model, split.test, metrics=job.identity["metrics"]).users,
    )
    if folder is not None:
        keep_cell(folder, job.place, job.identity, cell)
    return cell


def _outcome(job: _Job, cell: Cell) -> str:
    """A finished cell in a line."""
    name = job.identity["metrics"][0]
    parts = [f"{name} {cell.users[name].mean():.4f}", f"{cell.seconds:,.1f} s"]
    if cell.epochs is not None:
        parts.append(f"best epoch {cell.best_epoch} of {cell.epochs}")
    if job.contender.chooses_ridge:
        ridges = ", ".join(f"{ridge:g}" for ridge in RIDGES)
        chosen = cell.settings["regularization"]
        parts.append(f"ridge {chosen:g}, the best of {ridges} on the validation users")
    return ", ".join(parts)


def _about(split: Split, seeds: int) -> dict[str, Any]:
    """What else is to be known of a comparison."""
    train = split.train
    return {
        "format": FORMAT,
        "macrid": version("macrid"),
        "seeds": [PUBLISHED_SEED, *range(1, seeds)],
        "users": len(split.test),
        "level": LEVEL,
        "resamples": RESAMPLES,
        "data": {
            "training_users": train.n_users,
            "items": train.n_items,
            "events": len(train),
            "validation_users": len(split.validation),
            "test_users_without_targets": int((np.diff(split.test.held_out.offsets) == 0).sum()),
            **_fingerprints(split),
        },
    }


def _fingerprints(split: Split) -> dict[str, Any]:
    """Digests of the training, validation and test users."""

    def of(people: HeldOut) -> list[str]:
        return [people.fold_in.fingerprint(), people.held_out.fingerprint()]

    return {
        "train": split.train.fingerprint(),
        "validation": of(split.validation),
        "test": of(split.test),
    }
