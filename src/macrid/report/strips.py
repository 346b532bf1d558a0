"""Walks worth looking at: which dials of a model tell most, and the items along them.

A walk starts from a popular item of a concept, that from which it goes farthest. There is one along
a dimension of each concept, and one along a feature where a feature is a dial; those that tell most
come first.
"""

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import polars as pl

from macrid.control.concepts import Concepts
from macrid.control.features import Features
from macrid.control.naming import UNNAMED
from macrid.control.walk import Walk
from macrid.errors import ControlError
from macrid.models.steered import Steered

MOST, STEPS = 8, 7  # strips of each kind, and items of a strip
STARTS = 12  # tried for each, the most popular items of the concept
_TRIED = 8  # dimensions of a concept that its strip is chosen from


@dataclass(frozen=True, eq=False)
class Strip:
    """Items along a dial.

    Attributes:
        walk: What was found.
        concept: The concept's name.
        dial: What is turned, in words.
        told: How far the dial can be trusted, in a sentence.
        feature: The number or term that it goes with, if any.
        values: Of each item, its number, or whether it has the term; None where nothing is known.
    """

    walk: Walk
    concept: str
    dial: str
    told: str
    feature: str | None
    values: list[float | bool | None]

    def to_dict(self) -> dict[str, Any]:
        """As one document."""
        return {
            "concept": self.walk.concept,
            "dial": self.dial,
            "feature": self.feature,
            "items": self.walk.items["item_id"].to_list(),
            "values": self.values,
        }


def dimension_strips(model: Steered, found: Concepts) -> list[Strip]:
    """One for each concept: along its best named dimension, or that which varies most.

    Each after another feature as far as there are.
    """
    named = (pl.col("low") != UNNAMED) | (pl.col("high") != UNNAMED)
    order = [named, named * pl.col("strength").abs(), pl.col("variance_share")]
    ranked = found.foremost(_TRIED).with_columns(named.alias("named"))
    ranked = ranked.sort(order, descending=True, nulls_last=True, maintain_order=True)
    values, strips, used = _Values.of(model), [], set[str]()
    for own in ranked.partition_by("concept", maintain_order=True):
        again = pl.col("named") & pl.col("feature").is_in(list(used))
        order = [pl.col("named") & ~again, pl.col("named")]
        row = own.sort(order, descending=True, maintain_order=True).row(0, named=True)
        walk = _walk(model, found, row["concept"], dimension=row["dimension"])
        if walk is None:
            continue
        feature = row["feature"]
        ends = f"{row['low']} ↔ {row['high']}" if row["named"] else UNNAMED
        told = f"It has {row['variance_share']:.1%} of the variance of the concept's items"
        if feature is not None:
            used.add(feature)
            weak = "" if row["named"] else ", too weakly to be named after it"
            told += f" and goes with {feature} (rank agreement {row['strength']:+.2f}){weak}"
        dial, name = f"dimension {row['dimension']}: {ends}", found.concepts["name"][walk.concept]
        strips.append(Strip(walk, name, dial, f"{told}.", feature, values(walk, feature)))
    return strips[:MOST]


def direction_strips(model: Steered, found: Concepts) -> list[Strip]:
    """One for each concept that has such a dial, each along another feature as far as there are.

    Numbers come before terms, as their values can be shown.
    """
    values, strips, used = _Values.of(model), [], set[str]()
    for dials in model.dials().partition_by("concept", maintain_order=True):
        order = pl.col("feature").is_in(list(used)), pl.col("r2").is_null(), -pl.col("strength")
        best = dials.sort(order, maintain_order=True).row(0, named=True)
        feature = best["feature"]
        walk = _walk(model, found, best["concept"], feature=feature)
        if walk is None:
            continue
        used.add(feature)
        told = (
            f"A direction fitted to {feature} over {best['n_items']:,} items; on items held out it "
            f"agrees with {feature} by {best['strength']:.2f} of 1 (ranks)."
        )
        name = found.concepts["name"][walk.concept]
        strip = Strip(walk, name, feature, told, feature, values(walk, feature))
        strips.append((best["strength"], strip))
    strips.sort(key=lambda pair: -pair[0])
    return [strip for _, strip in strips[:MOST]]


@dataclass(frozen=True, eq=False)
class _Values:
    """What is known of items, by feature."""

    model: Steered
    features: Features

    @classmethod
    def of(cls, model: Steered) -> "_Values":
        assert model.catalogue is not None  # it is fitted: concepts were found in it
        return cls(model, Features.of(model.catalogue))

    def __call__(self, walk: Walk, name: str | None) -> list[float | bool | None]:
        """Of the items of a walk."""
        rows = self.model.items.numbers(walk.items["item_id"])
        if name is None:
            return [None] * len(rows)
        if name in self.features.numbers:
            numbers = self.features.numbers[name][rows].tolist()
            return [None if math.isnan(number) else number for number in numbers]
        column = self.features.carried[rows][:, [self.features.terms.index(name.lower())]]
        return (column.toarray()[:, 0] > 0).tolist()


def _walk(model: Steered, found: Concepts, concept: int, **dial: Any) -> Walk | None:
    """From the popular item that it goes farthest from; None where there is nowhere to go."""
    assert model.catalogue is not None  # it is fitted: concepts were found in it
    own = model.catalogue.filter(found.assignments["concept"] == concept)
    starts = own.sort("train_events", descending=True, maintain_order=True)["item_id"][:STARTS]
    walks = []
    for start in starts:
        with suppress(ControlError):  # there is no other item
            walks.append(model.walk(start, concept, steps=STEPS, **dial))
    return max(walks, key=_reach, default=None)


def _reach(walk: Walk) -> tuple[bool, float]:
    """How far it goes while the concept's prototype stays the nearest."""
    return walk.stable, float(walk.steps.value[-1] - walk.steps.value[0])
