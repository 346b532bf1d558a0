"""Concepts that are read off the events before training, in place of learned prototypes."""

import torch
from jaxtyping import Int
from torch import Tensor

from macrid.data.interactions import Interactions
from macrid.models.spectrum import singular_vectors
from macrid.models.vae import VAE
from macrid.parts.concepts import Prototypes
from macrid.parts.items import unit
from macrid.parts.kmeans import spherical_kmeans

POWER = 0.5  # of both counts, as in a normalised graph, where each group counts whatever its size


@torch.no_grad()
def start_from_clusters(network: VAE, train: Interactions) -> None:
    r"""Settle items on the clusters of `co_cluster`, and turn their vectors half way there.

    An item starts in the direction of :math:`h_i + m_k` (of unit length both), for its vector as
    drawn or from the spectrum and the prototype of its cluster, the mean of such vectors. Without
    that, items with few events would be nearer to other prototypes.

    Args:
        network: With its first weights; changed in place.
        train: Training users. Cost: a few products of the events with as many columns as there are
            concepts, and of the items' singular vectors with that many centres.
    """
    prototypes = network.concepts
    assert isinstance(prototypes, Prototypes)
    prototypes.settle(co_cluster(train, prototypes.n_concepts))
    items = prototypes.items.weight
    directions = unit(items) + unit(prototypes.weight)[prototypes.members]
    items.copy_(unit(directions) * items.norm(dim=-1).mean())
    prototypes.follow()


def co_cluster(train: Interactions, n_clusters: int) -> Int[Tensor, " item"]:
    r"""The cluster of each item by spectral co-clustering of users and items (Dhillon, 2001).

    Spherical k-means of the items' rows among the first :math:`K` right singular vectors of
    :math:`x_{ui} / \sqrt{n_u n_i}`. Where events keep within :math:`K` groups, these tell the
    groups apart and nothing else, however unequal the groups: what varies within a group comes
    later in the spectrum. K-means on whole item vectors would rather split a large one.

    Example:
        >>> from macrid.data.readers import read
        >>> clicks = read({"user": [0, 0, 1, 1, 2, 2, 2], "item": list("abbacde")})
        >>> a, b, c, d, e = co_cluster(clicks, 2).tolist()
        >>> a == b != c == d == e
        True
    """
    vectors = singular_vectors(train, n_clusters, POWER, POWER)
    return spherical_kmeans(unit(vectors), n_clusters)
