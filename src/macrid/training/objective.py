"""What training lowers: the negative evidence lower bound, with a weight on the divergence."""

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from macrid.data.histories import Histories
from macrid.parts.ranking import Ranker


@dataclass(frozen=True)
class Elbo:
    """The two halves of the bound for each person, in nats."""

    log_likelihood: Float[Tensor, " batch"]
    kl: Float[Tensor, " batch"]


@dataclass(frozen=True)
class Objective:
    """What is lowered: loss = −log-likelihood + beta · KL + l2 · Σ‖W‖², a mean over users.

    Args:
        max_beta: The final weight of the KL divergence.
        l2: Weight of the squared weights.
        warmup_steps: Steps in which beta would reach 1; by default those of five epochs.
    """

    max_beta: float
    l2: float = 0.0
    warmup_steps: int | None = None


class Network(Protocol):
    """What can be trained: a module that gives the bound of histories, and lists.

    One whose tables have gradients of the rows that a batch touched alone has an attribute
    ``sparse`` that is true.
    """

    def __call__(self, histories: Histories) -> Elbo:
        """The bound of each person."""
        ...

    def ranker(self) -> Ranker:
        """What finds the best items by the weights as they are now."""
        ...


def kl_weight(step: int, *, max_beta: float, warmup_steps: int) -> float:
    """KL annealing: beta rises by 1 in every ``warmup_steps`` steps until it reaches ``max_beta``.

    It is not capped at 1 and the slope does not depend on ``max_beta`` (MacridVAE authors' code,
    where the warm-up is five epochs long).

    Args:
        step: Optimiser steps done so far.
        max_beta: The final weight.
        warmup_steps: Steps in which beta would reach 1.

    Example:
        >>> [kl_weight(step, max_beta=0.3, warmup_steps=10) for step in (0, 1, 5)]
        [0.0, 0.1, 0.3]
    """
    return min(max_beta, step / warmup_steps)


def squared_weights(network: nn.Module) -> Float[Tensor, ""]:
    """Sum of the squares of all weights but the biases (the vectors among the parameters)."""
    squares = [weight.square().sum() for weight in network.parameters() if weight.ndim > 1]
    return torch.stack(squares).sum()
