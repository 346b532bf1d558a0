"""Batches of people in an order that depends on the seed and the epoch alone."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from macrid.data.histories import Histories
from macrid.data.interactions import Interactions
from macrid.data.splits import HeldOut


class ShuffledBatches(Sampler):
    """User rows, shuffled anew in each pass of an epoch, its last batch perhaps smaller.

    The order of an epoch can be had without the epochs before it, which is what lets a resumed run
    go on exactly.

    Example:
        >>> sampler = ShuffledBatches(5, 2, seed=0)
        >>> sorted(int(row) for batch in sampler for row in batch)
        [0, 1, 2, 3, 4]
    """

    def __init__(self, n_users: int, batch_size: int, *, seed: int, passes: int = 1) -> None:
        self.n_users, self.batch_size, self.seed, self.epoch = n_users, batch_size, seed, 0
        self.passes = passes

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.passes * -(-self.n_users // self.batch_size)

    def __iter__(self) -> Iterator[np.ndarray]:
        random = np.random.default_rng([self.seed, self.epoch])
        for _ in range(self.passes):
            order = random.permutation(self.n_users)
            yield from np.split(order, range(self.batch_size, self.n_users, self.batch_size))


class _People(Dataset):
    """A batch of rows as histories, one per table."""

    def __init__(self, *tables: Interactions) -> None:
        self.tables = tables

    def __getitem__(self, rows: np.ndarray) -> tuple[Histories, ...]:
        return tuple(table.histories(rows) for table in self.tables)


def training_batches(
    train: Interactions, batch_size: int, *, seed: int, passes: int = 1
) -> DataLoader:
    """Histories of shuffled training users."""
    sampler = ShuffledBatches(train.n_users, batch_size, seed=seed, passes=passes)
    # A generator of its own, for a seed that a loader draws for workers it does not have: Lightning
    # asks for it before an epoch's seed is set in a run's first epoch, after it in all others.
    alone = torch.Generator()
    return DataLoader(_People(train), sampler=sampler, batch_size=None, generator=alone)


def held_out_batches(people: HeldOut, batch_size: int) -> DataLoader:
    """Pairs of histories, fold-in and held out, users in order."""
    n_users = len(people)
    rows = np.split(np.arange(n_users), range(batch_size, n_users, batch_size))
    return DataLoader(_People(people.fold_in, people.held_out), sampler=rows, batch_size=None)
