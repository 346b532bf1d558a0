"""How far a model's dimensions are apart: correlations, and what they say of known factors.

Vectors are those that the model compares: of items the unit rows of its table; of people the mean
of each concept, of unit length in MacridVAE. A person without an item that the model knows says
nothing, and is left out.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from macrid.data.histories import Histories
from macrid.data.interactions import take_rows
from macrid.data.splits import HeldOut
from macrid.errors import DataError
from macrid.evaluation.alignment import Alignment, align
from macrid.evaluation.factors import Regressor, dci, mutual_information_gap, usable
from macrid.models.lists import BATCH_SIZE
from macrid.models.people import fold_in
from macrid.models.recommender import Recommender
from macrid.models.trained import Trained
from macrid.parts.concepts import Prototypes
from macrid.parts.items import unit

MOST_ROWS = 2_000  # regressors are fitted on so many, drawn from all
_CONSTANT = 1e-6  # a column that varies by less, relative to its size, is rounding error


@dataclass(frozen=True)
class Uncorrelatedness:
    """1 − the mean absolute correlation of two dimensions, and what it rests on.

    Args:
        value: A mean over concepts; None where no concept has two dimensions that vary.
        n_rows: How many items or people. Of n independent rows chance alone leaves correlations of
            about √(2 / πn) in size.
        constant_dims: Dimensions, of all concepts, that do not vary and are left out: they have no
            correlation, and would pass for uncorrelated.
        constant_concepts: Concepts fewer than two of whose dimensions vary, left out of the mean.
    """

    value: float | None
    n_rows: int
    constant_dims: int
    constant_concepts: int


@dataclass(frozen=True)
class FactorMeasures:
    """How codes go with known factors, see `dci` and `mutual_information_gap`.

    Args:
        n_rows: How many items or people were looked at.
        n_codes: Dimensions of an item; of a person, of all concepts.
        factors: Names of those that were measured.
        left_out: Names of those that hardly vary or are hardly known, see `usable`.
        disentanglement: Of DCI.
        completeness: Of DCI.
        informativeness: Of DCI.
        mig: The mutual information gap.
    """

    n_rows: int
    n_codes: int
    factors: tuple[str, ...]
    left_out: tuple[str, ...]
    disentanglement: float
    completeness: float
    informativeness: float
    mig: float


@dataclass(frozen=True)
class Disentanglement:
    """All that was asked of a model; None what was not."""

    items: Uncorrelatedness
    people: Uncorrelatedness | None = None
    alignment: Alignment | None = None
    item_factors: FactorMeasures | None = None
    people_factors: FactorMeasures | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; None what was not measured."""
        return asdict(self)


def measure_disentanglement(
    model: Recommender,
    people: Any = None,
    *,
    labels: pl.Series | None = None,
    item_factors: pl.DataFrame | None = None,
    people_factors: pl.DataFrame | None = None,
    regressor: Regressor = "trees",
    seed: int = 0,
) -> Disentanglement:
    """Measure what can be, given what is known.

    Args:
        model: A fitted model with vectors: any but EASE and popularity.
        people: Histories in any form that `Recommender.recommend` takes, or held-out users, whose
            fold-in is read.
        labels: A category per item, in the order of the catalogue; null where none is known.
        item_factors: A row per item, in the order of the catalogue, and a column per factor:
            numbers, or true and false; null where it is not known.
        people_factors: The same of people, in their order.
        regressor: See `dci`.
        seed: Of the rows that are drawn (2,000 at most), and of the regressors.

    Raises:
        DataError: If the model has no vectors, nobody knows an item, or rows do not match.
        ValueError: If factors are not numbers, or fewer than two of them can be measured.
        MissingExtra: If there are factors, but no scikit-learn.

    Example:
        >>> from macrid.data.readers import read
        >>> from macrid.models.macridvae import MacridVAE
        >>> clicks = read({"user": [0, 0, 1, 1], "item": ["a", "b", "b", "c"]})
        >>> model = MacridVAE(n_concepts=2, n_dims=4).fit(clicks, epochs=2)
        >>> found = measure_disentanglement(model, clicks, labels=pl.Series(["x", "x", "y"]))
        >>> found.items.n_rows, found.people.n_rows, found.alignment.n_items
        (3, 2, 3)
    """
    if not isinstance(model, Trained):
        raise DataError(f"{model.name} has no vectors to measure; take a model that has a network")
    vectors, rng = item_vectors(model), np.random.default_rng(seed)
    found: dict[str, Any] = {"items": _of_blocks(iter([vectors[:, None]]))}
    if labels is not None:
        _check_rows("labels", len(labels), "items", len(vectors))
        found["alignment"] = _align(model, labels, vectors)
    if item_factors is not None:
        _check_rows("item factors", len(item_factors), "items", len(vectors))
        rows = _draw(np.arange(len(vectors)), rng)
        found["item_factors"] = _of_factors(vectors[rows], item_factors[rows], regressor, seed)
    if people is not None:
        histories, known = _read(model, people)
        found["people"] = _of_blocks(_means(model, histories, known))
        if people_factors is not None:
            _check_rows("people factors", len(people_factors), "people", len(histories))
            rows = _draw(known, rng)
            codes = np.concatenate(list(_means(model, histories, rows)))
            codes = codes.reshape(len(rows), -1)
            found["people_factors"] = _of_factors(codes, people_factors[rows], regressor, seed)
    elif people_factors is not None:
        raise DataError("people factors were given without people; give both")
    return Disentanglement(**found)


