"""The contract of every model: ids in, ids out, whatever computes the scores.

A list holds exactly ``min(k, allowed)`` items: none excluded, none twice, sorted by score, ties
broken by item row, every score finite, ranks from 1.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import polars as pl
import torch
from torch import Tensor

from macrid.control.controls import Controls
from macrid.control.explain import Explanation
from macrid.data.histories import Histories
from macrid.data.interactions import Interactions
from macrid.data.splits import HeldOut
from macrid.data.vocabulary import Vocabulary
from macrid.errors import DataError, MacridError, SettingsError
from macrid.models.lists import BATCH_SIZE, PART_SIZE, Lists, Ranker, ScoreRanker, list_frame
from macrid.models.people import fold_in, listed
from macrid.models.ready import Ready, check_sizes
from macrid.parts.ranking import top_rows
from macrid.training.settings import RECIPES, Settings, TrainingSettings

SomeRecommender = TypeVar("SomeRecommender", bound="Recommender")


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
    follows: ClassVar[tuple[str, ...]] = ("block",)  # which of `Controls`
    Settings: ClassVar[type[Settings]]
    training_defaults: ClassVar[Mapping[str, Any]] = {}  # where they are not `TrainingSettings`'

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

    def training_settings(self, given: Mapping[str, Any]) -> TrainingSettings:
        """The settings of training in epochs that `fit` would follow, recipes included.

        Args:
            given: What was asked for, by name.

        Raises:
            SettingsError: If one is unknown or out of bounds.
        """
        mine = dict(self.training_defaults)
        if "patience" in given:  # it counts from the first epoch, unless that is said too
            mine.pop("patience_from", None)
        return TrainingSettings.of({**mine, **RECIPES.get(str(given.get("recipe")), {}), **given})

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

    def recommend(  # noqa: PLR0913  who, how many, which, how
        self,
        histories: Mapping[Any, Iterable[Any]] | Any,
        k: int = 10,
        *,
        items: Iterable[Any] | None = None,
        exclude: Iterable[Any] = (),
        include_seen: bool = False,
        on_unknown: str = "warn",
        precision: str = "32",
        ann: bool = False,
        controls: Controls | Mapping[str, Any] | None = None,
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
            precision: Of the products that the catalogue is searched with: ``"32"``, or ``"bf16"``,
                which is faster on processors that have it. Whatever comes near a place on a list
                is looked at again in full precision, so that the lists are the same.
            ann: Search an index of item vectors (``macrid[ann]``), which is faster above a million
                items but may miss some; how many, on a sample of the people, goes to the log
                ``macrid``.
            controls: What else is asked of the lists; see `Controls`, for which models follow
                which see ``follows``. People without a history get popular items all the same.

        Returns:
            A frame ``user_id, item_id, score, rank``, people in the order given.

        Raises:
            UnknownItem: If ``items`` or ``exclude`` name an item the model does not know, or
                a history does and ``on_unknown="raise"``.
            ValueError: If another argument is not allowed (a `ControlError` for controls).
            MissingExtra: If ``ann=True`` and faiss is not installed.
        """
        wishes = {"items": items, "exclude": exclude, "include_seen": include_seen}
        wishes |= {"on_unknown": on_unknown, "precision": precision, "ann": ann}
        wishes["controls"] = controls
        return pl.concat(self._lists(histories, k, PART_SIZE, **wishes))

    def recommend_parts(
        self, histories: Any, k: int = 10, *, part_size: int = PART_SIZE, **wishes: Any
    ) -> Lists:
        """The lists of `recommend`, part by part, for more people than one frame should hold.

        Args:
            histories: Whose lists are wanted, in any form that `recommend` takes.
            k: Length of each list.
            part_size: People in a part.
            wishes: What else `recommend` takes, by name.

        Returns:
            An iterable of frames; its `Lists.write` makes a folder of Parquet files of them.

        Raises:
            ValueError: If ``part_size`` is less than 1.
        """
        return self._lists(histories, k, part_size, **wishes)

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
            ids = self.items.ids.gather(rows.numpy())
            frames.append(list_frame(top_rows(scores, k), ids, self.items.ids))
        return pl.concat(frames).rename({"user_id": "query_id"})

    def explain(
        self, history: Iterable[Any], items: Any, *, on_unknown: str = "warn"
    ) -> Explanation:
        """Why items have their scores for somebody: what past items carry, and concepts if any.

        Past items are left out one after the other and the rest is read anew, which is exact. A
        model with concepts says as well which of them the score comes from, to the dimension.

        Args:
            history: One person's items, or ``{person: [item, ...]}``.
            items: An item, or several.
            on_unknown: What to do with items in the history that the model does not know.

        Raises:
            DataError: If the model knows no item of the history, or it is of several people.
            UnknownItem: If it does not know one of ``items``.

        Example:
            >>> import macrid
            >>> clicks = macrid.read({"user": [0, 0, 1, 1, 1], "item": ["a", "b", "a", "b", "c"]})
            >>> print(macrid.EASE(regularization=1).fit(clicks).explain(["a", "c"], "b"))
            b is carried by a (+0.60), c (+0.20).
        """
        wanted = self._rows([items] if isinstance(items, str | int | np.integer) else items)
        # By name: that module knows models with concepts, and so imports this one.
        explained = import_module("macrid.models.explained")
        return explained.explain(self, history, wanted, on_unknown)

    def ranker(
        self,
        banned: Tensor | None = None,
        *,
        precision: str = "32",
        ann: bool = False,
        controls: Controls | None = None,
        like: Ranker | None = None,
    ) -> Ranker:
        """The model made ready to find the best of the items that may be listed.

        Args:
            banned: True for items that no list may hold, in row order.
            precision: See `recommend`; of no effect on a model without products to make.
            ann: See `recommend`.
            controls: Such as the model follows; what they forbid is among ``banned``.
            like: One that was made without any of these, to take over what they leave as it is.

        Raises:
            SettingsError: If ``ann`` is asked of a model that has no item vectors.
        """
        if ann:
            raise SettingsError(f"{self.name} has no item vectors to search; leave ann out")
        return ScoreRanker(self.scores, banned)

    def muted(self, controls: Controls) -> Tensor:
        """Mask of the items that controls forbid, in row order.

        Raises:
            UnknownItem: If they name an item that the model does not know.
        """
        return self.banned(None, controls.block)

    def save(self, folder: str | Path) -> None:
        """Write a model folder that `macrid.load` reads.

        Raises:
            ArtifactError: If the folder holds something else, or cannot be written.
        """
        # By name: that module knows all models, and so imports this one.
        import_module("macrid.models.artifact").save(self, Path(folder))

    def ready(self, *, like: Ready | None = None, **wishes: Any) -> Ready:
        """The model prepared for lists of one kind: made once, asked any number of times.

        Args:
            like: What the model was prepared for before, without any wish; what it has in common
                with what is asked for now is not made again.
            wishes: Of ``items, exclude, precision, ann, controls``, as `recommend` takes them.

        Raises:
            UnknownItem: As `recommend` does.
            ValueError: Likewise.

        Example:
            >>> import macrid
            >>> clicks = macrid.read({"user": [0, 0, 1], "item": ["a", "b", "b"]})
            >>> ready = macrid.Popularity().fit(clicks).ready(exclude=["b"])
            >>> ready.recommend({"me": []}, on_unknown="ignore")["item_id"].to_list()
            ['a']
        """
        return Ready.of(self, like, **wishes)

    def _lists(
        self,
        histories: Any,
        k: int,
        part_size: int,
        *,
        include_seen: bool = False,
        on_unknown: str = "warn",
        **wishes: Any,
    ) -> Lists:
        """People and what may be listed for them, with all that was asked checked."""
        people = fold_in(histories, self.items, on_unknown)
        check_sizes(k, part_size)
        return self.ready(**wishes).lists(people, k, include_seen=include_seen, part_size=part_size)

    def banned(self, items: Iterable[Any] | None, exclude: Iterable[Any]) -> Tensor:
        """Mask of the items that may not be listed: all but some, if given, and those excluded.

        Raises:
            UnknownItem: If the model does not know one of them.
        """
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
