"""A batch of people as sparse rows: the one thing that crosses from data to models.

The items of person ``b`` are ``items[offsets[b]:offsets[b + 1]]``, as rows of the item vocabulary.
Nothing of shape (people, items) is built on the way, in training or in serving.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Histories:
    """What each person of a batch interacted with.

    Args:
        items: Item rows of all people, one person after the other.
        offsets: Where each person starts; the last entry is the number of interactions.

    Example:
        >>> two = Histories.from_lists([[4, 0], [2]])
        >>> len(two), two.users.tolist()
        (2, [0, 0, 1])
    """

    items: Int[Tensor, " nnz"]
    offsets: Int[Tensor, " edge"]

    @classmethod
    def from_lists(cls, lists: Iterable[Sequence[int]]) -> "Histories":
        """One person per list of item rows."""
        lists = list(lists)
        rows = np.fromiter(chain.from_iterable(lists), np.int64)
        return cls.from_arrays(rows, np.cumsum([0, *map(len, lists)]))

    @classmethod
    def from_arrays(cls, items: np.ndarray, offsets: np.ndarray) -> "Histories":
        """From the two arrays of a CSR matrix."""
        return cls(
            torch.from_numpy(np.ascontiguousarray(items, np.int64)),
            torch.from_numpy(np.ascontiguousarray(offsets, np.int64)),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> Int[Tensor, " batch"]:
        """How many interactions each person has."""
        return self.offsets.diff()

    @cached_property
    def users(self) -> Int[Tensor, " nnz"]:
        """Which person of the batch each interaction belongs to."""
        people = torch.arange(len(self), device=self.offsets.device)
        return people.repeat_interleave(self.lengths, output_size=len(self.items))

    @cached_property
    def by_item(self) -> Int[Tensor, " nnz"]:
        """The order that sorts the interactions by item, people ascending."""
        return self.items.int().argsort(stable=True)  # twice as fast as of 64 bits

    def to(self, device: torch.device | str) -> "Histories":
        """The same histories on another device."""
        return Histories(self.items.to(device), self.offsets.to(device))
