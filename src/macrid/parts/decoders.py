"""From a person's point back to items; a decoder owns its likelihood, so both run in blocks."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from macrid.data.histories import Histories
from macrid.parts.events import event_products
from macrid.parts.items import ItemVectors
from macrid.parts.kernels import mixture_log_likelihood
from macrid.parts.layers import PLAIN, Fork, Stack, Style
from macrid.parts.likelihoods import Likelihood
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

    def vectors(self, rows: Int[Tensor, " some"] | None = None) -> Float[Tensor, "item dim"]:
        """What people's points are multiplied with; of some rows, with a sparse gradient."""
        return self.items(rows)

    def points(self, z: Float[Tensor, "batch concept dim"]) -> Float[Tensor, "batch concept dim"]:
        """What `scan` wants of people."""
        return z

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


class DenseDecoder(nn.Module):
    r"""Layers with an activation after each, then a linear one with an output per item.

    The last layer's weights are a vector per item, and its bias one more dimension of them, against
    which people have a 1: the likelihoods and the lists of one concept serve it as they are.

    Args:
        n_items: Size of the catalogue.
        body: The layers up to the last but one.
        width: Of what they give.
        likelihood: What is assumed of histories; see `macrid.parts.likelihoods`.
        style: Of the last layer's first weights.

    Shape:
        - z: ``(batch, 1, dim)``
        - log_weights: ``(item, 1)``, zeros
        - log-likelihood: ``(batch,)``, in nats
        - scores: ``(batch, item)``, the outputs
    """

    items: ItemVectors
    bias: nn.Parameter
    body: Stack | Fork

    def __init__(
        self,
        n_items: int,
        body: Stack | Fork,
        width: int,
        likelihood: Likelihood,
        style: Style = PLAIN,
    ) -> None:
        super().__init__()
        self.body = body
        self.items = ItemVectors(n_items, width, cosine=False)
        self.bias = nn.Parameter(torch.empty(n_items))
        style.start_(self.items.weight, self.bias, width)
        self.likelihood = likelihood

    def vectors(self) -> Float[Tensor, "item wide"]:
        """Weights and bias of the last layer, side by side."""
        return torch.cat([self.items(), self.bias[:, None]], dim=1)

    def points(self, z: Float[Tensor, "batch one dim"]) -> Float[Tensor, "batch one wide"]:
        """What the last layer multiplies, and the 1 that meets its bias."""
        return F.pad(self.body(z).to(self.bias.dtype), (0, 1), value=1.0)

    def log_likelihood(
        self,
        z: Float[Tensor, "batch one dim"],
        log_weights: Float[Tensor, "item one"],
        histories: Histories,
        vectors: Float[Tensor, "item wide"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """Of each history, by the likelihood chosen."""
        asked = self.vectors() if vectors is None else vectors
        return self.likelihood(self.points(z), asked, histories)

    def scores(
        self, z: Float[Tensor, "batch one dim"], log_weights: Float[Tensor, "item one"]
    ) -> Float[Tensor, "batch item"]:
        """The output of every item for each person."""
        return self.points(z).squeeze(1) @ self.vectors().T

    def scan(
        self,
        log_weights: Float[Tensor, "item one"],
        *,
        banned: Bool[Tensor, " item"] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Scan:
        """The items made ready for lists; see `Scan`, whose points are those of `points`."""
        return Scan(self.vectors(), log_weights, banned=banned, dtype=dtype)
