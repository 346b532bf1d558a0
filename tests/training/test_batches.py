"""Batches: everybody once per epoch, in an order that an epoch has of its own."""

import numpy as np
import pytest

import planted
from macrid.training.batches import ShuffledBatches, held_out_batches, training_batches


def epoch_of(sampler, epoch):
    sampler.set_epoch(epoch)
    return np.concatenate(list(sampler)).tolist()


@pytest.mark.parametrize(("n_users", "batch_size"), [(10, 3), (9, 3), (2, 5), (1, 1)])
def test_everybody_comes_once_and_only_the_last_batch_is_smaller(n_users, batch_size):
    sampler = ShuffledBatches(n_users, batch_size, seed=0)
    batches = list(sampler)
    assert len(batches) == len(sampler) == -(-n_users // batch_size)
    assert sorted(np.concatenate(batches).tolist()) == list(range(n_users))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert 1 <= len(batches[-1]) <= batch_size


def test_epochs_differ_and_each_can_be_had_without_the_ones_before():
    sampler = ShuffledBatches(50, 7, seed=3)
    orders = [epoch_of(sampler, epoch) for epoch in range(4)]
    assert len({tuple(order) for order in orders}) == 4
    assert epoch_of(ShuffledBatches(50, 7, seed=3), 3) == orders[3]


def test_seeds_differ():
    orders = [epoch_of(ShuffledBatches(50, 7, seed=seed), 0) for seed in (0, 1)]
    assert orders[0] != orders[1]


def test_neighbouring_seeds_do_not_share_the_orders_of_neighbouring_epochs():
    assert epoch_of(ShuffledBatches(50, 7, seed=1), 0) != epoch_of(
        ShuffledBatches(50, 7, seed=0), 1
    )


def test_a_training_batch_holds_the_histories_of_its_rows():
    train = planted.split().train
    loader = training_batches(train, 30, seed=5)
    rows = list(ShuffledBatches(train.n_users, 30, seed=5))
    batches = list(loader)
    assert len(batches) == len(loader) == len(rows)
    for (histories,), users in zip(batches, rows, strict=True):
        expected = train.histories(users)
        assert histories.items.tolist() == expected.items.tolist()
        assert histories.offsets.tolist() == expected.offsets.tolist()


def test_validation_users_come_in_order_with_both_of_their_halves():
    people = planted.split().validation
    pairs = list(held_out_batches(people, 7))
    assert [len(fold_in) for fold_in, _ in pairs] == [7, 7, 6]
    for part, table in enumerate((people.fold_in, people.held_out)):
        items = np.concatenate([pair[part].items for pair in pairs])
        assert items.tolist() == table.columns.tolist()
