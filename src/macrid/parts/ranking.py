"""Lists and what they are worth: top rows of scores, and one number per user for a list.

Everything works on blocks of users at once and leaves averaging to the caller. Lists are made of
item rows; what may not be listed has a score of ``-inf`` before it comes here. Metrics are binary.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from macrid.data.histories import Histories
from macrid.parts.shortlist import Shortlist

_NO_ROW = 0xFFFFFFFF


@dataclass(frozen=True)
class TopRows:
    """The best rows of each user, best first; ``score`` is ``-inf`` where a list ends early."""

    row: Int[Tensor, "user rank"]
    score: Float[Tensor, "user rank"]


@runtime_checkable
class Ranker(Protocol):
    """What finds the best items for people: a model made ready for the items it may list."""

    def top(self, histories: Histories, k: int, *, keep_seen: bool = False) -> TopRows:
        """The ``k`` best items for each person, their own left out unless ``keep_seen``.

        Ties are broken by the lower row; a list that ends early has scores of ``-inf``.
        """
        ...


def top_rows(scores: Float[Tensor, "user item"], k: int) -> TopRows:
    """The ``k`` items of highest score, ties broken by the lower row; never sorts the catalogue.

    Example:
        >>> top_rows(torch.tensor([[1.0, 3.0, 3.0, 2.0]]), 3).row.tolist()
        [[1, 2, 3]]
    """
    scores = scores.float()
    n_users, n_items = scores.shape
    k = min(k, n_items)
    shortlist = Shortlist(n_users, k, device=scores.device)
    shortlist.add(scores, 0)
    found = shortlist.candidates()
    top = best_rows(found.column, scores.gather(1, found.column.clamp_min(0)), k)
    # Among crowds of ties, or where a list reaches into what may not be listed, every row counts.
    rest = (found.crowded | top.score.isneginf().any(1)).nonzero().flatten()
    if len(rest):
        rows = torch.arange(n_items, device=scores.device).expand(len(rest), -1)
        among_all = best_rows(rows, scores[rest], k)
        top.row[rest], top.score[rest] = among_all.row, among_all.score
    return top


def best_rows(
    rows: Int[Tensor, "user candidate"], scores: Float[Tensor, "user candidate"], k: int
) -> TopRows:
    """The ``k`` best of some rows, given in any order; row ``-1`` is none.

    ``torch.topk`` breaks ties as it likes, so score and row are packed into one integer that
    orders as (score, then row backwards): the bits of a float order as the float does.

    Example:
        >>> best_rows(torch.tensor([[7, 5, -1]]), torch.tensor([[2.0, 2.0, 9.0]]), 3)
        TopRows(row=tensor([[5, 7, 0]]), score=tensor([[2., 2., -inf]]))
    """
    scores = torch.where(rows < 0, -torch.inf, scores.float()) + 0.0  # + 0.0 makes −0 into 0
    bits = scores.view(torch.int32).long()
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    packed = (ordered << 32) + (_NO_ROW - (rows & _NO_ROW))
    place = packed.topk(min(k, rows.shape[1])).indices
    missing = k - place.shape[1]
    row = F.pad(rows.gather(1, place), (0, missing)).clamp_min(0)
    return TopRows(row, F.pad(scores.gather(1, place), (0, missing), value=-torch.inf))


def mask_rows(scores: Float[Tensor, "user item"], histories: Histories) -> None:
    """Set the scores of each user's own items to ``-inf``, in place."""
    scores[histories.users, histories.items] = -torch.inf


def hits(top: TopRows, held_out: Histories) -> Bool[Tensor, "user rank"]:
    """Where each user's list holds one of their held-out items.

    Example:
        >>> top = top_rows(torch.tensor([[0.9, 0.8, 0.1]]), 2)
        >>> hits(top, Histories.from_lists([[1]])).tolist()
        [[False, True]]
    """
    width = 1 + max(int(rows.max()) if rows.numel() else 0 for rows in (top.row, held_out.items))
    people = torch.arange(len(held_out), device=top.row.device)[:, None]
    found = torch.isin(people * width + top.row, held_out.users * width + held_out.items)
    return found & (top.score > -torch.inf)


def ndcg(
    hit: Bool[Tensor, "user rank"], n_held_out: Int[Tensor, " user"], k: int
) -> Float[Tensor, " user"]:
    r"""Discounted gain of the first ``k`` places, relative to the best any list could reach.

    :math:`\sum_{r \le k} \mathrm{rel}_r / \log_2(r + 1)` over the same sum for an ideal list, which
    is cut at ``k`` too: a user with more than ``k`` held-out items can still reach 1 (Liang et al.,
    2018, and their notebook). 0 where nothing is held out. A list shorter than ``k`` (a small
    catalogue) is judged as far as it goes.

    Example:
        The only held-out item is ranked second, so the gain is 1 / log2(3):

        >>> ndcg(torch.tensor([[False, True]]), torch.tensor([1]), k=2).round(decimals=4).item()
        0.6309000253677368
    """
    hit, n_held_out = hit[:, :k].cpu(), n_held_out.cpu()  # Apple's GPUs have no double precision
    discounts = 1 / torch.arange(2, k + 2, dtype=torch.float64).log2()
    gain = hit.double() @ discounts[: hit.shape[1]]
    ideal = torch.cat([discounts.new_zeros(1), discounts.cumsum(0)])[n_held_out.clamp(max=k)]
    return torch.where(n_held_out > 0, gain / ideal, 0.0).float()


def recall(
    hit: Bool[Tensor, "user rank"], n_held_out: Int[Tensor, " user"], k: int
) -> Float[Tensor, " user"]:
    """Share of the held-out items among the first ``k``, out of the ``min(k, n)`` that could be.

    0 where nothing is held out (the denominator as in Liang et al., 2018).

    Example:
        >>> recall(torch.tensor([[True, False, True]]), torch.tensor([4]), k=2).item()
        0.5
    """
    found = hit[:, :k].sum(-1)
    return found / n_held_out.clamp(1, k)
