"""Items and people on a plane: near each other where they were near in the model's space.

The embedding is t-SNE (van der Maaten and Hinton, 2008) by openTSNE, of items and of people's
components together, as in Figure 2 of Ma et al. (2019). It starts from the two principal axes and
draws nothing at random, so that the same model and people give the same map.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from macrid.errors import MissingExtra
from macrid.models.described import Posteriors

ITEMS = 6_000  # most on a map
N_AXES = 50  # of the principal ones that neighbours are looked for along
PERPLEXITY, _NEIGHBOURS = 20, 60  # three times as many neighbours, as is usual
_EARLY, _LATE = 150, 300  # iterations; openTSNE's own are 250 and 500
_FEWEST = 10  # points that make a map
_BLOCK = 1024  # points whose distances are in memory at a time


def project(points: Float[np.ndarray, "point dim"]) -> Float[np.ndarray, "point two"]:
    """Places on a plane, the median in its middle.

    Args:
        points: Two or more, compared by their distance.

    Raises:
        MissingExtra: If openTSNE is not installed.

    Example:
        >>> project(np.ones((3, 4))).tolist()  # all are the same
        [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """
    wide = principal(points)
    if not np.ptp(wide[:, 0]):
        return np.zeros((len(points), 2))  # all are the same
    rows, distances = neighbours(wide, min(_NEIGHBOURS, len(points) - 1))
    tsne, threads = _library(), torch.get_num_threads()
    affinities = tsne.affinity.PerplexityBasedNN(
        perplexity=min(PERPLEXITY, max(1, rows.shape[1] // 3)),
        knn_index=tsne.nearest_neighbors.PrecomputedNeighbors(rows, distances),
        n_jobs=threads,
    )
    start = tsne.initialization.rescale(wide[:, :2].astype(float))
    # A coarser grid than openTSNE's own: half the time; of 9,450 drawn points the divergence was
    # 3.25 instead of 3.23.
    grid = {"negative_gradient_method": "fft", "ints_in_interval": 2, "n_interpolation_points": 2}
    placed = tsne.TSNEEmbedding(start, affinities, n_jobs=threads, random_state=0, **grid)
    placed = placed.optimize(_EARLY, exaggeration=12, momentum=0.5).optimize(_LATE, momentum=0.8)
    places = np.asarray(placed)
    return places - np.median(places, axis=0)


@dataclass(frozen=True, eq=False)
class Atlas:
    """Where items and people's components stand on the map.

    Attributes:
        items: Rows of the catalogue, in order.
        item_places: Theirs.
        users: Rows of the people, one for each component.
        concepts: The concept of each component.
        user_places: Theirs.
        n_items: Of the catalogue; those that are not shown were drawn to be left out.
        n_users: Of the people some were drawn from.
    """

    items: Int[np.ndarray, " item"]
    item_places: Float[np.ndarray, "item two"]
    users: Int[np.ndarray, " component"]
    concepts: Int[np.ndarray, " component"]
    user_places: Float[np.ndarray, "component two"]
    n_items: int
    n_users: int


def draw_map(
    vectors: Float[np.ndarray, "item dim"], people: Posteriors | None = None, n_users: int = 0
) -> Atlas | None:
    """Items, and of people the two components that they are most confident of.

    Args:
        vectors: Of all items; a random ``ITEMS`` of them are shown.
        people: All of whom are shown.
        n_users: How many these were drawn from.

    Returns:
        The map; None of fewer than ten points.

    Raises:
        MissingExtra: If openTSNE is not installed.
    """
    items = np.sort(np.random.default_rng(0).permutation(len(vectors))[:ITEMS])
    points, users, concepts = vectors[items], np.zeros(0, np.int64), np.zeros(0, np.int64)
    if people is not None:
        two = np.argsort(-people.confidence, axis=1, kind="stable")[:, :2]
        users, concepts = np.repeat(np.arange(len(two)), two.shape[1]), two.ravel()
        points = np.concatenate([points, people.mean[users, concepts]])
    if len(points) < _FEWEST:
        return None
    places, n = project(points), len(items)
    return Atlas(items, places[:n], users, concepts, places[n:], len(vectors), n_users)


def neighbours(
    points: Float[np.ndarray, "point dim"], k: int
) -> tuple[Int[np.ndarray, "point k"], Float[np.ndarray, "point k"]]:
    """The ``k`` nearest others of each point, exactly, and how far they are.

    Example:
        >>> rows, far = neighbours(np.array([[0.0], [1.0], [3.0]]), 1)
        >>> rows[:, 0].tolist(), far[:, 0].tolist()
        ([1, 0, 1], [1.0, 1.0, 2.0])
    """
    own = torch.from_numpy(np.ascontiguousarray(points, np.float32))
    squares = (own**2).sum(1)
    found = [_nearest(own, squares, start, k) for start in range(0, len(own), _BLOCK)]
    rows, distances = (torch.cat(parts).numpy() for parts in zip(*found, strict=True))
    return rows, distances.astype(np.float64)


def _nearest(own: Tensor, squares: Tensor, start: int, k: int) -> tuple[Tensor, Tensor]:
    """Those of a block."""
    block = own[start : start + _BLOCK]
    far = squares[start : start + _BLOCK, None] + squares - 2 * block @ own.T
    here = torch.arange(len(block))
    far[here, start + here] = torch.inf
    distances, rows = far.topk(k, largest=False)
    return rows, distances.clamp_min(0).sqrt()


def principal(points: Float[np.ndarray, "point dim"]) -> Float[np.ndarray, "point axis"]:
    """Along the axes of most variance, the first ones first; signs by the largest part.

    Example:
        >>> principal(np.array([[0.0, -2.0], [0.0, 2.0], [1.0, 0.0]])).shape
        (3, 2)
    """
    around = (points - points.mean(0)).astype(np.float64)
    _, basis = np.linalg.eigh(around.T @ around)
    basis = basis[:, ::-1][:, :N_AXES]
    largest = np.abs(basis).argmax(0)
    basis = basis * np.sign(basis[largest, np.arange(basis.shape[1])])
    missing = max(0, 2 - basis.shape[1])  # of the two that a plane has
    return np.pad(around @ basis, ((0, 0), (0, missing)))


def _library() -> Any:
    """The package.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        import openTSNE
        from openTSNE import affinity, initialization, nearest_neighbors  # noqa: F401
    except ImportError as error:
        raise MissingExtra("openTSNE", "viz") from error
    return openTSNE
