"""Held-out users: people never seen in training, known only by part of their history.

Strong generalisation as in Liang et al. (2018) and in the MacridVAE authors' data script, to the
draw: the same seed gives the very user–item pairs of the published files. Each held-out user's
events are split once more, into the fold-in (shown to the model) and the held-out items (to be
predicted).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from macrid.data.formats import find
from macrid.data.interactions import Interactions, concat
from macrid.data.vocabulary import Vocabulary, clean_ids
from macrid.errors import DataError

PUBLISHED_SEED = 98765
MIN_EVENTS_TO_SPLIT = 5


@dataclass(frozen=True, eq=False)
class HeldOut:
    """People the model never saw: what it is shown of them, and what it should find.

    Both tables have the same users in the same rows. A user whose items were too few to split has
    everything in the fold-in and nothing held out.

    Raises:
        DataError: If the tables differ in their users.
    """

    fold_in: Interactions
    held_out: Interactions

    def __post_init__(self) -> None:
        if self.fold_in.users != self.held_out.users:
            raise DataError("fold_in and held_out must have the same users, row by row")

    def __len__(self) -> int:
        return self.fold_in.n_users


@dataclass(frozen=True, eq=False)
class Split:
    """Training users, and validation and test users over the training catalogue."""

    train: Interactions
    validation: HeldOut
    test: HeldOut

    def __repr__(self) -> str:
        return f"Split({self.train}, validation {len(self.validation)}, test {len(self.test)})"


def hold_out_users(
    data: Interactions,
    n_users: int | None = None,
    *,
    seed: int = PUBLISHED_SEED,
    share: float = 0.2,
) -> Split:
    """Set aside people for validation and as many for testing, by the published recipe.

    The sorted users are permuted with NumPy's legacy generator; the last ``n_users`` are test
    users, those before them validation users. The catalogue is what the other users touched;
    held-out users' other events are dropped. Of each held-out user with at least five events left,
    ``floor(share * n)`` are held out, drawn user by user in ascending order from a generator with
    the same seed, reset for each of the two groups (Liang et al., 2018; their notebook).

    Args:
        data: Interactions, filtered as wanted: the recipe asks for users with five events or more.
        n_users: People in each group. By default a tenth of all, at most 10,000.
        seed: 98765 in the published splits.
        share: Part of each held-out user's events to predict.

    Raises:
        DataError: If too few users would remain to train on.

    Example:
        >>> from macrid.data.readers import read
        >>> clicks = {"user": [u for u in range(9) for _ in range(6)], "item": [*range(6)] * 9}
        >>> hold_out_users(read(pl.DataFrame(clicks)), n_users=2)
        Split(Interactions(5 users, 6 items, 30 events), validation 2, test 2)
    """
    if n_users is None:
        n_users = max(1, min(data.n_users // 10, 10_000))
    if n_users < 1 or not 0 < share < 1:
        raise ValueError(
            f"n_users is {n_users} and share is {share}; at least 1, and within (0, 1)"
        )
    if data.n_users < 2 * n_users + 1:
        raise DataError(
            f"holding out {n_users:,} + {n_users:,} users leaves nobody of {data.n_users:,} to "
            "train on; hold out fewer, or bring more users"
        )
    # The legacy generator, because the published files were drawn with it.
    order = np.random.RandomState(seed).permutation(data.n_users)
    groups = np.split(order, [data.n_users - 2 * n_users, data.n_users - n_users])
    train, validation, test = (data.take_users(np.sort(group)) for group in groups)
    train = train.by_appearance()
    held_out = [
        hide_events(group.with_catalogue(train.items), share, seed=seed)
        for group in (validation, test)
    ]
    if not all(map(len, held_out)):
        raise DataError(
            f"of {n_users:,} held-out users, none has an item that a training user has; hold out "
            "more, or bring data in which people share items"
        )
    return Split(train, *held_out)


def hide_events(people: Interactions, share: float = 0.2, *, seed: int = PUBLISHED_SEED) -> HeldOut:
    """Hide part of each person's events: the second half of the recipe, for people of one's own.

    Args:
        people: Interactions over the catalogue of the model to be measured.
        share: Part of each person's events to hide; of fewer than five events none are.
        seed: Of the draws.
    """
    people = people.take_users(np.flatnonzero(np.diff(people.offsets)))
    chosen = np.zeros(len(people), bool)
    random = np.random.RandomState(seed)
    # A loop over users, because each published draw depends on the one before it.
    for start, end in zip(people.offsets[:-1], people.offsets[1:], strict=True):
        n_events = end - start
        if n_events >= MIN_EVENTS_TO_SPLIT:
            size = int(share * n_events)
            chosen[start + random.choice(n_events, size, replace=False)] = True
    return HeldOut(people.take_events(~chosen), people.take_events(chosen))


def is_split_folder(path: str | Path) -> bool:
    """Whether a folder is in the format of Liang et al. (``pro_sg/``)."""
    return all((Path(path) / name).is_file() for name in ("unique_sid.txt", "train.csv"))


def read_split(path: str | Path, *, features: pl.DataFrame | None = None) -> Split:
    """A folder that is already split (``pro_sg/``), exactly as it is.

    Item ids are those of ``unique_sid.txt``; user ids are the ``uid`` column, for the folder keeps
    no others.

    Args:
        path: Folder with ``unique_sid.txt``, ``train.csv`` and ``{validation,test}_{tr,te}.csv``.
        features: What is known of items, with a column ``item_id``, if anything is.

    Raises:
        DataError: If a file is missing or does not fit to the others.
    """
    folder = find(path)
    ids = pl.Series(_ids(folder / "unique_sid.txt"), dtype=pl.String)
    items = Vocabulary(clean_ids(ids, "unique_sid"))

    def table(name: str, users: Vocabulary | None = None) -> Interactions:
        events = _pairs(folder / f"{name}.csv", items)
        return Interactions.from_events(events, items=items, users=users, features=features)

    def held_out(name: str) -> HeldOut:
        parts = [_pairs(folder / f"{name}_{part}.csv", items) for part in ("tr", "te")]
        users = Vocabulary(pl.concat(parts)["user_id"].unique().sort())
        return HeldOut(table(f"{name}_tr", users), table(f"{name}_te", users))

    return Split(table("train"), held_out("validation"), held_out("test"))


def everyone(split: Split) -> Interactions:
    """All people of a split with all that is known of them, over the training catalogue."""
    parts = [split.train]
    for group in (split.validation, split.test):
        parts += [group.fold_in, group.held_out]
    return concat(parts)


def _ids(path: Path) -> list[str]:
    """The lines of a text file that lists items."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not (ids := [line.rstrip("\r") for line in lines if line.strip()]):
        raise DataError(f"{path} lists no items; every line is the id of one")
    return ids


def _pairs(path: Path, items: Vocabulary) -> pl.DataFrame:
    """One ``uid,sid`` file as ``user_id, item_id``."""
    try:
        pairs = pl.read_csv(path, schema_overrides={"uid": pl.Int64, "sid": pl.Int64})
        pairs = pairs.select(user_id="uid", row="sid")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"cannot read {path} as uid,sid: {str(error).splitlines()[0]}; a split folder holds "
            "unique_sid.txt, train.csv, validation_tr.csv, validation_te.csv, test_tr.csv and "
            "test_te.csv"
        ) from error
    if pairs.is_empty():
        raise DataError(f"{path} holds no events")
    if pairs.null_count().sum_horizontal()[0]:
        raise DataError(f"{path} has empty cells; every line is uid,sid")
    bad = pairs.filter(~pl.col("row").is_between(0, len(items) - 1))
    if len(bad):
        raise DataError(
            f"{path} has sid {bad['row'][0]}, but unique_sid.txt lists {len(items):,} items "
            f"(0 to {len(items) - 1:,})"
        )
    pairs = pairs.unique(maintain_order=True)
    return pairs.select("user_id", item_id=items.ids.gather(pairs["row"]))
