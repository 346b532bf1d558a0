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
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from macrid.data.histories import Histories
from macrid.parts.events import bags_of_items
from macrid.parts.onehot import parts_of

# A block's logits stay near the processor's caches; measured best at 4 to 8 MiB.
_BLOCK_BYTES = 7 * 2**20
# People in a block, or all there are, unless it took more than that.
_FEWEST, _MOST_BYTES = 64, 128 * 2**20
_LANES = 16  # matrix products are up to a half faster at such widths
# Parts and samples have other sizes in each step, and half precision compiles products for each:
# round them up.
SIZES = 64
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


class _Products(NamedTuple):
    """What is multiplied in a part of the catalogue, and the events that fall into it."""

    people: Tensor  # a row per person and concept
    items: Tensor
    histories: Histories


class _MixtureLogLikelihood(torch.autograd.Function):
    """Two ways to one gradient, which is why there are two passes over the same products.

    Where the logits of some dozens of people over the whole catalogue stay near the caches, their
    gradients are taken along with their likelihood, before they are forgotten: three products.
    They assume that everybody's likelihood counts alike in the loss, as in a mean. In a larger
    catalogue, or if they do not count alike, logits are computed again in the backward pass, in
    blocks of items: four products, and no more memory than a block's.

    The catalogue is one part, or a part per concept where each item belongs to one: 1/K of it all.
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
        ctx.dtype, ctx.lengths, ctx.block = product_dtype(z), histories.lengths, block
        ctx.parts, ctx.shape = parts_of(log_weights, histories), log_weights.shape
        # |z·h| ≤ |z||h|, and log-weights are at most 0.
        bound = float(z.norm(dim=-1).max() * vectors.norm(dim=-1).max()) if len(z) else 0.0
        bounded = bound <= SAFE
        shift = z.new_full((len(z),), -bound if bounded else 0.0)
        room = SIZES if len(ctx.parts) > 1 else 1
        items = [
            wide_items(vectors[rows], log_weights[rows, concepts], ctx.dtype, room)
            for rows, concepts, _ in ctx.parts
        ]
        products = _products(ctx, z, shift, items)
        n_logits = sum(len(part.people) * len(part.items) for part in products)
        at_once = people_at_once(len(z), n_logits, ctx.dtype)
        enough = at_once >= min(_FEWEST, len(z)) > 0  # of fewer people, products are slow
        if block is None and enough and bounded and any(ctx.needs_input_grad):
            theirs = [vectors[part.rows] for part in ctx.parts]
            observed, log_total, ctx.grads = _in_one_pass(products, theirs, ctx.lengths, at_once)
        else:
            sums = [_forward(part, block, bounded=bounded) for part in products]
            observed, log_total = map(torch.stack, zip(*sums, strict=True))
            observed, log_total, ctx.grads = observed.sum(0), log_total.logsumexp(0), None
        ctx.save_for_backward(z, log_total - shift, *items)
        return observed - log_total * ctx.lengths

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        (grad,), (z, log_total, *items), scale = grads, ctx.saved_tensors, 1.0
        if ctx.grads and bool((grad == grad[:1]).all()):
            gradients, scale = ctx.grads, grad[0]
        else:
            products = _products(ctx, z, -log_total, items)
            gradients = [_backward(part, ctx.lengths, ctx.block, grad) for part in products]
        n_dims = z.shape[-1]
        grad_z, grad_weights = torch.zeros_like(z), z.new_zeros(ctx.shape)
        grad_vectors = z.new_empty(len(grad_weights), n_dims)
        for (rows, concepts, _), (by_people, by_items) in zip(ctx.parts, gradients, strict=True):
            mine, (n_items, n_concepts) = grad_z[:, concepts], grad_weights[rows, concepts].shape
            mine.copy_(by_people[:, :n_dims].view_as(mine)).mul_(scale)
            by_items = by_items[: n_dims + n_concepts, :n_items] * scale
            grad_vectors[rows] = by_items[:n_dims].T
            grad_weights[rows, concepts] = by_items[n_dims:].T
        return grad_z, grad_vectors, grad_weights, None, None


def _products(ctx: Any, z: Tensor, shift: Tensor, items: list[Tensor]) -> list[_Products]:
    """Of each part, with ``shift`` added to all logits of a person."""
    return [
        _Products(wide_people(z[:, part.concepts], shift, ctx.dtype), theirs, part.histories)
        for part, theirs in zip(ctx.parts, items, strict=True)
    ]


def _in_one_pass(
    parts: list[_Products], vectors: list[Tensor], lengths: Tensor, at_once: int
) -> tuple[Tensor, Tensor, list[tuple[Tensor, Tensor]]]:
    """Observed logits, normaliser, and the gradients of the likelihoods' sum, by people."""
    n_concepts, kind = len(parts[0].people) // len(lengths), sum_dtype(parts[0].people)
    concepts = torch.arange(n_concepts, device=lengths.device)[:, None]
    buffers = [mine.new_empty(at_once * n_concepts, len(items)) for mine, items, _ in parts]
    across = [items.T.contiguous() for _, items, _ in parts]  # thrice as fast in half precision
    observed = torch.zeros_like(lengths, dtype=kind)
    total = torch.zeros_like(observed)
    grads = [
        (torch.empty_like(part.people, dtype=kind), torch.zeros_like(items, dtype=kind))
        for part, items in zip(parts, across, strict=True)
    ]
    ranges = [row_ranges(part.histories, n_concepts, at_once) for part in parts]
    shares = [[] for _ in parts]  # of concepts in their items' probabilities, (concept, event)
    for of_parts in zip(*ranges, strict=True):
        who, rows, _ = of_parts[0]
        n, blocks = lengths[who].to(kind), []
        sums = torch.zeros_like(n)
        for part, items, buffer, share, (_, _, events) in zip(
            parts, across, buffers, shares, of_parts, strict=True
        ):
            users, seen = part.histories.users[events], part.histories.items[events]
            mine = part.people[rows]
            joint = torch.mm(mine, items, out=buffer[: len(mine)])
            where = ((users - who.start) * n_concepts + concepts) * len(part.items) + seen
            positives = joint.take(where).to(kind)
            observed.index_add_(0, users, positives.logsumexp(0))
            share.append(positives.softmax(0))
            weighted = joint.exp_() @ part.items
            # The last dimension of items is 1, so that of their weighted sum is the sum of weights.
            sums += weighted[:, -1].view(-1, n_concepts).sum(1, dtype=kind)
            blocks.append((joint, weighted, where, users - who.start))
        total[who] = sums.log()
        # d likelihood / d a_uki = x_ui r_uki - n_u p_uki, where r is the share of a concept in an
        # item's probability. The block holds (p - x r / n) times the sum of its person's
        # exponentials, so that people carry the rest.
        each, factor = -sums / n, (-n / sums).repeat_interleave(n_concepts)[:, None]
        for part, share, (grad_people, grad_items), block in zip(
            parts, shares, grads, blocks, strict=True
        ):
            joint, weighted, where, users = block
            torch.mul(weighted, factor, out=grad_people[rows])
            joint.put_(where, (share[-1] * each[users]).to(joint.dtype), accumulate=True)
            grad_items += (part.people[rows] * factor).T.to(joint.dtype).contiguous() @ joint
    for part, theirs, share, (grad_people, _) in zip(parts, vectors, shares, grads, strict=True):
        seen = bags_of_items(theirs, torch.cat(share, 1), part.histories)
        grad_people[:, : theirs.shape[1]] += seen.flatten(0, 1)
    return observed, total, grads


