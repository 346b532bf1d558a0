"""Who did what: the table that everything else is made from.

People are sorted by id and one person's events keep the order of the source, because the published
split draws from them in that order. Items are numbered by first appearance in that order. A pair
(user, item) stands once. Immutable: every change is a new table.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from macrid.data.vocabulary import Vocabulary, in_type, number_ids
from macrid.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from macrid.data.histories import Histories


@dataclass(frozen=True, eq=False)
class Interactions:
    """A sparse matrix of users × items with its ids.

    Args:
        users: User ids in row order.
        items: Item ids in column order.
        offsets: ``(n_users + 1,)``, where each user's events start.
        columns: ``(n_events,)``, the item row of each event, 32 bit.
        weights: ``(n_events,)``, rating, count or 1 of each event.
        timestamps: ``(n_events,)`` in seconds, or None where the source has none.
        features: What is known of each item, in item order, ``item_id`` first; or None.

    Example:
        >>> events = pl.DataFrame({"user_id": ["b", "a", "b"], "item_id": [7, 7, 3]})
        >>> data = Interactions.from_events(events)
        >>> data.users.ids.to_list(), data.items.ids.to_list(), len(data)
        (['a', 'b'], [7, 3], 3)
    """

    users: Vocabulary
    items: Vocabulary
    offsets: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    timestamps: np.ndarray | None = None
    features: pl.DataFrame | None = None

    @classmethod
    def from_events(
        cls,
        events: pl.DataFrame,
        *,
        items: Vocabulary | None = None,
        users: Vocabulary | None = None,
        features: pl.DataFrame | None = None,
    ) -> "Interactions":
        """From distinct events in columns ``user_id, item_id`` and perhaps ``weight, timestamp``.

        Args:
            events: One row per (user, item); ids already clean.
            items: The catalogue; events outside it are an error. By default the items seen.
            users: The people, some perhaps without events. By default the users seen, sorted.
            features: One row per item of any order; other items are dropped, missing ones are null.
        """
        numbers = {}
        for name, known in (("user_id", users), ("item_id", items)):
            if known is None:
                numbers[name] = number_ids(events[name], name, infer=False)
            else:
                numbers[name] = known, known.numbers(events[name]).astype(np.int32)
        (all_users, rows), (all_items, columns) = numbers.values()
        if (rows < 0).any() or (columns < 0).any():
            raise DataError("there are events of users or items outside the given vocabularies")
        names = events.columns
        weights = events["weight"].to_numpy() if "weight" in names else np.ones(len(events))
        times = events["timestamp"].to_numpy() if "timestamp" in names else None
        people, catalogue = (all_users, rows), (all_items, columns)
        data = cls.from_rows(people, catalogue, weights.astype(np.float32), times)
        data = data if items is not None else data.by_appearance()
        return replace(data, features=_align(features, data.items))

    @classmethod
    def from_rows(
        cls,
        users: tuple[Vocabulary, np.ndarray],
        items: tuple[Vocabulary, np.ndarray],
        weights: np.ndarray,
        timestamps: np.ndarray | None,
    ) -> "Interactions":
        """From events in numbers: each side's ids, and the row of each event's."""
        (people, rows), (catalogue, columns) = users, items
        offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(people)))])
        data = cls(people, catalogue, offsets, columns, weights, timestamps)
        return data if (rows[1:] >= rows[:-1]).all() else data._take(order_by(rows, len(people)))

    @property
    def n_users(self) -> int:
        """Number of people, those without events included."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return len(self.items)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        return f"Interactions({self.n_users:,} users, {self.n_items:,} items, {len(self):,} events)"

    @property
    def rows(self) -> np.ndarray:
        """The user row of each event."""
        return np.repeat(np.arange(self.n_users), np.diff(self.offsets))

    def item_counts(self) -> np.ndarray:
        """How many users each item has."""
        return np.bincount(self.columns, minlength=self.n_items)

    def matrix(self) -> "csr_matrix":
        """The binary matrix of shape (n_users, n_items), float32."""
        from scipy.sparse import csr_matrix

        ones = np.ones(len(self), np.float32)
        shape = (self.n_users, self.n_items)
        return csr_matrix((ones, self.columns, self.offsets), shape=shape)

    def to_frame(self) -> pl.DataFrame:
        """The events as ``user_id, item_id, weight`` and, where known, ``timestamp``."""
        frame = {
            "user_id": self.users.ids.gather(self.rows),
            "item_id": self.items.ids.gather(self.columns),
            "weight": pl.Series(self.weights),
        }
        if self.timestamps is not None:
            frame["timestamp"] = pl.Series(self.timestamps)
        return pl.DataFrame(frame)

    def histories(self, rows: np.ndarray | None = None) -> "Histories":
        """The histories of some users (by row), or of all of them."""
        from macrid.data.histories import Histories

        if rows is None:
            return Histories.from_arrays(self.columns, self.offsets)
        positions, offsets = take_rows(self.offsets, rows)
        return Histories.from_arrays(self.columns[positions], offsets)

    def take_users(self, rows: np.ndarray) -> "Interactions":
        """Only these users, in this order; the catalogue stays."""
        positions, offsets = take_rows(self.offsets, rows)
        users = Vocabulary(self.users.ids.gather(rows))
        return replace(self._take(positions), users=users, offsets=offsets)

    def take_events(self, chosen: np.ndarray) -> "Interactions":
        """Only the events of a boolean mask; users and catalogue stay."""
        if chosen.all():
            return self
        n_before = np.concatenate([[0], np.cumsum(chosen)])
        return replace(self._take(chosen), offsets=n_before[self.offsets])

    def with_catalogue(self, items: Vocabulary) -> "Interactions":
        """The same people over another catalogue; events outside it are dropped."""
        moved = items.numbers(self.items.ids).astype(np.int32)
        kept = self.take_events(moved[self.columns] >= 0)
        features = _align(self.features, items)
        return replace(kept, items=items, columns=moved[kept.columns], features=features)

    def by_appearance(self) -> "Interactions":
        """The same events over the items that have any, numbered by their first appearance."""
        seen = pl.Series(self.columns).unique(maintain_order=True).to_numpy()
        number = np.zeros(self.n_items, np.int32)
        number[seen] = np.arange(len(seen), dtype=np.int32)
        items = Vocabulary(self.items.ids.gather(seen))
        features = _align(self.features, items)
        return replace(self, items=items, columns=number[self.columns], features=features)

    def fingerprint(self) -> str:
        """A digest of ids and events, the same wherever the same data is read."""
        digest = hashlib.sha256()
        for ids in (self.users.ids, self.items.ids):
            digest.update("\x1f".join(ids.cast(pl.String)).encode())
        for array in (self.offsets, self.columns):
            digest.update(np.ascontiguousarray(array, np.int64).data)
        return digest.hexdigest()

    def _take(self, positions: np.ndarray) -> "Interactions":
        """Some events, by position or by a boolean mask; the offsets not yet mended."""
        times = self.timestamps
        return replace(
            self,
            columns=self.columns[positions],
            weights=self.weights[positions],
            timestamps=None if times is None else times[positions],
        )


