"""What a comparison has finished: a folder per model and seed, there as a whole or not at all.

``FOLDER/cells/LABEL/SEED/`` holds ``cell.json`` and ``users.parquet``, the values of all test
users. Both are written into a hidden folder that is renamed when they are there, so that a process
that is killed loses the cell at work and no other, and of two at once the last one wins.
"""

import errno
import json
import shutil
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_origin, get_type_hints
from uuid import uuid4

import numpy as np
import polars as pl

from macrid.data.files import replace_file
from macrid.data.splits import HeldOut
from macrid.errors import ArtifactError, DataError

FORMAT = 1
FOLDER = "cells"
REPORTS = frozenset({"comparison.json", "comparison.md", "comparison.html"})
_DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError)


@dataclass(frozen=True, eq=False)
class Cell:
    """One model trained with one seed, and what it is worth.

    Args:
        settings: Of the model, as they were in the end.
        training: Settings of its training; empty for a model that is not trained in epochs.
        seconds: Of training, with whatever choosing on the validation users took.
        parameters: How many numbers were learned.
        best_epoch: The epoch that was kept, from 1; None without epochs.
        epochs: How many there were.
        validation: NDCG@100 on the validation users.
        beyond: Beyond-accuracy measures, if they were asked for.
        users: ``user_id`` and a column per metric, a row per test user.
    """

    settings: dict[str, Any]
    training: dict[str, Any]
    seconds: float
    parameters: int
    best_epoch: int | None
    epochs: int | None
    validation: float
    beyond: dict[str, float | None]
    users: pl.DataFrame


def check_folder(folder: Path, reports: Set[str] = REPORTS) -> None:
    """Make sure that a comparison may be written to a folder, and make it.

    It may be new or empty, or hold a comparison: cells and reports of these names. Hidden files do
    not count.

    Raises:
        ArtifactError: If it holds something else, or cannot be written.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    others = {name for name in names if not name.startswith(".")} - reports - {FOLDER}
    if others:
        raise ArtifactError(
            f"{folder} holds something else ({min(others)!r}); compare into a new or empty folder, "
            "or into that of an older comparison"
        )
    try:
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(f"cannot write to {folder}: {error.strerror}") from error


def find_cell(
    folder: Path, name: str, identity: Mapping[str, Any], *, overwrite: bool = False
) -> Cell | None:
    """A cell that was finished before.

    Args:
        folder: Of the comparison.
        name: ``LABEL/SEED``.
        identity: What the cell depends on, by name.
        overwrite: Whether one that depends on something else counts as none.

    Raises:
        DataError: If it depends on something else.
        ArtifactError: If it is damaged.
    """
    place = folder / FOLDER / name
    if not place.is_dir():
        return None
    try:
        about = json.loads((place / "cell.json").read_bytes())
        found = about.pop("identity")
        changed = [key for key in {**found, **identity} if found.get(key) != identity.get(key)]
        if not changed:
            _check_kinds(about)
            return Cell(**about, users=pl.read_parquet(place / "users.parquet"))
    except _DAMAGE as error:
        raise ArtifactError(
            f"the cell {place} is damaged ({str(error).splitlines()[0]}); delete it, and it is run "
            "again"
        ) from error
    if overwrite:
        return None
    raise DataError(
        f"{place} is of another comparison: {', '.join(changed)} differ; choose another folder "
        "(--out), or replace it with --overwrite"
    )


def _check_kinds(about: Mapping[str, Any]) -> None:
    """Refuse values that are not what a `Cell` says of them."""
    for name, value in about.items():
        kind = get_type_hints(Cell)[name]
        wanted: Any = kind if isinstance(kind, UnionType) else get_origin(kind) or kind
        if not isinstance(value, int | float if wanted is float else wanted):
            raise TypeError(f"{name} is {value!r}")


def check_users(
    folder: Path, name: str, cell: Cell, people: HeldOut, metrics: Sequence[str]
) -> None:
    """Make sure that a cell's values are of these users, in their order, and all there.

    Raises:
        ArtifactError: If they are not, or are no numbers.
    """
    table, ids = cell.users, people.fold_in.users.ids
    values = table.drop("user_id", strict=False)
    whole = table.columns == ["user_id", *metrics] and table["user_id"].to_list() == list(ids)
    if not whole or set(values.dtypes) != {pl.Float64} or not np.isfinite(values.to_numpy()).all():
        raise ArtifactError(
            f"the cell {folder / FOLDER / name} is damaged (users.parquet is not of these users "
            "and metrics); delete it, and it is run again"
        )


def keep_cell(folder: Path, name: str, identity: Mapping[str, Any], cell: Cell) -> None:
    """Write a cell in one step; one of that name is replaced.

    Raises:
        ArtifactError: If it cannot be written.
    """
    place = folder / FOLDER / name
    aside = _aside(place)
    about = {key: value for key, value in vars(cell).items() if key != "users"}
    try:
        aside.mkdir(parents=True)
        content = json.dumps({"identity": dict(identity), **about}, ensure_ascii=False, indent=2)
        replace_file(aside / "cell.json", content.encode())
        cell.users.write_parquet(aside / "users.parquet")
        _put(aside, place)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise ArtifactError(f"cannot write {place}: {error.strerror}") from error


def _aside(place: Path) -> Path:
    """A hidden name beside it that no other process has."""
    return place.with_name(f".{place.name}-{uuid4().hex}")


def _put(aside: Path, place: Path) -> None:
    """Rename a folder into its place; what another process put there meanwhile goes."""
    while True:
        with suppress(FileNotFoundError):  # there is none, or another process took it away
            shutil.rmtree(place.rename(_aside(place)), ignore_errors=True)
        try:
            aside.rename(place)
            return
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
