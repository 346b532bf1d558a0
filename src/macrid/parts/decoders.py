"""From a person's point back to items; a decoder owns its likelihood, so both run in blocks."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from macrid.data.histories import Histories
from macrid.parts.events import event_products
from macrid.parts.items import ItemVectors
from macrid.parts.kernels import mixture_log_likelihood
from macrid.parts.sampled import Draw, sampled_log_likelihood
from macrid.parts.scoring import Scan, mixture_logits


class MixtureDecoder(nn.Module):
    r"""Scores an item by its cosine to each concept's point, mixed by the item's assignment.

    :math:`p(i \mid u) \propto \sum_k c_{ik} \exp(\cos(z_{uk}, h_i) / \tau)` (Ma et al., 2019, Eq. 2
    and 3).

    Args:
        items: The item vectors, shared with the prototypes.
        tau: Temperature of the cosines.

    Shape:
        - z: ``(batch, concept, dim)``, of unit length
        - log_weights: ``(item, concept)``
        - log-likelihood: ``(batch,)``, in nats
        - scores: ``(batch, item)``, logits before the log-softmax over items
    """

    items: ItemVectors

    def __init__(self, items: ItemVectors, *, tau: float) -> None:
        super().__init__()
        self.items = items
        self.tau = tau

    def log_likelihood(
        self,
        z: Float[Tensor, "batch concept dim"],
        log_weights: Float[Tensor, "item concept"],
        histories: Histories,
        vectors: Float[Tensor, "item dim"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """Multinomial log-likelihood of each history, summed over its events.

        Args:
            z: People's points.
            log_weights: Log-assignments of the items.
            histories: Whose likelihood is asked for.
            vectors: What ``items`` gives, where it is known already.
        """
        asked = self.items() if vectors is None else vectors
        return mixture_log_likelihood(z / self.tau, asked, log_weights, histories)

    def sampled_log_likelihood(
        self,
        z: Float[Tensor, "batch concept dim"],
        log_weights: Float[Tensor, "some concept"],
        histories: Histories,
        vectors: Float[Tensor, "some dim"],
        drawn: Draw,
    ) -> Float[Tensor, " batch"]:
        """The same against a sample; all rows are those of ``vectors``, the items looked at."""
        z = z / self.tau
        joint = event_products(z, vectors, histories) + log_weights[histories.items].T
        column = torch.full_like(log_weights[:, 0], -1, dtype=torch.long)
        column[drawn.rows] = torch.arange(len(drawn.rows), device=column.device)
        return sampled_log_likelihood(
            z,
            vectors[drawn.rows],
            log_weights[drawn.rows] + drawn.log_weight[:, None],
            joint.logsumexp(0),
            histories,
            column[histories.items],
        )

    def scores(
        self, z: Float[Tensor, "batch concept dim"], log_weights: Float[Tensor, "item concept"]
    ) -> Float[Tensor, "batch item"]:
        """The logit of every item for each person."""
        return mixture_logits(z / self.tau, self.items(), log_weights)

    def scan(
        self,
        log_weights: Float[Tensor, "item concept"],
        *,
        banned: Bool[Tensor, " item"] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Scan:
        """The items made ready for lists; see `Scan`, whose points are those of `scores`."""
        return Scan(self.items(), log_weights, tau=self.tau, banned=banned, dtype=dtype)
