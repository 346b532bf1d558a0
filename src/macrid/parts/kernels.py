r"""The likelihood of a mixture over concepts, in blocks of items.

A person has a vector per concept, an item one vector; with :math:`a_{uki}` their product, the
item's logit is :math:`\log \sum_k \exp a_{uki}`, and the sum over the catalogue is one log-sum-exp
over concepts and items together. It is gathered block by block, and the backward pass computes each
block again. Nothing of shape (batch, concept, item) is ever kept: a step holds one such array for
``block`` items.

Log-assignments are dimensions like any other: a person's vector for concept ``k`` has a 1 in
dimension ``k`` of theirs, so that one matrix product gives :math:`z_{uk} \cdot h_i + \log c_{ik}`,
and its backward pass the gradient of both.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from macrid.data.histories import Histories

# Small enough that a block of 500 people and 7 concepts stays near the processor's caches.
BLOCK = 256
# exp(-80) is still a normal float32: with logits in ±40 no maximum has to be looked for.
_SAFE = 40.0
_NEVER = -1e30  # stands for log 0 where an infinity times 0 would be NaN


class _Joint(NamedTuple):
    """People and items such that their products are the logits of concept and item together."""

    people: Float[Tensor, "batch concept wide"]
    items: Float[Tensor, "item wide"]
    bound: float | None  # what was subtracted to make exp safe; None: look for maxima


def mixture_logits(
    z: Float[Tensor, "batch concept dim"],
    vectors: Float[Tensor, "item dim"],
    log_weights: Float[Tensor, "item concept"],
    block: int = BLOCK,
) -> Float[Tensor, "batch item"]:
    """Each item's logit for each person, summed over the concepts block by block.

    Example:
        >>> z, vectors = torch.zeros(1, 2, 3), torch.ones(4, 3)
        >>> mixture_logits(z, vectors, torch.full((4, 2), 0.5).log()).tolist()
        [[0.0, 0.0, 0.0, 0.0]]
    """
    joint = _join(z, vectors, log_weights)
    logits = z.new_empty(len(z), len(vectors))
    for start in range(0, len(vectors), block):
        rows = slice(start, start + block)
        _, total, top = _exponentials(joint.people, joint.items[rows], joint.bound is not None)
        logits[:, rows] = total.log_().add_(top)
    return logits if joint.bound is None else logits.add_(joint.bound)


def mixture_log_likelihood(
    z: Float[Tensor, "batch concept dim"],
    vectors: Float[Tensor, "item dim"],
    log_weights: Float[Tensor, "item concept"],
    histories: Histories,
    block: int = BLOCK,
) -> Float[Tensor, " batch"]:
    r"""Multinomial log-likelihood of each history, in nats: :math:`\sum_i x_{ui} \log p_{ui}`.

    :math:`p_{ui} \propto \sum_k c_{ik} \exp(z_{uk} \cdot h_i)` (Ma et al., 2019, Eq. 2), normalised
    over the catalogue. Differentiable, once, in the first three arguments.

    Args:
        z: People's points, already divided by the temperature.
        vectors: Item vectors.
        log_weights: Log-assignments of items to concepts.
        histories: Whose likelihood is asked for.
        block: Items that are looked at together.

    Example:
        >>> z, vectors = torch.zeros(1, 1, 3), torch.ones(4, 3)
        >>> history = Histories.from_lists([[0, 2]])
        >>> round(mixture_log_likelihood(z, vectors, torch.zeros(4, 1), history).exp().item(), 6)
        0.0625
    """
    joint = _join(z, vectors, log_weights)
    order = histories.items.argsort(stable=True)
    positives = (histories.items[order], histories.users[order])
    return _MixtureLogLikelihood.apply(
        joint.people, joint.items, *positives, joint.bound is not None, block
    )


class _MixtureLogLikelihood(torch.autograd.Function):
    """Positives are sorted by item, so that those of a block are one slice."""

    @staticmethod
    def forward(
        ctx: Any,
        people: Tensor,
        items: Tensor,
        positive_items: Int[Tensor, " nnz"],
        positive_users: Int[Tensor, " nnz"],
        bounded: bool,
        block: int,
    ) -> Tensor:
        n_events = positive_users.bincount(minlength=len(people))
        log_total = people.new_full((len(people),), -torch.inf)
        observed = people.new_zeros(len(people))
        dtype = _product_dtype(people)
        buffer = _buffer(people, block, dtype)
        for rows, mine in _blocks(positive_items, len(items), block):
            _, total, top = _exponentials(people, items[rows], bounded, dtype, buffer)
            logits = total.log_().add_(top)
            log_total = torch.logaddexp(log_total, logits.logsumexp(1))
            users = positive_users[mine]
            observed.index_add_(0, users, logits[users, positive_items[mine] - rows.start])
        ctx.bounded, ctx.block, ctx.dtype = bounded, block, dtype
        ctx.save_for_backward(people, items, positive_items, positive_users, log_total, n_events)
        return observed - log_total * n_events

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        people, items, positive_items, positive_users, log_total, n_events = ctx.saved_tensors
        flat = people.flatten(0, 1).to(ctx.dtype)
        grad_people, grad_items = torch.zeros_like(people), torch.empty_like(items)
        buffer = _buffer(people, ctx.block, ctx.dtype)
        for rows, mine in _blocks(positive_items, len(items), ctx.block):
            joint, total, top = _exponentials(people, items[rows], ctx.bounded, ctx.dtype, buffer)
            # d likelihood / d a_uki = share_uki (x_ui - n_u p_ui), share = exp(a_uki - logit_ui):
            # the total cancels in the second term and divides in the first.
            slope = (top - log_total[:, None]).exp() * -(grad * n_events)[:, None]
            slope = slope.expand_as(total).contiguous()
            users, columns = positive_users[mine], positive_items[mine] - rows.start
            slope.index_put_((users, columns), grad[users] / total[users, columns], accumulate=True)
            joint = joint.mul_(slope[:, None]).flatten(0, 1).to(ctx.dtype)
            grad_people.flatten(0, 1).add_(joint @ items[rows].to(ctx.dtype))
            grad_items[rows] = (joint.T @ flat).to(items.dtype)
        return grad_people, grad_items, None, None, None, None


def _join(z: Tensor, vectors: Tensor, log_weights: Tensor) -> _Joint:
    """Append the log-assignments, and what keeps the exponentials in range."""
    batch, n_concepts, _ = z.shape
    with torch.no_grad():  # |z·h| ≤ |z||h|, and log-weights are at most 0
        bound = float(z.norm(dim=-1).max() * vectors.norm(dim=-1).max()) if batch else 0.0
    which = torch.eye(n_concepts, dtype=z.dtype, device=z.device).expand(batch, -1, -1)
    safe = bound <= _SAFE
    shift = z.new_full((batch, n_concepts, 1), -bound if safe else 0.0)
    people = torch.cat([z, which, shift], dim=-1)
    ones = vectors.new_ones(len(vectors), 1)
    items = torch.cat([vectors, log_weights.clamp_min(_NEVER), ones], dim=-1)
    return _Joint(people, items, bound if safe else None)


def _exponentials(
    people: Tensor,
    items: Tensor,
    bounded: bool,
    dtype: torch.dtype | None = None,
    buffer: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """``exp(a - top)`` of a block, its sum over concepts, and ``top`` (0 for bounded logits)."""
    batch, n_concepts, _ = people.shape
    dtype = dtype or people.dtype
    out = None if buffer is None else buffer[: batch * n_concepts * len(items)]
    out = None if out is None else out.view(-1, len(items))
    with torch.autocast(people.device.type, enabled=False):
        products = torch.mm(people.flatten(0, 1).to(dtype), items.T.to(dtype), out=out)
    joint = products.to(people.dtype).view(batch, n_concepts, len(items))
    if bounded:
        top = people.new_zeros(1, 1)
    else:
        highest = joint.amax(1, keepdim=True)
        joint, top = joint.sub_(highest), highest.squeeze(1)
    return joint.exp_(), joint.sum(1), top


def _buffer(people: Tensor, block: int, dtype: torch.dtype) -> Tensor:
    """Memory for the products of one block, used for every block in turn."""
    return people.new_empty(people.shape[0] * people.shape[1] * block, dtype=dtype)


def _product_dtype(people: Tensor) -> torch.dtype:
    """What the matrix products run in: the autocast type where one is on. Sums never do."""
    kind = people.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else people.dtype


def _blocks(items: Tensor, n_items: int, block: int) -> list[tuple[slice, slice]]:
    """Ranges of items, each with the range of the positives (sorted by item) that fall into it."""
    edges = [*range(0, n_items, block), n_items]
    ends = torch.searchsorted(items, torch.tensor(edges, device=items.device)).tolist()
    return [(slice(*edges[i : i + 2]), slice(*ends[i : i + 2])) for i in range(len(edges) - 1)]
