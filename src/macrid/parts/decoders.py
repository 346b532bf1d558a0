"""From a person's point back to items; a decoder owns its likelihood, so both run in blocks."""

from jaxtyping import Float
from torch import Tensor, nn

from macrid.data.histories import Histories
from macrid.parts.items import ItemVectors
from macrid.parts.kernels import mixture_log_likelihood, mixture_logits


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
    ) -> Float[Tensor, " batch"]:
        """Multinomial log-likelihood of each history, summed over its events."""
        return mixture_log_likelihood(z / self.tau, self.items(), log_weights, histories)

    def scores(
        self, z: Float[Tensor, "batch concept dim"], log_weights: Float[Tensor, "item concept"]
    ) -> Float[Tensor, "batch item"]:
        """The logit of every item for each person."""
        return mixture_logits(z / self.tau, self.items(), log_weights)
