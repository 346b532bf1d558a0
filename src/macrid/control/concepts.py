"""What a model found: its concepts, their dimensions, and how sure it is of each item.

An item is *of* the concept that it most probably belongs to. Everything is counted over those
items, and concepts and dimensions are counted from 0. Names given by hand come before drawn ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from macrid.control.features import Features
from macrid.control.names import Names
from macrid.control.naming import (
    UNNAMED,
    Ends,
    associate,
    distinct,
    name_concepts,
    name_ends,
    telling_terms,
)

_TERMS, _AT_ENDS = 8, 3  # listed of a concept, and items of a dimension's end
_ENOUGH = 20_000  # items of a concept to name its dimensions by


@dataclass(frozen=True, eq=False)
class Naming:
    """What concepts and dimensions are called, and after what.

    Args:
        concepts: Each concept's name; those that have one, have it to themselves.
        terms: What each concept has more often than chance would have it, with z, best first.
        ends: Of each concept, of each dimension.
    """

    concepts: list[str]
    terms: list[dict[str, float]]
    ends: list[list[Ends]]

    @classmethod
    def draw(
        cls,
        vectors: Float[np.ndarray, "item dim"],
        concept: Int[np.ndarray, " item"],
        n_concepts: int,
        features: Features,
    ) -> "Naming":
        """After what is known of the items."""
        terms = telling_terms(features, concept, n_concepts)
        rows = [np.flatnonzero(concept == k) for k in range(n_concepts)]
        some = [own[:: 1 + len(own) // _ENOUGH] for own in rows]
        ends = [name_ends(associate(vectors[own], features.take(own)), n_concepts) for own in some]
        return cls(distinct(name_concepts(features, concept, terms)), terms, ends)

    def given(self, names: Names) -> "Naming":
        """With the names that people gave."""
        free = [k for k in range(len(self.concepts)) if k not in names.concepts]
        others = distinct([self.concepts[k] for k in free], list(names.concepts.values()))
        concepts = names.concepts | dict(zip(free, others, strict=True))
        ends = [list(some) for some in self.ends]
        for k, some in names.dimensions.items():
            for d, (low, high) in some.items():
                ends[k][d] = Ends(low, high, ends[k][d].feature, ends[k][d].strength)
        return Naming([concepts[k] for k in range(len(concepts))], self.terms, ends)

    def of(self, concept: int) -> str:
        """A concept in a sentence: its name, or its number."""
        name = self.concepts[concept]
        return f"concept {concept}" if name == UNNAMED else name


@dataclass(frozen=True, eq=False)
class Concepts:
    """What a model found.

    Attributes:
        concepts: ``concept, name, n_items, item_share, event_share`` (of the training events),
            ``confidence`` (mean probability of its items), ``terms`` (over-represented, with z),
            ``typical`` (item ids).
        typical: ``concept, rank, item_id, probability`` and ``title`` where there are titles: most
            probable first; among items alike to the hundredth, the most popular.
        dimensions: ``concept, dimension, low, high`` (names of the ends), ``std`` over the
            concept's items, ``variance_share`` of all its dimensions, ``feature`` that it goes with
            most and how strongly (from -1 to 1), ``low_items, high_items`` at the ends.
        assignments: ``item_id, concept, probability`` of every item, in row order.
        largest_share: Of the items, in the largest concept.
        entropy: Of the concepts' shares of the items: 1 if all are of one size, 0 if one has all.
    """

    concepts: pl.DataFrame
    typical: pl.DataFrame
    dimensions: pl.DataFrame
    assignments: pl.DataFrame
    largest_share: float
    entropy: float

    def foremost(self, n: int) -> pl.DataFrame:
        """The ``n`` dimensions of each concept that have names, strongest first, or vary most."""
        named = (pl.col("low") != UNNAMED) | (pl.col("high") != UNNAMED)
        by = [pl.col("concept"), named, named * pl.col("strength").abs(), pl.col("variance_share")]
        ordered = self.dimensions.sort(
            by, descending=[False, True, True, True], nulls_last=True, maintain_order=True
        )
        return ordered.filter(pl.int_range(pl.len()).over("concept") < n)

    def to_dict(self, dimensions: int | None = None) -> dict[str, Any]:
        """As one document; of all dimensions, or the foremost of each concept."""
        shown = self.dimensions if dimensions is None else self.foremost(dimensions)
        return {
            "largest_share": self.largest_share,
            "entropy": self.entropy,
            "concepts": self.concepts.drop("typical").to_dicts(),
            "typical": self.typical.to_dicts(),
            "dimensions": shown.to_dicts(),
        }


def describe(
    vectors: Float[np.ndarray, "item dim"],
    weights: Float[np.ndarray, "item concept"],
    catalogue: pl.DataFrame,
    naming: Naming,
    *,
    top: int = 8,
) -> Concepts:
    """What was found, in tables.

    Args:
        vectors: Item vectors, as the decoder looks at them.
        weights: Probability of each concept, for each item.
        catalogue: ``item_id``, ``train_events`` and perhaps ``title``, in row order.
        naming: What concepts and dimensions are called.
        top: Most typical items listed of each concept.

    Example:
        >>> catalogue = pl.DataFrame({"item_id": ["a", "b", "c"], "train_events": [1, 9, 5]})
        >>> naming = Naming.draw(np.eye(3), np.array([0, 0, 1]), 2, Features.of(catalogue))
        >>> weights = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
        >>> found = describe(np.eye(3), weights, catalogue, naming)
        >>> found.concepts.select("n_items", "event_share", "typical").rows()
        [(2, 0.6666666666666666, ['b', 'a']), (1, 0.3333333333333333, ['c'])]
    """
    n_concepts, concept = weights.shape[1], weights.argmax(1)
    probability = weights.max(1, initial=0)
    assignments = catalogue.select("item_id").with_columns(
        concept=pl.Series(concept), probability=pl.Series(probability)
    )
    titles = [name for name in ("title",) if name in catalogue.columns]
    typical = _typical(assignments.hstack(catalogue.select("train_events", *titles)), top)
    sizes = np.bincount(concept, minlength=n_concepts)
    events = catalogue["train_events"].to_numpy()
    shares = sizes / max(len(concept), 1)
    some = shares[shares > 0]
    terms = [
        [{"term": term, "z": z} for term, z in list(found.items())[:_TERMS]]
        for found in naming.terms
    ]
    kind = pl.List(pl.Struct({"term": pl.String, "z": pl.Float64}))
    concepts = pl.DataFrame(
        {
            "concept": np.arange(n_concepts),
            "name": naming.concepts,
            "n_items": sizes,
            "item_share": shares,
            "event_share": np.bincount(concept, events, n_concepts) / max(events.sum(), 1),
            "confidence": np.bincount(concept, probability, n_concepts) / np.maximum(sizes, 1),
            "terms": pl.Series(terms, dtype=kind),
        }
    )
    listed = typical.group_by("concept", maintain_order=True).agg(typical="item_id")
    concepts = concepts.join(listed, on="concept", how="left", maintain_order="left")
    return Concepts(
        concepts=concepts.with_columns(pl.col("typical").fill_null([])),
        typical=typical,
        dimensions=pl.concat(
            [
                _dimensions(k, vectors[concept == k], catalogue["item_id"].filter(concept == k), e)
                for k, e in enumerate(naming.ends)
            ]
        ),
        assignments=assignments,
        largest_share=float(shares.max()),
        entropy=float(-(some * np.log(some)).sum() / np.log(n_concepts)) if n_concepts > 1 else 0.0,
    )


def _typical(items: pl.DataFrame, top: int) -> pl.DataFrame:
    """The most probable items of each concept, the more popular first among equals."""
    order = ["concept", pl.col("probability").round(2), "train_events"]
    ordered = items.sort(order, descending=[False, True, True], maintain_order=True)
    best = ordered.group_by("concept", maintain_order=True).head(top)
    rank = pl.int_range(1, pl.len() + 1).over("concept").alias("rank")
    rest = [name for name in best.columns if name not in ("concept", "train_events")]
    return best.select("concept", rank, *rest)


def _dimensions(
    concept: int, values: Float[np.ndarray, "item dim"], ids: pl.Series, ends: list[Ends]
) -> pl.DataFrame:
    """A row for each dimension of a concept."""
    n_dims = values.shape[1]
    variance = values.var(0) if len(values) else np.zeros(n_dims)
    both = [_extremes(column) for column in values.T]
    found = pl.DataFrame(
        {
            "low": [end.low for end in ends],
            "high": [end.high for end in ends],
            "feature": pl.Series([end.feature for end in ends], dtype=pl.String),
            "strength": pl.Series([end.strength for end in ends], dtype=pl.Float64),
        }
    )
    kind = pl.List(ids.dtype)
    return pl.DataFrame(
        {
            "concept": np.full(n_dims, concept),
            "dimension": np.arange(n_dims),
            "low": found["low"],
            "high": found["high"],
            "std": np.sqrt(variance).astype(float),
            "variance_share": (variance / max(variance.sum(), 1e-30)).astype(float),
            "feature": found["feature"],
            "strength": found["strength"],
            "low_items": pl.Series([ids[some].to_list() for some, _ in both], dtype=kind),
            "high_items": pl.Series([ids[some].to_list() for _, some in both], dtype=kind),
        }
    )


def _extremes(values: Float[np.ndarray, " item"]) -> tuple[list[int], list[int]]:
    """Rows of the lowest values, lowest first, and of the highest, highest first."""
    order = values.argsort(kind="stable")
    return order[:_AT_ENDS].tolist(), order[::-1][:_AT_ENDS].tolist()
