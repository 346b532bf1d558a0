"""Layers of an ordinary network: what follows them, and what they start with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Style:
    r"""Hidden layers of one kind; by default Liang et al.'s and Ma et al.'s.

    Args:
        gated: :math:`(Wx + b) \odot \sigma(Vx + c)` in place of :math:`\tanh(Wx + b)`. Both halves
            are outputs of one layer, twice as wide.
        he: He et al.'s normal weights and torch's biases, in place of Glorot's uniform weights and
            biases from a truncated normal.
    """

    gated: bool = False
    he: bool = False

    def layer(self, n_inputs: int, width: int) -> nn.Linear:
        """What comes before the activation of ``width`` numbers."""
        return self.linear(n_inputs, width * (1 + self.gated))

    def layers(self, widths: Sequence[int]) -> nn.ModuleList:
        """From the first width to the last."""
        return nn.ModuleList(self.layer(*pair) for pair in pairwise(widths))

    def linear(self, n_inputs: int, n_outputs: int) -> nn.Linear:
        """A layer without activation."""
        layer = nn.Linear(n_inputs, n_outputs)
        self.start_(layer.weight, layer.bias, n_inputs)
        return layer

    def start_(self, weight: Tensor, bias: Tensor, n_inputs: int) -> None:
        """First weights; Glorot's rule reads its fans off the shape, in whatever order."""
        if self.he:
            nn.init.normal_(weight, std=math.sqrt(2 / n_inputs))
            nn.init.uniform_(bias, -(n_inputs**-0.5), n_inputs**-0.5)
        else:
            nn.init.xavier_uniform_(weight)
            # TensorFlow's truncated normal, cut at two deviations.
            nn.init.trunc_normal_(bias, std=1e-3, a=-2e-3, b=2e-3)

    def __call__(self, sums: Float[Tensor, "*batch wide"]) -> Float[Tensor, "*batch width"]:
        """The activation."""
        return F.glu(sums, -1) if self.gated else torch.tanh(sums)

    def through(self, layers: nn.ModuleList, x: Float[Tensor, "*batch dim"]) -> Tensor:
        """All layers, each with its activation."""
        for layer in layers:
            x = self(layer(x))
        return x
