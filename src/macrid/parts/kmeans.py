"""Groups of directions, by their cosines alone."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from macrid.parts.items import unit


@torch.no_grad()
def spherical_kmeans(
    vectors: Float[Tensor, "row dim"], n_groups: int, *, restarts: int = 10, rounds: int = 50
) -> Int[Tensor, " row"]:
    """The group of each row: that whose centre it has the largest cosine with.

    Spherical k-means (Dhillon and Modha, 2001). Of several starts the one is kept whose rows are
    nearest to their centres. Random numbers are torch's own; a group may stay empty, as it must
    where there are fewer rows than groups.

    Args:
        vectors: Of unit length; a zero row has no direction and may land anywhere.
        n_groups: How many.
        restarts: Starts, each with centres that are far from each other (k-means++).
        rounds: Most moves of the centres in each.

    Example:
        >>> groups = spherical_kmeans(torch.eye(3)[[0, 0, 1, 2, 1]], 3)
        >>> bool(groups[0] == groups[1]), bool(groups[2] == groups[4]), len(groups.unique())
        (True, True, 3)
    """
    best, groups = -torch.inf, torch.zeros(len(vectors), dtype=torch.long)
    for _ in range(restarts):
        centres = _apart(vectors, n_groups)
        cosines, nearest = (vectors @ centres.T).max(1)
        for _ in range(rounds):
            before = nearest
            centres = unit(torch.zeros_like(centres).index_add_(0, nearest, vectors))
            cosines, nearest = (vectors @ centres.T).max(1)
            if torch.equal(nearest, before):
                break
        if (total := cosines.sum().item()) > best:
            best, groups = total, nearest
    return groups


def _apart(vectors: Float[Tensor, "row dim"], number: int) -> Float[Tensor, "group dim"]:
    """Rows, each drawn with a chance that is one less its largest cosine with those before."""
    gaps, drawn = torch.ones(len(vectors)), []
    for _ in range(number):
        row = vectors[(gaps / torch.empty_like(gaps).exponential_()).argmax()]  # a race
        drawn.append(row)
        gaps = torch.minimum(gaps, (1 - vectors @ row).clamp_min(0))
    return torch.stack(drawn)
