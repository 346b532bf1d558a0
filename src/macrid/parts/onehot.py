"""Items that belong to one concept each: such an item meets one concept's vector, not all K.

Log-assignments say so themselves, by one finite entry per item; the others are ``-inf``. The
encoder then reads a person once per concept they have events of, the likelihood puts the items of
each concept together.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from macrid.data.histories import Histories


def one_concept(
    log_weights: Float[Tensor, "item concept"],
) -> Int[Tensor, " item"] | None:
    """The concept of each item; None where some item belongs to several, or there is one for all.

    Example:
        >>> one_concept(torch.tensor([[0.0, 1.0], [1.0, 0.0]]).log()).tolist()
        [1, 0]
    """
    log_weights = log_weights.detach()
    if log_weights.shape[1] == 1 or log_weights[:1].isfinite().sum() > 1:  # the first tells of most
        return None
    alone = log_weights.isfinite().sum(1) == 1
    return log_weights.argmax(1) if bool(alone.all()) else None


def by_concept(histories: Histories, concept: Int[Tensor, " item"], n_concepts: int) -> Histories:
    """Each person's events of each concept, as if they were so many people.

    Example:
        >>> apart = by_concept(Histories.from_lists([[2, 0, 1]]), torch.tensor([1, 0, 1]), 2)
        >>> apart.items.tolist(), apart.offsets.tolist()
        ([1, 2, 0], [0, 1, 3])
    """
    owner = histories.users * n_concepts + concept[histories.items]
    lengths = owner.bincount(minlength=len(histories) * n_concepts)
    order = owner.argsort(stable=True)
    return Histories(histories.items[order], F.pad(lengths.cumsum(0), (1, 0)))


class Part(NamedTuple):
    """Some of the items, the concepts that they meet, and people's events among them."""

    rows: Tensor | slice
    concepts: slice
    histories: Histories  # which names an item by its place among the rows


def parts_of(log_weights: Float[Tensor, "item concept"], histories: Histories) -> list[Part]:
    """One part for each concept that has items, or one for all where items belong to several.

    Example:
        >>> one_hot = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).log()
        >>> [part.rows.tolist() for part in parts_of(one_hot, Histories.from_lists([[0]]))]
        [[1], [0, 2]]
    """
    everything, concept = slice(None), one_concept(log_weights)
    if concept is None:
        return [Part(everything, everything, histories)]
    sizes = concept.bincount(minlength=log_weights.shape[1])
    order = concept.argsort(stable=True)
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    place -= (sizes.cumsum(0) - sizes)[concept]
    theirs, places = concept[histories.items], place[histories.items]
    parts = []
    for k, rows in enumerate(order.split(sizes.tolist())):
        if len(rows):
            mine = theirs == k
            offsets = F.pad(mine.cumsum(0), (1, 0))[histories.offsets]
            parts.append(Part(rows, slice(k, k + 1), Histories(places[mine], offsets)))
    return parts
