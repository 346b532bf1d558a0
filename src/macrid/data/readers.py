"""From any event log to `Interactions`: find the columns, check the values, filter, merge.

A source is a path or a frame. Files: CSV and TSV (also gzipped), Parquet (a file or a folder),
RecBole ``.inter``, MovieLens ``ratings.dat``, ``u.data`` and ``ratings.csv`` (or the unpacked
folder), scipy ``.npz``, a ``pro_sg/`` folder. Frames: polars, pandas, pyarrow, duckdb, anything
that speaks Arrow, and scipy sparse matrices. How each format becomes a table is
`macrid.data.formats`; here its columns get their meaning.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from macrid.data.formats import features_beside, find, read_table
from macrid.data.interactions import Interactions, order_by
from macrid.data.splits import everyone, is_split_folder, read_split
from macrid.data.vocabulary import clean_ids, in_type, number_ids
from macrid.errors import DataError

# The usual names of each column, compared in lower case without punctuation: userId is userid.
ALIASES = {
    "user_id": "user userid uid customer customerid visitor visitorid reviewerid memberid",
    "item_id": "item itemid iid sid movie movieid product productid asin book bookid artist "
    "artistid track trackid song songid article articleid business businessid poi poiid location "
    "locationid",
    "weight": "weight rating ratings count plays playcount listencount quantity score stars",
    "timestamp": "timestamp time ts date datetime eventtime unixreviewtime",
}


def read(
    source: Any,
    *,
    items: Any = None,
    columns: Mapping[str, str] | None = None,
    min_weight: float | None = None,
    min_user_events: int = 1,
    min_item_events: int = 1,
) -> Interactions:
    """Read an event log.

    Ids stay what they are, integers or strings (``"007"`` included). Events below ``min_weight``
    are dropped; then a pair (user, item) that occurs several times becomes one event with the
    summed weight and the latest time; then rare items are dropped, then users with too few events
    left: once each, in that order, as the published recipe does.

    Args:
        source: A path or a frame; see the top of this module. A ``pro_sg/`` folder is read whole;
            `read_split` keeps its split.
        items: A second table with one row per item: titles, list columns such as genres, anything.
            By default the ``items.parquet`` beside the events, if there is one.
        columns: What the columns are called where the usual names do not find them, such as
            ``{"user_id": "who", "item_id": "what"}``.
        min_weight: Smallest weight that counts, such as 4 of 5 stars. By default everything counts.
        min_user_events: Users with fewer events are dropped.
        min_item_events: Items with fewer users are dropped.

    Returns:
        Users in ascending order of id.

    Raises:
        DataError: If the source is missing, empty, damaged or ambiguous, a weight is not a finite
            number of at least 0, or nothing is left after filtering.

    Example:
        >>> log = {"userId": [1, 1, 2], "movieId": ["a", "b", "a"], "rating": [5, 2, 4]}
        >>> read(pl.DataFrame(log), min_weight=4)
        Interactions(2 users, 1 items, 2 events)
    """
    if isinstance(source, str | Path):
        source = find(source)
    _check_columns(columns := columns or {})
    features = read_features(items) if items is not None else features_beside(source, _features)
    if isinstance(source, Path) and is_split_folder(source):
        together = everyone(read_split(source)).to_frame()
        data = _number(together, {}, min_weight, infer=False)
    else:
        data = _number(read_table(source, _chooser(columns)), columns, min_weight)
    data = _filter(_merge(data), min_user_events, min_item_events)
    if items is not None and features is not None:
        check_related(data.items.ids, features["item_id"])
    return replace(data, features=features).by_appearance()


def read_features(source: Any) -> pl.DataFrame:
    """What is known of items: ``item_id`` first, then every other column as it is.

    Text columns named genres, tags or categories with ``|`` between their values become lists.

    Args:
        source: A path (Parquet, CSV, TSV, ``movies.dat``, ``u.item``, RecBole ``.item``) or a
            frame.

    Raises:
        DataError: If it cannot be read, has no item column, or an item twice.

    Example:
        >>> read_features(pl.DataFrame({"movieId": [1], "genres": ["Comedy|War"]})).row(0)
        (1, ['Comedy', 'War'])
    """
    return _features(read_table(source))


def _features(table: pl.DataFrame) -> pl.DataFrame:
    """A raw table as item features."""
    name = _item_column(table.columns)
    ids = clean_ids(table[name], name).alias("item_id")
    if ids.n_unique() != len(ids):
        twice = ids.filter(ids.is_duplicated())[0]
        raise DataError(f"the item table has item {twice!r} twice; one row per item is expected")
    others = table.drop(name)
    lists = [
        pl.col(column).str.split("|")
        for column, dtype in others.schema.items()
        if dtype == pl.String and _plain(column) in ("genres", "tags", "categories")
    ]
    return others.with_columns(lists).insert_column(0, ids)


def _item_column(names: list[str]) -> str:
    """Which column of an item table is the item: the first that may be, for others describe it."""
    known = ["itemid", *ALIASES["item_id"].split(), "id"]
    found = [name for name in names if _plain(name) in known]
    if not found:
        raise DataError(
            f"the item table has no item_id column among {_listed(names)}; rename the one that "
            f"holds the items' ids to item_id (or {', '.join(known[1:])})"
        )
    return "item_id" if "item_id" in found else found[0]


def check_related(events: pl.Series, features: pl.Series) -> None:
    """Refuse a table of other items."""
    if not in_type(features, events.dtype).is_in(events.implode()).any():
        raise DataError(
            f"the item table knows none of the items: its ids are such as "
            f"{features.first()!r}, those of the events such as {events.first()!r}"
        )


def find_column(meaning: str, names: list[str], given: Mapping[str, str]) -> str | None:
    """Which column holds the users, items, weights or times; None if none does.

    Raises:
        DataError: If several could, or the one that was named does not exist.

    Example:
        >>> find_column("user_id", ["userId", "movieId"], {})
        'userId'
    """
    if meaning in given:
        if given[meaning] not in names:
            raise DataError(
                f"there is no column {given[meaning]!r}; the columns are {', '.join(names)}"
            )
        return given[meaning]
    free = [name for name in names if name not in given.values()]
    found = [name for name in free if _plain(name) in [_plain(meaning), *ALIASES[meaning].split()]]
    if len(found) > 1:
        raise DataError(
            f"columns {', '.join(found)} could all be the {meaning}; name the one that is meant "
            f"(columns={{{meaning!r}: {found[0]!r}}}, or --column {meaning}={found[0]})"
        )
    return found[0] if found else None


def _plain(name: str) -> str:
    """A column's name as it is compared."""
    return "".join(letter for letter in name.split(":")[0].lower() if letter.isalnum())


