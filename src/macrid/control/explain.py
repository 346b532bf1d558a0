r"""Why an item has its score: the concepts and dimensions in it, and the past items that carry it.

With :math:`t_k = \log c_{ik} + \hat z_k \cdot \hat h_i / \tau`, an item's score is
:math:`s = \log \sum_k \exp t_k`. Its odds :math:`\exp s` are a sum over the concepts, of which
concept k has the share :math:`r_k = \exp(t_k - s)`. As :math:`t_k - \log r_k = s` for every k,

.. math:: s = \sum_k r_k (t_k - \log r_k) = \sum_k r_k t_k + H(r) = \sum_k r_k s,

so that the *parts* :math:`r_k s` sum to the score, and each is the concept's own term weighed by
its share, with what its share adds to the entropy. The *products* :math:`\hat z_{kj} \hat h_{ij}`
of the dimensions sum to the concept's cosine.

What a past item carries is how much lower the score would be without it, everything else read
again: leave-one-out, exact. These changes need not sum to anything, as past items may say the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from macrid.data.histories import Histories

Scores = Callable[[Histories], Float[Tensor, "batch wanted"]]
_EVENTS = 1 << 20  # of histories that lack one, at a time
_LEAST = 0.005  # a change below this is not worth a word,
_MINOR = 0.15  # nor is a share below this of the second concept


@dataclass(frozen=True, eq=False)
class Shares:
    """What each concept and dimension does to the scores of some items, for one person."""

    score: Float[Tensor, " wanted"]
    share: Float[Tensor, "wanted concept"]
    part: Float[Tensor, "wanted concept"]
    cosine: Float[Tensor, "wanted concept"]
    product: Float[Tensor, "wanted concept dim"]


def concept_shares(
    z: Float[Tensor, "concept dim"],
    vectors: Float[Tensor, "wanted dim"],
    log_weights: Float[Tensor, "wanted concept"],
    tau: float,
) -> Shares:
    """The shares of the concepts in the scores of some items; in double precision.

    Args:
        z: The person's points.
        vectors: The items'.
        log_weights: Their log-assignments; a concept that they have no part in has a share of 0.
        tau: Temperature of the cosines.

    Example:
        >>> found = concept_shares(torch.eye(2), torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2), 1.0)
        >>> found.share.round(decimals=3).tolist(), found.part.sum(1).allclose(found.score)
        ([[0.731, 0.269]], True)
    """
    product = z.double() * vectors.double()[:, None]
    cosine = product.sum(-1)
    terms = log_weights.double() + cosine / tau
    score = terms.logsumexp(-1)
    share = (terms - score[:, None]).exp()
    return Shares(score, share, share * score[:, None], cosine, product)


def without_each(history: Int[Tensor, " event"], first: int, last: int) -> Histories:
    """One history over and over, each time without another event from ``first`` to ``last - 1``.

    Example:
        >>> without_each(torch.tensor([7, 8, 9]), 1, 3).items.tolist()
        [7, 9, 7, 8]
    """
    n, left_out = len(history), torch.arange(first, last)
    kept = left_out[:, None] != torch.arange(n)
    offsets = torch.arange(len(left_out) + 1) * (n - 1)
    return Histories(history.expand(len(left_out), -1)[kept], offsets)


def leave_one_out(
    scores: Scores, history: Int[Tensor, " event"]
) -> tuple[Float[Tensor, " wanted"], Float[Tensor, "event wanted"]]:
    """A person's scores, and how much lower each would be without each of their events.

    Args:
        scores: Of the items that are asked for, for a batch of people.
        history: One person's items, as rows.

    Example:
        >>> counted = lambda people: people.lengths[:, None].float()
        >>> whole, change = leave_one_out(counted, torch.tensor([4, 5]))
        >>> whole.tolist(), change.tolist()
        ([2.0], [[1.0], [1.0]])
    """
    n = len(history)
    whole = scores(Histories(history, torch.tensor([0, n])))[0]
    at_once = max(1, _EVENTS // max(n, 1))
    parts = [
        scores(without_each(history, first, min(first + at_once, n)))
        for first in range(0, n, at_once)
    ]
    return whole, whole - torch.cat(parts)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why items have their scores, for one person.

    Attributes:
        items: ``item_id, score, sentence`` of each item asked for; the score is the logit that
            lists are ordered by.
        history: ``item_id, past_item_id, change``: how much lower the score would be without the
            past item; what carries most first.
        concepts: ``item_id, concept, name, share`` (sums to 1), ``part`` (sums to the score),
            ``cosine, weight`` (the item's own assignment); largest share first. None of a model
            without concepts.
        dimensions: ``item_id, concept, dimension, low, high, person, item, product`` (sums to the
            concept's cosine), those that count most first. None likewise.
    """

    items: pl.DataFrame
    history: pl.DataFrame
    concepts: pl.DataFrame | None = None
    dimensions: pl.DataFrame | None = None

    def __str__(self) -> str:
        return "\n".join(self.items["sentence"])

    def to_dict(self, dimensions: int = 5) -> dict[str, Any]:
        """As one document, with so many dimensions of each item."""
        by_item = {"items": self.items, "history": self.history, "concepts": self.concepts}
        if self.dimensions is not None:
            grouped = self.dimensions.group_by("item_id", maintain_order=True)
            by_item["dimensions"] = grouped.head(dimensions)
        return {name: None if t is None else t.to_dicts() for name, t in by_item.items()}


def say(
    item: str,
    past: Sequence[tuple[str, float]],
    concepts: Sequence[tuple[str, float]] = (),
    dimension: tuple[str, str] | None = None,
) -> str:
    """It in words.

    Args:
        item: What the item is called.
        past: Past items, and how much lower the score would be without each; what carries most
            first.
        concepts: Names and shares, largest first, if the model has concepts.
        dimension: The end, of the one that adds most, at which both person and item are, and the
            other end; if they have names.

    Example:
        >>> say("Alien", [("Aliens", 0.5), ("Up", -0.25)], [("horror", 0.9), ("war", 0.1)])
        'Alien scores as horror (90%). It is carried by Aliens (+0.50); Up (-0.25) is against it.'
        >>> say("Alien", [("Up", 0.0)])
        'Alien would score the same without any one of the past items.'
    """
    sentences, subject = [], item
    if concepts:
        shown = [*concepts[:1], *(pair for pair in concepts[1:2] if pair[1] >= _MINOR)]
        main = " and ".join(f"{name} ({share:.0%})" for name, share in shown)
        ends = ", most of all for {} rather than {}".format(*dimension) if dimension else ""
        sentences.append(f"{item} scores as {main}{ends}.")
        subject = "It"
    carrying = [f"{name} ({change:+.2f})" for name, change in past[:3] if change >= _LEAST]
    against = [f"{name} ({change:+.2f})" for name, change in past[-1:] if change <= -_LEAST]
    said = [f"{subject} is carried by {', '.join(carrying)}"] if carrying else []
    said += [f"{name} is against {'it' if said else item}" for name in against]
    same = f"{subject} would score the same without any one of the past items"
    return " ".join([*sentences, f"{'; '.join(said) or same}."])
