"""Layers of an ordinary network: what follows them, and what they start with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

HALVED = "halved_along"
Start = Literal["glorot", "he", "torch"]


@dataclass(frozen=True)
class Style:
    r"""Hidden layers of one kind; by default Liang et al.'s and Ma et al.'s.

    Args:
        gated: :math:`(Wx + b) \odot \sigma(Vx + c)` in place of :math:`\tanh(Wx + b)`. Both halves
            are outputs of one layer, twice as wide.
        start: First weights: Glorot's uniform ones and biases from a truncated normal, He's normal
            ones and torch's biases, or torch's own for both.
    """

    gated: bool = False
    start: Start = "glorot"

    def layer(self, n_inputs: int, width: int) -> nn.Linear:
        """What comes before the activation of ``width`` numbers."""
        layer = self.linear(n_inputs, width * (1 + self.gated))
        if self.gated:
            in_halves(layer.weight, layer.bias)
        return layer

    def linear(self, n_inputs: int, n_outputs: int) -> nn.Linear:
        """A layer without activation."""
        layer = nn.Linear(n_inputs, n_outputs)
        self.start_(layer.weight, layer.bias, n_inputs)
        return layer

    def start_(self, weight: Tensor, bias: Tensor, n_inputs: int) -> None:
        """First weights; Glorot's rule reads its fans off the shape, in whatever order."""
        if self.start == "glorot":
            nn.init.xavier_uniform_(weight)
            # TensorFlow's truncated normal, cut at two deviations.
            nn.init.trunc_normal_(bias, std=1e-3, a=-2e-3, b=2e-3)
            return
        bound = n_inputs**-0.5
        nn.init.uniform_(bias, -bound, bound)
        if self.start == "he":
            nn.init.normal_(weight, std=math.sqrt(2) * bound)
        else:
            nn.init.uniform_(weight, -bound, bound)

    def __call__(self, sums: Float[Tensor, "*batch wide"]) -> Float[Tensor, "*batch width"]:
        """The activation."""
        return F.glu(sums, -1) if self.gated else torch.tanh(sums)


PLAIN = Style()


def in_halves(*tensors: Tensor, dim: int = 0) -> None:
    """Say that what is two tensors in a paper lies side by side in one, as value and gate do.

    It matters to whatever looks at tensors one by one, see `unit_gradients`.
    """
    for tensor in tensors:
        setattr(tensor, HALVED, dim)


class Stack(nn.ModuleList):
    """Layers of one style, each with its activation.

    Args:
        style: Of them all.
        widths: Of the input, and of each layer's output.

    Example:
        >>> tuple(Stack(Style(gated=True), [5, 3])(torch.zeros(2, 5)).shape)
        (2, 3)
    """

    def __init__(self, style: Style, widths: Sequence[int]) -> None:
        super().__init__(style.layer(*pair) for pair in pairwise(widths))
        self.style = style

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch width"]:
        """One after the other."""
        for layer in self:
            x = self.style(layer(x))
        return x


class Fork(nn.Module):
    """Two inputs side by side: a layer for each and common ones after, or one for both.

    Args:
        style: Of all layers.
        inputs: Widths of the two, which lie in one row.
        width: Of each layer.
        n_layers: On the way; with one, both inputs go into it together (Kim and Suh's code).
    """

    def __init__(self, style: Style, inputs: tuple[int, int], width: int, n_layers: int) -> None:
        super().__init__()
        self.inputs = inputs
        n_own = 0 if n_layers == 1 else 1
        self.own = nn.ModuleList(Stack(style, [n, *[width] * n_own]) for n in inputs)
        first = 2 * width if n_own else sum(inputs)
        self.common = Stack(style, [first, *[width] * (n_layers - n_own)])

    def forward(self, x: Float[Tensor, "*batch both"]) -> Float[Tensor, "*batch width"]:
        """From both to one."""
        pairs = zip(self.own, x.split(self.inputs, -1), strict=True)
        return self.common(torch.cat([own(part) for own, part in pairs], -1))
