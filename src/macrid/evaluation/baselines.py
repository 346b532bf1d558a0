"""What a model has to beat: popularity and EASE, trained and measured on the same split."""

from collections.abc import Sequence
from typing import Any

from macrid.data.splits import Split
from macrid.errors import TooLarge
from macrid.evaluation.protocol import DEFAULT_METRICS, evaluate
from macrid.models.ease import EASE
from macrid.models.popularity import Popularity

# Steck (2019) found optima of 200 to 1,000 on large sets; smaller sets want less.
RIDGES = (100.0, 500.0, 1000.0)


def measure_baselines(
    split: Split, metrics: Sequence[str] = DEFAULT_METRICS, *, people: str = "test"
) -> dict[str, dict[str, Any]]:
    """Popularity, and EASE with the ridge that is best on the validation users.

    Args:
        split: Whose training users they learn from.
        metrics: As for `evaluate`.
        people: ``"test"`` or ``"validation"``.

    Returns:
        Metrics by baseline; one that would not fit into memory is ``{"skipped": reason}``.
    """
    group = split.test if people == "test" else split.validation
    popularity = Popularity().fit(split.train)
    measured = {"popularity": evaluate(popularity, group, metrics=metrics).to_dict()}
    try:
        ease = max(
            (EASE(regularization=ridge).fit(split.train) for ridge in RIDGES), key=_by(split)
        )
    except TooLarge as error:
        return measured | {"ease": {"skipped": str(error)}}
    chosen = {"regularization": ease.settings.regularization}
    return measured | {"ease": evaluate(ease, group, metrics=metrics).to_dict() | chosen}


def _by(split: Split) -> Any:
    """NDCG@100 on the validation users."""
    return lambda model: evaluate(model, split.validation, metrics=["ndcg@100"])["ndcg@100"].mean
