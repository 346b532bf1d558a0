"""Priors other than one fixed Gaussian: mixtures of what an encoder says."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from macrid.parts.encoders import Gaussian

WEIGHTS, WIDE = (3 / 20, 3 / 4, 1 / 10), 10.0  # of RecVAE's prior; a log-variance


def log_densities(z: Float[Tensor, "*#batch dim"], at: Gaussian) -> Float[Tensor, "... dim"]:
    """Of each dimension, without the constant ½ log 2π, which cancels in a divergence."""
    return -0.5 * (at.log_var + (z - at.mean).square() * (-at.log_var).exp())


def log_density(z: Float[Tensor, "*#batch dim"], at: Gaussian) -> Float[Tensor, "..."]:
    """Of a diagonal Gaussian, with the same constant missing once per dimension."""
    return log_densities(z, at).sum(-1)


class VampPrior(nn.Module):
    r""":math:`p(z) = \frac1P \sum_p q(z \mid u_p)` (Tomczak and Welling, 2018).

    Pseudo-users are rows over the catalogue, learned, and kept within [0, 1] (Kim and Suh, 2019).
    The encoder reads them as they are, not scaled to unit length, once in a step.

    Args:
        n_items: Size of the catalogue.
        n_pseudo: P, number of pseudo-users.

    Shape:
        - z: ``(batch, 1, dim)``
        - output: ``(batch,)``, in nats, without the constant of `log_density`
    """

    rows: nn.Parameter

    def __init__(self, n_items: int, n_pseudo: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.empty(n_pseudo, n_items).normal_(0.05, 0.01))

    def forward(
        self,
        z: Float[Tensor, "batch one dim"],
        posterior: Callable[[Float[Tensor, "row item"]], Gaussian],
    ) -> Float[Tensor, " batch"]:
        r"""Log-density of each person's point.

        The squares of all pairs are products of matrices, so nothing of shape (batch, pseudo-user,
        dim) is made: :math:`(z - m)^2 / v = z^2 / v - 2 z m / v + m^2 / v`.

        Args:
            z: The points.
            posterior: What the encoder says of rows over the catalogue.
        """
        pseudo = posterior(self.rows.clamp(0, 1))
        # Sharp pseudo-users make these differences of large numbers: at the lowest log-variance
        # single precision is off by 20 nats. (Metal has no double.)
        wide = z.dtype if z.device.type == "mps" else torch.float64
        with torch.autocast(z.device.type, enabled=False):
            flat, mean, log_var = (x.to(wide) for x in (z.squeeze(1), pseudo.mean, pseudo.log_var))
            precision = (-log_var).exp()
            alone = (log_var + mean.square() * precision).sum(1)
            theirs = torch.cat([precision, mean * precision], 1)
            both = torch.cat([flat.square(), -2 * flat], 1) @ theirs.T
            log_sum = (-0.5 * (both + alone)).logsumexp(1)
        return log_sum.to(z.dtype) - math.log(len(self.rows))

    def step_floats(self) -> int:
        """Numbers that a step holds beside the rows and their gradient: thinned, bounded, both."""
        return 4 * self.rows.numel()


class CompositePrior(nn.Module):
    r"""RecVAE's, of each dimension: a standard Gaussian, what the encoder once said, a wide one.

    :math:`0.15 N(0, 1) + 0.75 N(\mu_{old}(x), \sigma^2_{old}(x)) + 0.1 N(0, e^{10})` (Shenbin et
    al., 2020; the weights and the wide variance are the authors' code).

    Shape:
        - z: ``(batch, 1, dim)``
        - output: ``(batch, 1, dim)``, in nats, without the constant of `log_densities`
    """

    def forward(self, z: Float[Tensor, "*batch dim"], old: Gaussian) -> Float[Tensor, "*batch dim"]:
        """Log-density of each dimension of each person's point.

        Args:
            z: The points.
            old: What the encoder said of these people before.
        """
        zero = torch.zeros_like(z)
        parts = [Gaussian(zero, zero), old, Gaussian(zero, torch.full_like(z, WIDE))]
        weighted = [
            log_densities(z, part) + math.log(weight)
            for part, weight in zip(parts, WEIGHTS, strict=True)
        ]
        return torch.stack(weighted).logsumexp(0)
