"""From a posterior to a sample and its price in nats."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from macrid.data.histories import Histories
from macrid.parts.encoders import ConceptEncoder, DenseEncoder, Gaussian
from macrid.parts.items import unit
from macrid.parts.priors import VampPrior, log_density

LOG_VAR = -12.0, 4.0  # within which Kim and Suh keep log-variances


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
        self.encoder = encoder
        self.head = encoder.style.linear(n_inputs, 2 * n_dims)

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


class VampLatent(nn.Module):
    r"""A posterior :math:`N(\mu, \mathrm{diag}(\sigma^2))` judged against a VampPrior.

    The divergence is an estimate from one sample, :math:`\log q(z \mid x) - \log p(z)`, and
    log-variances are kept within [-12, 4] (Kim and Suh, 2019, and their code).

    Args:
        encoder: Its last layer's output goes linearly to the mean and the log-variance.
        n_inputs: Width of that.
        n_dims: Dimensions of z.
        prior: Reads its pseudo-users with the same encoder.

    Shape:
        - z: ``(batch, 1, dim)``
        - kl: ``(batch,)``, in nats
    """

    encoder: DenseEncoder
    head: nn.Linear
    prior: VampPrior

    def __init__(
        self, encoder: DenseEncoder, n_inputs: int, n_dims: int, prior: VampPrior
    ) -> None:
        super().__init__()
        self.encoder, self.prior = encoder, prior
        self.head = encoder.style.linear(n_inputs, 2 * n_dims)

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item concept"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Latent:
        """Sample while training, return the mean otherwise; arguments are the encoder's."""
        at = self._gaussian(self.encoder(histories, log_weights, rows))
        if not self.training:
            return Latent(at.mean, at.mean.new_zeros(len(at.mean)))
        z = at.mean + (0.5 * at.log_var).exp() * torch.randn_like(at.mean)
        of_rows = lambda pseudo: self._gaussian(self.encoder.dense(pseudo))  # noqa: E731
        return Latent(z, log_density(z, at).sum(1) - self.prior(z, of_rows))

    def _gaussian(self, hidden: Float[Tensor, "*batch width"]) -> Gaussian:
        """The heads, bounded."""
        mean, log_var = self.head(hidden).to(self.encoder.bias.dtype).chunk(2, dim=-1)
        return Gaussian(mean, log_var.clamp(*LOG_VAR))
