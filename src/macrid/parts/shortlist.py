"""Which items may be on a list, while their scores come by in blocks."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

# Candidates of one user, beyond some per place, at which a list is cheaper to find otherwise.
_CROWD = 1024
_LOWEST = torch.finfo(torch.float32).min  # above -inf, which nobody may list


@dataclass(frozen=True)
class Candidates:
    """Columns that may be on each user's list, ``-1`` where there are no more.

    ``crowded`` are users with too many to name: any column may be on their lists.
    """

    column: Int[Tensor, "user candidate"]
    crowded: Bool[Tensor, " user"]


class Shortlist:
    """Who may be among each user's best ``k``, while scores come by in blocks of columns.

    Columns are looked at in small disjoint groups. If ``k`` groups have a maximum of at least
    ``t``, then so have ``k`` columns, and no column below ``t`` can be on the list: nearly all
    groups are settled by one comparison, and no row is ever sorted.

    Args:
        n_users: Rows of every block.
        k: Places on each list.
        slack: How far below ``t`` a column may be and still be listed, as the scores of the blocks
            may not be those that lists are ordered by.
        exponential: Whether the scores are exponentials, so that ``slack`` is a factor ``exp``.
        device: Where the blocks are.

    Example:
        >>> shortlist = Shortlist(1, 2)
        >>> shortlist.add(torch.tensor([[1.0, 3.0, 2.0, 0.0]]), start=10)
        >>> shortlist.candidates().column.tolist()
        [[11, 12]]
    """

    def __init__(
        self,
        n_users: int,
        k: int,
        *,
        slack: float = 0.0,
        exponential: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.lanes = max(128, 1 << (4 * k - 1).bit_length())  # few groups hold two of the best
        self.k, self.slack, self.exponential = k, slack, exponential
        self.peaks = torch.full((n_users, self.lanes), -torch.inf, device=device)
        self.floor = torch.full((n_users,), _LOWEST, device=device)
        nothing = torch.empty(0, dtype=torch.long, device=device)
        self.found = [(nothing, nothing, self.floor[:0])]  # user, column, score
        self.n_found, self.n_passed = 0, 0

    def add(self, scores: Float[Tensor, "user column"], start: int) -> None:
        """Look at the columns from ``start`` on, ``lanes`` or more at best; each comes by once."""
        ragged = -scores.shape[1] % self.lanes
        groups = F.pad(scores, (0, ragged), value=-torch.inf) if ragged else scores
        groups = groups.unflatten(1, (groups.shape[1] // self.lanes, self.lanes))
        peaks = groups.amax(1)
        torch.maximum(self.peaks, peaks, out=self.peaks)
        user, lane = _where(peaks >= self.floor[:, None])
        self.n_passed += len(user)
        if self.n_passed > len(self.floor) * self.k // 2:  # the floor has become too low to help
            self._raise_floor()
            user, lane = _where(peaks >= self.floor[:, None])
        members = groups[user, :, lane]
        group, depth = _where(members >= self.floor[user, None])
        columns = start + depth * self.lanes + lane[group]
        self.found.append((user[group], columns, members[group, depth]))
        self.n_found += len(group)
        if self.n_found > self._limit * len(self.floor):
            self._compact()

    def candidates(self) -> Candidates:
        """What is left when all columns have come by; a user's columns are in no order."""
        user, column = self._compact()
        order = user.argsort(stable=True)
        user, column = user[order], column[order]
        counts = user.bincount(minlength=len(self.floor))
        place = torch.arange(len(user), device=user.device) - (counts.cumsum(0) - counts)[user]
        padded = user.new_full((len(self.floor), int(counts.max()) if len(counts) else 0), -1)
        padded[user, place] = column
        return Candidates(padded, self.floor == torch.inf)

    @property
    def _limit(self) -> int:
        """Candidates that one user may have."""
        return _CROWD + 16 * self.k

    def _raise_floor(self) -> None:
        """To what ``k`` groups have reached by now, less the slack."""
        reached = self.peaks.topk(self.k, sorted=False).values.amin(1)
        lowered = reached * math.exp(-self.slack) if self.exponential else reached - self.slack
        torch.maximum(self.floor, lowered, out=self.floor)  # infinite for who is crowded
        self.n_passed = 0

    def _compact(self) -> tuple[Tensor, Tensor]:
        """Forget what the floor has passed, and who has too many candidates even so."""
        self._raise_floor()
        user, column, score = map(torch.cat, zip(*self.found, strict=True))
        keep = score >= self.floor[user]
        counts = user[keep].bincount(minlength=len(self.floor))
        self.floor[counts > self._limit] = torch.inf
        keep &= self.floor[user] < torch.inf
        self.found = [(user[keep], column[keep], score[keep])]
        self.n_found = int(keep.sum())
        return user[keep], column[keep]


def _where(mask: Bool[Tensor, "row column"]) -> tuple[Tensor, Tensor]:
    """Rows and columns of what is true; flat, ``nonzero`` is several times as fast."""
    flat = mask.flatten().nonzero().flatten()
    row = flat.div(mask.shape[1], rounding_mode="floor")
    return row, flat - row * mask.shape[1]
