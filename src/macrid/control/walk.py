r"""Real items along one aspect of a point, all else alike (Ma et al., 2019, §2.4).

The aspect is a *direction*, a unit vector :math:`w` of the item space: an axis, as in the paper, or
one that was fitted to a feature. A vector's *value* is :math:`h \cdot w`, and what is left of it,
:math:`h - (h \cdot w) w`, is its *rest*. Only these two are needed, never a rotation that would
make an axis of the direction; for an axis the rest is what the paper writes :math:`h_{-j}`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from macrid.errors import ControlError

_SHORTEST = 1e-9  # a rest below this has no direction


@dataclass(frozen=True)
class Range:
    """Values between which something holds; none where ``low`` is above ``high``."""

    low: Float[Tensor, " batch"]
    high: Float[Tensor, " batch"]


@dataclass(frozen=True)
class WalkSettings:
    r"""How a walk is looked for.

    Args:
        tau: Temperature of the cosines, the model's.
        steps: B, items of the walk; fewer where there are fewer items.
        beam: W, unfinished walks that are kept at each step.
        gamma: Weight of the items' likeness to each other; by default :math:`1 / B`, so that all
            pairs together count about as much as the likeness to the start does.
        nearest: Items of each sub-range that are tried, by their likeness to the start.

    Raises:
        ControlError: If one of them is out of its bounds.
    """

    tau: float
    steps: int = 8
    beam: int = 16
    gamma: float | None = None
    nearest: int = 50

    def __post_init__(self) -> None:
        for name in ("steps", "beam", "nearest"):
            if not (isinstance(n := getattr(self, name), int) and n >= 1):
                raise ControlError(f"{name} is {n}; a walk needs a whole number, 1 or more")
        if self.gamma is not None and not 0 <= self.gamma < math.inf:
            raise ControlError(f"gamma is {self.gamma}; it is a weight of 0 or more")


@dataclass(frozen=True)
class Steps:
    """What `beam_walk` found.

    Attributes:
        row: Of ``vectors``, in the order of the walk.
        value: Of each item; never falls.
        cuts: Ends of the sub-ranges, one more than items: item ``t`` lies above cut ``t`` (the
            first may lie on it) and not above cut ``t + 1``.
        objective: What the beam search made as large as it could.
    """

    row: Int[ndarray, " step"]
    value: Float[ndarray, " step"]
    cuts: Float[ndarray, " edge"]
    objective: float


@dataclass(frozen=True, eq=False)
class Walk:
    """Items along a dial, like the start in all else.

    Attributes:
        concept: Of all the items; counted from 0.
        dial: A dimension's number, or a feature.
        start: The value that it started from.
        stable: Whether the range is the one in which the concept's prototype stays the nearest; if
            there is no item of the concept in it, the range is all that its items reach.
        steps: What was found.
        items: A row per item, features included.
    """

    concept: int
    dial: str
    start: float
    stable: bool
    steps: Steps
    items: pl.DataFrame

    @property
    def frame(self) -> pl.DataFrame:
        """``rank, item_id, value, low, high`` (ends of its sub-range), then the features.

        Of those, one that has such a name has ``item_`` before it.
        """
        steps, n_items = self.steps, len(self.items)
        columns = {"value": steps.value, "low": steps.cuts[:-1], "high": steps.cuts[1:]}
        found = pl.DataFrame({"rank": np.arange(1, n_items + 1), "item_id": self.items["item_id"]})
        values = pl.DataFrame({name: pl.Series(c, dtype=pl.Float64) for name, c in columns.items()})
        taken, features = {*found.columns, *values.columns}, self.items.drop("item_id")
        features = features.rename(lambda name: f"item_{name}" if name in taken else name)
        return pl.concat([found, values, features], how="horizontal")

    def to_dict(self) -> dict[str, Any]:
        """As one document."""
        return {
            "concept": self.concept,
            "dial": self.dial,
            "start": self.start,
            "range": [float(self.steps.cuts[0]), float(self.steps.cuts[-1])],
            "stable": self.stable,
            "cuts": self.steps.cuts.tolist(),
            "objective": self.steps.objective,
            "items": self.frame.to_dicts(),
        }


def stable_range(
    points: Float[Tensor, "batch dim"],
    prototypes: Float[Tensor, "concept dim"],
    concept: int,
    direction: Float[Tensor, " dim"],
) -> Range:
    r"""Values that points can be given before another prototype becomes the nearest.

    A point's length is the same to all prototypes, so :math:`m_{k^*}` is nearest if and only if
    :math:`v (m_{k^*} - m_k) \cdot w \ge s_k - s_{k^*}` for all k, where :math:`s_k` is the rest's
    product with :math:`m_k`: an interval, whose ends the paper looks for by binary search.

    Args:
        points: Whose value is changed; their rest stays.
        prototypes: As the model compares them with items.
        concept: Whose prototype has to stay the nearest.
        direction: A unit vector.

    Returns:
        The ends, perhaps infinite; ``low`` above ``high`` where no value will do.

    Example:
        The concepts are right and left; a point that leans up can go from 0 to any value:

        >>> prototypes = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        >>> stable_range(torch.tensor([[0.3, 0.9]]), prototypes, 0, torch.tensor([1.0, 0.0]))
        Range(low=tensor([0.]), high=tensor([inf]))
    """
    rest = points - (points @ direction)[:, None] * direction
    closeness = rest @ prototypes.T
    behind = closeness - closeness[:, concept, None]  # of the concept, (batch, concept)
    slope = (prototypes[concept] - prototypes) @ direction
    # Rivals whom no value changes: the concept itself, and those that lie level along `direction`.
    level = (slope == 0) & (behind > 0)
    bound = behind / torch.where(slope == 0, 1.0, slope)
    low = torch.where(slope > 0, bound, -torch.inf).amax(1)
    high = torch.where(slope < 0, bound, torch.inf).amin(1)
    lost = level.any(1)
    return Range(torch.where(lost, torch.inf, low), torch.where(lost, -torch.inf, high))


def within(stable: Range, values: Float[Tensor, " item"]) -> tuple[Range, Bool[Tensor, " batch"]]:
    """A range as far as the items of the concept reach.

    Where it holds no value that an item could have, it is all that the items reach: a person's
    point for a concept that they know little of may lie nearer to another prototype whatever its
    value is.

    Args:
        stable: From `stable_range`.
        values: Of the concept's items, one or more.

    Returns:
        The range, and where it is the stable one.

    Example:
        >>> two = Range(torch.tensor([-1.0, 9.0]), torch.tensor([torch.inf, 10.0]))
        >>> within(two, torch.tensor([0.0, 2.0]))[1].tolist()
        [True, False]
    """
    least, most = values.amin(), values.amax()
    low, high = stable.low.maximum(least), stable.high.minimum(most)
    holds = low <= high
    return Range(torch.where(holds, low, least), torch.where(holds, high, most)), holds


def probe(
    point: Float[Tensor, " dim"],
    values: Float[Tensor, " item"],
    prototypes: Float[Tensor, "concept dim"],
    concept: int,
    direction: Float[Tensor, " dim"],
) -> tuple[tuple[float, float], bool]:
    """Between which values to walk, and whether the concept's prototype stays the nearest there.

    Args:
        point: Where the walk starts.
        values: Of the concept's items that it may lead to, one or more.
        prototypes: As the model compares them with items.
        concept: Of the walk.
        direction: A unit vector.

    Returns:
        The ends, those of `within`, or all that the items reach if none of them lies between.

    Example:
        >>> up, items = torch.tensor([0.0, 1.0]), torch.tensor([[1.0, 0.0], [0.8, 0.6]])
        >>> (low, high), stable = probe(items[0], items @ up, items[:1], 0, up)
        >>> low, round(high, 2), stable
        (0.0, 0.6, True)
    """
    ends, holds = within(stable_range(point[None], prototypes, concept, direction), values)
    if not ((values >= ends.low) & (values <= ends.high)).any():
        return (float(values.amin()), float(values.amax())), False
    return (float(ends.low), float(ends.high)), bool(holds)


def equal_count_cuts(
    values: Float[ndarray, " item"], low: float, high: float, steps: int
) -> Float[ndarray, " edge"]:
    """Where to cut a range so that each part has as many items as the next, or one more.

    Args:
        values: Of the items, all between ``low`` and ``high``, one or more.
        low: The first cut.
        high: The last cut.
        steps: Parts; fewer come out where there are fewer distinct values, as equal values are
            never put apart.

    Returns:
        Ascending cuts; the parts are (cut, next cut], and the first one holds its lower end too.

    Example:
        >>> equal_count_cuts(np.array([0.1, 0.2, 0.3, 0.4]), 0.0, 1.0, 2).tolist()
        [0.0, 0.2, 1.0]
    """
    ordered = np.sort(values)
    last = -(-len(ordered) * np.arange(1, steps) // steps) - 1  # of each part but the last
    inner = np.unique(ordered[last[last >= 0]])
    return np.concatenate([[low], inner[inner < ordered[-1]], [high]])


def beam_walk(
    start: tuple[Float[ndarray, " dim"], float],
    vectors: Float[ndarray, "item dim"],
    values: Float[ndarray, " item"],
    ends: tuple[float, float],
    settings: WalkSettings,
) -> Steps:
    r"""One item from each sub-range, as like the start and each other as can be but in their value.

    Makes :math:`\sum_t e^{(\cos(i_t, h^*) - 1) / \tau} + \gamma \sum_{t < t'} e^{(\cos(i_t, i_{t'})
    - 1) / \tau}` large, the cosines being those of the rests. (The paper's terms have no -1; it
    only divides all of them by :math:`e^{1 / \tau}`, which could overflow.) A beam can lose the
    walk that takes the best item at every step, so that one is looked at as well, among all items.

    Args:
        start: The point where it starts, :math:`h^*`, and its value.
        vectors: Of the items that it may lead through, all of one concept.
        values: Theirs, as `probe` was given them: computed otherwise, they may differ in the last
            digit, and the item at an end would be lost.
        ends: Of the range.
        settings: How it is looked for.

    Raises:
        ControlError: If no item lies in the range.

    Example:
        >>> corner = np.array([[0.0, 1.0], [0.6, 0.8], [0.8, 0.6]])
        >>> start, settings = (corner[0], 0.0), WalkSettings(tau=0.1)
        >>> beam_walk(start, corner, corner[:, 0], (0.0, 1.0), settings).row.tolist()
        [0, 1, 2]
    """
    low, high = ends
    inside = np.flatnonzero((values >= low) & (values <= high))
    if not len(inside):
        raise ControlError(f"there is no item between {low:.4g} and {high:.4g} to walk through")
    cuts = equal_count_cuts(values[inside], low, high, settings.steps)
    parts = np.searchsorted(cuts[1:-1], values[inside])
    bins = [inside[parts == part] for part in range(len(cuts) - 1)]
    rests = _Rests(vectors, values)
    likeness = rests.likeness(*start, settings.tau)
    nearest = [rows[_best(likeness[rows], settings.nearest)] for rows in bins]
    gamma = 1 / len(bins) if settings.gamma is None else settings.gamma
    search = _Search(rests, likeness, settings.tau, gamma)
    row, objective = max(
        search.run(nearest, settings.beam), search.run(bins, 1), key=lambda found: found[1]
    )
    return Steps(row, values[row], cuts, objective)


class _Rests:
    """What is left of items beside their value, compared without ever being formed."""

    def __init__(self, vectors: ndarray, values: ndarray) -> None:
        self.vectors, self.values = vectors, values
        self.lengths = _rest_length(np.einsum("id,id->i", vectors, vectors), values)

    def likeness(self, point: ndarray, value: float, tau: float) -> Float[ndarray, " item"]:
        """Of every item to a point."""
        products = self.vectors @ point - self.values * value
        return _alike(products / (self.lengths * _rest_length(point @ point, value)), tau)

    def pairs(self, rows: ndarray, others: ndarray, tau: float) -> Float[ndarray, "row other"]:
        """Of items to each other."""
        products = self.vectors[rows] @ self.vectors[others].T
        products -= np.multiply.outer(self.values[rows], self.values[others])
        lengths = np.multiply.outer(self.lengths[rows], self.lengths[others])
        return _alike(products / lengths, tau)


@dataclass(frozen=True)
class _Search:
    """A beam search from the first sub-range to the last."""

    rests: _Rests
    likeness: ndarray
    tau: float
    gamma: float

    def run(self, bins: list[ndarray], beam: int) -> tuple[Int[ndarray, " step"], float]:
        """The best walk that is left at the end, and what it is worth."""
        paths, totals = np.empty((1, 0), np.int64), np.zeros(1)
        for rows in bins:
            passed, where = np.unique(paths, return_inverse=True)
            like = self.rests.pairs(rows, passed, self.tau)[:, where.reshape(paths.shape)].sum(-1)
            grown = totals[:, None] + self.likeness[rows] + self.gamma * like.T  # (beam, row)
            best = _best(grown.ravel(), beam)
            state, place = np.unravel_index(best, grown.shape)
            paths = np.column_stack([paths[state], rows[place]])
            totals = grown.flat[best]
        return paths[0], float(totals[0])


def _alike(cosines: ndarray, tau: float) -> ndarray:
    """What a cosine is worth; of rests of hardly any length, rounding makes it any number."""
    return np.exp((cosines.clip(-1, 1) - 1) / tau)


def _best(scores: ndarray, n: int) -> Int[ndarray, " best"]:
    """Places of the ``n`` largest, the largest first."""
    some = np.argpartition(-scores, n)[:n] if n < len(scores) else np.arange(len(scores))
    return some[np.argsort(-scores[some], kind="stable")]


def _rest_length(square: Any, value: Any) -> Any:
    """Of a rest, from a vector's squared length and its value; never 0, to divide by."""
    return np.sqrt(np.maximum(square - value**2, _SHORTEST**2))
