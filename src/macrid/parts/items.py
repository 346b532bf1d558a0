"""The table of item vectors that concepts and decoder look at together."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# TensorFlow's l2_normalize, which the MacridVAE authors used, floors the squared length at 1e-12.
MIN_LENGTH = 1e-6


def unit(vectors: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
    """Vectors of length 1; those shorter than 1e-6 are only divided by that.

    Differentiable, once.

    Example:
        >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    return _Unit.apply(vectors)


class _Unit(torch.autograd.Function):
    """A third of the passes over memory that the general division and norm would take."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        lengths = vectors.norm(dim=-1, keepdim=True).clamp_min_(MIN_LENGTH)
        directions = vectors / lengths
        ctx.save_for_backward(directions, lengths)
        return directions

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        directions, lengths = ctx.saved_tensors
        along = (grad * directions).sum(-1, keepdim=True)
        along.masked_fill_(lengths <= MIN_LENGTH, 0)  # where only the divisor is left, a constant
        return grad.addcmul(directions, along, value=-1).div_(lengths)


class ItemVectors(nn.Module):
    r"""One vector :math:`h_i` per item, as directions or as they are.

    Initialised by Glorot's uniform rule with fans (items, dims), and that scale is not cosmetic: as
    only the direction of a row is used, Adam turns a row by about the learning rate over its length
    in each step.

    Args:
        n_items: Rows of the table.
        n_dims: Dimensions of each vector.
        cosine: Whether others see unit vectors (the model) or the raw rows (the inner-product
            ablation of Ma et al., 2019, Figure 2e).

    Shape:
        - output: ``(item, dim)``

    Example:
        >>> ItemVectors(5, 3)().norm(dim=-1).round(decimals=4).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    weight: nn.Parameter

    def __init__(self, n_items: int, n_dims: int, *, cosine: bool = True) -> None:
        super().__init__()
        self.cosine = cosine
        self.weight = nn.Parameter(torch.empty(n_items, n_dims))
        nn.init.xavier_uniform_(self.weight)

    def forward(
        self, rows: Int[Tensor, " some"] | None = None
    ) -> Float[Tensor, "item dim"] | Float[Tensor, "some dim"]:
        """All vectors, or those of some rows with a sparse gradient; unit if directions."""
        weight = self.weight if rows is None else F.embedding(rows, self.weight, sparse=True)
        return unit(weight) if self.cosine else weight