def _no_column(meaning: str, names: list[str]) -> DataError:
    """The sentence for a table without users or items."""
    return DataError(
        f"no {meaning} column among {_listed(names)}; looked for {meaning} and "
        f"{', '.join(ALIASES[meaning].split())}; give the table a header if it has none, or name "
        f"the column with columns={{{meaning!r}: ...}} or --column {meaning}=NAME"
    )


def _listed(names: list[str]) -> str:
    """Column names for a sentence."""
    return ", ".join(map(repr, names))


def _check_columns(columns: Mapping[str, str]) -> None:
    """Refuse names of columns that mean nothing, or two things."""
    if unknown := set(columns) - set(ALIASES):
        raise ValueError(f"columns names {sorted(unknown)}; it may name {', '.join(ALIASES)}")
    if len(set(columns.values())) < len(columns):
        raise ValueError(f"columns is {dict(columns)}; each meaning needs a column of its own")


def _chooser(columns: Mapping[str, str]) -> Callable[[list[str]], list[str]]:
    """Which columns of a table are read: all that mean something; all there are for an error."""

    def choose(names: list[str]) -> list[str]:
        found = [find_column(meaning, names, columns) for meaning in ALIASES]
        return names if None in found[:2] else [name for name in found if name is not None]

    return choose


def _number(
    table: pl.DataFrame, columns: Mapping[str, str], min_weight: float | None, *, infer: bool = True
) -> Interactions:
    """A raw table as events in numbers, sorted by user; a pair may stand several times.

    The table is emptied: a column goes once it is read, because there may be very many events.
    """
    names = {meaning: find_column(meaning, table.columns, columns) for meaning in ALIASES}
    if not (n_events := len(table)):
        raise DataError("the source holds no events")
    for meaning in ("user_id", "item_id"):
        if names[meaning] is None:
            raise _no_column(meaning, table.columns)
    raw = {meaning: table.drop_in_place(name) for meaning, name in names.items() if name}
    users, items = (
        number_ids(raw.pop(meaning), str(names[meaning]), infer=infer)
        for meaning in ("user_id", "item_id")
    )
    times, weights = None, np.ones(n_events, np.float32)
    if "timestamp" in raw and raw["timestamp"].null_count() < n_events:
        times = _seconds(raw.pop("timestamp")).to_numpy()
    if "weight" in raw:
        weights = _check_weights(raw.pop("weight"), signed=min_weight is not None)
    return _at_least(min_weight, Interactions.from_rows(users, items, weights, times))


def _trimmed(column: pl.Series) -> pl.Series:
    """Categories as text, and text without blanks around it; other columns as they are."""
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    return column.str.strip_chars() if column.dtype == pl.String else column


