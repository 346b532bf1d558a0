"""Lists beside accuracy, beside what is counted by hand and by plain loops."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

import macrid
from macrid.data.splits import HeldOut
from macrid.errors import DataError
from macrid.evaluation.beyond import beyond_accuracy, diversity, gini, item_features, novelty
from macrid.models.popularity import Popularity
from planted import fitted, split


def people(histories: dict) -> HeldOut:
    """Held-out users with nothing hidden."""
    pairs = [(user, item) for user, items in histories.items() for item in items]
    table = macrid.read(pl.DataFrame(pairs, schema=["user", "item"], orient="row"))
    return HeldOut(table, table.take_events(np.zeros(len(table), bool)))


@pytest.fixture(scope="module")
def ladder():
    """Popularity that ranks a, b, c, d, e; 5 users had a, 4 had b, and so on to e."""
    log = [(n, item) for n in range(5) for item in "abcde"[: n + 1]]
    kinds = {"item": list("abcde"), "genres": ["War", "War|Drama", None, "Drama", "Comedy"]}
    events = pl.DataFrame(log, schema=["user", "item"], orient="row")
    return Popularity().fit(macrid.read(events, items=pl.DataFrame(kinds)))


def test_a_small_world_by_hand(ladder):
    # Lists of two unseen items: c, d for x; a, c for y.
    measured = beyond_accuracy(ladder, people({"x": ["a", "b"], "y": ["b", "d"]}), k=2)
    bits = {item: -math.log2(had / 5) for item, had in zip("abcde", (5, 4, 3, 2, 1), strict=True)}
    assert measured == pytest.approx(
        {
            "coverage@2": 3 / 5,
            "novelty@2": ((bits["c"] + bits["d"]) / 2 + (bits["a"] + bits["c"]) / 2) / 2,
            # Times listed 0, 0, 1, 1, 2 of 4: (-4*0 - 2*0 + 0*1 + 2*1 + 4*2) / 4 / 4.
            "gini@2": 10 / 16,
            "diversity@2": None,  # nothing is known of c, so no list has two items to compare
            "head@2": (0 + 1 / 2) / 2,  # the most popular fifth is a
        }
    )


def test_diversity_by_hand(ladder):
    # x: a (War), b (War and Drama), cosine sqrt(1/2). y: b and d, sqrt(1/2). z: a and d, 0.
    lists = people({"x": ["c", "d", "e"], "y": ["a", "c", "e"], "z": ["b", "c", "e"]})
    measured = beyond_accuracy(ladder, lists, k=2)
    assert measured["diversity@2"] == pytest.approx((2 * (1 - math.sqrt(0.5)) + 1) / 3)


def test_people_without_a_list_are_left_out(ladder):
    someone = {"x": ["a", "b", "c", "d"]}
    expected = beyond_accuracy(ladder, people(someone), k=3)
    assert beyond_accuracy(ladder, people({**someone, "all": list("abcde")}), k=3) == expected
    assert expected["coverage@3"] == 1 / 5  # a list may be shorter than k
    with pytest.raises(DataError, match="nobody has a list"):
        beyond_accuracy(ladder, people({"all": list("abcde")}))


def test_lists_hold_no_item(ladder):
    with pytest.raises(ValueError, match="k is 0"):
        beyond_accuracy(ladder, people({"x": ["a"]}), k=0)


def test_a_model_that_knows_people_covers_more_than_popularity():
    popular, known = (
        beyond_accuracy(fitted(name), split().test, k=5) for name in ("popularity", "ease")
    )
    assert known["coverage@5"] > popular["coverage@5"]
    assert known["novelty@5"] > popular["novelty@5"]
    assert known["gini@5"] < popular["gini@5"]
    assert known["head@5"] < popular["head@5"]


@given(st.lists(st.integers(0, 20), min_size=2, max_size=12).filter(any))
def test_gini_is_the_mean_difference_of_all_pairs(shown):
    pairs = [abs(a - b) for a in shown for b in shown]
    expected = sum(pairs) / (2 * (len(shown) - 1) * sum(shown))
    assert gini(np.array(shown, float)) == pytest.approx(expected)


def test_gini_of_a_single_item_is_0():
    assert gini(np.array([3.0])) == 0.0


def test_an_item_that_nobody_had_counts_as_if_one_had():
    assert novelty(csr_array([[1.0, 0.0]]), np.array([0, 3]), 8) == 3.0


def test_diversity_is_that_of_plain_loops():
    rng = np.random.default_rng(0)
    hot = (rng.random((30, 6)) < 0.3).astype(float)
    hot[:4] = 0  # of which nothing is known
    lengths = np.maximum(np.linalg.norm(hot, axis=1), 1e-9)
    unit = hot / lengths[:, None]
    lists = [rng.choice(30, 8, replace=False) for _ in range(10)]
    listed = np.zeros((10, 30))
    expected = []
    for row, items in enumerate(lists):
        listed[row, items] = 1
        known = [i for i in items if hot[i].any()]
        cosines = [unit[i] @ unit[j] for n, i in enumerate(known) for j in known[:n]]
        expected.append(1 - np.mean(cosines))
    measured = diversity(csr_array(listed), csr_array(unit))
    assert measured == pytest.approx(np.mean(expected))


def test_features_are_lists_of_text_and_text_that_items_share():
    table = pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "train_events": [4, 3, 2, 1],
            "title": ["A", "B", "C", "D"],
            "brand": ["x", "x", "y", "y"],
            "tags": [["new", "new"], [], None, ["old"]],
            "year": [1999, 1999, 1999, 1999],
            "numbers": [[1], [1], [1], [1]],
        }
    )
    features = item_features(table).toarray()  # brands x and y, tags new and old
    half = math.sqrt(0.5)
    expected = [[half, 0, half, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, half, 0, half]]
    assert features == pytest.approx(np.array(expected))
    assert item_features(table.select("item_id", "train_events", "title", "year")) is None
