r"""What a concept or a dimension could be called by what is known of its items, or that nothing is.

*Concepts* are named after terms that are over-represented among their items, by the log-odds ratio
with an informative Dirichlet prior (Monroe et al., 2008, Eq. 15, 19 and 22). The draws are items,
each of which has a term or has not; with :math:`y` of :math:`n` items of a concept, :math:`y'` of
:math:`n'` others, and ``PRIOR_ITEMS`` prior items of which a share :math:`p` has the term, as in
the whole catalogue, it is

.. math:: z = \frac{\log\frac{y + a}{n - y + b} - \log\frac{y' + a}{n' - y' + b}}
                   {\sqrt{1/(y+a) + 1/(n-y+b) + 1/(y'+a) + 1/(n'-y'+b)}}

with :math:`a = p` and :math:`b = 1 - p` times ``PRIOR_ITEMS``. (Monroe et al. leave the second and
fourth term of the variance out, as words are rare; genres are not.) The statistic says which terms
are beyond chance, and not which tells most: what all items of a concept have and no others, has
odds without an end and little certainty of them. So names are of the terms beyond chance that one
whose correlation with belonging to the concept (phi of the 2 × 2 table) is the largest.

*Dimensions* are named after the feature that goes with them best: Spearman's correlation for a
number, twice the area under the ROC curve less 1 for a term (Somers' D), both from -1 to 1.

Chance is kept out by Bonferroni's correction for all that was tried: of models whose features mean
nothing, one in 20 gets a name at all for a concept, and one in 20 for a dimension.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from macrid.control.features import FEWEST, Features

UNNAMED = "unnamed"
CHANCE = 0.05  # of any name where features mean nothing
PRIOR_ITEMS = 10.0  # how many items the prior weighs
WEAKEST = 0.3  # strength below which a dimension has no name, however sure it is
_ALSO = 0.5  # of the first term's z, for a second to be part of a name


def z_threshold(n_tried: int, *, sides: int = 1) -> float:
    """How many standard errors are not chance, if so many things were tried.

    Example:
        >>> round(z_threshold(1), 2), round(z_threshold(100), 2)
        (1.64, 3.29)
    """
    from scipy.special import ndtri

    return float(-ndtri(CHANCE / sides / max(n_tried, 1)))


def over_representation(
    features: Features, concept: Int[np.ndarray, " item"], n_concepts: int
) -> Float[np.ndarray, "concept term"]:
    """How many standard errors each term's log-odds in a concept are above those elsewhere.

    Args:
        features: What the items have.
        concept: The concept of each item.
        n_concepts: K; a concept without items has zeros, and so has one that has all.

    Example:
        >>> import polars as pl
        >>> hue = Features.of(pl.DataFrame({"hue": ["red"] * 30 + ["blue"] * 30}))
        >>> over_representation(hue, np.repeat([0, 1], 30), 2).round(1).tolist()
        [[-5.8, 5.8], [5.8, -5.8]]
    """
    sizes = np.bincount(concept, minlength=n_concepts)[:, None].astype(float)
    inside = np.stack(
        [features.carried.T @ (concept == k).astype(float) for k in range(n_concepts)]
    )
    everywhere = inside.sum(0)
    share = everywhere / max(len(concept), 1)
    prior = PRIOR_ITEMS * share.clip(1e-9, 1 - 1e-9)  # what none or all have, says nothing
    have = np.stack([inside, everywhere - inside]) + prior
    have_not = np.stack([sizes - inside, len(concept) - sizes - everywhere + inside])
    have_not = have_not + (PRIOR_ITEMS - prior)
    log_odds = np.log(have / have_not)
    return (log_odds[0] - log_odds[1]) / np.sqrt((1 / have + 1 / have_not).sum(0))


def telling_terms(
    features: Features, concept: Int[np.ndarray, " item"], n_concepts: int
) -> list[dict[str, float]]:
    """The terms that each concept has more often than by chance, and their z; best phi first.

    Example:
        >>> import polars as pl
        >>> hue = Features.of(pl.DataFrame({"hue": ["red"] * 30 + ["blue"] * 30}))
        >>> [list(terms) for terms in telling_terms(hue, np.repeat([0, 1], 30), 2)]
        [['red'], ['blue']]
    """
    z = over_representation(features, concept, n_concepts)
    agree = _phi(features, concept, n_concepts)
    enough = z_threshold(z.size)
    return [
        {
            features.terms[t]: float(row[t])
            for t in np.lexsort((-row, -phi.round(6)))
            if row[t] > enough
        }
        for row, phi in zip(z, agree, strict=True)
    ]


def _phi(
    features: Features, concept: Int[np.ndarray, " item"], n_concepts: int
) -> Float[np.ndarray, "concept term"]:
    """Correlation of having a term with being of a concept; 0 where one of both never varies."""
    mine = (concept == np.arange(n_concepts)[:, None]).astype(float)
    both = np.asarray(features.carried.T @ mine.T).T
    n, has, of = len(concept), both.sum(0), mine.sum(1)[:, None]
    spread = np.sqrt(has * (n - has) * of * (n - of))
    return (n * both - has * of) / np.where(spread > 0, spread, 1.0)


def name_concepts(
    features: Features, concept: Int[np.ndarray, " item"], terms: Sequence[Mapping[str, float]]
) -> list[str]:
    """Each concept's name: its best term, and perhaps the best one of the items without that.

    The second is found in the same way, and is part of the name if its z is at least half of the
    first one's: it is what else a concept is of, not what its first term is like.

    Args:
        features: What the items have.
        concept: The concept of each item.
        terms: What `telling_terms` says of them.

    Example:
        >>> import polars as pl
        >>> kinds = ["cup"] * 30 + ["hat"] * 20 + ["belt"] * 20 + ["sock"] * 9
        >>> features = Features.of(pl.DataFrame({"kind": kinds}))
        >>> concept = np.repeat([0, 1, 2], [30, 40, 9])
        >>> name_concepts(features, concept, telling_terms(features, concept, 3))
        ['cup', 'belt & hat', 'sock']
    """
    return [_name(features, concept, k, terms) for k in range(len(terms))]


def _name(
    features: Features,
    concept: Int[np.ndarray, " item"],
    k: int,
    terms: Sequence[Mapping[str, float]],
) -> str:
    """Of one concept."""
    first = next(iter(terms[k]), UNNAMED)
    if first == UNNAMED:
        return first
    has = features.carried[:, [features.terms.index(first)]].toarray()[:, 0] > 0
    rest = np.flatnonzero(~has)
    others = telling_terms(features.take(rest), concept[rest], len(terms))[k]
    also = [term for term, z in list(others.items())[:1] if z >= _ALSO * terms[k][first]]
    return " & ".join([first, *also])


def distinct(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """Names made distinct by numbers, so that each means one concept; the unnamed stay.

    Args:
        names: One per concept.
        taken: Others that they may not be.

    Example:
        >>> distinct(["drama", "drama", "unnamed", "unnamed", "war"], taken=["war"])
        ['drama', 'drama 2', 'unnamed', 'unnamed', 'war 2']
    """
    used, given = {name.casefold() for name in taken}, []
    for name in names:
        number, new = 1, name
        while name != UNNAMED and new.casefold() in used:
            number += 1
            new = f"{name} {number}"
        used.add(new.casefold())
        given.append(new)
    return given


@dataclass(frozen=True, eq=False)
class Association:
    """How features go with dimensions: :math:`s` from -1 to 1, and in standard errors of chance."""

    features: list[str]
    n_numbers: int  # of the features; terms follow
    strength: Float[np.ndarray, "feature dim"]
    z: Float[np.ndarray, "feature dim"]


def associate(values: Float[np.ndarray, "item dim"], features: Features) -> Association:
    r"""How each feature goes with each dimension, over some items.

    A number is compared over the items that have it, a term where at least ``FEWEST`` items have it
    and as many have not. Standard errors are those of the ranks of independent variables,
    :math:`1/\sqrt{n - 1}` of Spearman's, :math:`\sqrt{(n + 1) / 3 n_1 n_0}` of Somers'.

    Example:
        >>> import polars as pl
        >>> sizes = Features.of(pl.DataFrame({"size": range(10), "hue": ["red", "blue"] * 5}))
        >>> found = associate(np.arange(10.0)[:, None] ** 3, sizes)
        >>> found.features, found.strength.round(2).tolist()
        (['size', 'blue', 'red'], [[1.0], [0.2], [-0.2]])
    """
    names, strengths, z = [], [], []
    for name, numbers in features.numbers.items():
        known = np.isfinite(numbers)
        if known.sum() < FEWEST or np.ptp(numbers[known]) == 0:
            continue
        names.append(name)
        strengths.append(_standard_ranks(numbers[known, None]).T @ _standard_ranks(values[known]))
        z.append(strengths[-1] * np.sqrt(known.sum() - 1))
    n_numbers = len(names)
    n, n_with = len(values), np.asarray(features.carried.sum(0)).ravel()
    kept = np.flatnonzero((n_with >= FEWEST) & (n - n_with >= FEWEST))
    if len(kept):
        some = n_with[kept, None]
        above = features.carried[:, kept].T @ _ranks(values) - some * (some + 1) / 2
        strengths.append(2 * above / (some * (n - some)) - 1)
        z.append(strengths[-1] / np.sqrt((n + 1) / (3 * some * (n - some))))
        names += [features.terms[t] for t in kept]
    nothing = [np.zeros((0, values.shape[1]))]
    return Association(
        names, n_numbers, np.concatenate(nothing + strengths), np.concatenate(nothing + z)
    )


@dataclass(frozen=True)
class Ends:
    """What a dimension goes with most, and what its two ends could be called."""

    low: str = UNNAMED
    high: str = UNNAMED
    feature: str | None = None  # named or not
    strength: float | None = None


def name_ends(found: Association, n_concepts: int) -> list[Ends]:
    """What the ends of each dimension could be called.

    The feature is the one least likely to be chance; it gives a name if it passes what is left to
    chance by the number of features, dimensions and concepts tried, and is no weaker than
    ``WEAKEST``. The other end of a term's dimension is the best term that goes the other way.

    Args:
        found: Of one concept.
        n_concepts: How many are named likewise.

    Example:
        >>> import polars as pl
        >>> sizes = Features.of(pl.DataFrame({"size": range(40), "hue": ["red", "blue"] * 20}))
        >>> (ends,) = name_ends(associate(-np.arange(40.0)[:, None], sizes), n_concepts=1)
        >>> ends.low, ends.high, ends.feature, ends.strength
        ('high size', 'low size', 'size', -1.0)
    """
    n_dims = found.z.shape[1]
    if not found.features:
        return [Ends()] * n_dims
    enough = z_threshold(found.z.size * n_concepts, sides=2)
    passed = (np.abs(found.z) > enough) & (np.abs(found.strength) >= WEAKEST)
    best = np.abs(found.z).argmax(0)
    return [_ends(found, passed[:, d], d, int(best[d])) for d in range(n_dims)]


def _ends(found: Association, passed: np.ndarray, dim: int, best: int) -> Ends:
    """Of one dimension, whose best feature is known."""
    feature, strength = found.features[best], float(found.strength[best, dim])
    if not passed[best]:
        return Ends(feature=feature, strength=strength)
    if best < found.n_numbers:
        ends = [f"low {feature}", f"high {feature}"]
    else:
        against = np.where(passed, -np.sign(strength) * found.z[:, dim], 0)
        against[: found.n_numbers] = 0
        other = int(against.argmax())
        ends = [found.features[other] if against[other] > 0 else f"not {feature}", feature]
    low, high = ends if strength > 0 else ends[::-1]
    return Ends(low, high, feature, strength)


def _ranks(values: Float[np.ndarray, "item dim"]) -> Float[np.ndarray, "item dim"]:
    """From 1 in each column, ties sharing the mean of theirs."""
    from scipy.stats import rankdata

    return rankdata(values, axis=0)


def _standard_ranks(values: Float[np.ndarray, "item dim"]) -> Float[np.ndarray, "item dim"]:
    """Ranks with mean 0 and length 1; zeros where all are the same."""
    ranks = _ranks(values)
    ranks = ranks - ranks.mean(0)
    lengths = np.linalg.norm(ranks, axis=0)
    return ranks / np.where(lengths > 0, lengths, 1)
