r"""What can be turned: an axis of a concept's items, or a direction along which a feature rises.

Both are unit vectors :math:`w` of the item space, and both are turned and walked in the same way. A
direction is fitted to the feature over the concept's items: ridge regression for a number, logistic
regression with the same penalty for a term. Folds of items that the fit did not see choose the
penalty and say how good it is; below ``STRENGTH`` there is no dial, since it would promise what it
cannot keep.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from macrid.control.names import check_number
from macrid.control.walk import Range, stable_range, within
from macrid.errors import ControlError
from macrid.parts.items import unit

STRENGTH = 0.5  # least rank agreement of held-out items: rank correlation, or 2 AUC - 1 of a term
FEWEST = 20  # items whose number is known; of a term, half with it and half without
_FOLDS, _SEED = 5, 0
_PENALTIES = np.logspace(-4, 2, 7)  # relative to the items' mean sum of squares along an axis
_FAR = 1e6  # stands for a value without an end
_EVEN = 1e-6  # a lead that rounding may take away
_ROUNDS = 100  # of a logistic regression; more do not change a strength's second digit


@dataclass(frozen=True)
class Fit:
    """A direction along which a feature rises, and how well it does on items held out.

    Attributes:
        direction: Of unit length.
        strength: Rank agreement of the held-out predictions with the truth: Spearman's correlation
            for a number, Somers' D (2 AUC - 1) for a term. The penalty was chosen on the same
            folds.
        r2: Share of a number's variance that they explain; none of a term.
        penalty: Chosen, relative to the items' mean sum of squares along an axis.
        n_items: Whose feature is known.
        chance: Standard error of the strength where the feature has nothing to do with the items.
    """

    direction: Float[ndarray, " dim"]
    strength: float
    r2: float | None
    penalty: float
    n_items: int
    chance: float


@dataclass(frozen=True)
class Dial:
    """A concept's axis, or a direction fitted to a feature.

    Attributes:
        concept: Counted from 0.
        direction: Of unit length.
        dimension: Which axis it is, if it is one.
        end: Of the axis, that it rises towards; None of one that was named by its number.
        feature: What it was fitted to, if it was.
        fit: How well.
    """

    concept: int
    direction: Float[ndarray, " dim"]
    dimension: int | None = None
    feature: str | None = None
    fit: Fit | None = None
    end: str | None = None

    @property
    def key(self) -> tuple[int, int | str | None]:
        """What tells it from others; an axis is one dial, whichever of its ends it was named by."""
        return self.concept, self.dimension if self.feature is None else self.feature

    @property
    def name(self) -> str:
        """The feature, or the number of the axis, and the end that it rises towards if named."""
        if self.feature is not None:
            return self.feature
        return f"{self.dimension}" if self.end is None else f"{self.dimension} towards {self.end}"


def axis(concept: int, dimension: int, n_dims: int) -> Dial:
    """A dimension of a concept.

    Raises:
        SettingsError: If there is no such dimension.

    Example:
        >>> axis(0, 1, 3).direction.tolist()
        [0.0, 1.0, 0.0]
    """
    check_number("dimension", dimension, n_dims)
    return Dial(concept, np.eye(n_dims, dtype=np.float32)[dimension], dimension=dimension)


def fit_number(vectors: Float[ndarray, "item dim"], values: Float[ndarray, " item"]) -> Fit:
    """The direction along which a number rises, by ridge regression.

    Args:
        vectors: Of items whose number is known.
        values: Their numbers.

    Raises:
        ControlError: If there are too few items, or all have the same number.

    Example:
        >>> grid = np.random.default_rng(0).normal(size=(60, 2))
        >>> fit = fit_number(grid, grid @ np.array([0.6, -0.8]))
        >>> fit.direction.round(2).tolist(), round(fit.strength, 2), fit.r2 > 0.99
        ([0.6, -0.8], 1.0, True)
    """
    if len(values) < FEWEST or np.ptp(values) == 0:
        raise ControlError(
            f"{len(values)} of the concept's items have it, {len(np.unique(values))} different "
            f"ones; a dial needs {FEWEST} items that differ"
        )
    scaled = (values - values.mean()) / values.std()
    held_out = _held_out(vectors, scaled, _ridge)
    errors = ((held_out - scaled) ** 2).mean(1)
    best = int(errors.argmin())
    strength = float(np.corrcoef(_ranks(held_out[best]), _ranks(values))[0, 1])
    r2, chance = float(1 - errors[best]), (len(values) - 1) ** -0.5
    return _whole(vectors, scaled, _ridge, best, strength=strength, r2=r2, chance=chance)


def fit_term(vectors: Float[ndarray, "item dim"], has: Float[ndarray, " item"]) -> Fit:
    """The direction in which items have a term more often, by logistic regression.

    Args:
        vectors: Of the concept's items.
        has: 1 for those that have it, else 0.

    Raises:
        ControlError: If there are too few items with the term or without.

    Example:
        >>> grid = np.random.default_rng(0).normal(size=(200, 2))
        >>> fit = fit_term(grid, (grid[:, 1] > 0.5).astype(float))
        >>> bool(fit.direction[1] > 0.99), fit.strength > 0.99
        (True, True)
    """
    n_with = int(has.sum())
    if min(n_with, len(has) - n_with) < FEWEST // 2:
        raise ControlError(
            f"{n_with} of the concept's {len(has)} items have it; a dial needs {FEWEST // 2} that "
            f"have and {FEWEST // 2} that have not"
        )
    logits = _held_out(vectors, has, _logistic)
    losses = (np.logaddexp(0, logits) - has * logits).mean(1)
    best = int(losses.argmin())
    above = _ranks(logits[best])[has == 1].sum() - n_with * (n_with + 1) / 2
    pairs = n_with * (len(has) - n_with)
    said = {"strength": float(2 * above / pairs - 1), "r2": None}
    chance = math.sqrt((len(has) + 1) / (3 * pairs))  # of Mann and Whitney's statistic
    return _whole(vectors, has, _logistic, best, **said, chance=chance)


@dataclass(frozen=True)
class Turn:
    """A dial, and where to turn it for everybody.

    Cosines know no lengths, so a person's value is that of their point at unit length, before and
    after. Their range is where the concept's prototype stays the nearest, as far as its items go.

    Args:
        dial: Which.
        reach: Values of the concept's items along it.
        shift: From each person's own value, as a share of the way to the end of their range: 1 is
            the upper end, -1 the lower one.
        value: Instead of a shift: the value itself, kept within the range.
    """

    dial: Dial
    reach: Float[Tensor, " item"]
    shift: float | None = None
    value: float | None = None

    def way(
        self, points: Float[Tensor, "batch dim"], prototypes: Float[Tensor, "concept dim"]
    ) -> Float[Tensor, "batch dim"]:
        """From each person's point to where this turns it: their rest, and another value."""
        direction = torch.from_numpy(self.dial.direction).to(points)
        own = points @ direction
        rest = points - own[:, None] * direction
        stable = stable_range(points, prototypes, self.dial.concept, direction)
        low, high = (_of_unit_length(end, rest.norm(dim=1)) for end in (stable.low, stable.high))
        ends, _ = within(Range(low, high), self.reach.clamp(-1, 1))
        if self.shift is None:
            to = torch.full_like(own, self.value or 0.0).maximum(ends.low).minimum(ends.high)
        elif self.shift > 0:
            to = own + self.shift * (ends.high - own).clamp_min(0)
        else:
            to = own + self.shift * (own - ends.low).clamp_min(0)
        there = (1 - to**2).clamp_min(0).sqrt()[:, None] * unit(rest) + to[:, None] * direction
        return torch.where((to == own)[:, None], 0.0, there - points)


