"""Why a model gives items the scores it does, for one person; see `macrid.control.explain`."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from macrid.control.concepts import Naming
from macrid.control.explain import Explanation, Shares, concept_shares, leave_one_out, say
from macrid.control.naming import UNNAMED
from macrid.data.histories import Histories
from macrid.errors import DataError
from macrid.models.described import Described
from macrid.models.people import fold_in, listed
from macrid.models.recommender import Recommender
from macrid.parts.decoders import MixtureDecoder

_SCORES = 1 << 24  # made at a time
_Rows = Int[Tensor, " wanted"]


def explain(
    model: Recommender, history: Iterable[Any], wanted: _Rows, on_unknown: str
) -> Explanation:
    """See `Recommender.explain`; the items are rows."""
    people = history if isinstance(history, Mapping) else {"": listed(history)}
    # Its warnings name the line that called the caller.
    users, had = fold_in(people, model.items, on_unknown, None)
    if len(users) != 1:
        raise DataError(f"the history is of {len(users):,} people; explain one at a time")
    if not len(had.items):
        raise DataError(
            "the history holds no item that the model knows; give one at least, for what somebody "
            "had is what scores are explained by"
        )
    rows = torch.tensor(list(dict.fromkeys(wanted.tolist())), dtype=torch.long)
    with torch.no_grad():
        explanation = _explain(model, had, rows)
    items = explanation.items.with_columns(sentence=_sentences(model, explanation))
    return replace(explanation, items=items)


def _explain(model: Recommender, had: Histories, wanted: _Rows) -> Explanation:
    """Numbers without words, of one person."""
    ids, past = (model.items.ids.gather(rows.numpy()) for rows in (wanted, had.items))
    if not isinstance(model, Described):
        score, change = leave_one_out(partial(_all_scores, model, wanted), had.items)
        return Explanation(_scored(ids, score), _past(ids, past, change.double().numpy()))
    log_weights, naming = model.network.concepts(), model.naming()
    scores = partial(_mixture_scores, model, log_weights, wanted)
    _, change = leave_one_out(scores, had.items)
    point, vectors = _meeting(model, log_weights, wanted, had)
    shares = concept_shares(point[0], vectors, log_weights[wanted], _mixture(model).tau)
    return Explanation(
        _scored(ids, shares.score),
        _past(ids, past, change.numpy()),
        _concepts(ids, shares, log_weights[wanted], naming),
        _dimensions(ids, shares, point[0], vectors, naming),
    )


def _scored(ids: pl.Series, score: Float[Tensor, " wanted"]) -> pl.DataFrame:
    """Items with their scores."""
    return pl.DataFrame({"item_id": ids, "score": score.double().numpy()})


def _mixture(model: Described) -> MixtureDecoder:
    """The decoder of a model with concepts."""
    decoder = model.network.decoder
    assert isinstance(decoder, MixtureDecoder)
    return decoder


def _meeting(
    model: Described, log_weights: Float[Tensor, "item concept"], wanted: _Rows, people: Histories
) -> tuple[Float[Tensor, "batch concept dim"], Float[Tensor, "wanted dim"]]:
    """People's points and items' vectors, whose products score."""
    z = model.network.latent(people, log_weights).z
    return z.double(), _mixture(model).vectors(wanted).double()


def _mixture_scores(
    model: Described, log_weights: Float[Tensor, "item concept"], wanted: _Rows, people: Histories
) -> Float[Tensor, "batch wanted"]:
    """Of the items asked for alone."""
    z, vectors = _meeting(model, log_weights, wanted, people)
    joint = z @ vectors.T / _mixture(model).tau + log_weights[wanted].T
    return joint.logsumexp(1)


def _all_scores(
    model: Recommender, wanted: _Rows, people: Histories
) -> Float[Tensor, "batch wanted"]:
    """Of any model, by all its scores."""
    at_once = max(1, _SCORES // len(model.items))
    starts = range(0, len(people), at_once)
    edges = [people.offsets[start : start + at_once + 1] for start in starts]
    parts = (Histories(people.items[e[0] : e[-1]], e - e[0]) for e in edges)
    return torch.cat([model.scores(part)[:, wanted] for part in parts])


def _past(
    ids: pl.Series, had: pl.Series, change: Float[np.ndarray, "event wanted"]
) -> pl.DataFrame:
    """What each past item carries, most first."""
    order = (-change).argsort(0, kind="stable").T
    return pl.DataFrame(
        {
            "item_id": ids.gather(np.repeat(np.arange(len(ids)), len(had))),
            "past_item_id": had.gather(order.ravel()),
            "change": np.take_along_axis(change.T, order, 1).ravel(),
        }
    )


def _concepts(
    ids: pl.Series, shares: Shares, log_weights: Float[Tensor, "wanted concept"], naming: Naming
) -> pl.DataFrame:
    """The share of each concept in each item's score, largest first."""
    n_items, n_concepts = shares.share.shape
    table = pl.DataFrame(
        {
            "item_id": ids.gather(np.repeat(np.arange(n_items), n_concepts)),
            "concept": np.tile(np.arange(n_concepts), n_items),
            "name": naming.concepts * n_items,
            "share": shares.share.flatten().numpy(),
            "part": shares.part.flatten().numpy(),
            "cosine": shares.cosine.flatten().numpy(),
            "weight": log_weights.double().exp().flatten().numpy(),
        }
    )
    order = (-shares.share).argsort(dim=1, stable=True) + torch.arange(n_items)[
        :, None
    ] * n_concepts
    return table[order.flatten().numpy()]


