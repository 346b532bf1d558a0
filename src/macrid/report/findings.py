"""What a report says of a trained model, as numbers and tables; how it looks is decided elsewhere.

Any model of the catalogue can be looked into. One without concepts has no cards, strips, collapse
and people on the map; one without vectors (EASE, popularity) no map and no correlations either.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from macrid.control.concepts import Concepts
from macrid.control.controls import closest
from macrid.control.naming import UNNAMED
from macrid.data.interactions import Interactions
from macrid.data.splits import Split
from macrid.data.vocabulary import in_type
from macrid.errors import DataError, SettingsError
from macrid.evaluation.alignment import Alignment, align
from macrid.evaluation.baselines import measure_baselines
from macrid.evaluation.disentanglement import item_vectors, uncorrelatedness
from macrid.evaluation.protocol import DEFAULT_METRICS, evaluate
from macrid.models.described import Posteriors
from macrid.models.recommender import Recommender
from macrid.models.steered import Steered
from macrid.models.trained import Trained
from macrid.report.projection import Atlas, draw_map
from macrid.report.strips import Strip, dimension_strips, direction_strips
from macrid.training.run_files import LOG

PEOPLE = 2_500  # most on the map, each with two components; and to correlate dimensions over
DIMS = 100  # most on a heat map, those that vary most
_KINDS = 30  # different values of a column of numbers that may still be a label
Tell = Callable[[str], Any]


@dataclass(frozen=True)
class Accuracy:
    """Metrics of the model and of what it has to beat, on the same people.

    Attributes:
        models: By name, then by metric: mean, standard error, number of users.
        people: Who was measured, and by whom, in sentences.
    """

    models: dict[str, dict[str, Any]]
    people: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Correlations:
    """Pearson's correlations between the dimensions of some vectors.

    Attributes:
        of: Whose, in words.
        n_rows: How many items or people.
        dims: Which dimensions are in the matrix.
        matrix: NaN on the diagonal, and of a dimension that does not vary.
        uncorrelatedness: 1 − the mean size of all pairs' correlation; None where fewer than two
            dimensions vary.
    """

    of: str
    n_rows: int
    dims: list[int]
    matrix: Float[np.ndarray, "dim dim"]
    uncorrelatedness: float | None


@dataclass(frozen=True, eq=False)
class Findings:
    """All that was found; None or empty what a model has not."""

    model: Recommender
    accuracy: Accuracy
    titles: list[str]
    log: pl.DataFrame | None = None
    concepts: Concepts | None = None
    label: pl.Series | None = None
    alignment: Alignment | None = None
    atlas: Atlas | None = None
    people: Posteriors | None = None
    strips: tuple[Strip, ...] = ()
    correlations: tuple[Correlations, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The key figures, as one document."""
        found: dict[str, Any] = {
            "model": self.model.name,
            "accuracy": self.accuracy.models,
            "uncorrelatedness": {one.of: one.uncorrelatedness for one in self.correlations},
        }
        if self.concepts is not None:
            columns = ("concept", "name", "n_items", "item_share", "event_share", "confidence")
            found["largest_share"] = self.concepts.largest_share
            found["entropy"] = self.concepts.entropy
            found["concepts"] = self.concepts.concepts.select(columns).to_dicts()
            found["strips"] = [strip.to_dict() for strip in self.strips]
        if self.alignment is not None and self.label is not None:
            found["label"] = {"column": self.label.name, **self.alignment.to_dict()}
        if self.atlas is not None:
            shown = {"items": len(self.atlas.items), "components": len(self.atlas.users)}
            found["map"] = shown
        return found


