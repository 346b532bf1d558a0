"""The one path of every autoencoder here: concepts, latent, decoder."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from macrid.data.histories import Histories
from macrid.parts.concepts import Prototypes
from macrid.parts.decoders import MixtureDecoder
from macrid.parts.latents import SphericalLatent
from macrid.training.objective import Elbo


class VAE(nn.Module):
    """Histories in, the evidence lower bound or scores out.

    Args:
        concepts: Log-assignments of items to concepts.
        latent: A point per person and concept, and its divergence from the prior.
        decoder: Likelihood and scores of items, given the points.

    Shape:
        - scores: ``(batch, item)``
    """

    concepts: Prototypes
    latent: SphericalLatent
    decoder: MixtureDecoder

    def __init__(
        self, *, concepts: Prototypes, latent: SphericalLatent, decoder: MixtureDecoder
    ) -> None:
        super().__init__()
        self.concepts, self.latent, self.decoder = concepts, latent, decoder

    def forward(self, histories: Histories) -> Elbo:
        """Both halves of the bound, in nats per person."""
        log_weights = self.concepts()
        latent = self.latent(histories, log_weights)
        return Elbo(self.decoder.log_likelihood(latent.z, log_weights, histories), latent.kl)

    @torch.no_grad()
    def scores(self, histories: Histories) -> Float[Tensor, "batch item"]:
        """The logit of every item for each person."""
        log_weights = self.concepts()
        return self.decoder.scores(self.latent(histories, log_weights).z, log_weights)
