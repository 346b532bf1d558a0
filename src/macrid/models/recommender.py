"""The contract of every model: ids in, ids out, whatever computes the scores.

A list holds exactly ``min(k, allowed)`` items: none excluded, none twice, sorted by score, ties
broken by item row, every score finite, ranks from 1.
"""

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import polars as pl
import torch
from torch import Tensor

from macrid.data.formats import read_table
from macrid.data.histories import Histories
from macrid.data.interactions import Interactions
from macrid.data.readers import find_column, read
from macrid.data.splits import HeldOut, is_split_folder
from macrid.data.vocabulary import Vocabulary, clean_ids
from macrid.errors import DataError, MacridError, MacridWarning
from macrid.parts.ranking import TopRows, mask_rows, top_rows
from macrid.training.settings import Settings

SomeRecommender = TypeVar("SomeRecommender", bound="Recommender")
BATCH_SIZE = 500  # users scored at a time


class Recommender(ABC):
    """Settings, what was learned, and the catalogue.

    Args:
        settings: Fields of the model's ``Settings``, by name.

    Attributes:
        settings: The checked settings.
        catalogue: After `fit`: ``item_id``, ``train_events`` (people of the training data who had
            it) and the item features, in row order.
        training: After `fit`: what is known of the fit (epochs, seconds, data fingerprint …).
        metrics: What was measured of the model, as in ``metrics.json``.
    """

    name: ClassVar[str]
    in_epochs: ClassVar[bool] = False  # whether `fit` takes the options of `TrainingSettings`
    Settings: ClassVar[type[Settings]]

    def __init__(self, **settings: Any) -> None:
        self.settings = self.Settings.of(settings)
        self.catalogue: pl.DataFrame | None = None
        self._vocabulary: Vocabulary | None = None
        self.training: dict[str, Any] = {}
        self.metrics: dict[str, Any] = {}

    # What each model brings

    @abstractmethod
    def _fit(self, train: Interactions, validation: HeldOut | None, options: dict) -> None:
        """Learn; ``self.items`` is known already."""

    @abstractmethod
    def scores(self, histories: Histories) -> Tensor:
        """A number per item for each person, (batch, item); higher is better."""

    @abstractmethod
    def item_similarity(self, rows: Tensor) -> Tensor:
        """How similar every item is to some, (item asked for, item)."""

    @abstractmethod
    def n_parameters(self, n_items: int) -> int:
        """How many numbers are learned for a catalogue of some size."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All that was learned, for `save`."""

    @abstractmethod
    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The way back, for `load`; raises ValueError on tensors that do not fit."""

    # What all share

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name, as scikit-learn has it."""
        return self.settings.model_dump()

    def set_params(self: SomeRecommender, **settings: Any) -> SomeRecommender:
        """Change settings; a fitted model has to be fitted again, as they are part of it."""
        changed = self.Settings.of({**self.get_params(), **settings})
        if changed != self.settings:
            self.settings, self.catalogue, self._vocabulary = changed, None, None
        return self

    def __repr__(self) -> str:
        given = {k: v for k, v in self.get_params().items() if v != type(self)().get_params()[k]}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"

    @property
    def items(self) -> Vocabulary:
        """The items the model knows, in row order.

        Raises:
            MacridError: If the model is not fitted.
        """
        if self.catalogue is None:
            raise MacridError(
                f"this {type(self).__name__} is not fitted; call fit, or macrid.load a saved model"
            )
        if self._vocabulary is None:
            self._vocabulary = Vocabulary(self.catalogue["item_id"])
        return self._vocabulary

    def fit(
        self: SomeRecommender,
        train: Interactions,
        validation: HeldOut | None = None,
        **options: Any,
    ) -> SomeRecommender:
        """Learn from interactions.

        Args:
            train: Training users; weights are not used, an event counts as one.
            validation: Held-out users over the same catalogue, to choose the epoch by.
            options: Of the model at hand; see its own documentation.

        Returns:
            The model itself.

        Raises:
            DataError: If there is nothing to learn from, or the catalogues differ.
        """
        if not len(train):
            raise DataError("there are no events to train on")
        parts = () if validation is None else (validation.fold_in, validation.held_out)
        if any(part.items != train.items for part in parts):
            raise DataError("the validation users' catalogue is not that of the training users")
        ids, features = train.items.ids.to_frame("item_id"), train.features
        features = ids if features is None else features
        counts = pl.Series("train_events", train.item_counts())
        self.catalogue = features.drop("train_events", strict=False).insert_column(1, counts)
        self._vocabulary = None
        self.training = {
            "data": train.fingerprint(),
            "users": train.n_users,
            "events": len(train),
        }
        self.metrics = {}
        started = time.perf_counter()
        try:
            self._fit(train, validation, options)
        except BaseException:
            self.catalogue = None  # what is left is neither the old model nor a new one
            raise
        self.training.setdefault("seconds", round(time.perf_counter() - started, 3))
        return self

    def recommend(
        self,
        histories: Mapping[Any, Iterable[Any]] | Any,
        k: int = 10,
        *,
        items: Iterable[Any] | None = None,
        exclude: Iterable[Any] = (),
        include_seen: bool = False,
        on_unknown: str = "warn",
    ) -> pl.DataFrame:
        """The best items for people, known to the model or not: a history is enough.

        People with an empty history get the most popular items, with a warning that says so.

        Args:
            histories: ``{user: [item, ...]}``, `Interactions`, or a frame (or file) with columns
                ``user_id, item_id``.
            k: Length of each list.
            items: Only these may be listed; by default the whole catalogue.
            exclude: These may not be listed.
            include_seen: Whether a person's own items may be listed.
            on_unknown: What to do with items in a history that the model does not know: ``"warn"``
                (count and leave them out), ``"ignore"`` or ``"raise"``.

        Returns:
            A frame ``user_id, item_id, score, rank``, people in the order given.

        Raises:
            UnknownItem: If ``items`` or ``exclude`` name an item the model does not know, or
                a history does and ``on_unknown="raise"``.
        """
        users, people = self._fold_in(histories, on_unknown)
        if k < 1:
            raise ValueError(f"k is {k}; a list holds 1 item or more")
        banned = self._banned(items, exclude)
        nobody = TopRows(torch.empty(0, 0, dtype=torch.long), torch.empty(0, 0))
        frames = [self._frame(nobody, users)]
        for start in range(0, len(people), BATCH_SIZE):
            rows = np.arange(start, min(start + BATCH_SIZE, len(people)))
            batch = slice_histories(people, rows)
            scores = self._scores_or_popularity(batch)
            scores[:, banned] = -torch.inf
            if not include_seen:
                mask_rows(scores, batch)
            frames.append(self._frame(top_rows(scores, k), users.gather(rows)))
        return pl.concat(frames)

    def similar_items(self, items: Iterable[Any], k: int = 10) -> pl.DataFrame:
        """The items nearest to some, by the model's own notion of similarity.

        Args:
            items: Whose neighbours are wanted.
            k: Neighbours of each; the item itself is left out.

        Returns:
            A frame ``query_id, item_id, score, rank``.

        Raises:
            UnknownItem: If the model does not know one of the items.
        """
        if k < 1:
            raise ValueError(f"k is {k}; a list holds 1 item or more")
        frames = []
        for rows in self._rows(items).split(BATCH_SIZE):
            scores = self.item_similarity(rows)
            scores[torch.arange(len(rows)), rows] = -torch.inf
            frames.append(self._frame(top_rows(scores, k), self.items.ids.gather(rows.numpy())))
        return pl.concat(frames).rename({"user_id": "query_id"})

    def save(self, folder: str | Path) -> None:
        """Write a model folder that `macrid.load` reads.

        Raises:
            ArtifactError: If the folder holds something else, or cannot be written.
        """
        # By name: that module knows all models, and so imports this one.
        import_module("macrid.models.artifact").save(self, Path(folder))

    def _scores_or_popularity(self, batch: Histories) -> Tensor:
        """Scores, with those of people without a history replaced by the items' popularity."""
        scores = self.scores(batch).cpu()
        empty = batch.lengths == 0
        if empty.any() and self.catalogue is not None:
            popularity = torch.from_numpy(self.catalogue["train_events"].to_numpy().copy())
            scores[empty] = popularity.to(scores.dtype)
        return scores

    def _frame(self, top: TopRows, ids: pl.Series) -> pl.DataFrame:
        """Lists as ids; places that could not be filled are left out."""
        n_lists, length = top.row.shape
        owner = np.repeat(np.arange(n_lists), length)
        frame = pl.DataFrame(
            {
                "user_id": ids.gather(owner),
                "item_id": self.items.ids.gather(top.row.flatten().numpy()),
                "score": pl.Series(top.score.flatten().numpy()),
                "rank": pl.Series(np.tile(np.arange(1, length + 1), n_lists)),
            }
        )
        return frame.filter(pl.col("score").is_finite())

    def _banned(self, items: Iterable[Any] | None, exclude: Iterable[Any]) -> Tensor:
        """Mask of the items that may not be listed."""
        banned = torch.zeros(len(self.items), dtype=torch.bool)
        if items is not None:
            banned[:] = True
            banned[self._rows(items)] = False
        banned[self._rows(exclude)] = True
        return banned

    def _rows(self, items: Iterable[Any]) -> Tensor:
        """The rows of items, all of which the model must know."""
        items = listed(items)
        rows = self.items.numbers(items)
        if (rows < 0).any():
            self.items.number(items[int((rows < 0).argmax())])  # says which one
        return torch.from_numpy(rows).long()

    def _fold_in(self, histories: Any, on_unknown: str) -> tuple[pl.Series, Histories]:
        """People's ids, and their histories as rows of the catalogue."""
        if on_unknown not in ("warn", "ignore", "raise"):
            raise ValueError(f"on_unknown is {on_unknown!r}; it is 'warn', 'ignore' or 'raise'")
        users, offsets, events = _events(histories)
        rows = self.items.numbers(events)
        unknown = rows < 0
        if unknown.any():
            first = events.filter(pl.Series(unknown))[0]
            if on_unknown == "raise":
                self.items.number(first)
            if on_unknown == "warn":
                warnings.warn(
                    f"{unknown.sum():,} of {len(rows):,} items in the histories are not among the "
                    f"model's {len(self.items):,} items (such as {first!r}) and were left out",
                    MacridWarning,
                    stacklevel=3,
                )
        known = np.concatenate([[0], np.cumsum(~unknown)])[offsets]
        n_empty = int((np.diff(known) == 0).sum())
        if n_empty and on_unknown != "ignore":
            warnings.warn(
                f"{n_empty:,} of {len(users):,} people have no item that the model knows; they get "
                "the most popular items",
                MacridWarning,
                stacklevel=3,
            )
        return users, distinct(Histories.from_arrays(rows[~unknown], known))


def listed(ids: Any) -> list[Any]:
    """Ids as a list; a lone string is refused, as its letters are hardly meant."""
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