def find(
    model: Recommender,
    split: Split,
    *,
    folder: Path | None = None,
    label: str | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    baselines: bool = True,
    tell: Tell = lambda line: None,
) -> Findings:
    """Look into a model.

    Args:
        model: A fitted model; if it knows nothing of its items, what the split knows is taken.
        split: What it was trained on: test users are measured, training users are on the map.
        folder: Its folder, which may hold a training log.
        label: A column of the item features that says of what kind an item is.
        metrics: As for `evaluate`.
        baselines: Whether popularity and EASE are measured, if training did not.
        tell: Told what is being done.

    Raises:
        DataError: If the model knows no item of the split.
        SettingsError: If the items have no such column, or it tells no kinds.
        MissingExtra: If openTSNE is not installed.
    """
    if not (model.items.numbers(split.train.items.ids) >= 0).any():
        raise DataError(
            f"the model knows none of the {split.train.n_items:,} items of these data; it was "
            "trained on others"
        )
    describe_items(model, split.train.features, replace_known=False)
    assert model.catalogue is not None
    kinds = None if label is None else label_of(model.catalogue, label)
    tell("measuring on the test users, if training did not")
    found = Findings(
        model,
        measure(model, split, metrics, baselines=baselines),
        titles=_titles(model.catalogue),
        log=read_log(folder),
        label=kinds,
    )
    if isinstance(model, Steered):
        return _with_concepts(found, model, split.train, tell)
    if isinstance(model, Trained):
        tell("drawing the map of items")
        vectors = item_vectors(model)
        return replace(found, atlas=draw_map(vectors), correlations=(correlate("items", vectors),))
    return found


def describe_items(
    model: Recommender, features: pl.DataFrame | None, *, replace_known: bool = True
) -> None:
    """Tell a model what is known of its items, in place.

    Args:
        model: A fitted model.
        features: A table with ``item_id``, perhaps of other items too.
        replace_known: Whether it goes before what the model knows already.

    Raises:
        DataError: If the model is not fitted.
    """
    known = model.catalogue
    if known is None:
        raise DataError("the model is not fitted, so it has no items to describe")
    if features is None or (known.width > 2 and not replace_known):
        return
    ids = features.with_columns(in_type(features["item_id"], known["item_id"].dtype))
    ids = ids.drop("train_events", strict=False)
    counts = known.select("item_id", "train_events")
    model.catalogue = counts.join(ids, on="item_id", how="left", maintain_order="left")


def measure(
    model: Recommender, split: Split, metrics: Sequence[str], *, baselines: bool
) -> Accuracy:
    """What training measured, where it was these data and metrics; else measured now."""
    kept, trained = model.metrics, model.training
    refit, same = trained.get("refit"), trained.get("data") == split.train.fingerprint()
    people = [f"{len(split.test):,} test users, of whom the model had seen nothing in training"]
    if (refit or same) and set(metrics) <= set(kept.get("test", {})):
        measured = {model.name: kept["test"], **kept.get("baselines", {})}
        people.append("measured when it was trained")
        if refit:
            people.append("before it was trained once more, on everyone")
    else:
        measured = {model.name: evaluate(model, split.test, metrics=metrics).to_dict()}
        people.append("measured for this report")
        if not same:
            people[0] = f"{len(split.test):,} test users of these data"
            people.append(
                "beware: the model was trained on other people than the training users of these "
                "data, perhaps on some of these test users"
            )
    if baselines and len(measured) == 1:
        measured |= measure_baselines(split, metrics).metrics
    return Accuracy({name: dict(some) for name, some in measured.items()}, tuple(people))


def read_log(folder: Path | None) -> pl.DataFrame | None:
    """The training log of a run, a row per epoch; None where there is none to read."""
    try:
        log = None if folder is None else pl.read_csv(folder / LOG)
    except (OSError, pl.exceptions.PolarsError):
        return None
    return log if log is not None and "epoch" in log.columns and len(log) else None