def turned(
    z: Float[Tensor, "batch concept dim"],
    turns: Sequence[Turn],
    prototypes: Float[Tensor, "concept dim"],
) -> Float[Tensor, "batch concept dim"]:
    """People's points with dials turned, of unit length again.

    All ways begin at the person's own point and are added up, so that the order of the turns does
    not matter. Several dials of one concept, each within its range, could together lead to where
    another prototype is the nearest; such a way is gone as far as the concept's stays it. A point
    that nothing moves stays as it is, to the bit.

    Args:
        z: People's points, of unit length.
        turns: What is turned.
        prototypes: As the model compares them with items.

    Example:
        >>> up = Turn(axis(0, 1, 2), torch.tensor([0.0, 0.6]), shift=1.0)
        >>> turned(torch.tensor([[[1.0, 0.0]]]), [up], torch.tensor([[1.0, 0.0]])).tolist()
        [[[0.800000011920929, 0.6000000238418579]]]
    """
    ways = torch.zeros_like(z)
    for turn in turns:
        concept = turn.dial.concept
        ways[:, concept] += turn.way(z[:, concept], prototypes)
    concepts = [turn.dial.concept for turn in turns]
    for concept in {k for k in concepts if concepts.count(k) > 1}:
        ways[:, concept] *= _as_far(z[:, concept], ways[:, concept], prototypes, concept)[:, None]
    moved = (ways != 0).any(-1, keepdim=True)
    return torch.where(moved, unit(z + ways), z)


