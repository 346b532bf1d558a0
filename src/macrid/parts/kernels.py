r"""The likelihood of a mixture over concepts, without the logits of a batch in memory at once.

A person has a vector per concept, an item one vector; with :math:`a_{uki}` their product, the
item's logit is :math:`\log \sum_k \exp a_{uki}`, and the sum over the catalogue is one log-sum-exp
over concepts and items together. It is gathered block by block; nothing of shape (batch, concept,
item) is ever kept, and all blocks stand in the same memory.

Log-assignments are dimensions like any other: a person's vector for concept ``k`` has a 1 in
dimension ``k`` of theirs, so that one matrix product gives :math:`z_{uk} \cdot h_i + \log c_{ik}`,
and its backward pass the gradient of both. Two more dimensions shift all logits of a person, which
is how exponentials are kept in range and, once the normaliser is known, made probabilities.
"""

from collections.abc import Iterator
from itertools import pairwise, starmap
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from macrid.data.histories import Histories

# A block's logits stay near the processor's caches; measured best at 4 to 8 MiB.
_BLOCK_BYTES = 7 * 2**20
# People in a block at the least, and the most that a block may take; of fewer, products are slow.
_FEWEST, _MOST_BYTES = 64, 128 * 2**20
_LANES = 16  # matrix products are up to a half faster at such widths
# exp(-80) is still a normal float32: with logits in ±40 no maximum has to be looked for.
SAFE = 40.0
_NEVER = -1e30  # stands for log 0 where an infinity times 0 would be NaN


def mixture_log_likelihood(
    z: Float[Tensor, "batch concept dim"],
    vectors: Float[Tensor, "item dim"],
    log_weights: Float[Tensor, "item concept"],
    histories: Histories,
    block: int | None = None,
) -> Float[Tensor, " batch"]:
    r"""Multinomial log-likelihood of each history, in nats: :math:`\sum_i x_{ui} \log p_{ui}`.

    :math:`p_{ui} \propto \sum_k c_{ik} \exp(z_{uk} \cdot h_i)` (Ma et al., 2019, Eq. 2), normalised
    over the catalogue. Differentiable, once, in the first three arguments.

    Args:
        z: People's points, already divided by the temperature.
        vectors: Item vectors.
        log_weights: Log-assignments of items to concepts.
        histories: Whose likelihood is asked for.
        block: Items that are looked at together; by default as many as stay near the caches.

    Example:
        >>> z, vectors = torch.zeros(1, 1, 3), torch.ones(4, 3)
        >>> history = Histories.from_lists([[0, 2]])
        >>> round(mixture_log_likelihood(z, vectors, torch.zeros(4, 1), history).exp().item(), 6)
        0.0625
    """
    return _MixtureLogLikelihood.apply(z, vectors, log_weights, histories, block)


class _MixtureLogLikelihood(torch.autograd.Function):
    """Two ways to one gradient, which is why there are two passes over the same products.

    Where the logits of some dozens of people over the whole catalogue stay near the caches, their
    gradients are taken along with their likelihood, before they are forgotten: three products.
    They assume that everybody's likelihood counts alike in the loss, as in a mean. In a larger
    catalogue, or if they do not count alike, logits are computed again in the backward pass, in
    blocks of items: four products, and no more memory than a block's.
    """

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        vectors: Tensor,
        log_weights: Tensor,
        histories: Histories,
        block: int | None,
    ) -> Tensor:
        ctx.dtype, ctx.histories, ctx.block = product_dtype(z), histories, block
        # |z·h| ≤ |z||h|, and log-weights are at most 0.
        bound = float(z.norm(dim=-1).max() * vectors.norm(dim=-1).max()) if len(z) else 0.0
        bounded = bound <= SAFE
        shift = z.new_full((len(z),), -bound if bounded else 0.0)
        people = wide_people(z, shift, ctx.dtype)
        items = wide_items(vectors, log_weights, ctx.dtype)
        at_once = people_at_once(people, items, len(z))
        if block is None and at_once and bounded and any(ctx.needs_input_grad):
            likelihood, log_total, *ctx.grads = _in_one_pass(people, items, histories, at_once)
        else:
            likelihood, log_total = _forward(people, items, histories, block, bounded)
            ctx.grads = ()
        ctx.save_for_backward(z, items, log_total - shift)
        return likelihood

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        z, items, log_total = ctx.saved_tensors
        (grad,), (n_concepts, n_dims) = grads, z.shape[1:]
        if ctx.grads and bool((grad == grad[0]).all()):
            grad_people, grad_items = ctx.grads[0] * grad[0], ctx.grads[1] * grad[0]
        else:
            people = wide_people(z, -log_total, ctx.dtype)
            grad_people, grad_items = _backward(people, items, ctx.histories, ctx.block, grad)
        grad_z = grad_people[:, :n_dims].view_as(z)
        grad_vectors, grad_weights, _ = grad_items.tensor_split((n_dims, n_dims + n_concepts), 1)
        return grad_z, grad_vectors, grad_weights, None, None


