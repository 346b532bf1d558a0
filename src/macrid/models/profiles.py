"""A person's profile as a document: read once, edited, kept, and listed for again later."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import torch
from jaxtyping import Float
from numpy import ndarray
from pydantic import Field, ValidationError
from torch import Tensor

from macrid.control.controls import Controls
from macrid.control.dials import turned
from macrid.data.files import replace_file
from macrid.data.histories import Histories
from macrid.errors import ArtifactError, ControlError
from macrid.models.controlled import SteeredRanker
from macrid.models.lists import list_frame
from macrid.models.steered import Steered
from macrid.parts.items import unit
from macrid.training.settings import Settings

FORMAT = 1
_ROUNDING = 1e-3  # of a unit length that was written in decimal digits


class Profile(Settings):
    """One person's points, a unit vector for each concept; the same JSON everywhere.

    Args:
        model: Digest of the model's weights, without which the points mean nothing.
        items: What the person had, which is not listed to them.
        points: Of each concept.
        format: Of the document.
    """

    model: str
    items: tuple[int | str, ...]
    points: tuple[tuple[float, ...], ...]
    format: Annotated[int, Field(ge=1, le=FORMAT)] = FORMAT

    @classmethod
    def read(cls, path: str | Path) -> "Profile":
        """From a file of `write`.

        Raises:
            ControlError: If it cannot be read, or holds no profile.
        """
        try:
            return cls.model_validate(json.loads(Path(path).read_bytes()))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "it"
            raise ControlError(f"{path} holds no profile: {place}: {first['msg']}") from None
        except (OSError, ValueError) as error:
            raise ControlError(f"cannot read the profile {path}: {error}") from error

    def write(self, path: str | Path) -> None:
        """To a JSON file, in one step.

        Raises:
            ArtifactError: If it cannot be written.
        """
        try:
            replace_file(Path(path), self.model_dump_json(indent=1).encode() + b"\n")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise ArtifactError(f"cannot write the profile to {path}: {why}") from error


class Profiled(Steered):
    """A model with concepts whose people can be written down."""

    def profile(self, history: Any) -> Profile:
        """What the model knows of a person.

        Args:
            history: A list of ids, or ``{person: [item, ...]}``.

        Raises:
            UnknownItem: If the model does not know an item of it.
            ControlError: If it is empty, or of several people.
        """
        items, said = self.read_one(history)
        return Profile(model=self._digest(), items=tuple(items), points=_numbers(said.mean[0]))

    @torch.no_grad()
    def edit(self, profile: Profile, controls: Controls | Mapping[str, Any]) -> Profile:
        """A profile with dials turned for good.

        Args:
            profile: Whose; it stays as it is.
            controls: Dials; all else is asked of lists, not of people.

        Raises:
            ControlError: If anything but dials is asked for, or the profile is another model's.
        """
        asked, z = Controls.of(controls), self._points(profile)
        asked.need_only(["dials"], "a profile")
        steering = self.steering(asked)
        if steering.prototypes is None:
            return profile
        z = turned(z, steering.turns, steering.prototypes)
        return profile.model_copy(update={"points": _numbers(z[0].numpy())})

    @torch.no_grad()
    def recommend_profile(
        self,
        profile: Profile,
        k: int = 10,
        *,
        controls: Controls | Mapping[str, Any] | None = None,
    ) -> pl.DataFrame:
        """The list of a profile, as `recommend` makes it of a history.

        Args:
            profile: Whose list is wanted.
            k: Length of the list.
            controls: What else is asked of it.

        Returns:
            A frame ``item_id, score, rank``.

        Raises:
            UnknownItem: If the person had an item that the model does not know.
            ControlError: If the profile is another model's, or the controls cannot be followed.
        """
        if k < 1:
            raise ValueError(f"k is {k}; a list holds 1 item or more")
        asked, z = Controls.of({} if controls is None else controls), self._points(profile)
        had = Histories.from_lists([self._rows(profile.items).tolist()])
        ranker = SteeredRanker.of(self.network, self.steering(asked), self.muted(asked))
        found = ranker.best(z, k, had)
        return list_frame(found, pl.Series("user_id", ["me"]), self.items.ids).drop("user_id")

    def _points(self, profile: Profile) -> Tensor:
        """As the network has them, (1, concept, dim)."""
        sizes = [len(point) for point in profile.points]
        if profile.model != self._digest() or sizes != [self._n_dims] * self._n_concepts:
            raise ControlError(
                "the profile is another model's, to which its points mean nothing; make it anew "
                "from the history"
            )
        points = torch.tensor(profile.points)
        if not ((points.norm(dim=1) - 1).abs() < _ROUNDING).all():
            raise ControlError(
                "a point of the profile is not of unit length: it was changed by hand; turn dials "
                "by edit, or make the profile anew from the history"
            )
        return unit(points)[None]

    def _digest(self) -> str:
        """Of what was learned and how it is read, short."""
        found = hashlib.sha256(repr((self.name, self.get_params())).encode())
        for name, tensor in self.tensors().items():
            found.update(name.encode())
            found.update(tensor.contiguous().numpy().tobytes())
        return found.hexdigest()[:16]


def _numbers(points: Float[ndarray, "concept dim"]) -> tuple[tuple[float, ...], ...]:
    """For a document that somebody may read."""
    return tuple(tuple(round(value, 8) for value in point) for point in points.tolist())