def label_of(catalogue: pl.DataFrame, column: str) -> pl.Series:
    """Of what kind each item is: the column as text; of a list, its first.

    Raises:
        SettingsError: If there is no such column, or it tells no kinds.

    Example:
        >>> films = pl.DataFrame({"genres": [["War", "Drama"], ["Comedy"], []]})
        >>> label_of(films, "genres").to_list()
        ['War', 'Comedy', None]
    """
    known = [name for name in catalogue.columns if name not in ("item_id", "train_events")]
    if column not in known:
        raise SettingsError(f"the items have no column {column!r}; {closest(column, known)}")
    values = catalogue[column]
    if isinstance(values.dtype, pl.List):
        values = values.list.first()
    n_kinds = values.drop_nulls().n_unique()
    numbers = values.dtype.is_numeric() and n_kinds > _KINDS
    if values.dtype.is_nested() or numbers or n_kinds < 2:
        raise SettingsError(
            f"{column!r} has {n_kinds:,} different values of type {values.dtype}; a label is a "
            "column that says of what kind an item is, such as a category"
        )
    return values.cast(pl.String)


def correlate(of: str, vectors: Float[np.ndarray, "row dim"]) -> Correlations:
    """Of each pair of dimensions.

    Example:
        >>> found = correlate("two", np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
        >>> found.matrix.round(6).tolist(), found.uncorrelatedness
        ([[nan, 0.0], [0.0, nan]], 1.0)
    """
    spread = vectors.std(0)
    dims = np.sort(np.argsort(-spread, kind="stable")[:DIMS])
    constant = spread[dims] <= 1e-6 * np.abs(vectors[:, dims]).max(0, initial=0)
    scaled = (vectors[:, dims] - vectors[:, dims].mean(0)) / np.where(constant, 1, spread[dims])
    matrix = (scaled.T @ scaled / max(len(vectors), 1)).astype(float)
    matrix[constant] = matrix[:, constant] = np.nan
    np.fill_diagonal(matrix, np.nan)
    try:
        value = uncorrelatedness(vectors)
    except ValueError:
        value = None
    return Correlations(of, len(vectors), dims.tolist(), matrix, value)


def _with_concepts(found: Findings, model: Steered, train: Interactions, tell: Tell) -> Findings:
    """What a model with concepts has beside."""
    tell("describing concepts and dimensions")
    concepts, vectors = model.concepts(), item_vectors(model)
    own = concepts.assignments["concept"].to_numpy()
    people = _some_people(model, train)
    correlations = [correlate("items", vectors)]
    correlations += [
        correlate(f"people, {called(k, name)}", people.mean[:, k])
        for k, name in concepts.concepts["concept", "name"].iter_rows()
    ]
    tell("walking along dimensions and features")
    strips = (*dimension_strips(model, concepts), *direction_strips(model, concepts))
    tell("drawing the map of items and people")
    return replace(
        found,
        concepts=concepts,
        alignment=None if found.label is None else align(own, found.label),
        strips=strips,
        atlas=draw_map(vectors, people, train.n_users),
        people=people,
        correlations=tuple(correlations),
    )


def called(concept: int, name: str) -> str:
    """A concept in a word or two: its name, or its number.

    Example:
        >>> called(2, "unnamed"), called(0, "bags")
        ('concept 2', 'bags')
    """
    return f"concept {concept}" if name == UNNAMED else name


def _some_people(model: Steered, train: Interactions) -> Posteriors:
    """What is known of some of the people who have an item that the model knows."""
    order = np.random.default_rng(0).permutation(train.n_users)
    said = model.encode(train.take_users(np.sort(order[:PEOPLE])), on_unknown="ignore")
    known = said.confidence.sum(1) > 0
    users = said.users.filter(pl.Series(known))
    return Posteriors(users, said.mean[known], said.log_var[known], said.confidence[known])


def _titles(catalogue: pl.DataFrame) -> list[str]:
    """What items are called, in row order."""
    ids = pl.col("item_id").cast(pl.String)
    title = pl.coalesce("title", ids) if "title" in catalogue.columns else ids
    return catalogue.select(title.cast(pl.String)).to_series().to_list()
