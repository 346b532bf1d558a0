r"""Products that touch the interactions alone, never a row as long as the catalogue.

All come from one sum over events and concepts,
:math:`\sum_{e,k} w_{ek} \, p_{u_e k} \cdot t_{i_e}`, for a weight per event and concept, a vector
per person and concept, a vector per item. Its derivative by the people is a weighted bag of items,
by the items a weighted bag of people, by the weights a product per event; so the derivative of each
of the three is made of the other two.
"""

import warnings
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from macrid.data.histories import Histories

_CHUNK = 4096  # events whose vectors are gathered at a time where no sparse kernel exists


def weighted_bag(
    table: Float[Tensor, "item dim"], weights: Float[Tensor, "concept nnz"], histories: Histories
) -> Float[Tensor, "batch concept dim"]:
    """Per person and concept, the sum of the rows of their items, each times its weight.

    Differentiable, once, in table and weights.

    Example:
        >>> two = Histories.from_lists([[1, 0], [2]])
        >>> weights = torch.tensor([[1.0, 10.0, 1.0]])
        >>> weighted_bag(torch.tensor([[1.0], [2.0], [3.0]]), weights, two).flatten().tolist()
        [12.0, 3.0]
    """
    return _WeightedBag.apply(table, weights.to(table.dtype), histories)


def event_products(
    people: Float[Tensor, "batch concept dim"],
    table: Float[Tensor, "item dim"],
    histories: Histories,
) -> Float[Tensor, "concept nnz"]:
    """Per concept and event, the product of the person's vector and the item's.

    Differentiable, once, in people and table.

    Example:
        >>> two = Histories.from_lists([[1, 0], [2]])
        >>> people = torch.tensor([[[1.0]], [[10.0]]])
        >>> event_products(people, torch.tensor([[1.0], [2.0], [3.0]]), two).flatten().tolist()
        [2.0, 1.0, 30.0]
    """
    return _EventProducts.apply(people, table, histories)


class _WeightedBag(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, weights: Tensor, histories: Histories) -> Tensor:
        ctx.histories = histories
        ctx.save_for_backward(table, weights)
        return bags_of_items(table, weights, histories)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor | None, ...]:
        table, weights = ctx.saved_tensors
        by_table, by_weights, _ = ctx.needs_input_grad
        return (
            _bags_of_people(grad, weights, ctx.histories, len(table)) if by_table else None,
            _products(grad, table, ctx.histories) if by_weights else None,
            None,
        )


class _EventProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, people: Tensor, table: Tensor, histories: Histories) -> Tensor:
        ctx.histories = histories
        ctx.save_for_backward(people, table)
        return _products(people, table, histories)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor | None, ...]:
        people, table = ctx.saved_tensors
        by_people, by_table, _ = ctx.needs_input_grad
        return (
            bags_of_items(table, grad, ctx.histories) if by_people else None,
            _bags_of_people(people, grad, ctx.histories, len(table)) if by_table else None,
            None,
        )


def bags_of_items(table: Tensor, weights: Tensor, histories: Histories) -> Tensor:
    """The derivative of the sum by the people, (batch, concept, dim)."""
    bags = [
        F.embedding_bag(
            histories.items,
            table,
            histories.offsets,
            mode="sum",
            per_sample_weights=concept,
            include_last_offset=True,
        )
        for concept in weights.contiguous()
    ]
    return torch.stack(bags, dim=1)


def _bags_of_people(people: Tensor, weights: Tensor, histories: Histories, n_items: int) -> Tensor:
    """The derivative by the items, (item, dim): each item's people are neighbours once sorted."""
    n_concepts, order = len(weights), histories.by_item
    concepts = torch.arange(n_concepts, device=order.device)
    which = histories.users[order, None] * n_concepts + concepts
    edges = torch.arange(n_items + 1, device=order.device)
    offsets = torch.searchsorted(histories.items[order], edges) * n_concepts
    return F.embedding_bag(
        which.flatten(),
        people.flatten(0, 1),
        offsets,
        mode="sum",
        per_sample_weights=weights.index_select(1, order).T.flatten(),
        include_last_offset=True,
    )


def _products(people: Tensor, table: Tensor, histories: Histories) -> Tensor:
    """The derivative by the weights, (concept, nnz)."""
    if people.device.type != "cpu":
        return _gathered_products(people, table, histories)
    with warnings.catch_warnings():  # torch calls its sparse rows a beta
        warnings.filterwarnings("ignore", "Sparse", UserWarning)
        pattern = torch.sparse_csr_tensor(
            histories.offsets,
            histories.items,
            people.new_zeros(len(histories.items)),
            (len(histories), len(table)),
            check_invariants=False,
        )
    products = [
        torch.sparse.sampled_addmm(pattern, concept, table.T, beta=0.0).values()
        for concept in people.transpose(0, 1).contiguous()
    ]
    return torch.stack(products)


def _gathered_products(people: Tensor, table: Tensor, histories: Histories) -> Tensor:
    """The same, for devices that lack the sparse kernel."""
    pairs = zip(histories.users.split(_CHUNK), histories.items.split(_CHUNK), strict=True)
    with torch.autocast(people.device.type, enabled=False):
        products = [torch.einsum("ekd,ed->ke", people[user], table[item]) for user, item in pairs]
    return torch.cat(products, dim=1)
