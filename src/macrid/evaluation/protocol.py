"""How good a model is for people it never saw: a few numbers, each with its standard error.

Strong generalisation (Liang et al., 2018): a held-out user's fold-in goes in, the list that comes
out is compared with what was held out; fold-in items are never listed. A metric is a mean over
users; its standard error is the population standard deviation over the root of their number.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
import torch

from macrid.data.splits import HeldOut
from macrid.errors import DataError
from macrid.models.lists import BATCH_SIZE
from macrid.models.recommender import Recommender
from macrid.parts.ranking import hits, ndcg, recall

DEFAULT_METRICS = ("ndcg@100", "recall@20", "recall@50")
_METRICS = {"ndcg": ndcg, "recall": recall}


@dataclass(frozen=True)
class Measured:
    """A mean over users, its standard error, and how many they were."""

    mean: float
    se: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.se:.4f}"


@dataclass(frozen=True, eq=False)
class Evaluation(Mapping[str, Measured]):
    """Metrics by name, and the value of every user behind them.

    Args:
        users: One row per user: ``user_id`` and a column per metric.
    """

    users: pl.DataFrame

    def __getitem__(self, metric: str) -> Measured:
        if metric not in self.users.columns[1:]:
            raise KeyError(metric)
        values = self.users[metric].to_numpy()
        n_users = len(values)
        return Measured(float(values.mean()), float(values.std() / math.sqrt(n_users)), n_users)

    def __iter__(self) -> Iterator[str]:
        return iter(self.users.columns[1:])

    def __len__(self) -> int:
        return len(self.users.columns) - 1

    def __repr__(self) -> str:
        return "\n".join(f"{name}  {self[name]}  (n = {self[name].n:,})" for name in self)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """As ``metrics.json`` has it: ``{"ndcg@100": {"mean": …, "se": …, "n": …}}``."""
        return {name: vars(self[name]).copy() for name in self}


def evaluate(
    model: Recommender,
    people: HeldOut | Any,
    *,
    metrics: Sequence[str] | str = DEFAULT_METRICS,
    without_targets: Literal["zero", "drop"] = "zero",
    batch_size: int = BATCH_SIZE,
) -> Evaluation:
    """Rank for each held-out user and compare with what was held out.

    Args:
        model: A fitted model.
        people: Held-out users, over the model's catalogue or another: items the model does not know
            can be held out, and then count as missed.
        metrics: ``"ndcg@k"`` and ``"recall@k"`` for any ``k`` of at least 1.
        without_targets: Users with nothing held out score 0 (``"zero"``, the MacridVAE authors'
            code) or are left out (``"drop"``).
        batch_size: Users ranked at a time.

    Returns:
        For each metric, the mean, standard error and number of users.

    Raises:
        ValueError: If a metric is not known, or another argument is not allowed.
        DataError: If there is nobody to evaluate on.

    Example:
        >>> from macrid.data.readers import read
        >>> from macrid.data.splits import hold_out_users
        >>> from macrid.models.popularity import Popularity
        >>> log = {"user": [u for u in range(9) for _ in range(6)], "item": [*range(6)] * 9}
        >>> split = hold_out_users(read(log), n_users=2)
        >>> evaluate(Popularity().fit(split.train), split.test, metrics=["recall@1"])
        recall@1  1.0000 ± 0.0000  (n = 2)
    """
    if not isinstance(people, HeldOut):
        raise DataError(
            f"people is {type(people).__name__}; it is a HeldOut, such as split.test, whose events "
            "are partly hidden"
        )
    metrics = [metrics] if isinstance(metrics, str) else metrics
    wanted = {name: parse_metric(name) for name in metrics}
    if not wanted or batch_size < 1 or without_targets not in ("zero", "drop"):
        raise ValueError(
            f"metrics are {list(wanted)}, batch_size is {batch_size} and without_targets is "
            f"{without_targets!r}; expected are one metric or more, 1 or more, and 'zero' or 'drop'"
        )
    check_people(people)
    someone = np.diff(people.held_out.offsets) > 0
    fold_in = people.fold_in.with_catalogue(model.items)
    # Targets keep their own numbers beyond the catalogue, so that unknown ones count as missed.
    known = model.items.numbers(people.held_out.items.ids)
    if (known < 0).all():
        raise DataError(
            f"the model knows none of the {len(known):,} items of these people; was it trained on "
            "other data?"
        )
    targets = np.where(known >= 0, known, len(model.items) + np.arange(len(known)))
    longest = max(k for _, _, k in wanted.values())
    ranker = model.ranker()
    columns: dict[str, list[torch.Tensor]] = {name: [] for name in metrics}
    for start in range(0, len(people), batch_size):
        rows = np.arange(start, min(start + batch_size, len(people)))
        shown, hidden = fold_in.histories(rows), people.held_out.histories(rows)
        hidden = type(hidden)(torch.from_numpy(targets[hidden.items.numpy()]), hidden.offsets)
        found = hits(ranker.top(shown, longest), hidden)
        for name, metric, k in wanted.values():
            columns[name].append(metric(found, hidden.lengths, k))
    frame = pl.DataFrame(
        {"user_id": people.fold_in.users.ids}
        | {name: torch.cat(values).double().numpy() for name, values in columns.items()}
    )
    if without_targets == "drop":
        frame = frame.filter(pl.Series(someone))
    return Evaluation(frame)


def check_people(people: HeldOut) -> None:
    """Refuse people of whom nothing can be measured.

    Raises:
        DataError: If there are none, or nothing of them is held out.
    """
    if not len(people):
        raise DataError("there are no held-out users to evaluate on")
    if not len(people.held_out):
        raise DataError(
            f"of the {len(people):,} held-out users nothing is held out, so that every measure "
            "would be 0; a fifth is, of people with five events or more: keep those "
            "(min_user_events), or hold out more people"
        )


def parse_metric(name: str) -> tuple[str, Any, int]:
    """A metric's name as what computes it and the list's length."""
    kind, _, k = name.partition("@")
    if kind not in _METRICS or not k.isdecimal() or int(k) < 1:
        raise ValueError(
            f"there is no metric {name!r}; known are ndcg@k and recall@k with k of at least 1, "
            "such as ndcg@100"
        )
    return name, _METRICS[kind], int(k)
