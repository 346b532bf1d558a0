"""People as they come, in any form, as rows of a model's catalogue."""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from macrid.data.formats import read_table
from macrid.data.histories import Histories
from macrid.data.interactions import Interactions
from macrid.data.readers import find_column, read
from macrid.data.splits import is_split_folder
from macrid.data.vocabulary import Vocabulary, clean_ids
from macrid.errors import DataError, MacridWarning


def fold_in(
    histories: Any,
    items: Vocabulary,
    on_unknown: str,
    otherwise: str | None = "they get the most popular items",
) -> tuple[pl.Series, Histories]:
    """People's ids, and their histories as rows of the catalogue.

    Warnings name the line that called the caller's caller.

    Args:
        histories: In any form that `recommend` takes.
        items: The catalogue.
        on_unknown: What to do with items that it does not hold.
        otherwise: What becomes of people without an item, for the warning about them; None is for
            a caller who refuses them.

    Raises:
        ValueError: If ``on_unknown`` is not ``"warn"``, ``"ignore"`` or ``"raise"``.
        UnknownItem: If an item is not known and ``on_unknown="raise"``.

    Example:
        >>> users, people = fold_in({"me": ["b"]}, Vocabulary(pl.Series(["a", "b"])), "warn")
        >>> users.to_list(), people.items.tolist()
        (['me'], [1])
    """
    if on_unknown not in ("warn", "ignore", "raise"):
        raise ValueError(f"on_unknown is {on_unknown!r}; it is 'warn', 'ignore' or 'raise'")
    users, offsets, events = _events(histories)
    rows = items.numbers(events)
    unknown = rows < 0
    if unknown.any():
        first = events.filter(pl.Series(unknown))[0]
        if on_unknown == "raise":
            items.number(first)
        if on_unknown == "warn":
            warnings.warn(
                f"{unknown.sum():,} of {len(rows):,} events in the histories are of items that are "
                f"not among the model's {len(items):,} (such as {first!r}) and were left out",
                MacridWarning,
                stacklevel=4,
            )
    known = np.concatenate([[0], np.cumsum(~unknown)])[offsets]
    n_empty = int((np.diff(known) == 0).sum())
    if n_empty and otherwise and on_unknown != "ignore":
        warnings.warn(
            f"{n_empty:,} of {len(users):,} people have no item that the model knows; {otherwise}",
            MacridWarning,
            stacklevel=4,
        )
    return users, distinct(Histories.from_arrays(rows[~unknown], known))


def listed(ids: Any) -> list[Any]:
    """Ids as a list; a lone string is refused, as its letters are hardly meant."""
    if ids is None:
        raise ValueError("there is no list of ids; give one, as ['a', 'b']")
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        raise ValueError(f"{ids!r} is one id where a list is expected; write [{ids!r}]")
    return list(ids)


def slice_histories(people: Histories, rows: np.ndarray) -> Histories:
    """Some neighbouring people of a batch."""
    start, end = int(rows[0]), int(rows[-1]) + 1
    offsets = people.offsets[start : end + 1]
    return Histories(people.items[offsets[0] : offsets[-1]], offsets - offsets[0])


def distinct(people: Histories) -> Histories:
    """Each item once per person: a model of implicit feedback asks whether, not how often.

    Example:
        >>> distinct(Histories.from_lists([[2, 2, 1], [2]])).items.tolist()
        [2, 1, 2]
    """
    users, items = people.users.numpy(), people.items.numpy()
    first = np.sort(np.unique(users * (items.max(initial=0) + 1) + items, return_index=True)[1])
    counts = np.bincount(users[first], minlength=len(people))
    return Histories.from_arrays(items[first], np.concatenate([[0], np.cumsum(counts)]))


def _events(histories: Any) -> tuple[pl.Series, np.ndarray, pl.Series]:
    """People's ids, where each one's items start, and all items as ids."""
    if isinstance(histories, Mapping):
        lists = [listed(items) for items in histories.values()]
        flat = pl.Series("item_id", [i for items in lists for i in items], strict=False)
        kind = None if lists else pl.String
        users = pl.Series("user_id", list(histories), kind, strict=False)
        return users, np.cumsum([0, *map(len, lists)]), flat
    if isinstance(histories, list | tuple):
        raise DataError("a list is nobody's history; say whose it is: {'me': ['a', 'b']}")
    is_path = isinstance(histories, str | Path)
    if isinstance(histories, Interactions) or (is_path and is_split_folder(histories)):
        data = histories if isinstance(histories, Interactions) else read(histories)
        return data.users.ids, data.offsets, data.items.ids.gather(data.columns)
    # `read` sorts people, and makes whole numbers of text that looks like them.
    table = read_table(histories)
    data = read(table)
    name = find_column("user_id", table.columns, {}) or ""
    users = table[name].unique(maintain_order=True)
    data = data.take_users(data.users.numbers(clean_ids(users, name)))
    return data.users.ids if is_path else users, data.offsets, data.items.ids.gather(data.columns)
