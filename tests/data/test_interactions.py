"""The table is the events it was made from, whichever way it is cut."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from macrid.data.interactions import Interactions, concat, order_by, take_rows
from macrid.data.vocabulary import Vocabulary
from macrid.errors import DataError

pairs = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), unique=True, min_size=1)


def made_of(pairs, **more) -> Interactions:
    users, items = zip(*pairs, strict=True)
    return Interactions.from_events(pl.DataFrame({"user_id": users, "item_id": items, **more}))


def pairs_of(data: Interactions) -> list[tuple]:
    return data.to_frame().select("user_id", "item_id").rows()


@given(pairs)
def test_events_are_those_given_sorted_by_user_and_otherwise_in_order(pairs):
    data = made_of(pairs)
    assert pairs_of(data) == sorted(pairs, key=lambda pair: pair[0])
    assert data.users.ids.to_list() == sorted({user for user, _ in pairs})
    assert data.items.ids.to_list() == list(dict.fromkeys(item for _, item in pairs_of(data)))
    assert (data.n_users, data.n_items, len(data)) == (
        len({user for user, _ in pairs}),
        len({item for _, item in pairs}),
        len(pairs),
    )


@given(pairs)
def test_the_frame_leads_back_to_the_same_table(pairs):
    data = made_of(pairs, weight=np.arange(len(pairs)) / 2, timestamp=np.arange(len(pairs)))
    again = Interactions.from_events(data.to_frame())
    assert_frame_equal(again.to_frame(), data.to_frame())
    assert again.fingerprint() == data.fingerprint()


@given(pairs)
def test_the_matrix_is_one_exactly_at_the_events(pairs):
    data = made_of(pairs)
    matrix = data.matrix()
    expected = np.zeros((data.n_users, data.n_items))
    expected[data.rows, data.columns] = 1
    assert matrix.dtype == np.float32
    assert (matrix.toarray() == expected).all()
    assert (data.item_counts() == expected.sum(0)).all()


@given(pairs, st.data())
def test_taking_users_is_taking_rows_of_the_matrix(pairs, draw):
    data = made_of(pairs, timestamp=np.arange(len(pairs)))
    rows = np.array(draw.draw(st.lists(st.integers(0, data.n_users - 1), unique=True)), np.int64)
    taken = data.take_users(rows)
    assert (taken.matrix().toarray() == data.matrix()[rows].toarray()).all()
    assert taken.users.ids.to_list() == data.users.ids.gather(rows).to_list()
    assert taken.items == data.items
    histories = data.histories(rows)
    assert histories.items.tolist() == taken.columns.tolist()
    assert histories.offsets.tolist() == taken.offsets.tolist()


@given(pairs, st.data())
def test_taking_events_keeps_their_weights_and_times_and_all_users(pairs, draw):
    n = len(pairs)
    data = made_of(pairs, weight=np.arange(n), timestamp=np.arange(n))
    chosen = np.array(draw.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    kept, left = data.take_events(chosen), data.take_events(~chosen)
    assert kept.n_users == left.n_users == data.n_users
    assert_frame_equal(kept.to_frame(), data.to_frame().filter(pl.Series(chosen)))
    assert (kept.matrix() + left.matrix() != data.matrix()).nnz == 0


@given(pairs, st.lists(st.integers(0, 9), unique=True))
def test_another_catalogue_keeps_the_events_of_its_items(pairs, items):
    data = made_of(pairs)
    moved = data.with_catalogue(Vocabulary(items))
    assert pairs_of(moved) == [pair for pair in pairs_of(data) if pair[1] in items]
    assert moved.items.ids.to_list() == items
    assert moved.users == data.users


def test_without_weights_and_times_each_event_counts_one_and_has_no_time():
    data = made_of([("a", "x"), ("b", "x")])
    assert data.weights.tolist() == [1, 1]
    assert data.timestamps is None
    assert data.to_frame().columns == ["user_id", "item_id", "weight"]


def test_all_histories_are_all_rows():
    data = made_of([("b", 5), ("a", 7), ("b", 7)])
    assert data.histories().items.tolist() == [0, 1, 0]
    assert data.histories().lengths.tolist() == [1, 2]


def test_given_users_keep_their_order_and_may_have_no_events():
    events = pl.DataFrame({"user_id": ["a", "b"], "item_id": [1, 2]})
    users = Vocabulary(["c", "b", "a"])
    data = Interactions.from_events(events, users=users)
    assert data.users == users
    assert data.offsets.tolist() == [0, 0, 1, 2]
    assert pairs_of(data) == [("b", 2), ("a", 1)]


@pytest.mark.parametrize("outside", ["users", "items"])
def test_events_outside_a_given_vocabulary_are_refused(outside):
    events = pl.DataFrame({"user_id": ["a"], "item_id": ["a"]})
    with pytest.raises(DataError, match="outside the given vocabularies"):
        Interactions.from_events(events, **{outside: Vocabulary(["b"])})


def test_features_are_put_in_item_order_with_nulls_where_nothing_is_known():
    features = pl.DataFrame({"item_id": [9, 7, 8], "title": ["nine", "seven", "eight"]})
    events = pl.DataFrame({"user_id": [1, 1, 1], "item_id": [8, 5, 7]})
    data = Interactions.from_events(events, features=features)
    assert data.features.rows() == [(8, "eight"), (5, None), (7, "seven")]
    moved = data.with_catalogue(Vocabulary([7, 8]))
    assert moved.features.rows() == [(7, "seven"), (8, "eight")]


@pytest.mark.parametrize("ids", [["8", "007", "x"], [8.0, 7.5, 1e300]])
def test_features_with_ids_of_another_type_join_where_that_loses_nothing(ids):
    events = pl.DataFrame({"user_id": [1, 1], "item_id": [7, 8]})
    features = pl.DataFrame({"item_id": ids, "title": ["yes", "no", "no"]})
    data = Interactions.from_events(events, features=features)
    assert data.features.rows() == [(7, None), (8, "yes")]


def test_fingerprints_differ_when_an_event_an_id_or_the_order_does():
    digests = {
        made_of(pairs).fingerprint()
        for pairs in (
            [(1, 1), (1, 2), (2, 1)],
            [(1, 1), (1, 2), (2, 2)],
            [(1, 1), (1, 2), (3, 1)],
            [(1, 2), (1, 1), (2, 1)],
        )
    }
    assert len(digests) == 4


def test_a_table_says_its_size():
    assert repr(made_of([(1, 1), (1, 2)])) == "Interactions(1 users, 2 items, 2 events)"


@given(pairs, pairs)
def test_together_two_tables_hold_every_pair_once(first, second):
    together = concat([made_of(first), made_of(second)])
    assert len(pairs_of(together)) == len(set(pairs_of(together)))
    assert set(pairs_of(together)) == {*first, *second}


def test_together_tables_keep_the_first_features_and_times_that_exist():
    features = pl.DataFrame({"item_id": [1, 2], "title": ["one", "two"]})
    plain = made_of([(1, 1)])
    timed = Interactions.from_events(
        pl.DataFrame({"user_id": [2], "item_id": [2], "timestamp": [5]}), features=features
    )
    whole = made_of([(3, 2), (4, 2)], timestamp=[6, None])
    together = concat([plain, timed, whole])
    assert together.features.rows() == [(1, None), (2, "two")]
    assert np.array_equal(together.timestamps, [np.nan, 5, 6, np.nan], equal_nan=True)


@given(st.lists(st.integers(0, 3), min_size=1), st.data())
def test_positions_of_rows_are_those_a_loop_would_find(lengths, draw):
    offsets = np.cumsum([0, *lengths])
    rows = np.array(draw.draw(st.lists(st.integers(0, len(lengths) - 1))), np.int64)
    positions, taken = take_rows(offsets, rows)
    expected = [list(range(offsets[row], offsets[row + 1])) for row in rows]
    assert positions.tolist() == [position for part in expected for position in part]
    assert taken.tolist() == np.cumsum([0, *map(len, expected)]).tolist()


@given(st.lists(st.integers(0, 4)))
def test_ordering_by_counting_is_a_stable_sort(rows):
    order = order_by(np.array(rows, np.int32), 5)
    assert order.tolist() == sorted(range(len(rows)), key=rows.__getitem__)


@given(pairs, st.data())
def test_items_are_numbered_by_appearance_and_only_those_that_appear(pairs, draw):
    features = pl.DataFrame({"item_id": range(8), "title": [f"{item}." for item in range(8)]})
    data = Interactions.from_events(made_of(pairs).to_frame(), features=features)
    n = len(pairs)
    some = data.take_events(np.array(draw.draw(st.lists(st.booleans(), min_size=n, max_size=n))))
    moved = some.by_appearance()
    assert moved.items.ids.to_list() == list(dict.fromkeys(item for _, item in pairs_of(some)))
    assert pairs_of(moved) == pairs_of(some)
    assert moved.features["title"].to_list() == [f"{item}." for item in moved.items.ids]


def test_events_take_few_bytes_each():
    data = made_of([("a", "x"), ("b", "x")])
    assert (data.columns.dtype, data.weights.dtype) == (np.int32, np.float32)
    assert data.take_events(np.array([True, True])) is data
