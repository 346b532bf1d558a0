"""From a posterior to a sample and its price in nats."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from macrid.data.histories import Histories
from macrid.parts.encoders import (
    ConceptEncoder,
    DenseEncoder,
    Gaussian,
    GaussianHead,
    ResidualEncoder,
    SecondEncoder,
)
from macrid.parts.items import unit
from macrid.parts.priors import CompositePrior, VampPrior, log_densities, log_density


@dataclass(frozen=True)
class Latent:
    """What is known of each person: a point per concept, and the divergence from the prior."""

    z: Float[Tensor, "batch concept dim"]
    kl: Float[Tensor, " batch"]


class LatentBlock(nn.Module, ABC):
    """Reads people, and says what they may want.

    Attributes:
        passes: Over the people in an epoch; a block may treat them differently.
    """

    passes: int = 1

    @abstractmethod
    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item concept"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Latent:
        """A sample while training, the mean otherwise.

        Args:
            histories: Whom to read.
            log_weights: Log-assignments of the items.
            rows: Which items both speak of; by default the whole catalogue.
        """

    def begin_pass(self, number: int) -> bool:
        """Called before each pass over the people, numbered from 0 in every epoch.

        Returns:
            Whether the decoder is trained in it.
        """
        return True

    def step_floats(self, n_users: int) -> int:
        """Most numbers that a step holds of what only this block has."""
        return 0


class SphericalLatent(LatentBlock):
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
        """See `LatentBlock.forward`."""
        posterior = self.encoder(histories, log_weights, rows)
        log_var = posterior.log_var
        z = unit(posterior.mean)
        if self.training:
            z = unit(z + self.prior_std * (0.5 * log_var).exp() * torch.randn_like(z))
        # A unit-length mean adds the same 1 / (2 * prior_std**2) to everybody's divergence: no
        # gradient, and at 0.075 it would be 89 nats per concept, drowning the part worth watching.
        kl = 0.5 * (log_var.exp() - log_var - 1).sum((-1, -2))
        return Latent(z, kl)


class PointLatent(LatentBlock):
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
        """See `LatentBlock.forward`; the same in training and after."""
        z = self.encoder(histories, log_weights, rows)
        return Latent(z, z.new_zeros(len(z)))


class GaussianLatent(LatentBlock):
    r"""A posterior :math:`N(\mu, \mathrm{diag}(\sigma^2))` judged against :math:`N(0, I)`.

    Args:
        encoder: What the head reads.
        head: To mean and log-variance.

    Shape:
        - z: ``(batch, concept, dim)``
        - kl: ``(batch,)``, summed over concepts, in nats
    """

    encoder: DenseEncoder
    head: GaussianHead

    def __init__(self, encoder: DenseEncoder, head: GaussianHead) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item concept"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Latent:
        """See `LatentBlock.forward`."""
        at = self.head(self.encoder(histories, log_weights, rows))
        z = at.draw() if self.training else at.mean
        kl = 0.5 * (at.log_var.exp() + at.mean.square() - at.log_var - 1).sum((-1, -2))
        return Latent(z, kl)


class VampLatent(LatentBlock):
    r"""A posterior :math:`N(\mu, \mathrm{diag}(\sigma^2))` judged against a VampPrior.

    The divergence is an estimate from one sample, :math:`\log q(z \mid x) - \log p(z)` (Tomczak
    and Welling, 2018; Kim and Suh, 2019); after training it is not taken.

    Args:
        encoder: What the head reads.
        head: To mean and log-variance.
        prior: Reads its pseudo-users with the same encoder and head.

    Shape:
        - z: ``(batch, 1, dim)``
        - kl: ``(batch,)``, in nats
    """

    encoder: DenseEncoder
    head: GaussianHead
    prior: VampPrior

    def __init__(self, encoder: DenseEncoder, head: GaussianHead, prior: VampPrior) -> None:
        super().__init__()
        self.encoder, self.head, self.prior = encoder, head, prior

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item one"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Latent:
        """See `LatentBlock.forward`."""
        at = self.head(self.encoder(histories, log_weights, rows))
        if not self.training:
            return Latent(at.mean, at.mean.new_zeros(len(at.mean)))
        z = at.draw()
        return Latent(z, log_density(z, at).sum(1) - self.prior(z, self._of_rows))

    def _of_rows(self, rows: Float[Tensor, "row item"]) -> Gaussian:
        """What is said of pseudo-users."""
        return self.head(self.encoder.dense(rows))

    def step_floats(self, n_users: int) -> int:
        """See `LatentBlock.step_floats`."""
        return self.prior.step_floats() + 3 * n_users * len(self.prior.rows)


class HierarchicalLatent(VampLatent):
    r"""Two points: one judged against a VampPrior, and one against what that one says.

    :math:`q(z_2 \mid x)\, q(z_1 \mid x, z_2)` against :math:`p(z_2)\, p(z_1 \mid z_2)` (Tomczak and
    Welling, 2018; Kim and Suh, 2019), each divergence an estimate from one sample.

    Args:
        encoder: What ``head`` reads.
        head: To mean and log-variance of :math:`z_2`.
        prior: Of :math:`z_2`.
        second: Reads people and :math:`z_2`.
        second_head: From there to mean and log-variance of :math:`z_1`.
        second_prior: From :math:`z_2` to those of the prior of :math:`z_1`.

    Shape:
        - z: ``(batch, 1, dim of z1 + dim of z2)``, in this order
        - kl: ``(batch,)``, in nats
    """

    second: SecondEncoder
    second_head: GaussianHead
    second_prior: nn.Sequential

    def __init__(
        self,
        encoder: DenseEncoder,
        head: GaussianHead,
        prior: VampPrior,
        *,
        second: SecondEncoder,
        second_head: GaussianHead,
        second_prior: nn.Sequential,
    ) -> None:
        super().__init__(encoder, head, prior)
        self.second, self.second_head, self.second_prior = second, second_head, second_prior

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item one"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Latent:
        """See `LatentBlock.forward`."""
        at2 = self.head(self.encoder(histories, log_weights, rows))
        z2 = at2.draw() if self.training else at2.mean
        at1 = self.second_head(self.second(histories, log_weights, rows, z2))
        z1 = at1.draw() if self.training else at1.mean
        z = torch.cat([z1, z2], -1)
        if not self.training:
            return Latent(z, z.new_zeros(len(z)))
        of_z2 = log_density(z2, at2).sum(1) - self.prior(z2, self._of_rows)
        of_z1 = log_density(z1, at1) - log_density(z1, self.second_prior(z2))
        return Latent(z, of_z2 + of_z1.sum(1))


class CompositeLatent(LatentBlock):
    r"""RecVAE's: judged against a mixture that holds what the encoder said an epoch ago.

    An epoch has passes: first the encoder is trained with thinned histories, then the decoder with
    whole ones, the encoder at rest and remembered for the prior of the passes to come (Shenbin et
    al., 2020, and their code). The divergence is an estimate from one sample.

    Args:
        encoder: Reads people; how it thins them in the encoder's passes is its own.
        remembered: One like it, whose weights the first passes' prior has.
        encoder_passes: How often an epoch trains the encoder before the decoder.

    Shape:
        - z: ``(batch, 1, dim)``
        - kl: ``(batch,)``, in nats
    """

    encoder: ResidualEncoder

    def __init__(
        self, encoder: ResidualEncoder, remembered: ResidualEncoder, *, encoder_passes: int
    ) -> None:
        super().__init__()
        self.encoder, self.prior, self.dropout = encoder, CompositePrior(), encoder.dropout
        self.passes = encoder_passes + 1
        self.names = [name for name, _ in remembered.named_parameters()]
        for number, weight in enumerate(remembered.parameters()):
            # No parameters: nothing moves them, and a saved model does without.
            self.register_buffer(f"old{number}", weight.detach().clone())

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item one"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Latent:
        """See `LatentBlock.forward`."""
        at = self.encoder(histories, log_weights, rows)
        if not self.training:
            return Latent(at.mean, at.mean.new_zeros(len(at.mean)))
        z = at.draw()
        ratio = log_densities(z, at) - self.prior(z, self._once_said(histories, log_weights))
        return Latent(z, ratio.sum((-1, -2)))

    @torch.no_grad()
    def _once_said(self, histories: Histories, log_weights: Tensor) -> Gaussian:
        """By the remembered encoder, of whole histories."""
        weights = dict(zip(self.names, self.buffers(), strict=True))
        self.encoder.eval()
        said = functional_call(self.encoder, weights, (histories, log_weights))
        self.encoder.train()
        return said

    @torch.no_grad()
    def begin_pass(self, number: int) -> bool:
        """The last is the decoder's."""
        decoder = number == self.passes - 1
        if decoder:
            for old, weight in zip(self.buffers(), self.encoder.parameters(), strict=True):
                old.copy_(weight)
        self.encoder.requires_grad_(not decoder)
        self.encoder.dropout = 0.0 if decoder else self.dropout
        return decoder
