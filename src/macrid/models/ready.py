"""A model prepared for lists of one kind, so that what many people's lists share is made once.

Making ready costs a pass or more over the catalogue, a list for one person often less. Whoever
answers people one by one, as a service does, keeps this between them; the lists are the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from macrid.control.controls import Controls
from macrid.data.histories import Histories
from macrid.data.vocabulary import Vocabulary
from macrid.models.lists import PART_SIZE, Lists
from macrid.models.people import fold_in
from macrid.parts.ranking import Ranker, top_rows

PRECISIONS = {"32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, eq=False)
class Ready:
    """What `Recommender.ready` gives.

    Args:
        items: The items of the model.
        ranker: Finds the best of those that may be listed.
        popularity: Of each item, ``-inf`` of those that may not be listed.
        origin: Gives bytes of what else decides the lists.
    """

    items: Vocabulary
    ranker: Ranker
    popularity: Float[Tensor, " item"]
    origin: Callable[[], Iterator[bytes]]

    @classmethod
    def of(
        cls,
        model: Any,
        like: "Ready | None" = None,
        *,
        items: Iterable[Any] | None = None,
        exclude: Iterable[Any] = (),
        precision: str = "32",
        ann: bool = False,
        controls: Controls | Mapping[str, Any] | None = None,
    ) -> "Ready":
        """See `Recommender.ready`."""
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}; it is '32' or 'bf16'")
        asked = Controls.of({} if controls is None else controls)
        asked.need_only(model.follows, model.name)
        banned = model.banned(items, exclude) | model.muted(asked)
        ranker = model.ranker(
            banned, precision=precision, ann=ann, controls=asked, like=like and like.ranker
        )
        popularity = torch.from_numpy(model.catalogue["train_events"].to_numpy().copy()).float()
        popularity = popularity.masked_fill(banned, -torch.inf)
        wishes = repr((ann, asked)).encode() + banned.numpy().tobytes()
        return cls(model.items, ranker, popularity, lambda: _origin(model, wishes))

    def recommend(
        self, histories: Any, k: int = 10, *, include_seen: bool = False, on_unknown: str = "warn"
    ) -> pl.DataFrame:
        """As `Recommender.recommend`, whose arguments these are."""
        people = self._read(histories, on_unknown)
        check_sizes(k, PART_SIZE)
        return pl.concat(self.lists(people, k, include_seen=include_seen))

    def _read(self, histories: Any, on_unknown: str) -> tuple[pl.Series, Histories]:
        """Apart, so that warnings name the line that called `recommend`."""
        return fold_in(histories, self.items, on_unknown)

    def lists(
        self,
        people: tuple[pl.Series, Histories],
        k: int,
        *,
        include_seen: bool = False,
        part_size: int = PART_SIZE,
    ) -> Lists:
        """For people's ids and histories, as `fold_in` gives them."""
        users, histories = people
        alike = (histories.lengths == 0).any()  # people of whom nothing is known
        return Lists(
            items=self.items.ids,
            users=users,
            people=histories,
            ranker=self.ranker,
            popular=top_rows(self.popularity[None], k) if alike else None,
            k=k,
            keep_seen=include_seen,
            origin=self.origin,
            part_size=part_size,
        )


def check_sizes(k: int, part_size: int) -> None:
    """Refuse lists and parts that hold nothing.

    Raises:
        ValueError: If one of them is less than 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}; a list holds 1 item or more")
    if part_size < 1:
        raise ValueError(f"part_size is {part_size}; a part holds 1 person or more")


def _origin(model: Any, wishes: bytes) -> Iterator[bytes]:
    """What was learned, how it is read, what is asked for, and what may not be listed."""
    yield repr((model.name, model.get_params())).encode() + wishes
    for name, tensor in model.tensors().items():
        yield name.encode()
        yield tensor.contiguous().numpy().tobytes()
