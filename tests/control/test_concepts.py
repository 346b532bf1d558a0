"""What was found, in tables: counted by hand on a small catalogue."""

import json

import numpy as np
import polars as pl
import pytest

from macrid.control.concepts import Naming, describe
from macrid.control.features import Features
from macrid.control.names import Names
from macrid.control.naming import UNNAMED

CATALOGUE = pl.DataFrame(
    {
        "item_id": ["a", "b", "c", "d"],
        "train_events": [10, 30, 40, 20],
        "title": ["A", "B", None, "D"],
    }
)
WEIGHTS = np.array([[0.9, 0.1, 0], [0.901, 0.099, 0], [0.3, 0.7, 0], [0.99, 0.01, 0]])
VECTORS = np.array([[0.0, 1], [3, 1], [9, 9], [6, 1]])


def found(names=None, **options):
    """Three concepts, of which the last has no items."""
    naming = Naming.draw(VECTORS, WEIGHTS.argmax(1), 3, Features.of(CATALOGUE))
    return describe(VECTORS, WEIGHTS, CATALOGUE, naming.given(names or Names()), **options)


def test_shares_are_of_items_and_of_events():
    table = found().concepts
    assert table["n_items"].to_list() == [3, 1, 0]
    assert table["item_share"].to_list() == [0.75, 0.25, 0]
    assert table["event_share"].to_list() == [0.6, 0.4, 0]
    np.testing.assert_allclose(table["confidence"], [(0.9 + 0.901 + 0.99) / 3, 0.7, 0])


def test_typical_items_are_probable_then_popular_and_cut():
    assert found().concepts["typical"].to_list() == [["d", "b", "a"], ["c"], []]
    assert found(top=1).concepts["typical"].to_list() == [["d"], ["c"], []]
    assert found().typical["rank"].to_list() == [1, 2, 3, 1]
    assert found().typical["title"].to_list() == ["D", "B", "A", None]


def test_each_item_has_its_concept_and_how_sure_it_is():
    rows = [("a", 0, 0.9), ("b", 0, 0.901), ("c", 1, 0.7), ("d", 0, 0.99)]
    assert found().assignments.rows() == rows


def test_dimensions_vary_over_the_concepts_own_items():
    table = found().dimensions
    assert table.select("concept", "dimension").rows() == [(k, d) for k in range(3) for d in (0, 1)]
    np.testing.assert_allclose(table["std"], [np.std([0, 3, 6]), 0, 0, 0, 0, 0])
    assert table["variance_share"].to_list() == [1, 0, 0, 0, 0, 0]
    first, last = table.row(0, named=True), table.row(5, named=True)
    assert (first["low_items"], first["high_items"]) == (["a", "b", "d"], ["d", "b", "a"])
    assert (last["low_items"], last["low"], last["feature"]) == ([], UNNAMED, None)


def test_collapse_is_measured():
    assert found().largest_share == 0.75
    expected = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(3)
    assert found().entropy == pytest.approx(expected)


def test_of_one_concept_everything_is_in_it():
    naming = Naming.draw(VECTORS, np.zeros(4, int), 1, Features.of(CATALOGUE))
    one = describe(VECTORS, np.ones((4, 1)), CATALOGUE, naming)
    assert (one.largest_share, one.entropy) == (1, 0)


def test_names_by_hand_come_first_and_drawn_ones_make_room():
    kinds = pl.DataFrame({"kind": np.repeat(["bag", "shoe"], 30)})
    concept = np.repeat([0, 1], 30)
    drawn = Naming.draw(np.zeros((60, 2)), concept, 2, Features.of(kinds))
    assert drawn.concepts == ["bag", "shoe"]
    given = drawn.given(Names().with_concept(1, "Bag").with_dimension(0, 1, ("small", "large")))
    assert given.concepts == ["bag 2", "Bag"]
    assert (given.ends[0][1].low, given.ends[0][1].high) == ("small", "large")
    assert drawn.ends[0][1].low == UNNAMED


def test_a_part_of_many_items_names_dimensions_as_all_do(monkeypatch):
    size = np.random.default_rng(0).random(2000)
    features = Features.of(pl.DataFrame({"size": size}))
    monkeypatch.setattr("macrid.control.concepts._ENOUGH", 100)
    naming = Naming.draw(size[:, None], np.zeros(2000, int), 1, features)
    assert (naming.ends[0][0].low, naming.ends[0][0].high) == ("low size", "high size")


def test_a_concept_without_a_name_is_called_by_its_number():
    naming = Naming.draw(VECTORS, WEIGHTS.argmax(1), 3, Features.of(CATALOGUE))
    assert naming.of(2) == "concept 2"
    assert naming.given(Names().with_concept(2, "bags")).of(2) == "bags"


def test_named_dimensions_come_before_those_that_vary():
    names = Names().with_dimension(0, 1, ("small", "large"))
    assert found(names).foremost(1)["dimension"].to_list() == [1, 0, 0]
    assert found().foremost(1)["dimension"].to_list() == [0, 0, 0]
    assert len(found().foremost(0)) == 0


def test_the_document_is_json():
    document = json.loads(json.dumps(found().to_dict(dimensions=1), allow_nan=False))
    assert len(document["dimensions"]) == 3
    assert len(found().to_dict()["dimensions"]) == 6
    assert document["concepts"][2]["terms"] == []
