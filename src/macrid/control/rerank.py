r"""Lists after they were found: more variety in one, and what changed from one to another."""

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from macrid.parts.ranking import TopRows

SHORTLIST, LEAST = 10, 100  # candidates per place of a varied list, and at least
_FILLS_UP = -9.0  # below all that a listed item can gain, above one that has its place


def shortlist_size(k: int) -> int:
    """How many of the best items a varied list of ``k`` is chosen from.

    Example:
        >>> shortlist_size(5), shortlist_size(20)
        (100, 200)
    """
    return max(LEAST, SHORTLIST * k)


def diversify(
    found: TopRows, vectors: Float[Tensor, "item dim"], k: int, diversity: float
) -> TopRows:
    r"""Maximal marginal relevance (Carbonell and Goldstein, 1998): good, and unlike what is above.

    Each place takes the item of largest :math:`(1 - \lambda) r_i - \lambda \max_j \cos(h_i, h_j)`,
    where j are the items above it and :math:`r_i` is the score, scaled so that each person's
    candidates span 0 … 1. So scores need not fall along the list; its first item is the best one.

    Args:
        found: The candidates of each person, best first.
        vectors: Of all items.
        k: Length of the lists.
        diversity: :math:`\lambda`; at 0 the lists are the first ``k`` candidates.

    Example:
        >>> found = TopRows(torch.tensor([[0, 1, 2]]), torch.tensor([[3.0, 2.9, 1.0]]))
        >>> twins = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> diversify(found, twins, 2, 0.7).row.tolist()
        [[0, 2]]
    """
    k = min(k, found.row.shape[1])
    listed = found.score > -torch.inf
    least = found.score.masked_fill(~listed, torch.inf).amin(1, keepdim=True)
    span = (found.score.amax(1, keepdim=True) - least).clamp_min(1e-12)
    relevance = (1 - diversity) * (found.score - least) / span
    gain = torch.where(listed, relevance, _FILLS_UP)
    unlike = F.normalize(vectors[found.row].float(), dim=-1)  # (user, candidate, dim)
    closest = torch.full_like(gain, -torch.inf)
    people, chosen = torch.arange(len(gain), device=gain.device), []
    place = torch.zeros_like(people)  # the best one
    for _ in range(k):
        chosen.append(place)
        gain[people, place] = -torch.inf
        cosines = torch.einsum("ucd,ud->uc", unlike, unlike[people, place])
        closest = torch.maximum(closest, cosines)
        place = (gain - diversity * closest).argmax(1)
    order = torch.stack(chosen, dim=1) if chosen else found.row[:, :0]
    return TopRows(found.row.gather(1, order), found.score.gather(1, order))


def compare_lists(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Which items came, left, moved or stayed.

    Args:
        before: Lists, as `Recommender.recommend` gives them.
        after: Other lists of the same people.

    Returns:
        A frame ``user_id, item_id, change, rank_before, rank_after``: ``change`` is ``"came"``,
        ``"left"``, ``"moved"`` or ``"stayed"``; people in the order of ``before``, each one's items
        in the order of the new list, then those that left.

    Example:
        >>> old = pl.DataFrame({"user_id": ["me"] * 2, "item_id": ["a", "b"], "rank": [1, 2]})
        >>> new = pl.DataFrame({"user_id": ["me"] * 2, "item_id": ["c", "a"], "rank": [1, 2]})
        >>> compare_lists(old, new).select("item_id", "change").rows()
        [('c', 'came'), ('a', 'moved'), ('b', 'left')]
    """
    keys = ["user_id", "item_id"]
    people = pl.concat([before["user_id"], after["user_id"]]).unique(maintain_order=True)
    old, new = pl.col("rank_before"), pl.col("rank_after")
    return (
        before.select(*keys, rank_before="rank")
        .join(after.select(*keys, rank_after="rank"), on=keys, how="full", coalesce=True)
        .join(people.to_frame().with_row_index("person"), on="user_id")
        .sort("person", "rank_after", "rank_before", nulls_last=True)
        .select(
            *keys,
            pl.when(old.is_null())
            .then(pl.lit("came"))
            .when(new.is_null())
            .then(pl.lit("left"))
            .when(old != new)
            .then(pl.lit("moved"))
            .otherwise(pl.lit("stayed"))
            .alias("change"),
            old,
            new,
        )
    )
