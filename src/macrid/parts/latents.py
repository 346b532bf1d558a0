"""From a posterior to a sample and its price in nats."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from macrid.data.histories import Histories
from macrid.parts.encoders import ConceptEncoder, DenseEncoder, linear
from macrid.parts.items import unit


@dataclass(frozen=True)
class Latent:
    """What is known of each person: a point per concept, and the divergence from the prior."""

    z: Float[Tensor, "batch concept dim"]
    kl: Float[Tensor, " batch"]


class SphericalLatent(nn.Module):
    r"""Preferences as directions: unit-length means under a narrow prior.

    The posterior of concept ``k`` is :math:`N(\mu_k, \sigma_0^2 \mathrm{diag}(s_k))` with
    :math:`\lVert \mu_k \rVert = 1`, judged against :math:`N(0, \sigma_0^2 I)` (Ma et al., 2019,
    §2.3). A sample is brought back to unit length (authors' code), as the decoder looks at cosines
    only.

    Args:
        encoder: Gives the mean before scaling, and :math:`\log s_k`.
        prior_std: :math:`\sigma_0`, the noise that training adds to each unit-length mean.

    Shape:
        - z: ``(batch, concept, dim)``
        - kl: ``(batch,)``, summed over concepts, in nats, without the constant below

    Raises:
        ValueError: If ``prior_std`` is not positive.
    """

    encoder: ConceptEncoder

    def __init__(self, encoder: ConceptEncoder, *, prior_std: float) -> None:
        if prior_std <= 0:
            raise ValueError(f"prior_std is {prior_std}; it is a standard deviation above 0")
        super().__init__()
        self.encoder = encoder
        self.prior_std = prior_std

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item concept"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Latent:
        """Sample while training, return the mean otherwise; arguments are the encoder's."""
        posterior = self.encoder(histories, log_weights, rows)
        log_var = posterior.log_var
        z = unit(posterior.mean)
        if self.training:
            z = unit(z + self.prior_std * (0.5 * log_var).exp() * torch.randn_like(z))
        # A unit-length mean adds the same 1 / (2 * prior_std**2) to everybody's divergence: no
        # gradient, and at 0.075 it would be 89 nats per concept, drowning the part worth watching.
        kl = 0.5 * (log_var.exp() - log_var - 1).sum((-1, -2))
        return Latent(z, kl)


class PointLatent(nn.Module):
    """What an encoder says, taken at its word: no noise, no prior (an autoencoder's code).

    Shape:
        - z: ``(batch, concept, dim)``
        - kl: ``(batch,)``, all zero
    """

    encoder: DenseEncoder

    def __init__(self, encoder: DenseEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item concept"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Latent:
        """The same in training and after; arguments are the encoder's."""
        z = self.encoder(histories, log_weights, rows)
        return Latent(z, z.new_zeros(len(z)))


class GaussianLatent(nn.Module):
    r"""A posterior :math:`N(\mu, \mathrm{diag}(\sigma^2))` judged against :math:`N(0, I)`.

    Args:
        encoder: Its last layer's output goes linearly to the mean and the log-variance.
        n_dims: Dimensions of z.

    Shape:
        - z: ``(batch, concept, dim)``
        - kl: ``(batch,)``, summed over concepts, in nats
    """

    encoder: DenseEncoder
    head: nn.Linear

    def __init__(self, encoder: DenseEncoder, n_inputs: int, n_dims: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, linear(n_inputs, 2 * n_dims)

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item concept"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Latent:
        """Sample while training, return the mean otherwise; arguments are the encoder's."""
        hidden = self.encoder(histories, log_weights, rows)
        mean, log_var = self.head(hidden).to(self.encoder.bias.dtype).chunk(2, dim=-1)
        z = mean
        if self.training:
            z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        kl = 0.5 * (log_var.exp() + mean.square() - log_var - 1).sum((-1, -2))
        return Latent(z, kl)
