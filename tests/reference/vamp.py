"""Vamp and H+Vamp written straight out: what should the library's numbers be?

Kim and Suh (2019), the way their code does it. Everything is dense and nothing is random: noise is
an argument. Densities are those of torch.distributions; figures are in nats and means over users.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn.functional import binary_cross_entropy

Layer = tuple[Tensor, Tensor]  # (input, output), (output,); gated: value and gate side by side


@dataclass(frozen=True)
class Weights:
    """All layers; the last six lists are empty in a model of one point."""

    encoder: list[Layer]
    head: Layer
    decoder: list[Layer]  # common to both points, if there are two
    output: Layer
    pseudo: Tensor  # (pseudo-user, item)
    second_people: list[Layer]  # x towards z1
    second_given: list[Layer]  # z2 towards z1
    second_common: list[Layer]
    second_head: list[Layer]
    prior: list[Layer]  # z2 towards the prior of z1
    prior_head: list[Layer]
    decoder_own: tuple[list[Layer], list[Layer]] = ((), ())  # of z1 and of z2


@dataclass(frozen=True)
class Noise:
    """Masks of 0 and 1, and standard normal numbers."""

    keep: Tensor  # (batch, item)
    keep_pseudo: Tensor  # (pseudo-user, item)
    epsilon: Tensor  # (batch, dim)
    second_keep: Tensor | None = None
    second_epsilon: Tensor | None = None


@dataclass(frozen=True)
class Loss:
    """The loss, its terms, and the outputs that the likelihood is of."""

    loss: Tensor
    recon: Tensor
    kl: Tensor


def loss(w: Weights, x: Tensor, noise: Noise, *, gated: bool, beta: float, logistic: bool) -> Loss:
    """One batch's loss, dropout of a half."""
    unit = x / x.norm(dim=1, keepdim=True)
    q2 = gaussian(through(unit * noise.keep * 2, w.encoder, gated), w.head)
    z2 = q2.mean + noise.epsilon * q2.stddev
    rows = w.pseudo.clamp(0, 1) * noise.keep_pseudo * 2
    pseudo = gaussian(through(rows, w.encoder, gated), w.head)
    of_pseudo = pseudo.log_prob(z2[:, None]).sum(2)  # (batch, pseudo-user)
    kl = q2.log_prob(z2).sum(1) - of_pseudo.exp().mean(1).log()
    h = z2
    if w.second_head:
        thinned = unit * noise.second_keep * 2
        people = through(thinned, w.second_people, gated)
        given = through(z2, w.second_given, gated)
        joint = through(torch.cat([people, given], 1), w.second_common, gated)
        q1 = gaussian(joint, w.second_head[0])
        z1 = q1.mean + noise.second_epsilon * q1.stddev
        p1 = gaussian(through(z2, w.prior, gated), w.prior_head[0])
        kl = kl + (q1.log_prob(z1) - p1.log_prob(z1)).sum(1)
        own = [through(z, layers, gated) for z, layers in zip((z1, z2), w.decoder_own, strict=True)]
        h = torch.cat(own, 1)
    f = through(h, w.decoder, gated) @ w.output[0] + w.output[1]
    if logistic:
        probability = torch.sigmoid(f).clamp(1e-5, 1 - 1e-5)
        recon = binary_cross_entropy(probability, x, reduction="none").sum(1)
    else:
        recon = -(x * f.log_softmax(1)).sum(1)
    recon, kl = recon.mean(), kl.mean()
    return Loss(recon + beta * kl, recon, kl)


def through(h: Tensor, layers: list[Layer], gated: bool) -> Tensor:
    """Layers with tanh; or gates, and then no tanh."""
    for weight, bias in layers:
        h = h @ weight + bias
        if gated:
            value, gate = h.chunk(2, 1)
            h = value * torch.sigmoid(gate)
        else:
            h = torch.tanh(h)
    return h


def gaussian(h: Tensor, head: Layer) -> Normal:
    """Mean, and log-variance within [-12, 4]."""
    mean, log_var = (h @ head[0] + head[1]).chunk(2, 1)
    return Normal(mean, torch.nn.functional.hardtanh(log_var, -12, 4).exp().sqrt())
