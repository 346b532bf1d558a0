"""What a model has to beat: popularity and EASE, trained and measured on the same split."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from macrid.data.splits import Split
from macrid.errors import TooLarge
from macrid.evaluation.protocol import DEFAULT_METRICS, evaluate
from macrid.models.ease import EASE
from macrid.models.popularity import Popularity

# Steck (2019) found optima of 200 to 1,000 on large sets; smaller sets want less.
RIDGES = (100.0, 500.0, 1000.0)


@dataclass(frozen=True)
class Baselines:
    """Metrics by baseline, as in ``metrics.json``, and what else should be known of them."""

    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


def measure_baselines(
    split: Split, metrics: Sequence[str] = DEFAULT_METRICS, *, people: str = "test"
) -> Baselines:
    """Popularity, and EASE with the ridge that is best on the validation users.

    Args:
        split: Whose training users they learn from.
        metrics: As for `evaluate`.
        people: ``"test"`` or ``"validation"``.

    Returns:
        Metrics of both; where EASE would not fit into memory, the reason instead, in ``notes``.
    """
    group = split.test if people == "test" else split.validation
    popularity = evaluate(Popularity().fit(split.train), group, metrics=metrics)
    measured = {"popularity": popularity.to_dict()}
    try:
        ease = best_ease(split)
    except TooLarge as error:
        return Baselines(measured, {"ease_skipped": str(error)})
    measured["ease"] = evaluate(ease, group, metrics=metrics).to_dict()
    return Baselines(measured, {"ease_regularization": ease.settings.regularization})


def best_ease(split: Split) -> EASE:
    """EASE with the ridge of `RIDGES` that has the best NDCG@100 on the validation users."""

    def score(model: EASE) -> float:
        return evaluate(model, split.validation, metrics=["ndcg@100"])["ndcg@100"].mean

    return max((EASE(regularization=ridge).fit(split.train) for ridge in RIDGES), key=score)
