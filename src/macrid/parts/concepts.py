"""Which concept each item belongs to (macro disentanglement)."""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from macrid.parts.items import ItemVectors, unit

Assignment = Literal["soft", "mode"]
Sampling = Literal["soft", "straight-through", "none"]
_BLOCK = 1 << 16  # items looked at at a time


class Prototypes(nn.Module):
    r"""Concepts as points among the items; items belong to the concepts they are close to.

    :math:`p(C_i = k) \propto \exp(\cos(h_i, m_k) / \tau)` (Ma et al., 2019, Eq. 6). In training the
    assignment is a sample relaxed by the Gumbel-softmax trick at temperature 1, drawn once per step
    for everybody in the batch. The authors' code leaves it at that; made discrete, as in the paper,
    the concept that came out largest is alone, with the gradient of its relaxed log-weight.

    Args:
        items: The item vectors, shared with the decoder.
        n_concepts: Number of prototypes.
        tau: Temperature of the cosines.
        sampling: ``"soft"`` adds Gumbel noise in training, ``"straight-through"`` goes on to
            the one concept that is largest then; ``"none"`` adds no noise.
        assignment: After training, ``"soft"`` uses the probabilities (the authors' code),
            ``"mode"`` the most probable concept alone (their paper).

    Shape:
        - output: ``(item, concept)``, log-weights whose exponentials sum to 1 over the concepts

    Example:
        >>> prototypes = Prototypes(ItemVectors(5, 3), n_concepts=2, tau=0.1).eval()
        >>> prototypes().exp().sum(dim=-1).round(decimals=4).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    items: ItemVectors
    weight: nn.Parameter
    members: Tensor | None  # the concept of each item, where that was settled before training

    def __init__(
        self,
        items: ItemVectors,
        n_concepts: int,
        *,
        tau: float,
        sampling: Sampling = "soft",
        assignment: Assignment = "soft",
    ) -> None:
        super().__init__()
        self.items = items
        self.tau = tau
        self.sampling = sampling
        self.assignment = assignment
        self.weight = nn.Parameter(torch.empty(n_concepts, items.weight.shape[1]))
        nn.init.xavier_uniform_(self.weight)
        self.register_buffer("members", None)

    @property
    def n_concepts(self) -> int:
        """K."""
        return len(self.weight)

    def settle(self, members: Int[Tensor, " item"]) -> None:
        """Say which concept each item is of: prototypes follow the items and are not trained.

        Assignments go by the cosine all the same, so that an item may still leave its concept.
        """
        self.members = members
        self.weight.requires_grad_(False)
        self.follow()

    @torch.no_grad()
    def follow(self) -> None:
        """Move prototypes to the mean of the items settled on them; one without items stays."""
        if self.members is None:
            return
        sums = torch.zeros_like(self.weight)
        blocks = zip(self.items.weight.split(_BLOCK), self.members.split(_BLOCK), strict=True)
        for vectors, members in blocks:
            sums.index_add_(0, members, unit(vectors) if self.items.cosine else vectors)
        counts = self.members.bincount(minlength=self.n_concepts)[:, None]
        self.weight.copy_(torch.where(counts > 0, sums / counts.clamp_min(1), self.weight))

    def forward(
        self, vectors: Float[Tensor, "item dim"] | None = None
    ) -> Float[Tensor, "item concept"]:
        """Log-assignments: sampled while training, as ``assignment`` says otherwise.

        Args:
            vectors: What ``items`` gives for the items asked for; by default all of them.
        """
        prototypes = unit(self.weight) if self.items.cosine else self.weight
        asked = self.items() if vectors is None else vectors
        # Never in half precision: a cosine is divided by tau, its rounding error with it.
        with torch.autocast(self.weight.device.type, enabled=False):
            logits = asked @ prototypes.T / self.tau
        if self.training and self.sampling != "none":
            uniform = torch.rand_like(logits).clamp_min(torch.finfo(logits.dtype).tiny)
            logits = logits - (-uniform.log()).log()  # Gumbel(0, 1)
        log_weights = F.log_softmax(logits, dim=-1)
        discrete = (
            self.sampling == "straight-through" if self.training else self.assignment == "mode"
        )
        return _one_hot(log_weights) if discrete else log_weights


class OneConcept(nn.Module):
    """All items belong to one and the same concept: what a model without concepts has.

    Shape:
        - output: ``(item, 1)``, zeros
    """

    log_weights: Tensor
    n_concepts = 1

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.register_buffer("log_weights", torch.zeros(n_items, 1), persistent=False)

    def forward(self, vectors: Float[Tensor, "item dim"] | None = None) -> Float[Tensor, "item 1"]:
        """Log-weights of all items, or of as many as there are vectors."""
        return self.log_weights if vectors is None else vectors.new_zeros(len(vectors), 1)


def _one_hot(log_weights: Float[Tensor, "item concept"]) -> Float[Tensor, "item concept"]:
    """Log-weights of the largest alone, with the gradient that it had among the others."""
    largest = log_weights.argmax(-1, keepdim=True)
    own = log_weights.gather(1, largest)
    return torch.full_like(log_weights, -torch.inf).scatter(1, largest, own - own.detach())