def _dimensions(
    ids: pl.Series,
    shares: Shares,
    point: Float[Tensor, "concept dim"],
    vectors: Float[Tensor, "wanted dim"],
    naming: Naming,
) -> pl.DataFrame:
    """What each dimension adds to its concept's cosine; what counts most in the score first."""
    n_items, n_concepts, n_dims = shares.product.shape
    each = np.arange(n_concepts * n_dims)
    ends = [end for some in naming.ends for end in some]
    table = pl.DataFrame(
        {
            "item_id": ids.gather(np.repeat(np.arange(n_items), len(each))),
            "concept": np.tile(each // n_dims, n_items),
            "dimension": np.tile(each % n_dims, n_items),
            "low": [end.low for end in ends] * n_items,
            "high": [end.high for end in ends] * n_items,
            "person": np.tile(point.flatten().numpy(), n_items),
            "item": vectors.repeat(1, n_concepts).flatten().numpy(),
            "product": shares.product.flatten().numpy(),
        }
    )
    counts = (shares.share[..., None] * shares.product.abs()).flatten(1)
    order = (-counts).argsort(dim=1, stable=True) + torch.arange(n_items)[:, None] * len(each)
    return table[order.flatten().numpy()]


def _sentences(model: Recommender, explanation: Explanation) -> pl.Series:
    """One for each item asked for."""
    spoken_of = pl.concat([explanation.items["item_id"], explanation.history["past_item_id"]])
    assert model.catalogue is not None
    spoken = model.catalogue.filter(pl.col("item_id").is_in(spoken_of.unique().implode()))
    names = called(spoken)
    sentences = []
    for item in explanation.items["item_id"]:
        past = explanation.history.filter(item_id=item).select("past_item_id", "change")
        concepts, ends = [], None
        if isinstance(model, Described):
            concepts, ends = _leading(explanation, item, model.naming())
        past = [(names[had], change) for had, change in past.iter_rows()]
        sentences.append(say(names[item], past, concepts, ends))
    return pl.Series(sentences, dtype=pl.String)


def called(items: pl.DataFrame) -> dict[Any, str]:
    """Titles of a catalogue's items, with the id where several are the same; ids without titles.

    Example:
        >>> called(pl.DataFrame({"item_id": [7, 8, 9], "title": ["Heat", "Heat", None]}))
        {7: 'Heat (7)', 8: 'Heat (8)', 9: '9'}
    """
    id_ = pl.col("item_id").cast(pl.String)
    title = pl.col("title").cast(pl.String) if "title" in items.columns else id_
    shared = pl.col("item_id").count().over(title) > 1
    name = pl.when(title.is_null()).then(id_).when(shared).then(pl.format("{} ({})", title, id_))
    return dict(items.select("item_id", name.otherwise(title).alias("called")).iter_rows())


def _leading(
    explanation: Explanation, item: Any, naming: Naming
) -> tuple[list[tuple[str, float]], tuple[str, str] | None]:
    """Names and shares of concepts; where the dimension that adds most has both, if named."""
    assert explanation.concepts is not None
    assert explanation.dimensions is not None
    shares = explanation.concepts.filter(item_id=item).select("concept", "share").iter_rows()
    adds = explanation.dimensions.filter(pl.col("product") > 0, item_id=item)
    low, high, item_at = next(adds.select("low", "high", "item").iter_rows(), (UNNAMED, UNNAMED, 0))
    ends = None if UNNAMED in (low, high) else (high, low) if item_at > 0 else (low, high)
    return [(naming.of(k), share) for k, share in shares], ends
