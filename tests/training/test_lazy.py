"""Lazy Adam: Adam where everything moves, rest where nothing does."""

import torch
from torch.nn import functional as F

from macrid.training.lazy import LazyAdam


def a_table(seed=0):
    return torch.nn.Parameter(
        torch.randn(6, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    )


def train(optimiser, table, steps, *, sparse):
    for rows in steps:
        optimiser.zero_grad()
        seen = F.embedding(torch.tensor(rows), table, sparse=sparse)
        ((seen + 0.3) ** 3).sum().backward()
        optimiser.step()


def test_dense_gradients_get_plain_adam():
    ours, theirs = a_table(), a_table()
    train(LazyAdam([ours], lr=0.1), ours, [[0, 1], [1, 2], [5]], sparse=False)
    train(torch.optim.Adam([theirs], lr=0.1), theirs, [[0, 1], [1, 2], [5]], sparse=False)
    torch.testing.assert_close(ours, theirs)


def test_sparse_gradients_get_torchs_sparse_adam_rows_named_twice_and_all():
    ours, theirs = a_table(), a_table()
    steps = [[0, 1, 1], [1, 2], [5], [0, 5, 5, 5]]
    train(LazyAdam([ours], lr=0.1), ours, steps, sparse=True)
    train(torch.optim.SparseAdam([theirs], lr=0.1), theirs, steps, sparse=True)
    # Its eps comes before the correction of the mean square, Adam's after it.
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=0)


def test_rows_that_are_not_named_stay_as_they_are():
    table = a_table()
    before = table.detach().clone()
    train(LazyAdam([table], lr=0.1), table, [[0, 1], [1]], sparse=True)
    assert torch.equal(table[2:], before[2:])
    assert (table[:2] != before[:2]).all()


def test_what_has_no_gradient_is_left_alone():
    table = a_table()
    before = table.detach().clone()
    LazyAdam([table], lr=0.1).step()
    assert torch.equal(table, before)


def test_a_closure_is_called_with_gradients_on_and_its_value_returned():
    table = a_table()
    optimiser = LazyAdam([table], lr=0.1)

    def closure():
        loss = table.square().sum()
        loss.backward()
        return loss

    expected = table.detach().square().sum()
    assert optimiser.step(closure) == expected


def test_its_state_is_saved_and_loaded():
    straight, stopped = a_table(), a_table()
    train(LazyAdam([straight], lr=0.1), straight, [[0, 1], [1], [2]], sparse=True)
    first = LazyAdam([stopped], lr=0.1)
    train(first, stopped, [[0, 1]], sparse=True)
    second = LazyAdam([stopped], lr=0.1)
    second.load_state_dict(first.state_dict())
    train(second, stopped, [[1], [2]], sparse=True)
    torch.testing.assert_close(straight, stopped)
