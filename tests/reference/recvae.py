"""RecVAE written straight out: what should the library's numbers be?

Shenbin et al. (2020), the way their code does it. Everything is dense and nothing is random: noise
is an argument. Densities are those of torch.distributions; figures are in nats.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn.functional import layer_norm

Layer = tuple[Tensor, Tensor]  # (input, output), (output,)


@dataclass(frozen=True)
class Encoder:
    """A layer, its norm's scale and shift, and so on; then the heads of mean and log-variance."""

    layers: list[Layer]
    norms: list[Layer]
    head: Layer

    def __call__(self, unit: Tensor) -> Normal:
        """What it says of thinned rows of unit length."""
        before: list[Tensor] = []
        for number, ((weight, bias), norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            h = unit if number == 0 else before[-1]
            h = h @ weight + bias + sum(before)
            before.append(layer_norm(h * torch.sigmoid(h), h.shape[1:], *norm, eps=0.1))
        mean, log_var = (before[-1] @ self.head[0] + self.head[1]).chunk(2, 1)
        return Normal(mean, (log_var / 2).exp())


def loss(
    encoder: Encoder,
    old: Encoder,
    output: Layer,
    x: Tensor,  # (batch, item)
    *,
    gamma: float,
    keep: Tensor,  # (batch, item) of 0 and 1, over its share of 1
    epsilon: Tensor,  # (batch, dim), standard normal
) -> Tensor:
    """A mean over users."""
    unit = x / x.norm(dim=1, keepdim=True)
    q = encoder(unit * keep)
    z = q.mean + epsilon * q.stddev
    parts = [(0.15, Normal(0.0, 1.0)), (0.75, old(unit)), (0.1, Normal(0.0, torch.e**5))]
    prior = sum(weight * part.log_prob(z).exp() for weight, part in parts).log()
    kl = (q.log_prob(z) - prior).sum(1)
    recon = -(x * (z @ output[0] + output[1]).log_softmax(1)).sum(1)
    return (recon + gamma * x.sum(1) * kl).mean()
