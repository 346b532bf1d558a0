r"""Priors that are learned with the model: a mixture of what the encoder says of pseudo-users."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from macrid.parts.encoders import Gaussian

_AT_ONCE = 1 << 22  # numbers of people, pseudo-users and dimensions looked at together


def log_density(z: Float[Tensor, "*batch dim"], at: Gaussian) -> Float[Tensor, "*batch"]:
    """Of a diagonal Gaussian, without the constant ½ dim log 2π, which cancels in a divergence."""
    return -0.5 * (at.log_var + (z - at.mean).square() / at.log_var.exp()).sum(-1)


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
        """Log-density of each person's point.

        Args:
            z: The points.
            posterior: What the encoder says of rows over the catalogue.
        """
        pseudo = posterior(self.rows.clamp(0, 1))
        at_once = max(1, _AT_ONCE // pseudo.mean.numel())
        parts = [
            log_density(some, pseudo).logsumexp(1)  # (some, pseudo-user, dim) before the sum
            for some in z.split(at_once)
        ]
        return torch.cat(parts) - math.log(len(self.rows))