def uncorrelatedness(vectors: Float[np.ndarray, "row dim"]) -> float:
    r"""How little the dimensions of some vectors go together.

    :math:`1 - \frac{2}{d(d-1)} \sum_{i<j} |\mathrm{corr}_{ij}|` (Ma et al., 2019, Section 3.4): 1
    where no two are correlated, 0 where each is a multiple of every other. Dimensions that do not
    vary are left out.

    Raises:
        ValueError: If fewer than two dimensions vary.

    Example:
        >>> x, y = np.divmod(np.arange(9.0), 3)
        >>> round(uncorrelatedness(np.stack([x, y], 1)), 6), uncorrelatedness(np.stack([x, -x], 1))
        (1.0, 0.0)
    """
    found = _of_blocks(iter([vectors[:, None]]))
    if found.value is None:
        raise ValueError(
            f"fewer than two of the {vectors.shape[1]} dimensions vary over {len(vectors)} rows; "
            "correlations need two"
        )
    return found.value


def people_uncorrelatedness(model: Trained, people: Any) -> Uncorrelatedness:
    """Of people's means, within each concept, then a mean over concepts; block by block.

    Raises:
        DataError: If nobody has an item that the model knows.

    Example:
        >>> from macrid.data.readers import read
        >>> from macrid.models.macridvae import MacridVAE
        >>> clicks = read({"user": [0, 0, 1, 1, 2], "item": ["a", "b", "b", "c", "a"]})
        >>> model = MacridVAE(n_concepts=2, n_dims=4).fit(clicks, epochs=2)
        >>> people_uncorrelatedness(model, {"me": ["a"], "nobody": ["unheard of"]}).n_rows
        1
    """
    return _of_blocks(_means(model, *_read(model, people)))


def item_uncorrelatedness(model: Trained) -> Uncorrelatedness:
    """Of the item table's unit rows.

    Example:
        >>> from macrid.data.readers import read
        >>> from macrid.models.macridvae import MacridVAE
        >>> clicks = read({"user": [0, 0, 1, 1], "item": ["a", "b", "b", "c"]})
        >>> item_uncorrelatedness(MacridVAE(n_dims=4).fit(clicks, epochs=1)).n_rows
        3
    """
    return _of_blocks(iter([item_vectors(model)[:, None]]))


@torch.no_grad()
def item_vectors(model: Trained) -> Float[np.ndarray, "item dim"]:
    """Directions of the items that the decoder looks at, in catalogue order.

    Example:
        >>> from macrid.data.readers import read
        >>> from macrid.models.macridvae import MacridVAE
        >>> clicks = read({"user": [0, 0, 1, 1], "item": ["a", "b", "b", "c"]})
        >>> item_vectors(MacridVAE(n_dims=4).fit(clicks, epochs=1)).shape
        (3, 4)
    """
    return unit(model.network.decoder.items.weight).cpu().numpy()


def _read(model: Trained, people: Any) -> tuple[Histories, np.ndarray]:
    """People's histories, and the rows of those that the model knows an item of."""
    shown = people.fold_in if isinstance(people, HeldOut) else people
    _, histories = fold_in(shown, model.items, "ignore")
    known = np.flatnonzero(histories.lengths.numpy())
    if not len(known):
        raise DataError(
            f"none of the {len(histories):,} people has one of the model's {len(model.items):,} "
            "items; was it trained on other data?"
        )
    return histories, known