def _align(features: pl.DataFrame | None, items: Vocabulary) -> pl.DataFrame | None:
    """Item features in the order of a catalogue; null where nothing is known."""
    if features is None:
        return None
    if "item_id" not in features.columns or features["item_id"].is_duplicated().any():
        raise DataError("item features need a column item_id without repeats; see read_features")
    features = features.with_columns(in_type(features["item_id"], items.ids.dtype))
    catalogue = pl.DataFrame({"item_id": items.ids})
    return catalogue.join(features, on="item_id", how="left", maintain_order="left")


def concat(parts: Sequence[Interactions]) -> Interactions:
    """People of several tables over one catalogue, as one table; a pair stands once.

    Args:
        parts: Tables whose catalogues may differ; the features of the first one that has any win.
    """
    events = pl.concat([part.to_frame() for part in parts], how="diagonal_relaxed")
    events = events.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    features = next((part.features for part in parts if part.features is not None), None)
    items = pl.concat([part.items.ids for part in parts]).unique(maintain_order=True)
    return Interactions.from_events(events, items=Vocabulary(items), features=features)


def take_rows(offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the entries of some CSR rows, and the offsets of the smaller matrix.

    Example:
        >>> positions, offsets = take_rows(np.array([0, 1, 3]), np.array([1, 0]))
        >>> positions.tolist(), offsets.tolist()
        ([1, 2, 0], [0, 2, 3])
    """
    lengths = offsets[rows + 1] - offsets[rows]
    taken = np.concatenate([[0], np.cumsum(lengths)])
    positions = np.repeat(offsets[rows] - taken[:-1], lengths)
    positions += np.arange(taken[-1])  # in place: there may be very many
    return positions, taken


def order_by(rows: np.ndarray, n_rows: int) -> np.ndarray:
    """The stable order of numbers below ``n_rows``, by counting: several times a sort's speed.

    Example:
        >>> order_by(np.array([1, 0, 1, 0]), 2).tolist()
        [1, 3, 0, 2]
    """
    from scipy.sparse import coo_array

    places = np.arange(len(rows), dtype=np.int32 if len(rows) < 2**31 else np.int64)
    shape = (n_rows, len(rows))
    return coo_array((np.ones(len(rows), np.int8), (rows, places)), shape=shape).tocsr().indices
