"""The same of SQLite and of a real PostgreSQL."""

import threading

import hypothesis.strategies as st
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from macrid.control.controls import Controls
from macrid.service.storage.errors import KeyReused, StoreError
from macrid.service.storage.store import MOST, REMEMBERED, Store, StoredEvent


@pytest.fixture
def store(url):
    opened = Store(url)
    yield opened
    opened.close()


def had(*items, user="ada", **fields):
    return [StoredEvent(user, item, **fields) for item in items]


def test_a_history_is_newest_first_whatever_the_order_in_which_it_came(store):
    store.add([StoredEvent("ada", item, timestamp=t) for item, t in [("b", 2), ("a", 1), ("c", 3)]])
    assert store.items("ada") == ["c", "b", "a"]


def test_events_of_one_moment_are_in_the_order_in_which_they_came(store):
    store.add(had("a", "b"))
    store.add(had("c", "d"))
    assert store.items("ada") == ["d", "c", "b", "a"]


def test_items_come_out_as_they_went_in_numbers_as_numbers(store):
    store.add(had(7, "7", 2**62, "007", "ünï 'c\"ode; --", timestamp=1.5, weight=0.1))
    assert store.items("ada") == ["ünï 'c\"ode; --", "007", 2**62, "7", 7]
    assert {(e.timestamp, e.weight) for e in store.history("ada")} == {(1.5, 0.1)}


def test_each_item_is_named_once_and_each_event_told(store):
    store.add(had("a", "b", "a"))
    assert store.items("ada") == ["a", "b"]
    assert len(store.history("ada")) == 3


def test_nobody_sees_the_events_of_others(store):
    store.add(had("a") + had("b", user="bob"))
    assert store.items("ada") == ["a"]
    assert store.items("eve") == []


def test_no_more_is_read_than_is_asked_for_nor_than_is_allowed(store):
    store.add(had(*range(MOST + 5)))
    assert store.items("ada", 3) == [MOST + 4, MOST + 3, MOST + 2]
    assert len(store.items("ada", 10 * MOST)) == MOST


class TestIdempotency:
    def test_the_same_request_adds_nothing_twice(self, store):
        assert store.add(had("a", "b"), "key") == (2, False)
        assert store.add(had("a", "b"), "key") == (2, True)
        assert len(store.history("ada")) == 2

    def test_another_request_with_the_same_key_is_refused_and_leaves_nothing(self, store):
        store.add(had("a"), "key")
        with pytest.raises(KeyReused, match="with other events before"):
            store.add(had("b"), "key")
        assert store.items("ada") == ["a"]

    def test_keys_of_two_clients_are_two_keys(self, store):
        store.add(had("a"), "key", "one")
        assert store.add(had("b"), "key", "another") == (1, False)

    def test_without_a_key_the_same_events_are_added_again(self, store):
        store.add(had("a"))
        store.add(had("a"))
        assert len(store.history("ada")) == 2

    def test_of_many_at_once_one_adds(self, store):
        replayed, start = [], threading.Barrier(8)

        def add():
            start.wait()
            replayed.append(store.add(had("a", "b", "c"), "key")[1])

        threads = [threading.Thread(target=add) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(replayed) == [False] + 7 * [True]
        assert len(store.history("ada")) == 3

    def test_a_key_is_forgotten_when_nobody_will_repeat_it(self, store, monkeypatch):
        store.add(had("a"), "key")
        store.forget_keys()
        assert store.add(had("a"), "key") == (1, True)
        monkeypatch.setattr("macrid.service.storage.store.REMEMBERED", -REMEMBERED)
        store.forget_keys()
        assert store.add(had("a"), "key") == (1, False)


class TestControls:
    def test_are_what_was_saved_last(self, store):
        assert store.controls("ada") is None
        store.save_controls("ada", Controls(diversity=0.2), "first")
        last = Controls.of({"concepts": {"bags": 2}, "block": ["a", 7], "diversity": 0.3})
        store.save_controls("ada", last, "second")
        assert store.controls("ada") == (last, "second")
        assert store.controls("bob") is None


def test_what_was_added_is_there_when_the_store_is_opened_again(url):
    first = Store(url)
    first.add(had("a"), "key")
    first.close()
    second = Store(url)
    assert second.items("ada") == ["a"]
    assert second.add(had("a"), "key") == (1, True)
    second.check()
    second.close()


def test_a_database_that_is_away_is_a_sentence_without_its_password():
    with pytest.raises(StoreError, match=r"cannot be used now.*refused") as told:
        Store("postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(told.value)


# One store for all examples: each has a person of its own.
@hypothesis_settings(max_examples=15)
@given(
    events=st.lists(
        st.tuples(
            st.one_of(
                st.integers(-(2**63), 2**63 - 1),
                st.text(
                    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9
                ),
            ),
            st.floats(-1e9, 1e9),
        ),
        max_size=20,
    ),
)
def test_a_history_is_a_stable_sort_by_time(tmp_path_factory, events):
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('store') / 's.sqlite'}")
    if events:
        store.add([StoredEvent("ada", item, timestamp=time) for item, time in events])
    oldest_first = sorted(events, key=lambda event: event[1])
    assert [(e.item_id, e.timestamp) for e in store.history("ada")] == oldest_first[::-1]
    store.close()
