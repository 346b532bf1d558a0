"""Likelihoods of outputs per item: the dense formulas, whatever the blocks."""

import pytest
import torch
from torch.nn import functional as F

from macrid.data.histories import Histories
from macrid.parts import likelihoods
from macrid.parts.likelihoods import GaussianLikelihood, Logistic, Multinomial

N_ITEMS, N_DIMS = 23, 4
LISTS = [[0, 22, 7], [], [5], list(range(N_ITEMS))]


def inputs():
    generator = torch.Generator().manual_seed(5)
    people = torch.randn(len(LISTS), 1, N_DIMS, generator=generator, dtype=torch.float64)
    vectors = torch.randn(N_ITEMS, N_DIMS, generator=generator, dtype=torch.float64)
    return people.requires_grad_(), vectors.requires_grad_()


def dense(people, vectors, kind):
    f = people.squeeze(1) @ vectors.T
    x = torch.zeros_like(f)
    for user, items in enumerate(LISTS):
        x[user, items] = 1
    if isinstance(kind, Multinomial):
        return (x * f.log_softmax(1)).sum(1)
    if isinstance(kind, Logistic):
        p = torch.sigmoid(f).clamp(kind.floor, 1 - kind.floor)
        return -F.binary_cross_entropy(p, x, reduction="none").sum(1)
    confidence = torch.where(x > 0, kind.seen, kind.unseen)
    return -0.5 * (confidence * (x - f).square()).sum(1)


@pytest.mark.parametrize("block", [1, 20, 10**6])
@pytest.mark.parametrize(
    "kind", [Multinomial(), Logistic(), Logistic(0.2), GaussianLikelihood(7.0, 0.5)]
)
def test_they_are_the_dense_ones_with_their_gradients(monkeypatch, kind, block):
    monkeypatch.setattr(likelihoods, "_BLOCK", block)
    people, vectors = inputs()
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    ours = kind(people, vectors, Histories.from_lists(LISTS))
    theirs = dense(people, vectors, kind)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad((ours * weights).sum(), (people, vectors)),
        torch.autograd.grad((theirs * weights).sum(), (people, vectors)),
    )


def test_outputs_far_from_zero_do_not_overflow():
    people = torch.full((1, 1, 1), 200.0, requires_grad=True)
    vectors = torch.tensor([[1.0], [-1.0]], requires_grad=True)
    for kind in (Multinomial(), Logistic(), Logistic(1e-5)):
        value = kind(people, vectors, Histories.from_lists([[1]]))
        assert value.isfinite().all()
        assert all(g.isfinite().all() for g in torch.autograd.grad(value.sum(), (people, vectors)))
