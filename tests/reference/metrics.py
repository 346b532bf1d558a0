"""Ranking metrics by plain loops: what does each user score?

The conventions of Liang et al. (2018) and Ma et al. (2019): relevance is binary, fold-in items
are never ranked, the ideal list is cut at ``k`` too, and recall divides by the smaller of ``k``
and the number of targets. A user with no targets scores 0 (Ma et al.) or is dropped. Equal scores
rank by item row, lowest first; the published code leaves their order to chance.

``scores[user][item]`` is any nested sequence of numbers, an array's rows included; ``fold_in`` and
``held_out`` hold each user's item rows.
"""

import math
from collections.abc import Collection, Sequence
from typing import Literal

Empty = Literal["zero", "drop"]
Scores = Sequence[Sequence[float]]
Items = Sequence[Collection[int]]


def ranking(scores: Sequence[float], fold_in: Collection[int]) -> list[int]:
    """One user's item rows, best first, without the fold-in items."""
    seen = {int(item) for item in fold_in}
    candidates = [item for item in range(len(scores)) if item not in seen]
    return sorted(candidates, key=lambda item: (-float(scores[item]), item))


def ndcg_at(
    k: int, scores: Scores, fold_in: Items, held_out: Items, *, empty: Empty = "zero"
) -> list[float]:
    """One value per user, in order; users without targets are absent under ``empty="drop"``."""
    values = []
    for user in range(len(scores)):
        targets = {int(item) for item in held_out[user]}
        if not targets:
            if empty == "zero":
                values.append(0.0)
            continue
        gain = 0.0
        for rank, item in enumerate(ranking(scores[user], fold_in[user])[:k], start=1):
            if item in targets:
                gain += 1 / math.log2(rank + 1)
        ideal = 0.0
        for rank in range(1, min(k, len(targets)) + 1):
            ideal += 1 / math.log2(rank + 1)
        values.append(gain / ideal)
    return values


def recall_at(
    k: int, scores: Scores, fold_in: Items, held_out: Items, *, empty: Empty = "zero"
) -> list[float]:
    """One value per user, in order; users without targets are absent under ``empty="drop"``."""
    values = []
    for user in range(len(scores)):
        targets = {int(item) for item in held_out[user]}
        if not targets:
            if empty == "zero":
                values.append(0.0)
            continue
        hits = 0
        for item in ranking(scores[user], fold_in[user])[:k]:
            if item in targets:
                hits += 1
        values.append(hits / min(k, len(targets)))
    return values


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean over users, and its standard error with the published ddof of 0."""
    n_users = len(values)
    mean = sum(values) / n_users
    variance = sum((value - mean) ** 2 for value in values) / n_users
    return mean, math.sqrt(variance / n_users)
