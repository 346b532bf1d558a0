"""Lists as controls ask for them: turned points, other odds, the same exact scan, more variety."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from macrid.control.dials import Turn, turned
from macrid.control.rerank import diversify, shortlist_size
from macrid.data.histories import Histories
from macrid.models.vae import VAE
from macrid.parts.ann import Neighbours
from macrid.parts.ranking import TopRows
from macrid.parts.scoring import Scan


@dataclass(frozen=True, eq=False)
class Steering:
    """What controls come to in a model; by default they leave everything as it is.

    Args:
        log_boost: Added to each item's logit.
        log_concepts: Added to each concept's log-assignments; ``-inf`` mutes it.
        turns: Of people's points.
        prototypes: As the model compares them with items; needed for turns.
        diversity: See `diversify`.
    """

    log_boost: Float[Tensor, " item"] | None = None
    log_concepts: Float[Tensor, " concept"] | None = None
    turns: tuple[Turn, ...] = ()
    prototypes: Float[Tensor, "concept dim"] | None = None
    diversity: float = 0.0

    def odds(self, log_weights: Float[Tensor, "item concept"]) -> Float[Tensor, "item concept"]:
        """Log-assignments as lists are made with; themselves if nothing is asked of them."""
        if self.log_boost is not None:
            log_weights = log_weights + self.log_boost[:, None]
        if self.log_concepts is not None:
            log_weights = log_weights + self.log_concepts
        return log_weights


@dataclass(frozen=True, eq=False)
class SteeredRanker:
    """A `Ranker` of a network whose people and items are seen as controls ask.

    Histories are read as ever, by the assignments that were learned.
    """

    network: VAE
    log_weights: Float[Tensor, "item concept"]
    scan: Scan | Neighbours
    steering: Steering

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        network: VAE,
        steering: Steering,
        banned: Bool[Tensor, " item"] | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        ann: bool = False,
    ) -> "SteeredRanker":
        """For the weights as they are now; see `VAE.ranker`."""
        log_weights = network.concepts()
        scan = network.decoder.scan(steering.odds(log_weights), banned=banned, dtype=dtype)
        return cls(network, log_weights, Neighbours(scan) if ann else scan, steering)

    @torch.no_grad()
    def steered(
        self, steering: Steering, banned: Bool[Tensor, " item"] | None = None
    ) -> "SteeredRanker":
        """The same for other controls, from one without; only what they change is made anew.

        Dials change people alone, for whom the catalogue is scanned as it is.
        """
        odds = steering.odds(self.log_weights)
        if odds is self.log_weights and (banned is None or not banned.any()):
            return replace(self, steering=steering)
        return replace(self, scan=self.network.decoder.scan(odds, banned=banned), steering=steering)

    @torch.no_grad()
    def top(self, histories: Histories, k: int, *, keep_seen: bool = False) -> TopRows:
        """See `Ranker`; a varied list is in the order of `diversify`, not of its scores."""
        z = self.network.latent(histories, self.log_weights).z
        return self.best(z, k, None if keep_seen else histories)

    @torch.no_grad()
    def best(
        self, z: Float[Tensor, "batch concept dim"], k: int, seen: Histories | None
    ) -> TopRows:
        """The same for people's points."""
        asked = self.steering
        if asked.prototypes is not None:
            z = turned(z, asked.turns, asked.prototypes)
        points = self.network.decoder.points(z)
        if not asked.diversity:
            return self.scan.top(points, k, seen)
        found = self.scan.top(points, shortlist_size(k), seen)
        return diversify(found, self.network.decoder.items.weight, k, asked.diversity)