def row_ranges(
    histories: Histories, n_concepts: int, at_once: int
) -> Iterator[tuple[slice, slice, slice]]:
    """Some people at a time: who they are, their rows (one per concept), their events."""
    edges = [*range(0, len(histories), at_once), len(histories)]
    for (start, end), events in zip(
        pairwise(edges), starmap(slice, pairwise(histories.offsets[edges].tolist())), strict=True
    ):
        yield slice(start, end), slice(start * n_concepts, end * n_concepts), events


def _forward(part: _Products, block: int | None, *, bounded: bool) -> tuple[Tensor, Tensor]:
    """Observed logits and normaliser of each person in one part, in blocks of items."""
    people, n_people = part.people, len(part.histories)
    sums = sum_dtype(people)
    observed = people.new_zeros(n_people, dtype=sums)
    total = people.new_full((len(people),), 0.0 if bounded else -torch.inf, dtype=sums)
    for _, users, where, joint in _blocks_of_items(part, block):
        observed.index_add_(0, users, joint.take(where).to(sums).logsumexp(0))
        if bounded:
            total += joint.exp_().sum(1, dtype=sums)
        else:
            top = joint.amax(1, keepdim=True)
            rest = joint.sub_(top).exp_().sum(1, dtype=sums).log()
            total = torch.logaddexp(total, rest + top.squeeze(1))
    total = total.log() if bounded else total
    return observed, total.unflatten(0, (n_people, -1 if n_people else 1)).logsumexp(1)


