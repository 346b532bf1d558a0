"""What the library says, as answers: each function calls one of its methods and names the parts.

All of them may take long and are called away from the event loop.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from macrid.control.controls import Controls
from macrid.errors import ControlError
from macrid.models.described import Described
from macrid.models.people import fold_in
from macrid.models.recommender import Recommender
from macrid.models.steered import Steered
from macrid.service.holder import Serving
from macrid.service.saved import Followed
from macrid.service.wire import Explain, Recommend, Walk

Answer = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Wanted:
    """A list that somebody waits for.

    Attributes:
        serving: The model that makes it.
        history: Of the person.
        asked: All else.
        controls: Those asked for, or those saved as far as the model can follow them.
    """

    serving: Serving
    history: list[Any]
    asked: Recommend
    controls: Followed

    @property
    def plain(self) -> bool:
        """Whether it is like everybody's, so that it can be made together with theirs."""
        asked = self.asked
        wishes = asked.items is not None or asked.exclude or asked.explain
        return not wishes and self.controls.controls == Controls()


def recommend(wanted: Sequence[Wanted]) -> list[Answer]:
    """Plain lists of several people at once; each is what it would be alone."""
    answers: dict[int, Answer] = {}
    groups: dict[tuple[int, bool], list[int]] = defaultdict(list)
    for number, one in enumerate(wanted):
        groups[id(one.serving), one.asked.include_seen].append(number)
    for (_, include_seen), numbers in groups.items():
        serving, some = wanted[numbers[0]].serving, [wanted[n] for n in numbers]
        people = fold_in(
            {n: one.history for n, one in zip(numbers, some, strict=True)},
            serving.model.items,
            "ignore",
        )
        most = max(one.asked.k for one in some)  # a shorter list is the beginning of a longer one
        lists = pl.concat(serving.ready.lists(people, most, include_seen=include_seen))
        rows = _rows(_titled(lists, serving))
        for n, one, known in zip(numbers, some, people[1].lengths.tolist(), strict=True):
            answers[n] = _list(rows[n][: one.asked.k], one, known)
    return [answers[n] for n in range(len(wanted))]


def recommend_one(wanted: Wanted) -> Answer:
    """A list with wishes."""
    serving, asked = wanted.serving, wanted.asked
    model, few = serving.model, asked.items
    ready = model.ready(
        like=serving.ready,
        items=None if few is None else _known(model, few),
        exclude=_known(model, asked.exclude),
        controls=wanted.controls.controls,
    )
    people = fold_in({0: wanted.history}, model.items, "ignore")
    lists = pl.concat(ready.lists(people, asked.k, include_seen=asked.include_seen))
    answer = _list(_rows(_titled(lists, serving))[0], wanted, int(people[1].lengths[0]))
    if asked.explain and answer["items"]:
        why = serving.model.explain(wanted.history, lists["item_id"], on_unknown="ignore")
        for row, said in zip(answer["items"], why.items["sentence"], strict=True):
            row["why"] = said
    return answer


def need_known(model: Recommender, history: Sequence[Any]) -> None:
    """Refuse a history with an item that the model does not know.

    Raises:
        UnknownItem: Which names the first of them.
    """
    for item in _unknown(model, history):
        model.items.number(item)  # says so


def similar(serving: Serving, items: list[Any], k: int) -> Answer:
    """Neighbours of items."""
    found = _titled(serving.model.similar_items(items, k), serving)
    return {"model": serving.model.name, "items": found.to_dicts()}


def encode(serving: Serving, history: list[Any]) -> Answer:
    """What is known of a person."""
    model = _described(serving.model)
    said = model.encode({"": history}, on_unknown="ignore").to_frame().drop("user_id")
    names = pl.Series("name", model.naming().concepts)
    rows = said.insert_column(1, names).to_dicts()
    return {"model": model.name, "concepts": rows, "unknown": _unknown(model, history)}


def explain(serving: Serving, history: list[Any], asked: Explain) -> Answer:
    """Why items have their scores."""
    why = serving.model.explain(history, asked.items, on_unknown="ignore")
    return {"model": serving.model.name, **why.to_dict(asked.dimensions)}


def walk(serving: Serving, start: Any, asked: Walk) -> Answer:
    """Items along one aspect."""
    model, unknown = _steered(serving.model), []
    if asked.item_id is None:
        unknown, start = _unknown(serving.model, start), _known(serving.model, start)
    along: dict[str, Any] = {"dimension": asked.dimension, "feature": asked.feature}
    if asked.feature is None and asked.dimension is not None:
        along = model.aspect(str(asked.dimension))  # by its number, an end's name, or a feature's
    found = model.walk(
        start,
        asked.concept,
        **along,
        steps=asked.steps,
        beam=asked.beam,
        gamma=asked.gamma,
    )
    return {"model": model.name, "unknown": unknown, **found.to_dict()}