def _means(
    model: Trained, people: Histories, rows: np.ndarray
) -> Iterator[Float[np.ndarray, "batch concept dim"]]:
    """What is known of some people, a block after the other."""
    for start in range(0, len(rows), BATCH_SIZE):
        positions, offsets = take_rows(people.offsets.numpy(), rows[start : start + BATCH_SIZE])
        yield _latent(model, Histories.from_arrays(people.items.numpy()[positions], offsets))


@torch.no_grad()
def _latent(model: Trained, people: Histories) -> Float[np.ndarray, "batch concept dim"]:
    """Each person's point per concept."""
    z: Tensor = model.network.latent(people, model.network.concepts()).z
    return z.cpu().numpy()


def _of_blocks(
    blocks: Iterator[Float[np.ndarray, "batch concept dim"]],
) -> Uncorrelatedness:
    """From sums over rows, so that no more than a block of them is in memory."""
    n_rows, total, products = 0, np.zeros((1, 1)), np.zeros((1, 1, 1))
    for block in blocks:
        wide = block.transpose(1, 0, 2).astype(np.float64)  # (concept, batch, dim)
        n_rows += len(block)
        total = total + wide.sum(1)
        products = products + wide.transpose(0, 2, 1) @ wide
    mean, second = total / n_rows, products / n_rows
    covariance = second - mean[:, :, None] * mean[:, None, :]
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    varies = variance > _CONSTANT**2 * np.diagonal(second, axis1=1, axis2=2)
    spread = np.sqrt(np.where(varies, variance, 1))
    sizes = np.abs(covariance) / (spread[:, :, None] * spread[:, None, :])
    sizes *= varies[:, :, None] & varies[:, None, :] & ~np.eye(varies.shape[1], dtype=bool)
    n_varying = varies.sum(1)
    some = n_varying > 1
    pairs = (n_varying * (n_varying - 1))[some]
    values = 1 - np.minimum(sizes.sum((1, 2))[some] / pairs, 1)  # rounding may lead beyond 1
    return Uncorrelatedness(
        value=float(values.mean()) if some.any() else None,
        n_rows=n_rows,
        constant_dims=int((~varies).sum()),
        constant_concepts=int((~some).sum()),
    )


def _of_factors(
    codes: Float[np.ndarray, "row code"], factors: pl.DataFrame, regressor: Regressor, seed: int
) -> FactorMeasures:
    """DCI and MIG with the factors that can be measured."""
    if text := [
        n for n, kind in factors.schema.items() if not (kind.is_numeric() or kind == pl.Boolean)
    ]:
        raise ValueError(
            f"factors {', '.join(text)} are not numbers; give numbers, or true and false"
        )
    values = factors.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    fit = usable(values)
    if fit.sum() < 2:
        raise ValueError(
            f"{fit.sum()} of the {len(fit)} factors can be measured (see `usable`); two are needed"
        )
    names, wide = np.array(factors.columns), codes.astype(np.float64)
    measured = dci(wide, values[:, fit], regressor=regressor, seed=seed)
    return FactorMeasures(
        n_rows=len(codes),
        n_codes=codes.shape[1],
        factors=tuple(names[fit].tolist()),
        left_out=tuple(names[~fit].tolist()),
        mig=mutual_information_gap(wide, values[:, fit]),
        **vars(measured),
    )


def _align(model: Trained, labels: pl.Series, vectors: np.ndarray) -> Alignment:
    """Assignments and prototypes against categories."""
    part = model.network.concepts
    with torch.no_grad():
        concepts = part().argmax(-1).cpu().numpy()
    prototypes = part.weight.detach().cpu().numpy() if isinstance(part, Prototypes) else None
    return align(concepts, labels, vectors, prototypes)


def _draw(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many of some rows as regressors get, in order."""
    return rows if len(rows) <= MOST_ROWS else np.sort(rng.choice(rows, MOST_ROWS, replace=False))


def _check_rows(what: str, given: int, of: str, wanted: int) -> None:
    """Refuse rows that are not one per item or person."""
    if given != wanted:
        raise DataError(f"there are {given:,} {what} for {wanted:,} {of}; give one row for each")