def _in_one_pass(
    people: Tensor, items: Tensor, histories: Histories, at_once: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Likelihood, normaliser, and the gradients of the likelihoods' sum, in blocks of people."""
    n_concepts, n_items = len(people) // len(histories), len(items)
    concepts = torch.arange(n_concepts, device=people.device)[:, None]
    buffer = people.new_empty(at_once * n_concepts, n_items)
    observed = people.new_zeros(len(histories), dtype=sum_dtype(people))
    total = torch.zeros_like(observed)
    grad_people = torch.empty_like(people, dtype=total.dtype)
    grad_items = torch.zeros_like(items, dtype=total.dtype)
    for who, rows, events in row_ranges(histories, n_concepts, at_once):
        mine, lengths = people[rows], histories.lengths[who].to(total.dtype)
        joint = torch.mm(mine, items.T, out=buffer[: len(mine)])
        users = histories.users[events]
        where = ((users - who.start) * n_concepts + concepts) * n_items + histories.items[events]
        positives = joint.take(where).to(total.dtype)
        observed.index_add_(0, users, positives.logsumexp(0))
        sums = joint.exp_().sum(1).view(-1, n_concepts).sum(1, dtype=total.dtype)
        total[who] = sums.log()
        # d likelihood / d a_uki = x_ui r_uki - n_u p_uki, where r is the share of a concept in an
        # item's probability. The block holds (p - x r / n) times the sum of its person's
        # exponentials, so that people carry the rest.
        taken = positives.softmax(0) * -(sums / lengths)[users - who.start]
        joint.put_(where, taken.to(joint.dtype), accumulate=True)
        factor = (-lengths / sums).repeat_interleave(n_concepts)[:, None]
        torch.mul(joint @ items, factor, out=grad_people[rows])
        grad_items += joint.T @ (mine * factor).to(mine.dtype)
    return observed - total * histories.lengths, total, grad_people, grad_items


def row_ranges(
    histories: Histories, n_concepts: int, at_once: int
) -> Iterator[tuple[slice, slice, slice]]:
    """Some people at a time: who they are, their rows (one per concept), their events."""
    edges = [*range(0, len(histories), at_once), len(histories)]
    for (start, end), events in zip(
        pairwise(edges), starmap(slice, pairwise(histories.offsets[edges].tolist())), strict=True
    ):
        yield slice(start, end), slice(start * n_concepts, end * n_concepts), events


def _forward(
    people: Tensor, items: Tensor, histories: Histories, block: int | None, bounded: bool
) -> tuple[Tensor, Tensor]:
    """Likelihood and normaliser of each person, in blocks of items."""
    sums = sum_dtype(people)
    observed = people.new_zeros(len(histories), dtype=sums)
    total = people.new_full((len(people),), 0.0 if bounded else -torch.inf, dtype=sums)
    for _, users, where, joint in _blocks_of_items(people, items, histories, block):
        observed.index_add_(0, users, joint.take(where).to(sums).logsumexp(0))
        if bounded:
            total += joint.exp_().sum(1)
        else:
            top = joint.amax(1, keepdim=True)
            rest = joint.sub_(top).exp_().sum(1).to(sums).log()
            total = torch.logaddexp(total, rest + top.squeeze(1))
    total = (
        (total.log() if bounded else total)
        .unflatten(0, (len(histories), -1 if len(histories) else 1))
        .logsumexp(1)
    )
    return observed - total * histories.lengths, total


def _backward(
    people: Tensor, items: Tensor, histories: Histories, block: int | None, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of people and items; people's shift makes each exponential a probability."""
    lengths = histories.lengths.to(grad.dtype)
    factor = (grad * -lengths).repeat_interleave(len(people) // len(histories))[:, None]
    scaled = (people * factor).to(people.dtype)
    grad_people = torch.zeros_like(people, dtype=grad.dtype)
    grad_items = torch.empty_like(items, dtype=grad.dtype)
    for rows, users, where, joint in _blocks_of_items(people, items, histories, block):
        # The block holds p - x r / n.
        taken = joint.take(where).to(grad.dtype).softmax(0) / -lengths[users]
        joint.exp_().put_(where, taken.to(joint.dtype), accumulate=True)
        grad_people += joint @ items[rows]
        grad_items[rows] = (joint.T @ scaled).to(grad.dtype)
    return grad_people.mul_(factor), grad_items


def wide_people(z: Tensor, shift: Tensor, dtype: torch.dtype) -> Tensor:
    """People's points, which concept they are for, and what is added to all their logits.

    The shift is split into two dimensions: half precision alone would round it by whole percents.
    """
    batch, n_concepts, n_dims = z.shape
    wide = z.new_zeros(batch, n_concepts, _width(n_dims, n_concepts), dtype=dtype)
    wide[..., :n_dims] = z
    wide[..., n_dims : n_dims + n_concepts] = torch.eye(n_concepts, device=z.device)
    coarse = shift.to(dtype)
    wide[..., n_dims + n_concepts] = coarse[:, None]
    wide[..., n_dims + n_concepts + 1] = (shift - coarse)[:, None]
    return wide.flatten(0, 1)


def wide_items(vectors: Tensor, log_weights: Tensor, dtype: torch.dtype) -> Tensor:
    """Items' vectors, their log-assignments, and two ones for the shift."""
    n_dims, n_concepts = vectors.shape[1], log_weights.shape[1]
    wide = vectors.new_zeros(len(vectors), _width(n_dims, n_concepts), dtype=dtype)
    wide[:, :n_dims] = vectors
    wide[:, n_dims : n_dims + n_concepts] = log_weights.clamp_min(_NEVER)
    wide[:, n_dims + n_concepts : n_dims + n_concepts + 2] = 1.0
    return wide


def _width(n_dims: int, n_concepts: int) -> int:
    """Room for vectors, log-assignments and the shift, rounded up to what processors like."""
    return -(-(n_dims + n_concepts + 2) // _LANES) * _LANES


def block_bytes(n_concepts: int, n_items: int) -> int:
    """Bytes of a block's logits in single precision."""
    fewest = _FEWEST * n_concepts * n_items * 4
    return max(_BLOCK_BYTES, fewest if fewest <= _MOST_BYTES else 0)


def people_at_once(people: Tensor, items: Tensor, batch: int) -> int:
    """How many people's logits stay near the caches; 0 if too few to make good products."""
    each = len(people) // max(batch, 1) * len(items) * people.element_size()
    fitting = min(max(_BLOCK_BYTES // max(each, 1), _FEWEST), batch)
    return fitting if fitting * each <= _MOST_BYTES else 0


def _blocks_of_items(
    people: Tensor, items: Tensor, histories: Histories, block: int | None
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Ranges of items; the people of the positives among them, where those lie, all logits.

    The logits, (batch · concept, item), stand in the same memory for every block.
    """
    n_rows, n_concepts = len(people), len(people) // max(len(histories), 1)
    block = block or max(_BLOCK_BYTES // (max(n_rows, 1) * people.element_size()), 128)
    order, buffer = histories.by_item, people.new_empty(n_rows * min(block, len(items)))
    users, sorted_items = histories.users[order], histories.items[order]
    first = users * n_concepts  # the row of a person's first concept
    concepts = torch.arange(n_concepts, device=people.device)[:, None]
    edges = [*range(0, len(items), block), len(items)]
    ends = torch.searchsorted(sorted_items, torch.tensor(edges, device=people.device)).tolist()
    for (start, end), mine in zip(pairwise(edges), starmap(slice, pairwise(ends)), strict=True):
        joint = buffer[: n_rows * (end - start)].view(n_rows, end - start)
        torch.mm(people, items[start:end].T, out=joint)
        where = (first[mine] + concepts) * (end - start) + (sorted_items[mine] - start)
        yield slice(start, end), users[mine], where, joint


def sum_dtype(products: Tensor) -> torch.dtype:
    """What sums are kept in: at least single precision."""
    return torch.promote_types(products.dtype, torch.float32)


def product_dtype(people: Tensor) -> torch.dtype:
    """What the matrix products run in: the autocast type where one is on. Sums never do."""
    kind = people.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else people.dtype
