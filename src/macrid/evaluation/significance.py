"""Whether models differ by more than chance, judged on the same users.

What one user gets from two models belongs together: the difference is taken per user, and only then
are users resampled. Two methods, which agree unless users are few: an interval of the mean
difference from the bootstrap (Efron and Tibshirani, 1993), and a p-value from flipping signs at
random (Fisher's randomisation test; for rankings, Smucker, Allan and Carterette, CIKM 2007).
"""

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.special import ndtr, stdtrit

LEVEL = 0.95
RESAMPLES = 10_000
_BLOCK = 2**22  # drawn numbers at a time
_ROUNDING = 1e-12  # sums of the same numbers in another order are equal


def paired_differences(
    values: Mapping[str, np.ndarray],
    *,
    level: float = LEVEL,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> pl.DataFrame:
    """Every pair of models: how much better the first is, and whether that could be chance.

    Args:
        values: By model, one number per user, the same users in the same order; with several seeds,
            each user's mean over them.
        level: How often *all* intervals hold at once: each one is wider by Bonferroni's correction.
        n_resamples: Of users, and of signs. Interval ends rest on few of them where pairs are many:
            the tails of 21 pairs hold about a dozen of 10,000.
        seed: Of the draws.

    Returns:
        A row per pair: ``first, second``, the mean ``difference`` (first less second), the ends
        ``low`` and ``high`` of its interval, ``p`` of this pair alone and ``p_holm``, which allows
        for the number of pairs.

    Raises:
        ValueError: If there are fewer than two users, models differ in their users, or another
            argument is out of bounds.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> luck = rng.normal(size=200)
        >>> found = paired_differences({"good": luck + 1, "bad": luck + 0.1 * rng.normal(size=200)})
        >>> found["low"].item() > 0.9, found["p_holm"].item() < 0.001
        (True, True)
    """
    lengths = {len(row) for row in values.values()}
    if len(lengths) > 1 or min(lengths, default=2) < 2:
        raise ValueError(
            f"the models have values of {sorted(lengths)} users; all need the same users, two or "
            "more"
        )
    if not 0 < level < 1 or n_resamples < 1:
        raise ValueError(
            f"level is {level} and n_resamples is {n_resamples}; expected are a number between 0 "
            "and 1, and 1 or more"
        )
    pairs = list(combinations(values, 2))
    names = {"first": pl.String, "second": pl.String}
    numbers = dict.fromkeys(("difference", "low", "high", "p", "p_holm"), pl.Float64)
    if not pairs:
        return pl.DataFrame(schema={**names, **numbers})
    gains = np.stack([values[a] - values[b] for a, b in pairs], axis=1).astype(np.float64)
    each = 1 - (1 - level) / len(pairs)
    low, high = bootstrap_interval(gains, level=each, n_resamples=n_resamples, seed=seed)
    p = sign_flip_p(gains, n_resamples=n_resamples, seed=seed)
    columns = (gains.mean(0), low, high, p, holm(p))
    table = pl.DataFrame(pairs, schema=names, orient="row")
    return table.with_columns(
        pl.Series(name, column) for name, column in zip(numbers, columns, strict=True)
    )


def bootstrap_interval(
    gains: Float[np.ndarray, "user pair"],
    *,
    level: float = LEVEL,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Float[np.ndarray, "2 pair"]:
    """Lower and upper ends of the percentile interval of each column's mean.

    Percentiles of resampled means are too narrow where users are few, by the divisor n instead of
    n - 1 and by normal instead of Student's tails; they are taken further out by as much
    (Hesterberg, 2015, "What teachers should know about the bootstrap", the expanded percentile).

    Example:
        >>> bootstrap_interval(np.array([[1.0], [1.0], [1.0]])).ravel().tolist()
        [1.0, 1.0]
    """
    n_users, n_pairs = gains.shape
    means = np.empty((n_resamples, n_pairs))
    rng = np.random.default_rng(seed)
    for start, size in _blocks(n_resamples, n_users):
        drawn = rng.integers(n_users, size=(size, n_users))
        drawn += n_users * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n_users).reshape(size, n_users)
        means[start : start + size] = counts.astype(np.float64) @ gains / n_users
    tail = ndtr(np.sqrt(n_users / (n_users - 1)) * stdtrit(n_users - 1, (1 - level) / 2))
    return np.quantile(means, [tail, 1 - tail], axis=0)


def sign_flip_p(
    gains: Float[np.ndarray, "user pair"], *, n_resamples: int = RESAMPLES, seed: int = 0
) -> Float[np.ndarray, " pair"]:
    """Two-sided p-value of each column: how often chance alone gives a mean as far from 0.

    If two models are alike, each user's difference could as well have had the other sign. What was
    seen counts as one of the draws, so that no p-value is 0 (Phipson and Smyth, 2010).

    Example:
        >>> sign_flip_p(np.zeros((5, 1))).tolist()
        [1.0]
    """
    n_users = len(gains)
    seen = np.abs(gains.sum(0)) - _ROUNDING * n_users
    as_far = np.ones(gains.shape[1])
    rng = np.random.default_rng(seed)
    for _, size in _blocks(n_resamples, n_users):
        signs = 2.0 * rng.integers(2, size=(size, n_users), dtype=np.int8) - 1
        as_far += (np.abs(signs @ gains) >= seen).sum(0)
    return as_far / (1 + n_resamples)


def holm(p: Float[np.ndarray, " test"]) -> Float[np.ndarray, " test"]:
    """P-values that allow for the number of tests (Holm, 1979): never above Bonferroni's.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
        [0.03, 0.06, 0.06]
    """
    order = p.argsort()
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(corrected, 1.0)


def _blocks(n_resamples: int, n_users: int) -> Iterator[tuple[int, int]]:
    """Where each block of resamples starts, and its size."""
    size = max(1, _BLOCK // n_users)
    return ((start, min(size, n_resamples - start)) for start in range(0, n_resamples, size))