def _seconds(times: pl.Series) -> pl.Series:
    """Times as whole seconds since 1970; null where there is none."""
    if times.dtype == pl.String:
        numbers = times.cast(pl.Int64, strict=False)
        if numbers.null_count() == times.null_count():
            return numbers  # most often; the rest would copy the text
    raw = times = _trimmed(times)
    if times.dtype == pl.String:
        times = times.replace("", None)
        numbers = times.cast(pl.Float64, strict=False)
        times = numbers if numbers.null_count() == times.null_count() else _dates(times)
    if times.dtype == pl.Date:
        times = times.cast(pl.Datetime)
    if isinstance(times.dtype, pl.Datetime):
        return times.dt.epoch("s")
    if not times.dtype.is_numeric():
        raise _strange_time(raw)
    return times.cast(pl.Int64, strict=False)


def _dates(times: pl.Series) -> pl.Series:
    """Dates as they are written with the year first; 01/02/2026 is January to some."""
    strange = times.filter(~times.str.contains(r"^\d{4}\D"))
    if len(strange):
        raise _strange_time(strange)
    try:
        return times.str.to_datetime(time_zone="UTC")
    except pl.exceptions.PolarsError as error:
        raise _strange_time(times) from error


def _strange_time(times: pl.Series) -> DataError:
    """The sentence for times that could be anything."""
    first = times.drop_nulls().head(1).to_list()[0]
    return DataError(
        f"column {times.name!r} holds times such as {first!r}; they are seconds since 1970 or, "
        "written alike in all rows, dates such as 2026-01-31T12:00:00"
    )


def _check_weights(raw: pl.Series, *, signed: bool) -> np.ndarray:
    """Weights as finite numbers, and of at least 0 unless they may have a sign."""
    weight = _floats(raw)
    strange = weight.is_null() | ~weight.cast(pl.Float32).is_finite()
    if not signed:
        strange |= weight < 0
    if strange.any():
        row = int(strange.arg_true()[0])
        first = raw[row : row + 1].to_list()[0]
        raise DataError(
            f"{strange.sum():,} of {len(raw):,} weights are not numbers of at least 0 (row "
            f"{row + 1:,} has {first!r}); mend them, or keep only events from a smallest weight "
            "on with min_weight (--min-weight), which drops negative ones"
        )
    return weight.to_numpy()


def _at_least(min_weight: float | None, data: Interactions) -> Interactions:
    """Only the events that count."""
    if min_weight is None:
        return data
    weights = data.weights
    if not (kept := weights >= min_weight).any():
        raise DataError(
            f"no event has a weight of {min_weight:g} or more; the weights reach from "
            f"{weights.min():g} to {weights.max():g}; lower min_weight"
        )
    return data.take_events(kept)


def _floats(column: pl.Series) -> pl.Series:
    """Numbers, and text that is one; null for all else."""
    if column.dtype == pl.String:
        numbers = column.cast(pl.Float64, strict=False)
        if not numbers.has_nulls():
            return numbers  # most often; the rest would copy the text
    column = _trimmed(column)
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean)):
        return pl.repeat(None, len(column), dtype=pl.Float64, eager=True)
    return column.cast(pl.Float64, strict=False)


def _merge(data: Interactions) -> Interactions:
    """One event per pair, where it first stood: weights summed, the latest time."""
    pairs = data.rows
    pairs *= data.n_items
    pairs += data.columns
    pairs.sort()
    if (pairs[1:] > pairs[:-1]).all():
        return replace(data, weights=data.weights.astype(np.float32, copy=False))
    del pairs
    by_item = order_by(data.columns, data.n_items)
    order = by_item[order_by(data.rows[by_item], data.n_users)]  # by user, item, then as they stood
    new = np.diff(data.columns[order], prepend=-1) != 0
    edges = data.offsets[:-1]
    new[edges[edges < len(new)]] = True  # the last people may have no events left
    starts = np.flatnonzero(new)
    first = order[starts]
    weights, times = np.zeros(len(data), np.float32), data.timestamps
    weights[first] = np.add.reduceat(data.weights[order], starts, dtype=np.float64)
    if times is not None:
        latest = np.fmax.reduceat(times[order], starts)  # fmax: a time that is known beats NaN
        (times := times.copy())[first] = latest
    new[:] = False
    new[first] = True
    return replace(data, weights=weights, timestamps=times).take_events(new)


def _filter(data: Interactions, min_user_events: int, min_item_events: int) -> Interactions:
    """Drop rare items, then rare users, once; those without events go in any case."""
    n_events = len(data)
    if min_item_events > 1:
        data = data.take_events((data.item_counts() >= min_item_events)[data.columns])
    kept = np.diff(data.offsets) >= max(1, min_user_events)
    if not kept.any():
        raise DataError(
            f"no user is left: of {n_events:,} events, none is by a user with {min_user_events} "
            f"or more events on items with {min_item_events} or more users; lower min_user_events "
            "(--min-user-events) or min_item_events (--min-item-events)"
        )
    return data if kept.all() else data.take_users(np.flatnonzero(kept))
