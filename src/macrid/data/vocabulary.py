"""Which id is which row: people speak in ids, arrays in rows, and only this file translates.

Ids are strings or 64-bit integers. Which of them is decided once, when a source is read: text that
holds nothing but whole numbers, written as numbers are, becomes integers. Rows count from 0. Ids
that arrive in the other type are tried in the vocabulary's own: ``"296"`` finds the integer 296,
because a command line and a JSON key can only say strings.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from macrid.errors import DataError, UnknownItem

_FEW = 64  # ids of a vocabulary for one that is asked for, from which on it is searched


class Vocabulary:
    """Ids in row order, with the way back.

    Args:
        ids: Distinct ids without nulls, integers or strings; the position is the row.

    Raises:
        DataError: If an id is missing, appears twice, or is neither an integer nor a string.

    Example:
        >>> movies = Vocabulary(["tt1", "tt7"])
        >>> movies.number("tt7"), movies.id(0), movies.numbers(["tt7", "tt9"]).tolist()
        (1, 'tt1', [1, -1])
    """

    def __init__(self, ids: Any) -> None:
        self.ids = clean_ids(pl.Series("id", ids), "id", infer=False)
        if self.ids.n_unique() != len(self.ids):
            twice = self.ids.filter(self.ids.is_duplicated())[0]
            raise DataError(f"id {twice!r} appears twice; every id needs a row of its own")
        self._rows = pl.DataFrame({"id": self.ids}).with_row_index("row")

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.ids.equals(other.ids)

    __hash__ = None  # type: ignore[assignment]  # compared by content, never used as a key

    def __contains__(self, item: object) -> bool:
        return bool(self.numbers([item])[0] >= 0)

    def id(self, number: int) -> str | int:
        """The id of a row."""
        return self.ids[number]

    def number(self, item: str | int) -> int:
        """The row of an id.

        Raises:
            UnknownItem: If the vocabulary does not hold it.
        """
        row = int(self.numbers([item])[0])
        if row < 0:
            raise UnknownItem(
                f"item {item!r} is not in the model's {len(self):,} items; "
                "it may have been filtered as too rare in training"
            )
        return row

    def numbers(self, ids: Iterable[Any]) -> np.ndarray:
        """The row of each id; -1 where the vocabulary does not hold it."""
        wanted = pl.Series("id", ids, strict=False)
        if len(self) == 0 or len(wanted) == 0:
            return np.full(len(wanted), -1)
        wanted = in_type(wanted, self.ids.dtype)
        if len(wanted) <= len(self) // _FEW:
            return self._look_up(wanted)
        found = pl.DataFrame({"id": wanted}).join(
            self._rows, on="id", how="left", maintain_order="left"
        )
        return found["row"].cast(pl.Int64).fill_null(-1).to_numpy(writable=True)

    def _look_up(self, wanted: pl.Series) -> np.ndarray:
        """The same for a few: a join would read the whole vocabulary to answer for one."""
        ordered, rows = self._ordered
        if ordered.dtype.is_integer() and not wanted.null_count():  # numpy knows no nulls, and is
            numbers, theirs = ordered.to_numpy(), wanted.to_numpy()  # done before polars begins
            place = np.searchsorted(numbers, theirs).clip(max=len(numbers) - 1)
            return np.where(numbers[place] == theirs, rows[place], -1)
        place = ordered.search_sorted(wanted).to_numpy().clip(max=len(ordered) - 1)
        same = (ordered[place] == wanted).fill_null(value=False).to_numpy()
        return np.where(same, rows[place], -1)

    @cached_property
    def _ordered(self) -> tuple[pl.Series, np.ndarray]:
        """Ids in ascending order, and their rows."""
        order = self.ids.arg_sort()
        return self.ids.gather(order), order.cast(pl.Int64).to_numpy()


def in_type(ids: pl.Series, dtype: Any) -> pl.Series:
    """Ids as integers or as strings, whichever a vocabulary holds; null where that loses something.

    Example:
        >>> in_type(pl.Series(["296", "007", "x"]), pl.Int64()).to_list()
        [296, None, None]
    """
    if ids.dtype == dtype:
        return ids
    if not (ids.dtype.is_numeric() or ids.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        return pl.Series(ids.name, [None] * len(ids), dtype)
    cast = ids.cast(dtype, strict=False)
    return cast.set((cast.cast(ids.dtype, strict=False) != ids).fill_null(value=True), None)


def number_ids(
    column: pl.Series, what: str, *, infer: bool = True
) -> tuple[Vocabulary, np.ndarray]:
    """The ids of a column in ascending order, and the row of each event's (32 bit).

    What `clean_ids` and a sorted `Vocabulary` would give, but text is looked at once and judged by
    its distinct values, so that little more than the rows is ever in memory.

    Args:
        column: Raw ids, one per event.
        what: The column's name, for the sentence of an error.
        infer: Whether text may become integers.

    Raises:
        DataError: As `clean_ids` does.

    Example:
        >>> ids, rows = number_ids(pl.Series(["7", "12", "7"]), "user")
        >>> ids.ids.to_list(), rows.tolist()
        ([7, 12], [0, 1, 0])
    """
    if column.dtype != pl.String or column.has_nulls():
        column = clean_ids(column, what, infer=infer)
    if column.dtype == pl.String:
        coded = column.cast(pl.Categorical(pl.Categories.random()))
        kinds = coded.unique()
        numbers, rows = kinds.to_physical().to_numpy(), coded.to_physical().to_numpy()
        distinct = kinds.cast(pl.String)
        if (distinct.str.strip_chars() == "").any():
            clean_ids(column, what)  # says how many, and where
        distinct = clean_ids(distinct, what, infer=infer)
    else:
        distinct, rows = _number_integers(column)
        numbers = np.arange(len(distinct))
    order = distinct.arg_sort().to_numpy()
    place = np.empty(int(numbers.max(initial=0)) + 1, np.int32)
    place[numbers[order]] = np.arange(len(order), dtype=np.int32)
    return Vocabulary(distinct.gather(order)), place[rows]


def _number_integers(ids: pl.Series) -> tuple[pl.Series, np.ndarray]:
    """Distinct integers, and which of them each is."""
    values = ids.to_numpy()
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, 0)
    if high - low < max(2 * len(values), 1 << 16):  # a table by value is ten times faster
        there = np.zeros(high - low + 1, bool)
        there[values - low] = True
        number = np.cumsum(there, dtype=np.int32) - 1
        return pl.Series(np.flatnonzero(there) + low), number[values - low]
    distinct = ids.unique()
    rows = pl.int_range(len(distinct), dtype=pl.UInt32, eager=True)
    return distinct, ids.replace_strict(distinct, rows, return_dtype=pl.UInt32).to_numpy()


def clean_ids(ids: pl.Series, what: str, *, infer: bool = True) -> pl.Series:
    """Ids as ``Int64`` or ``String``, with nothing lost.

    Integers written as text become integers only if every one of them reads back as it was
    written, so that ``"007"`` stays itself; not so without ``infer``. Whole floats (what pandas
    makes of integers beside a missing value) become integers.

    Args:
        ids: The raw column.
        what: The column's name, for the sentence of an error.
        infer: Whether text may become integers.

    Raises:
        DataError: If an id is missing or empty, or the column holds neither integers nor strings.

    Example:
        >>> clean_ids(pl.Series(["7", "12"]), "user").to_list()
        [7, 12]
        >>> clean_ids(pl.Series(["007", "12"]), "user").to_list()
        ['007', '12']
    """
    if ids.dtype.is_float():
        ids = _whole(ids, what)
    if isinstance(ids.dtype, pl.Categorical | pl.Enum):
        ids = ids.cast(pl.String)
    if ids.dtype == pl.String:
        ids = _as_integers(ids) if infer else ids
    elif ids.dtype.is_integer():
        small = ids.cast(pl.Int64, strict=False)
        ids = small if small.null_count() == ids.null_count() else ids.cast(pl.String)
    elif ids.dtype != pl.Null:
        raise DataError(f"column {what!r} holds {ids.dtype}; ids are whole numbers or text")
    missing = ids.is_null() | (ids.str.strip_chars() == "" if ids.dtype == pl.String else False)
    if missing.any():
        raise DataError(
            f"{missing.sum():,} of {len(ids):,} rows have no {what!r} (the first is row "
            f"{missing.arg_true()[0] + 1:,}); remove them or give them an id"
        )
    return ids


def _whole(ids: pl.Series, what: str) -> pl.Series:
    """Floats as integers where no float could stand for two of them."""
    ids = ids.cast(pl.Float64).fill_nan(None)
    wrong = (ids != ids.floor()) | (ids.abs() > 2**53)
    if wrong.any():
        raise DataError(
            f"column {what!r} holds {ids.filter(wrong)[0]!r}; ids are whole numbers or text, and "
            "floats cannot tell whole numbers above 2**53 apart"
        )
    return ids.cast(pl.Int64)


def _as_integers(ids: pl.Series) -> pl.Series:
    """Text as integers where that is reversible for all of it."""
    numbers = ids.cast(pl.Int64, strict=False)
    same = (numbers.cast(pl.String) == ids).fill_null(value=False)
    return numbers if len(ids) and same.all() else ids