def _backward(
    part: _Products, lengths: Tensor, block: int | None, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients by people and, across, by items; the shift makes exponentials probabilities."""
    people, items, _ = part
    lengths = lengths.to(grad.dtype)
    factor = (grad * -lengths).repeat_interleave(len(people) // max(len(lengths), 1))[:, None]
    scaled = (people * factor).T.to(people.dtype).contiguous()
    grad_people = torch.zeros_like(people, dtype=grad.dtype)
    grad_items = grad.new_empty(items.shape[::-1])
    for rows, users, where, joint in _blocks_of_items(part, block):
        # The block holds p - x r / n.
        taken = joint.take(where).to(grad.dtype).softmax(0) / -lengths[users]
        joint.exp_().put_(where, taken.to(joint.dtype), accumulate=True)
        grad_people += joint @ items[rows]
        grad_items[:, rows] = scaled @ joint
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
    wide[..., -2] = coarse[:, None]
    wide[..., -1] = (shift - coarse)[:, None]
    return wide.flatten(0, 1)


def wide_items(vectors: Tensor, log_weights: Tensor, dtype: torch.dtype, room: int = 1) -> Tensor:
    """Items' vectors, their log-assignments, and two ones for the shift.

    Items of weight 0 follow until their number is a multiple of ``room``.
    """
    (n_items, n_dims), n_concepts = vectors.shape, log_weights.shape[1]
    wide = vectors.new_zeros(_up(n_items, room), _width(n_dims, n_concepts), dtype=dtype)
    wide[:n_items, :n_dims] = vectors
    wide[:n_items, n_dims : n_dims + n_concepts] = log_weights.clamp_min(_NEVER)
    wide[n_items:, n_dims : n_dims + n_concepts] = _NEVER
    wide[:, -2:] = 1.0
    return wide


def _width(n_dims: int, n_concepts: int) -> int:
    """Room for vectors, log-assignments and the shift, rounded up to what processors like."""
    return _up(n_dims + n_concepts + 2, _LANES)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def block_bytes(n_concepts: int, n_items: int) -> int:
    """Bytes of a block's logits in single precision."""
    fewest = _FEWEST * n_concepts * n_items * 4
    return max(_BLOCK_BYTES, fewest if fewest <= _MOST_BYTES else 0)


def people_at_once(batch: int, n_logits: int, dtype: torch.dtype) -> int:
    """How many people's logits stay near the caches; if those are few, as many as have room."""
    each = max(n_logits // max(batch, 1) * dtype.itemsize, 1)
    return min(max(_BLOCK_BYTES // each, min(_FEWEST, _MOST_BYTES // each)), batch)


def _blocks_of_items(
    part: _Products, block: int | None
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Ranges of items; the people of the positives among them, where those lie, all logits.

    The logits, (batch · concept, item), stand in the same memory for every block.
    """
    people, items, histories = part
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