def _as_far(
    points: Float[Tensor, "batch dim"],
    ways: Float[Tensor, "batch dim"],
    prototypes: Float[Tensor, "concept dim"],
    concept: int,
) -> Float[Tensor, " batch"]:
    """The share of each way, all of it at most, on which the concept's prototype stays nearest.

    All of it where it is not the nearest to begin with.
    """
    ahead = (prototypes[concept] - prototypes).T
    lead, gain = points @ ahead, ways @ ahead
    share = torch.where(gain < 0, (lead + _EVEN) / -gain.clamp_max(-1e-12), 1.0).amin(1)
    return torch.where((lead >= 0).all(1), share.clamp(0, 1), 1.0)


def _of_unit_length(value: Float[Tensor, " batch"], rest: Float[Tensor, " batch"]) -> Tensor:
    """The value of a point of some rest, once the point has unit length."""
    value = value.clamp(-_FAR, _FAR)
    return value / value.hypot(rest).clamp_min(1e-12)


_Path = Callable[[ndarray, ndarray], ndarray]  # items, targets → (penalty, 1 + dim), offset first


def _held_out(vectors: ndarray, targets: ndarray, path: _Path) -> Float[ndarray, "penalty item"]:
    """What each item is predicted by a fit that did not see it."""
    fold = np.random.default_rng(_SEED).permutation(len(vectors)) % _FOLDS
    predicted = np.empty((len(_PENALTIES), len(vectors)))
    for number in range(_FOLDS):
        out = fold == number
        weights = path(vectors[~out], targets[~out])
        predicted[:, out] = weights[:, :1] + weights[:, 1:] @ vectors[out].T
    return predicted


def _whole(vectors: ndarray, targets: ndarray, path: _Path, best: int, **said: Any) -> Fit:
    """The fit to all items, with the penalty that was chosen."""
    direction = path(vectors, targets)[best, 1:]
    direction = direction / max(float(np.linalg.norm(direction)), 1e-12)
    penalty = float(_PENALTIES[best])
    return Fit(direction, penalty=penalty, n_items=len(vectors), **said)


def _ridge(vectors: ndarray, targets: ndarray) -> ndarray:
    """Ridge regressions for all penalties, from one decomposition."""
    axes = _Axes.of(vectors)
    weights = axes.items.T @ targets / (axes.squares + axes.penalties)
    return axes.back(np.full(len(weights), targets.mean()), weights)


def _logistic(vectors: ndarray, targets: ndarray) -> ndarray:
    """Logistic regressions for all penalties; the offset is not penalised.

    Newton's method with an upper bound of the curvature, a quarter of that of a linear regression
    (Böhning and Lindsay, 1988): it needs more steps and no solving, and never overshoots.
    """
    axes = _Axes.of(vectors)
    weights, offset = np.zeros_like(axes.squares + axes.penalties), np.zeros(len(_PENALTIES))
    for _ in range(_ROUNDS):
        logits = (offset[:, None] + weights @ axes.items.T).clip(-30, 30)
        error = 1 / (1 + np.exp(-logits)) - targets  # (penalty, item)
        offset = offset - 4 * error.mean(1)
        slope = error @ axes.items + axes.penalties * weights
        weights = weights - slope / (axes.squares / 4 + axes.penalties)
    return axes.back(offset, weights)


@dataclass(frozen=True)
class _Axes:
    """Items along their principal axes, around their mean."""

    items: Float[ndarray, "item axis"]
    squares: Float[ndarray, " axis"]  # summed along each
    penalties: Float[ndarray, "penalty one"]
    centre: Float[ndarray, " dim"]
    basis: Float[ndarray, "dim axis"]

    @classmethod
    def of(cls, vectors: ndarray) -> "_Axes":
        centre = vectors.mean(0)
        around = (vectors - centre).astype(float)
        squares, basis = np.linalg.eigh(around.T @ around)
        squares = squares.clip(0)  # from rounding
        return cls(around @ basis, squares, _PENALTIES[:, None] * squares.mean(), centre, basis)

    def back(self, offset: ndarray, weights: ndarray) -> Float[ndarray, "penalty wide"]:
        """Offsets and weights of the items as they were given."""
        weights = weights @ self.basis.T
        return np.column_stack([offset - weights @ self.centre, weights])


def _ranks(values: ndarray) -> ndarray:
    """From 1, ties sharing the mean of theirs."""
    from scipy.stats import rankdata  # half a second to import

    return rankdata(values)
