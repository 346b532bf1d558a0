"""How the coordinates of vectors go with known factors: DCI and the mutual information gap.

A code is a coordinate of a representation, a factor something known of the same rows: a price, a
genre, an age. A factor is binary (two values) or continuous; NaN where it is not known, and such
rows are left out for that factor alone. Conventions are those of Eastwood and Williams (2018) and
Chen et al. (2018) as Locatello et al.'s library (2019) has them. `dci` needs scikit-learn.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from macrid.errors import MissingExtra
from macrid.evaluation.alignment import entropy

Regressor = Literal["trees", "lasso"]
BINS = 20  # of codes and factors, for mutual information
RARE = 0.01  # a binary factor that fewer rows have, or lack, is left out
FEWEST = 10  # and one whose rarer value stands in fewer rows than that
_HELD_OUT = 1 / 3  # of the rows, on which regressors are judged
_FOLDS = 3
_BLOCK = 2**22  # binned codes at a time
_STRENGTHS = [0.01, 0.1, 1.0, 10.0]  # of the logistic lasso, from strong to weak


@dataclass(frozen=True)
class DCI:
    """Disentanglement, completeness and informativeness, each 1 at best.

    Args:
        disentanglement: See `disentanglement`.
        completeness: See `completeness`.
        informativeness: How well factors of held-out rows are predicted from all codes, a mean
            over factors: R² of a continuous one, 2 · AUC − 1 of a binary one, which do not depend
            on how rare a value is. 0 and less is chance.
    """

    disentanglement: float
    completeness: float
    informativeness: float


def dci(
    codes: Float[np.ndarray, "row code"],
    factors: Float[np.ndarray, "_ factor"],
    *,
    regressor: Regressor = "trees",
    seed: int = 0,
) -> DCI:
    """How far each code speaks of one factor, each factor of one code, and all codes of factors.

    Args:
        codes: Standardised here, so that their scales do not matter.
        factors: See `usable`; all have to be.
        regressor: What finds the importance of codes for a factor: ``"trees"`` (gradient boosting,
            scikit-learn's defaults, as the field's implementations have it; about 7 seconds a
            factor for 100 codes of 2,000 rows) or ``"lasso"`` (for binary factors logistic; its
            penalty chosen by cross-validation), which sees straight lines alone and is faster.
        seed: Of the regressors and of the rows that are held out.

    Raises:
        ValueError: If there are fewer than two codes or factors, or a factor is not usable.
        MissingExtra: If scikit-learn is not installed.

    Example:
        >>> importance = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> disentanglement(importance), completeness(importance)
        (1.0, 1.0)
    """
    _check(codes, factors)
    standard = (codes - codes.mean(0)) / np.where((spread := codes.std(0)) > 0, spread, 1)
    fits = [_fit(standard, factor, regressor, seed) for factor in factors.T]
    importance = np.stack([weights for weights, _ in fits], axis=1)
    return DCI(
        disentanglement(importance),
        completeness(importance),
        float(np.mean([informed for _, informed in fits])),
    )


def disentanglement(importance: Float[np.ndarray, "code factor"]) -> float:
    r"""Whether each code matters for one factor alone.

    :math:`\sum_i \rho_i (1 - H_F(P_i))`: the entropy, to the base of the number of factors, of how
    code i's importance is spread over them; codes count by their share :math:`\rho_i` of all
    importance. 0 where nothing matters for anything.

    Example:
        >>> disentanglement(np.array([[1.0, 1.0], [1.0, 1.0]]))
        0.0
    """
    total = importance.sum(1, keepdims=True)
    shares = importance / np.where(total > 0, total, 1)
    spread = entropy(shares, axis=1) / np.log(importance.shape[1])
    return float((total[:, 0] * (1 - spread)).sum() / max(total.sum(), np.finfo(float).tiny))


def completeness(importance: Float[np.ndarray, "code factor"]) -> float:
    """Whether each factor rests on one code alone: the same of columns, to the base of the codes.

    Example:
        Two codes say the same of the only factor that they speak of:

        >>> completeness(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]))
        0.5
    """
    return disentanglement(importance.T)


def mutual_information_gap(
    codes: Float[np.ndarray, "row code"],
    factors: Float[np.ndarray, "_ factor"],
    *,
    bins: int = BINS,
) -> float:
    r"""How much more the best code tells of a factor than the next best, a mean over factors.

    :math:`(I(z_{(1)}; v) - I(z_{(2)}; v)) / H(v)` (Chen et al., 2018), codes and factors in bins of
    equal width from the least to the greatest value.

    Args:
        codes: Two or more.
        factors: See `usable`; all have to be.
        bins: Their number.

    Raises:
        ValueError: If there are fewer than two codes, or a factor is not usable.

    Example:
        >>> x, y = np.divmod(np.arange(400), 20)
        >>> round(mutual_information_gap(np.stack([x, y], 1) / 20, np.stack([x, y], 1) / 20), 6)
        1.0
    """
    _check(codes, factors, fewest=1)
    return float(np.mean([_gap(codes, factor, bins) for factor in factors.T]))


def usable(factors: Float[np.ndarray, "row factor"]) -> Bool[np.ndarray, " factor"]:
    """Which factors can be measured: they vary, and no value of a binary one is too rare.

    Too rare is in fewer than 1% of the rows where it is known, or in fewer than ten; a continuous
    factor has to be known in twenty.

    Example:
        >>> usable(np.stack([np.arange(50.0), np.zeros(50), np.arange(50) == 7], 1)).tolist()
        [True, False, False]
    """
    known = (~np.isnan(factors)).sum(0)
    low, high = _ends(factors)
    at_low = (factors == low).sum(0)
    binary = at_low + (factors == high).sum(0) == known
    rarer = np.minimum(at_low, known - at_low)
    enough = np.where(binary, rarer >= np.maximum(FEWEST, RARE * known), known >= 2 * FEWEST)
    return (high > low) & enough


def _ends(values: Float[np.ndarray, "row column"]) -> tuple[np.ndarray, np.ndarray]:
    """Least and greatest known value of each column; infinities the wrong way round of none."""
    known = ~np.isnan(values)
    low = np.min(values, axis=0, where=known, initial=np.inf)
    return low, np.max(values, axis=0, where=known, initial=-np.inf)


def _check(codes: np.ndarray, factors: np.ndarray, *, fewest: int = 2) -> None:
    """Refuse what has no measure."""
    if len(codes) != len(factors) or codes.shape[1] < 2 or factors.shape[1] < fewest:
        raise ValueError(
            f"there are {codes.shape[1]} codes of {len(codes):,} rows and {factors.shape[1]} "
            f"factors of {len(factors):,}; give the same rows, two codes or more and {fewest} "
            "factors or more"
        )
    if not np.isfinite(codes).all():
        raise ValueError("a code is NaN or infinite; leave its row out")
    if np.isinf(factors).any():
        raise ValueError("a factor is infinite; make it NaN where it is not known")
    if not (fit := usable(factors)).all():
        raise ValueError(
            f"factors in columns {np.flatnonzero(~fit).tolist()} hardly vary or are hardly known; "
            "leave them out, see `usable`"
        )


def _fit(
    codes: Float[np.ndarray, "row code"],
    factor: Float[np.ndarray, " row"],
    regressor: Regressor,
    seed: int,
) -> tuple[Float[np.ndarray, " code"], float]:
    """Importance of each code for a factor, and how well held-out rows are predicted."""
    try:
        from sklearn.metrics import r2_score, roc_auc_score
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise MissingExtra("scikit-learn", "measure") from error
    known = ~np.isnan(factor)
    binary = len(np.unique(factor[known])) == 2
    # A number in units of its spread: lasso's coefficients are in the units of what they predict.
    target = (factor - np.nanmean(factor)) / np.nanstd(factor)
    target = (factor > np.min(factor[known])).astype(int) if binary else target
    learned, held_out, wanted, hidden = train_test_split(
        codes[known],
        target[known],
        test_size=_HELD_OUT,
        random_state=seed,
        stratify=target[known] if binary else None,
    )
    fitted = _regressor(regressor, binary=binary, seed=seed).fit(learned, wanted)
    best = getattr(fitted, "best_estimator_", fitted)
    weights = best.feature_importances_ if regressor == "trees" else np.abs(best.coef_).ravel()
    if binary:
        informed = 2 * roc_auc_score(hidden, fitted.decision_function(held_out)) - 1
    else:
        informed = r2_score(hidden, fitted.predict(held_out))
    return weights, float(informed)


def _regressor(kind: Regressor, *, binary: bool, seed: int) -> Any:
    """Not fitted."""
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
    from sklearn.linear_model import LassoCV, LogisticRegression
    from sklearn.model_selection import GridSearchCV

    if kind == "trees":
        trees = GradientBoostingClassifier if binary else GradientBoostingRegressor
        return trees(random_state=seed)
    if not binary:
        return LassoCV(cv=_FOLDS, max_iter=10_000)
    lasso = LogisticRegression(l1_ratio=1.0, solver="liblinear", random_state=seed)
    return GridSearchCV(lasso, {"C": _STRENGTHS}, cv=_FOLDS, scoring="roc_auc")


def _gap(codes: np.ndarray, factor: np.ndarray, bins: int) -> float:
    """The share of a factor's entropy that its best code tells and the next best does not."""
    known = ~np.isnan(factor)
    values = _binned(factor[known, None], bins)
    shares = np.bincount(values[:, 0], minlength=bins) / known.sum()
    width = max(1, _BLOCK // len(codes))
    told = np.concatenate(
        [
            _information(_binned(codes[known, start : start + width], bins), values, bins)
            for start in range(0, codes.shape[1], width)
        ]
    )
    second, first = np.sort(told)[-2:]
    return float((first - second) / entropy(shares))


def _information(
    codes: Int[np.ndarray, "row code"], values: Int[np.ndarray, "row 1"], bins: int
) -> Float[np.ndarray, " code"]:
    """Mutual information of each code with the same values, in nats."""
    n_rows, n_codes = codes.shape
    cells = (np.arange(n_codes) * bins + codes) * bins + values
    joint = np.bincount(cells.ravel(), minlength=n_codes * bins**2) / n_rows
    joint = joint.reshape(n_codes, bins, bins)
    apart = entropy(joint.sum(2), axis=1) + entropy(joint.sum(1), axis=1)
    return apart - entropy(joint, axis=(1, 2))


def _binned(values: Float[np.ndarray, "row column"], bins: int) -> Int[np.ndarray, "row column"]:
    """Bins of equal width, from 0; a column that is constant is all in the first."""
    low, high = _ends(values)
    places = (values - low) / np.where(high > low, high - low, 1) * bins
    return np.minimum(places.astype(np.int64), bins - 1)
