"""A model prepared once answers as one that is asked every time."""

import pytest
import torch

from macrid.errors import ControlError, MacridWarning, UnknownItem
from macrid.models.catalog import MODELS
from planted import by_worker, fitted, newcomers
from steerable import steerable

HISTORY = {"me": ["0-01", "0-02", "1-04"], "you": ["2-03"], "nobody": []}


@pytest.fixture(scope="module")
def model():
    return steerable()


@pytest.mark.parametrize("name", by_worker(MODELS))
def test_every_model_says_the_same_again_and_again(name):
    model, people = fitted(name), newcomers(5)
    ready = model.ready()
    for k in (3, 10):
        assert ready.recommend(people, k).equals(model.recommend(people, k))


@pytest.mark.parametrize(
    "wishes",
    [
        {"items": [f"0-{n:02d}" for n in range(9)]},
        {"exclude": ["0-03", "2-01"]},
        {"precision": "bf16"},
        {"controls": {"concepts": {"0": 3}}},
        {"controls": {"concepts": {"1": 0}, "boost": {"2-03": 9}, "block": ["0-03"]}},
        {"controls": {"popularity": 0.5, "diversity": 0.4}},
        {
            "controls": {"dials": [{"concept": 0, "feature": "price", "shift": 1}]},
            "exclude": ["0-10"],
        },
        {"controls": {"dials": [{"concept": 0, "dimension": 3, "shift": -0.5}]}},
    ],
)
@pytest.mark.filterwarnings("ignore::macrid.errors.MacridWarning")
def test_what_is_prepared_from_the_plain_model_is_what_is_prepared_anew(model, wishes):
    plain = model.ready()
    ready = model.ready(like=plain, **wishes)
    for include_seen in (False, True):
        found = ready.recommend(HISTORY, 15, include_seen=include_seen)
        assert found.equals(model.recommend(HISTORY, 15, include_seen=include_seen, **wishes))
    assert plain.recommend(HISTORY, 15).equals(model.recommend(HISTORY, 15))


def test_dials_leave_the_catalogue_as_it_was_prepared(model):
    plain = model.ready()
    dials = {"dials": [{"concept": 0, "dimension": 3, "shift": 0.5}]}
    assert model.ready(like=plain, controls=dials).ranker.scan is plain.ranker.scan
    weights = {"concepts": {"0": 2}}
    assert model.ready(like=plain, controls=weights).ranker.scan is not plain.ranker.scan


def test_a_longer_list_begins_with_the_shorter_one(model):
    ready = model.ready()
    long, short = (ready.recommend({"me": HISTORY["me"]}, k) for k in (60, 7))
    assert long.head(7).equals(short)


def test_what_cannot_be_prepared_is_refused(model):
    with pytest.raises(ValueError, match="precision is '8'"):
        model.ready(precision="8")
    with pytest.raises(UnknownItem, match="item 'none'"):
        model.ready(items=["none"])
    with pytest.raises(ControlError, match="there is no control"):
        model.ready(controls={"x": 1})
    with pytest.raises(ValueError, match="k is 0"):
        model.ready().recommend({"me": ["0-01"]}, 0)


def test_people_of_whom_nothing_is_known_are_told_of(model):
    with pytest.warns(MacridWarning, match="no item that the model knows"):
        model.ready().recommend({"me": []}, 1)


def test_popular_items_are_looked_for_only_if_somebody_needs_them(model):
    ready, k = model.ready(), 3
    nobody = ready.recommend({"nobody": []}, k, on_unknown="ignore")
    best = torch.topk(ready.popularity, k).values.tolist()
    assert nobody["score"].to_list() == best
