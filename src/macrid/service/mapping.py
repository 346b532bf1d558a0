"""Where items and a person's components stand on a plane: neighbours in the model are neighbours.

Items are placed by t-SNE, as in a report, or along the two principal axes where openTSNE is not
installed; of a catalogue above ``MOST`` that many are placed so, and the others among their nearest
of those. Places are kept beside the store, for every process that serves the same model.
"""

import contextlib
import io
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic_core import to_json

from macrid.control.controls import Controls
from macrid.control.dials import turned
from macrid.data.files import replace_file
from macrid.errors import ControlError, MissingExtra
from macrid.evaluation.disentanglement import item_vectors
from macrid.models.described import Described
from macrid.models.steered import Steered
from macrid.models.trained import Trained
from macrid.report.projection import principal, project
from macrid.service.holder import Serving

MOST = 30_000  # items placed by t-SNE: a minute or two of one processor
_NEAREST, _TAU = 8, 0.05  # items that a point is placed among, and how fast their say falls
_BLOCK = 1_024  # points placed at a time
_LOG = logging.getLogger("macrid.service")


@dataclass(frozen=True, eq=False)
class Plane:
    """The map of a model.

    Attributes:
        serving: The model.
        vectors: Of its items, of unit length.
        concept: Of each item; -1 in a model without concepts.
        places: Of the items, between -1 and 1.
    """

    serving: Serving
    vectors: Float[np.ndarray, "item dim"]
    concept: Int[np.ndarray, " item"]
    places: Float[np.ndarray, "item two"]

    @cached_property
    def members(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Vectors and places of each concept's items."""
        return {
            int(k): (self.vectors[self.concept == k], self.places[self.concept == k])
            for k in np.unique(self.concept)
        }

    @cached_property
    def body(self) -> bytes:
        """The answer that it is, in columns: most of it are ids and titles."""
        titles = self.serving.titles
        x, y = self.places.round(4).astype(float).T.tolist()
        return to_json(
            {
                "model": self.serving.model.name,
                "digest": self.serving.digest,
                "item_id": self.serving.model.items.ids.to_list(),
                "title": None if titles is None else titles.to_list(),
                "x": x,
                "y": y,
                "concept": self.concept.tolist(),
            }
        )


def draw(serving: Serving, path: Path) -> Plane:
    """The map of a model: the one that is kept, or a new one, which is then kept.

    Args:
        serving: The model.
        path: Where maps are kept.

    Raises:
        ControlError: If the model has no vectors to place items by.
    """
    model = serving.model
    if not isinstance(model, Trained):
        raise ControlError(f"{model.name} has no vectors of items, and so no map")
    vectors, concept = item_vectors(model), np.full(len(model.items), -1)
    if isinstance(model, Described):
        concept = model.concepts().assignments["concept"].to_numpy()
    with _alone(path):
        places = _kept(path, serving)
        if places is None:
            places = _placed(vectors)
            _keep(path, serving, places)
    return Plane(serving, vectors, concept, places)


def components(plane: Plane, history: list[Any], controls: Controls) -> list[dict[str, Any]]:
    """Where each of a person's components stands, with the dials turned.

    Raises:
        ControlError: If the model has no concepts, or cannot follow the controls.
    """
    model = plane.serving.model
    if not isinstance(model, Steered):
        raise ControlError(f"{model.name} has no concepts, and so people have no components")
    said, steering = model.encode({"": history}, on_unknown="ignore"), model.steering(controls)
    points = torch.from_numpy(said.mean)
    if steering.turns and steering.prototypes is not None:
        points = turned(points, steering.turns, steering.prototypes)
    names, found = model.naming().concepts, []
    for k in np.flatnonzero(said.confidence[0]).tolist():  # a handful
        if k not in plane.members:
            continue
        place = among(points[0, k : k + 1].numpy(), *plane.members[k])[0]
        row = {"concept": k, "name": names[k], "confidence": float(said.confidence[0, k])}
        found.append(row | {"x": float(place[0]), "y": float(place[1])})
    return found


def among(
    points: Float[np.ndarray, "point dim"],
    vectors: Float[np.ndarray, "item dim"],
    places: Float[np.ndarray, "item two"],
) -> Float[np.ndarray, "point two"]:
    """The mean place of each point's nearest items, the nearer ones counting for more.

    Example:
        >>> items, there = np.eye(2, dtype=np.float32), np.array([[0.0, 0.0], [1.0, 1.0]])
        >>> among(items[1:], items, there).round(3).tolist()
        [[1.0, 1.0]]
    """
    placed = []
    for start in range(0, len(points), _BLOCK):
        likeness = points[start : start + _BLOCK] @ vectors.T
        k = min(_NEAREST, likeness.shape[1])
        nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
        of = np.take_along_axis(likeness, nearest, 1)
        weights = np.exp((of - of.max(1, keepdims=True)) / _TAU)
        weights /= weights.sum(1, keepdims=True)
        placed.append((weights[:, :, None] * places[nearest]).sum(1))
    return np.concatenate(placed)


def _placed(vectors: Float[np.ndarray, "item dim"]) -> Float[np.ndarray, "item two"]:
    """Places of all items, the farthest at a distance of 1 along one of the axes."""
    some = np.sort(np.random.default_rng(0).permutation(len(vectors))[:MOST])
    try:
        of_some = project(vectors[some])
    except MissingExtra:
        of_some = principal(vectors[some])[:, :2]
    places = np.zeros((len(vectors), 2))
    places[some] = of_some
    others = np.setdiff1d(np.arange(len(vectors)), some)
    if len(others):
        places[others] = among(vectors[others], vectors[some], of_some)
    return (places / max(np.abs(places).max(initial=0), 1e-12)).astype(np.float32)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time, as far as the machine can tell; the lock ends with the process."""
    with contextlib.ExitStack() as held:
        # Without such locks, or a place to keep one, it is drawn twice at worst.
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            lock = held.enter_context(path.with_name(f".{path.name}.lock").open("wb"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _kept(path: Path, serving: Serving) -> np.ndarray | None:
    """Places from the file; None if it is of another model, or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            places, digest = file["places"], str(file["digest"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    right = digest == serving.digest and places.shape == (len(serving.model.items), 2)
    return places if right and np.isfinite(places).all() else None


def _keep(path: Path, serving: Serving, places: np.ndarray) -> None:
    """Put places into the file; without one, they are drawn again by the next process."""
    written = io.BytesIO()
    np.savez_compressed(written, places=places, digest=np.array(serving.digest))
    try:
        replace_file(path, written.getvalue())
    except OSError as error:
        _LOG.warning("the map cannot be kept in %s: %s", path, error)
