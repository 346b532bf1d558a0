r"""The likelihood against a sample of the catalogue, for catalogues that are too large to sum over.

The sum over items that a person does not have is estimated by importance sampling: ``N`` items are
drawn from a proposal :math:`q`, for everybody in the batch together, and an item that was drawn
:math:`m_i` times stands for :math:`m_i / (N q_i)` items like it. A person's own items are summed
exactly, and left out where they were drawn. The estimate of the normaliser has no bias and comes
as close as one likes with ``N`` (Jean et al., 2015; Ma et al., 2019, §2.2, for large catalogues).
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from macrid.data.histories import Histories
from macrid.parts.kernels import (
    SAFE,
    SIZES,
    people_at_once,
    product_dtype,
    row_ranges,
    sum_dtype,
    wide_items,
    wide_people,
)

Proposal = Literal["popularity", "log-uniform"]


@dataclass(frozen=True)
class Draw:
    """Items that stand for the rest: each once, with the log of how many it stands for."""

    rows: Int[Tensor, " drawn"]
    log_weight: Float[Tensor, " drawn"]


class Negatives:
    """Draws items by how often people have them, or by their rank alone.

    Args:
        n_items: Size of the catalogue.
        n_draws: Items drawn in each step, with replacement.
        proposal: ``"popularity"``: in proportion to an item's events plus one, so that every item
            can be drawn. ``"log-uniform"``: the item of rank ``r`` (from 0, most popular first)
            with probability ``log((r + 2) / (r + 1)) / log(n + 1)``.

    Example:
        >>> negatives = Negatives(4, n_draws=1000)
        >>> negatives.follow(torch.tensor([5, 0, 1, 0]))
        >>> negatives.probability.tolist()
        [0.6, 0.1, 0.2, 0.1]
    """

    def __init__(self, n_items: int, n_draws: int, proposal: Proposal = "popularity") -> None:
        self.n_items, self.n_draws, self.proposal = n_items, n_draws, proposal
        self._followed: tuple[Tensor, Tensor] | None = None  # when it is first asked for

    def follow(self, counts: Int[Tensor, " item"]) -> None:
        """Draw by these numbers of training events from now on."""
        weight = (counts + 1).double()
        if self.proposal == "log-uniform":
            rank = torch.empty_like(weight)
            rank[counts.argsort(descending=True, stable=True)] = torch.arange(
                len(counts), dtype=weight.dtype, device=counts.device
            )
            weight = ((rank + 2) / (rank + 1)).log()
        # No buffers: of no use to a trained model, and in a precision that not every GPU has.
        probability = weight / weight.sum()
        self._followed = probability, probability.cumsum(0)

    @property
    def probability(self) -> Float[Tensor, " item"]:
        """Of each item, in each draw; the same for all before there are events to follow."""
        return self._cumulated()[0]

    def draw(self, device: torch.device | str = "cpu") -> Draw:
        """A new sample, for use on some device."""
        probability, cumulative = self._cumulated()
        uniform = torch.rand(self.n_draws, dtype=torch.float64)
        drawn = torch.searchsorted(cumulative, uniform, right=True)
        drawn = drawn.clamp_(max=len(cumulative) - 1)  # rounding may leave the last below 1
        rows, times = drawn.unique(return_counts=True)
        weight = times / (self.n_draws * probability[rows])
        return Draw(rows.to(device), weight.log().float().to(device))

    def _cumulated(self) -> tuple[Tensor, Tensor]:
        """Probabilities and their sums so far."""
        if self._followed is None:
            self.follow(torch.zeros(self.n_items, dtype=torch.long))
        assert self._followed is not None
        return self._followed


def sampled_log_likelihood(
    z: Float[Tensor, "batch concept dim"],
    vectors: Float[Tensor, "drawn dim"],
    log_weights: Float[Tensor, "drawn concept"],
    own: Float[Tensor, " nnz"],
    histories: Histories,
    columns: Int[Tensor, " nnz"],
) -> Float[Tensor, " batch"]:
    """Multinomial log-likelihood of each history, in nats, with an estimated normaliser.

    Differentiable, once, in the first four arguments.

    Args:
        z: People's points, already divided by the temperature.
        vectors: Vectors of the items drawn.
        log_weights: Their log-assignments, plus the log of how many items each stands for.
        own: The exact logit of each event's item.
        histories: Whose likelihood is asked for, each item once per person; only who has how many
            events is read.
        columns: Where each event's item is among those drawn, ``-1`` if it is not.

    Example:
        >>> z, vectors, none = torch.zeros(1, 1, 3), torch.ones(2, 3), torch.tensor([-1])
        >>> history, own = Histories.from_lists([[7]]), torch.zeros(1)
        >>> likelihood = sampled_log_likelihood(z, vectors, torch.zeros(2, 1), own, history, none)
        >>> round(likelihood.exp().item(), 4)
        0.3333
    """
    return _SampledLogLikelihood.apply(z, vectors, log_weights, own, histories, columns)


class _SampledLogLikelihood(torch.autograd.Function):
    """Gradients are taken along, as if everybody counted alike; if not, once more."""

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        vectors: Tensor,
        log_weights: Tensor,
        own: Tensor,
        histories: Histories,
        columns: Tensor,
    ) -> Tensor:
        dtype = product_dtype(z)
        bound = float(z.norm(dim=-1).max() * vectors.norm(dim=-1).max()) if z.numel() else 0.0
        bound = max(bound, float(own.max())) if len(own) else bound  # of items that were not drawn
        shift = z.new_full((len(z),), -bound if bound <= SAFE else 0.0)
        ctx.inputs = (
            wide_people(z, shift, dtype),
            wide_items(vectors, log_weights, dtype, SIZES),
            own + shift[histories.users],
            histories,
            columns,
        )
        ctx.bounded, ctx.shape, ctx.n_items = bound <= SAFE, z.shape, len(vectors)
        likelihood, *ctx.grads = _in_one_pass(torch.ones_like(shift), ctx.bounded, *ctx.inputs)
        return likelihood

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        if bool((grad == grad[:1]).all()):
            people, items, own = (each * grad[:1].sum() for each in ctx.grads)
        else:
            _, people, items, own = _in_one_pass(grad, ctx.bounded, *ctx.inputs)
        n_concepts, n_dims = ctx.shape[1:]
        vectors, weights, _ = items[: ctx.n_items].tensor_split((n_dims, n_dims + n_concepts), 1)
        return people[:, :n_dims].view(ctx.shape), vectors, weights, own, None, None


def _in_one_pass(
    grad: Tensor,
    bounded: bool,
    people: Tensor,
    items: Tensor,
    own: Tensor,
    histories: Histories,
    columns: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Likelihood, and the gradients of people, items and own logits, in blocks of people."""
    batch, n_items = len(histories), len(items)
    n_concepts = len(people) // max(batch, 1)
    at_once = max(people_at_once(batch, len(people) * n_items, people.dtype), 1)
    concepts = torch.arange(n_concepts, device=people.device)[:, None]
    buffer = people.new_empty(at_once * n_concepts, n_items)
    across = items.T.contiguous()  # thrice as fast in half precision
    likelihood = people.new_zeros(batch, dtype=sum_dtype(people))
    grad_people = torch.empty_like(people, dtype=likelihood.dtype)
    grad_items = torch.zeros_like(across, dtype=likelihood.dtype)
    grad_own = torch.empty_like(own)
    for who, rows, events in row_ranges(histories, n_concepts, at_once):
        mine, lengths = people[rows], histories.lengths[who].to(likelihood.dtype)
        joint = torch.mm(mine, across, out=buffer[: len(mine)])
        users, hit = histories.users[events] - who.start, columns[events] >= 0
        logits = own[events]
        if not bounded:
            top = joint.view(len(lengths), -1).amax(1).to(likelihood.dtype)
            top = top.scatter_reduce(0, users, logits, "amax")
            joint.view(len(lengths), -1).sub_(top[:, None])
            logits = logits - top[users]
        joint.exp_()
        where = (users[hit] * n_concepts + concepts) * n_items + columns[events][hit]
        joint.put_(where, joint.new_zeros(where.shape))
        exact, weighted = logits.exp(), joint @ items
        # The last dimension of items is 1, so that of their weighted sum is the sum of weights.
        sums = weighted[:, -1].view(-1, n_concepts).sum(1, dtype=likelihood.dtype)
        sums = sums.index_add(0, users, exact)
        log_sums = sums.log()
        likelihood[who] = (-log_sums * lengths).index_add(0, users, logits)
        # An item's share of the sum is its derivative; a person's events count that many times.
        factor = -lengths / sums * grad[who]
        grad_own[events] = grad[who][users] + factor[users] * exact
        factor = factor.repeat_interleave(n_concepts)[:, None]
        torch.mul(weighted, factor, out=grad_people[rows])
        grad_items += (mine * factor).T.to(mine.dtype).contiguous() @ joint
    return likelihood, grad_people, grad_items.T, grad_own
