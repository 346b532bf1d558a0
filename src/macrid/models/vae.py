"""The one path of every autoencoder here: concepts, latent, decoder."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from macrid.data.histories import Histories
from macrid.parts.ann import Neighbours
from macrid.parts.concepts import OneConcept, Prototypes
from macrid.parts.decoders import DenseDecoder, MixtureDecoder
from macrid.parts.kernels import block_bytes
from macrid.parts.latents import LatentBlock
from macrid.parts.ranking import TopRows
from macrid.parts.sampled import Draw, Negatives
from macrid.parts.scoring import Scan
from macrid.training.objective import Elbo

Decoder = MixtureDecoder | DenseDecoder


class VAE(nn.Module):
    """Histories in, the evidence lower bound or scores out.

    Args:
        concepts: Log-assignments of items to concepts.
        latent: A point per person and concept, and its divergence from the prior.
        decoder: Likelihood and scores of items, given the points.
        negatives: Items to train against instead of the whole catalogue; gradients of the tables
            of items are sparse then.

    Shape:
        - scores: ``(batch, item)``
    """

    concepts: Prototypes | OneConcept
    latent: LatentBlock
    decoder: Decoder

    negatives: Negatives | None

    def __init__(
        self,
        *,
        concepts: Prototypes | OneConcept,
        latent: LatentBlock,
        decoder: Decoder,
        negatives: Negatives | None = None,
    ) -> None:
        super().__init__()
        self.concepts, self.latent, self.decoder = concepts, latent, decoder
        self.negatives = negatives

    @property
    def sparse(self) -> bool:
        """Whether the gradients of tables name only the rows that a batch touched."""
        return self.negatives is not None

    @property
    def passes(self) -> int:
        """Over the people in an epoch."""
        return self.latent.passes

    def begin_pass(self, number: int) -> None:
        """Called before each of them, numbered from 0 in every epoch.

        Before the first, prototypes of settled concepts follow their items.
        """
        self.decoder.requires_grad_(self.latent.begin_pass(number))
        if number == 0 and isinstance(self.concepts, Prototypes):
            self.concepts.follow()

    def forward(self, histories: Histories) -> Elbo:
        """Both halves of the bound, in nats per person."""
        if self.negatives is not None and self.training:
            return self._sampled(histories, self.negatives.draw(histories.items.device))
        vectors = self.decoder.vectors()
        log_weights = self.concepts(vectors)
        latent = self.latent(histories, log_weights)
        likelihood = self.decoder.log_likelihood(latent.z, log_weights, histories, vectors)
        return Elbo(likelihood, latent.kl)

    def step_bytes(self, n_users: int, n_events: int) -> int:
        """Most bytes that a training step takes at a time, beside weights and their gradients.

        Of items looked at: vectors as they are and as directions, with log-assignments in a table
        of their own, and the gradients of all. Of people: points and their gradients, of events: a
        number per concept, each a few times over; and the block of logits.
        """
        n_items, n_dims = self.decoder.items.weight.shape
        n_concepts = self.concepts.n_concepts
        rows, drawing = n_items, 0
        if self.negatives is not None:
            rows = min(n_items, n_events + self.negatives.n_draws)
            drawing = 48 * self.negatives.n_draws
        per_row, per_user = 6 * n_dims + 8 * n_concepts, 10 * n_dims * n_concepts
        floats = rows * per_row + n_users * per_user + 10 * n_events * n_concepts
        floats += self.latent.step_floats(n_users)
        return 4 * floats + block_bytes(n_concepts, rows) + drawing

    def _sampled(self, histories: Histories, drawn: Draw) -> Elbo:
        """The bound from the items of the batch and those drawn; no others are touched."""
        assert isinstance(self.decoder, MixtureDecoder)  # no other is built with negatives
        n_events = len(histories.items)
        rows, place = torch.cat([histories.items, drawn.rows]).unique(return_inverse=True)
        among = Histories(place[:n_events], histories.offsets)
        vectors = self.decoder.vectors(rows)
        log_weights = self.concepts(vectors)
        latent = self.latent(among, log_weights, rows)
        likelihood = self.decoder.sampled_log_likelihood(
            latent.z, log_weights, among, vectors, Draw(place[n_events:], drawn.log_weight)
        )
        return Elbo(likelihood, latent.kl)

    @torch.no_grad()
    def scores(self, histories: Histories) -> Float[Tensor, "batch item"]:
        """The logit of every item for each person."""
        log_weights = self.concepts()
        return self.decoder.scores(self.latent(histories, log_weights).z, log_weights)

    @torch.no_grad()
    def ranker(
        self,
        banned: Bool[Tensor, " item"] | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        ann: bool = False,
    ) -> "VAERanker":
        """What finds the best items for the weights as they are now, by `Scan` or `Neighbours`."""
        log_weights = self.concepts()
        scan = self.decoder.scan(log_weights, banned=banned, dtype=dtype)
        return VAERanker(self, log_weights, Neighbours(scan) if ann else scan)


@dataclass(frozen=True, eq=False)
class VAERanker:
    """Lists that never cost a score for each item and person."""

    network: VAE
    log_weights: Float[Tensor, "item concept"]
    scan: Scan | Neighbours

    @torch.no_grad()
    def top(self, histories: Histories, k: int, *, keep_seen: bool = False) -> TopRows:
        """The ``k`` best items for each person, their own left out unless ``keep_seen``."""
        z = self.network.latent(histories, self.log_weights).z
        points = self.network.decoder.points(z)
        return self.scan.top(points, k, None if keep_seen else histories)
