"""The model in use, and how another takes its place: whole or not at all, with nobody waiting."""

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from macrid.errors import ArtifactError
from macrid.models.artifact import load
from macrid.models.described import Described
from macrid.models.ready import Ready
from macrid.models.recommender import Recommender
from macrid.service.storage.errors import first_line

_KEPT = 16  # descriptions of concepts
_ATTEMPTS = 3  # at a folder that is being written


@dataclass(frozen=True, eq=False)
class Serving:
    """A model, with what its answers have in common made once.

    Attributes:
        model: From the folder.
        ready: It, prepared for lists without wishes.
        digest: Of the folder.
        learned: Of what was learned alone, whatever names were given since.
        catalogue: All that is known of the items, the most probable concept included.
        titles: Of the items in row order, if they have some.
        said: Of concepts, so as not to look for the same twice.
    """

    model: Recommender
    ready: Ready
    digest: str
    learned: str
    catalogue: pl.DataFrame
    titles: pl.Series | None
    said: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Recommender, digest: str, learned: str) -> "Serving":
        """Prepare a model, so that the first to ask waits no longer than others."""
        assert model.catalogue is not None
        catalogue = model.catalogue
        titled = "title" in catalogue.columns
        titles = catalogue["title"].cast(pl.String) if titled else None
        if isinstance(model, Described) and "concept" not in catalogue.columns:
            catalogue = catalogue.with_columns(concept=model.concepts().assignments["concept"])
        serving = cls(model, model.ready(), digest, learned, catalogue, titles)
        first = model.items.ids[:1].to_list()
        serving.ready.recommend({"": first}, 1, on_unknown="ignore")
        if isinstance(model, Described):
            serving.concepts()
        return serving

    def concepts(self, top: int = 8, dimensions: int = 3) -> dict[str, Any]:
        """What `macrid concepts` says of a model that has some."""
        if (top, dimensions) not in self.said:
            model: Any = self.model
            if len(self.said) >= _KEPT:
                self.said.clear()
            found = model.concepts(top=top).to_dict(dimensions)
            self.said[top, dimensions] = {"model": model.name, **found}
        return self.said[top, dimensions]


class Holder:
    """Holds one model, and reads the folder again when it is told to.

    Args:
        folder: A model folder.

    Raises:
        ArtifactError: If it holds no model that can be loaded.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._lock = folder, threading.Lock()
        self.current = self._read()

    def reload(self) -> bool:
        """Take what is in the folder now; whether that is another model.

        Whoever has begun with the old one ends with it.

        Raises:
            ArtifactError: If it cannot be loaded; the old one keeps serving.
        """
        with self._lock:
            found = self._read()
            changed = found.digest != self.current.digest
            self.current = found
            return changed

    def _read(self) -> Serving:
        """The folder's model; read again if it was written meanwhile."""
        for attempt in range(1, _ATTEMPTS + 1):
            before = _digest(self.folder)
            try:
                model = load(self.folder)
            except ArtifactError:
                if attempt == _ATTEMPTS or _digest(self.folder) == before:
                    raise
                continue
            if _digest(self.folder) == before:
                return Serving.of(model, before, _digest(self.folder, "config.json"))
        raise ArtifactError(f"{self.folder} is being written all the time; reload when it is done")


def _digest(folder: Path, *names: str) -> str:
    """Of the files that say what is in the folder: the configuration has digests of the others."""
    found = hashlib.sha256()
    for name in names or ("config.json", "names.json"):
        path = folder / name
        try:
            found.update(path.read_bytes() if path.is_file() else b"")
        except OSError as error:
            raise ArtifactError(f"cannot read {path}: {first_line(error)}") from error
    return found.hexdigest()[:16]
