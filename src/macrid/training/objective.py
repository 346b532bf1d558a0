"""What training lowers: the negative evidence lower bound, with a weight on the divergence."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from macrid.data.histories import Histories
from macrid.parts.ranking import Ranker

# Told of each epoch by its row of the log.
Watch = Callable[[Mapping[str, int | float]], None]


@dataclass(frozen=True)
class Elbo:
    """The two halves of the bound for each person, in nats."""

    log_likelihood: Float[Tensor, " batch"]
    kl: Float[Tensor, " batch"]


@runtime_checkable  # for the tests, which check every annotation
class Annealing(Protocol):
    """How the weight of the KL divergence rises."""

    def __call__(self, max_beta: float, step: int, steps_per_epoch: int) -> float:
        """The weight in a step, counted from 0."""
        ...


@dataclass(frozen=True)
class Linear:
    """By 1 in every so many steps or epochs, until it reaches ``max_beta``.

    It is not capped at 1 and the slope does not depend on ``max_beta`` (Liang et al.'s code with
    200,000 steps, the MacridVAE authors' with five epochs).

    Args:
        steps: In which it would reach 1; None takes those of ``epochs``.
        epochs: The same in epochs.

    Example:
        >>> [Linear(steps=10)(0.3, step, steps_per_epoch=4) for step in (0, 1, 5)]
        [0.0, 0.1, 0.3]
    """

    steps: int | None = None
    epochs: int = 5

    def __call__(self, max_beta: float, step: int, steps_per_epoch: int) -> float:
        """The weight in a step, counted from 0."""
        return min(max_beta, step / (self.steps or self.epochs * steps_per_epoch))


@dataclass(frozen=True)
class ByEpoch:
    """In equal steps, one an epoch, to ``max_beta`` (Kim and Suh's code); with one, at once.

    Example:
        >>> [ByEpoch(4)(0.2, step, steps_per_epoch=10) for step in (0, 9, 10, 35, 90)]
        [0.05, 0.05, 0.1, 0.2, 0.2]
    """

    epochs: int

    def __call__(self, max_beta: float, step: int, steps_per_epoch: int) -> float:
        """The weight in a step, counted from 0."""
        return max_beta * min(1.0, (step // steps_per_epoch + 1) / self.epochs)


@dataclass(frozen=True)
class Objective:
    """What is lowered: loss = −log-likelihood + beta · KL + l2 · Σ‖W‖², a mean over users.

    Args:
        max_beta: The final weight of the KL divergence.
        l2: Weight of the squared weights.
        annealing: How beta gets there.
        per_event: Whether a person's KL counts once for each of their events (RecVAE).
    """

    max_beta: float
    l2: float = 0.0
    annealing: Annealing = Linear()
    per_event: bool = False

    def beta(self, step: int, steps_per_epoch: int) -> float:
        """The weight of the KL divergence in a step, counted from 0."""
        return self.annealing(self.max_beta, step, steps_per_epoch)


@dataclass(frozen=True)
class UserWeight:
    """How much a person with n events counts in the loss: n^−evenness over its mean in training.

    With 0, events count alike, and whoever has many speaks for the rest; with 1, people do, as in
    the measures, which are means over people. No paper has it: docs/decisions.md says what it does.

    Args:
        evenness: From 0 to 1.
        mean: Of n^−evenness over the training users, so that beta keeps its meaning.

    Example:
        >>> weight = UserWeight.among(torch.tensor([1, 4]), evenness=0.5)
        >>> weight(torch.tensor([1, 4])).tolist()
        [1.3333333730697632, 0.6666666865348816]
    """

    evenness: float = 0.0
    mean: float = 1.0

    @classmethod
    def among(cls, lengths: Int[Tensor, " user"], evenness: float) -> "UserWeight":
        """For training users with so many events."""
        return cls(evenness, float(cls(evenness)(lengths).mean()))

    def __call__(self, lengths: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The weights of people with so many events, 1 in the mean of the training users."""
        return lengths.clamp_min(1).float().pow(-self.evenness) / self.mean


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


def squared_weights(network: nn.Module) -> Float[Tensor, ""]:
    """Sum of the squares of all weights but the biases (the vectors among the parameters)."""
    squares = [weight.square().sum() for weight in network.parameters() if weight.ndim > 1]
    return torch.stack(squares).sum()