def concepts(serving: Serving, top: int, dimensions: int) -> Answer:
    """What the model found."""
    _described(serving.model)
    return serving.concepts(top, dimensions)


def fitted(serving: Serving) -> list[Answer]:
    """The features that can be turned; fitted to all items, which takes a minute of many."""
    return _steered(serving.model).dials().to_dicts()


def dials(serving: Serving, dimensions: int, features: list[Answer]) -> Answer:
    """What can be turned."""
    found = serving.concepts(dimensions=dimensions)["dimensions"]
    return {"model": serving.model.name, "dimensions": found, "features": features}


def check_controls(serving: Serving, controls: Controls) -> None:
    """Refuse what the model cannot follow, before it is saved.

    Raises:
        ControlError: Which says why not.
    """
    serving.model.ready(like=serving.ready, controls=controls)


def items(serving: Serving, query: str, page: int, size: int) -> Answer:
    """Items whose title or id holds every word, whatever the case; the most popular first."""
    catalogue = serving.catalogue
    texts = [name for name in ("item_id", "title") if name in catalogue.columns]
    lower = [pl.col(name).cast(pl.String).str.to_lowercase() for name in texts]
    for word in query.lower().split():
        held = [text.str.contains(word, literal=True) for text in lower]
        catalogue = catalogue.filter(pl.any_horizontal(held))
    ordered = catalogue.sort("train_events", descending=True, maintain_order=True)
    some = ordered.slice((page - 1) * size, size)
    return {"items": some.to_dicts(), "total": len(catalogue), "page": page, "size": size}


def named(serving: Serving, ids: list[str]) -> Answer:
    """Some items, in the order of their ids.

    Raises:
        UnknownItem: If the model does not know one of them.
    """
    rows = [serving.model.items.number(item) for item in ids]
    some = serving.catalogue[rows]
    return {"items": some.to_dicts(), "total": len(some), "page": 1, "size": len(some)}


def item(serving: Serving, item_id: Any) -> Answer:
    """All that is known of an item.

    Raises:
        UnknownItem: If the model does not know it.
    """
    row = serving.model.items.number(item_id)
    return serving.catalogue.row(row, named=True)


def _rows(lists: pl.DataFrame) -> dict[int, list[Answer]]:
    """The rows of each person; of a person without any, none."""
    columns = lists.to_dict(as_series=False)
    people = columns.pop("user_id")
    places = zip(*columns.values(), strict=True)
    rows: dict[int, list[Answer]] = defaultdict(list)
    for person, place in zip(people, places, strict=True):
        rows[person].append(dict(zip(columns, place, strict=True)))
    return rows


def _list(rows: list[Answer], wanted: Wanted, known: int) -> Answer:
    """One person's list with what has to be told beside it; so many of the items are known."""
    model, history, asked = wanted.serving.model, wanted.history, wanted.asked
    everything = known == len({str(item) for item in history})
    named = [*([] if everything else history), *(asked.items or ()), *asked.exclude]
    return {
        "model": model.name,
        "items": rows,
        "unknown": _unknown(model, named) if named else [],
        "popular": not known,
        "left_out": list(wanted.controls.left_out),
    }


def _titled(lists: pl.DataFrame, serving: Serving) -> pl.DataFrame:
    """Lists with what their items are called."""
    if serving.titles is None:
        return lists
    rows = serving.model.items.numbers(lists["item_id"])
    return lists.with_columns(title=serving.titles[rows])


def _known(model: Recommender, items: Sequence[Any]) -> list[Any]:
    """Of some items, those that the model knows."""
    rows = model.items.numbers(items).tolist()
    return [item for item, row in zip(items, rows, strict=True) if row >= 0]


def _unknown(model: Recommender, items: Sequence[Any]) -> list[Any]:
    """And those that it does not."""
    rows = model.items.numbers(items).tolist()
    return [item for item, row in zip(items, rows, strict=True) if row < 0]


def _described(model: Recommender) -> Described:
    if not isinstance(model, Described):
        raise ControlError(f"{model.name} has no concepts; train macridvae, which has")
    return model


def _steered(model: Recommender) -> Steered:
    if not isinstance(model, Steered):
        raise ControlError(f"{model.name} has no concepts; train macridvae to walk and to turn")
    return model
