"""Mult-VAE and Mult-DAE written straight out: what should the library's numbers be?

Liang et al. (2018), the way their notebook does it. Everything is dense and nothing is random:
noise is an argument, and leaving it out is test mode. Figures are in nats and means over users.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Likelihood = Literal["multinomial", "logistic", "gaussian"]
Layer = tuple[Tensor, Tensor]  # (input, output), (output,)


@dataclass(frozen=True)
class Loss:
    """The loss, its terms, and the outputs that the likelihood is of."""

    loss: Tensor
    recon: Tensor
    kl: Tensor
    outputs: Tensor  # (batch, item)


def loss(
    encoder: list[Layer],
    decoder: list[Layer],
    x: Tensor,  # (batch, item)
    *,
    variational: bool,  # the encoder's last layer gives mean and log-variance side by side
    dropout: float,
    beta: float,
    l2: float,
    likelihood: Likelihood = "multinomial",
    confidence: tuple[float, float] = (1.0, 1.0),  # of what was seen and what was not
    keep: Tensor | None = None,  # (batch, item) of 0 and 1
    epsilon: Tensor | None = None,  # (batch, dim), standard normal
) -> Loss:
    """One batch's loss; tanh after every layer but the last of a variational encoder, and M."""
    h = x / x.square().sum(1, keepdim=True).sqrt().clamp_min(1e-12)
    if keep is not None:
        h = h * keep / (1 - dropout)
    for number, (weight, bias) in enumerate(encoder, 1):
        h = h @ weight + bias
        if number < len(encoder) or not variational:
            h = torch.tanh(h)
    z, kl = h, h.new_zeros(())
    if variational:
        mean, log_var = h.chunk(2, dim=1)
        z = mean if epsilon is None else mean + epsilon * (log_var / 2).exp()
        kl = 0.5 * (-log_var + log_var.exp() + mean**2 - 1).sum(1).mean()
    for number, (weight, bias) in enumerate(decoder, 1):
        z = z @ weight + bias
        if number < len(decoder):
            z = torch.tanh(z)
    recon = -log_likelihood(z, x, likelihood, *confidence).mean()
    penalty = l2 * sum(weight.square().sum() for weight, _ in [*encoder, *decoder])
    return Loss(recon + beta * kl + penalty, recon, kl, z)


def log_likelihood(f: Tensor, x: Tensor, kind: Likelihood, seen: float, unseen: float) -> Tensor:
    """Of each history, without terms that nothing depends on."""
    if kind == "multinomial":
        return (x * f.log_softmax(1)).sum(1)
    if kind == "logistic":
        return (x * torch.sigmoid(f).log() + (1 - x) * (1 - torch.sigmoid(f)).log()).sum(1)
    return -(torch.where(x > 0, seen, unseen) / 2 * (x - f) ** 2).sum(1)
