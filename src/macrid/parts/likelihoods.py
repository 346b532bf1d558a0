r"""What may be assumed of a history, for decoders with one output per item (Liang et al., 2018).

An output is a product :math:`f_{ui} = h_u \cdot w_i`. Nothing of shape (batch, item) is kept: what
all items add is had in blocks or in closed form, what a history's own items add from the events.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from macrid.data.histories import Histories
from macrid.parts.events import event_products
from macrid.parts.kernels import mixture_log_likelihood

_BLOCK = 1 << 20  # outputs made at a time


class Likelihood(ABC):
    """Of histories, given people's points and items' vectors.

    Shape:
        - people: ``(batch, 1, dim)``
        - vectors: ``(item, dim)``
        - output: ``(batch,)``, in nats, without terms that nothing depends on
    """

    @abstractmethod
    def __call__(self, people: Tensor, vectors: Tensor, histories: Histories) -> Tensor:
        """Of each person."""


class Multinomial(Likelihood):
    r""":math:`\sum_i x_{ui} \log \mathrm{softmax}(f_u)_i`."""

    def __call__(
        self,
        people: Float[Tensor, "batch one dim"],
        vectors: Float[Tensor, "item dim"],
        histories: Histories,
    ) -> Float[Tensor, " batch"]:
        """Of each person."""
        return mixture_log_likelihood(
            people, vectors, vectors.new_zeros(len(vectors), 1), histories
        )


@dataclass(frozen=True)
class Logistic(Likelihood):
    r""":math:`\sum_i x_{ui} \log \sigma(f_{ui}) + (1 - x_{ui}) \log (1 - \sigma(f_{ui}))`.

    Args:
        floor: Probabilities are kept this far from 0 and 1 (Kim and Suh's code has 1e-5); an output
            beyond has no gradient.
    """

    floor: float = 0.0

    def __call__(
        self,
        people: Float[Tensor, "batch one dim"],
        vectors: Float[Tensor, "item dim"],
        histories: Histories,
    ) -> Float[Tensor, " batch"]:
        """Of each person; log σ(f) - log(1 - σ(f)) is f."""
        bound = math.log(1 / self.floor - 1) if self.floor else math.inf
        everything = _Softplus.apply(people.squeeze(1), vectors, bound)
        outputs = event_products(people, vectors, histories).clamp(-bound, bound)
        return _of_events(outputs, histories) - everything


@dataclass(frozen=True)
class GaussianLikelihood(Likelihood):
    r""":math:`-\frac12 \sum_i c_{ui} (x_{ui} - f_{ui})^2`, with more confidence in what was seen.

    Args:
        seen: c of the items of a history.
        unseen: c of all others.
    """

    seen: float
    unseen: float

    def __call__(
        self,
        people: Float[Tensor, "batch one dim"],
        vectors: Float[Tensor, "item dim"],
        histories: Histories,
    ) -> Float[Tensor, " batch"]:
        r"""Of each person; :math:`\sum_i (h \cdot w_i)^2 = h^\top (\sum_i w_i w_i^\top) h`."""
        flat = people.squeeze(1)
        with torch.autocast(flat.device.type, enabled=False):  # sums over the catalogue
            everything = ((flat @ (vectors.T @ vectors)) * flat).sum(1)
        outputs = event_products(people, vectors, histories)
        more = self.seen * (1 - outputs).square() - self.unseen * outputs.square()
        return -0.5 * (self.unseen * everything + _of_events(more, histories))


def _of_events(values: Float[Tensor, "1 nnz"], histories: Histories) -> Float[Tensor, " batch"]:
    """Summed for each person."""
    return values.new_zeros(len(histories)).index_add(0, histories.users, values.squeeze(0))


class _Softplus(torch.autograd.Function):
    """The sum over all items of log(1 + exp f), f within a bound; blocks are made twice."""

    @staticmethod
    def forward(ctx: Any, people: Tensor, vectors: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(people, vectors)
        ctx.bound = bound
        ctx.at_once = max(1, _BLOCK // max(1, len(people)))
        total = people.new_zeros(len(people))
        with torch.autocast(people.device.type, enabled=False):  # sums of thousands of outputs
            for items in vectors.split(ctx.at_once):
                total += F.softplus((people @ items.T).clamp_(-bound, bound)).sum(1)
        return total

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor, Tensor, None]:
        (grad,), (people, vectors) = grads, ctx.saved_tensors
        grad_people, grad_items = torch.zeros_like(people), []
        for items in vectors.split(ctx.at_once):
            outputs = people @ items.T
            slopes = torch.sigmoid(outputs).mul_(outputs.abs() <= ctx.bound).mul_(grad[:, None])
            grad_people += slopes @ items
            grad_items.append(slopes.T @ people)
        return grad_people, torch.cat(grad_items), None
