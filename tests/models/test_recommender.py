"""Ids in, ids out: every way to say a history, and what a list may hold."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

import macrid
from macrid.data.interactions import Interactions
from macrid.data.splits import HeldOut
from macrid.errors import DataError, MacridError, SettingsError, UnknownItem
from macrid.models import recommender
from macrid.models.ease import EASE
from macrid.models.popularity import Popularity
from planted import fitted, groups, newcomers, share_in_the_right_group, split

SCHEMA = {"item_id": pl.String, "score": pl.Float32, "rank": pl.Int64}


@pytest.fixture(scope="module")
def ease():
    return fitted("ease")


@pytest.fixture(scope="module")
def numbered():
    """Popularity over items 11, 7 and 5, in this order, with users that are numbers too."""
    events = {"user": [1, 1, 1, 2, 2, 3], "item": [11, 7, 5, 7, 11, 11]}
    return Popularity().fit(macrid.read(events))


@pytest.fixture(scope="module")
def tied():
    """EASE with small whole numbers as weights, so that many scores tie."""
    model = EASE().fit(groups(2, n_users=30, n_items=20))
    rng = np.random.default_rng(0)
    model.weights = torch.from_numpy(rng.integers(-1, 2, (40, 40))).float()
    return model


def items_of(frame: pl.DataFrame, user) -> list:
    return frame.filter(pl.col("user_id") == user)["item_id"].to_list()


# Lists


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("include_seen", [False, True])
def test_lists_are_those_of_sorting_all_that_is_allowed(tied, seed, include_seen):
    rng = np.random.default_rng(seed)
    catalogue = tied.items.ids.to_list()
    people = {
        f"u{n}": rng.choice(catalogue, rng.integers(1, 30), replace=False).tolist()
        for n in rng.permutation(12)
    }
    exclude = rng.choice(catalogue, rng.integers(0, 20), replace=False).tolist()
    items = rng.choice(catalogue, rng.integers(1, 40), replace=False).tolist()
    k = int(rng.integers(1, 45))
    lists = tied.recommend(people, k, items=items, exclude=exclude, include_seen=include_seen)
    expected = []
    for user, history in people.items():
        total = tied.weights[[catalogue.index(item) for item in history]].sum(0).tolist()
        banned = {*exclude, *([] if include_seen else history)}
        allowed = [n for n, item in enumerate(catalogue) if item in items and item not in banned]
        best = sorted(allowed, key=lambda n: (-total[n], n))[:k]
        expected += [(user, catalogue[n], total[n], r) for r, n in enumerate(best, start=1)]
    assert lists.columns == ["user_id", "item_id", "score", "rank"]
    assert lists.rows() == expected


def test_unseen_people_get_items_of_their_own_group(ease):
    lists = ease.recommend(newcomers(), k=10)
    assert len(lists) == 40 * 10
    assert share_in_the_right_group(lists) >= 0.95


def test_a_k_beyond_the_catalogue_gives_all_that_is_allowed(ease):
    lists = ease.recommend({"me": ["0-00", "0-01"]}, k=1_000)
    assert lists["rank"].to_list() == list(range(1, 49))
    assert lists["item_id"].n_unique() == 48


def test_ten_places_are_the_default(ease):
    assert len(ease.recommend({"me": ["0-00"]})) == 10


@pytest.mark.parametrize("k", [0, -3])
def test_a_list_of_nothing_is_refused(ease, k):
    with pytest.raises(ValueError, match=f"k is {k}; a list holds 1 item or more"):
        ease.recommend({"me": ["0-00"]}, k)
    with pytest.raises(ValueError, match=f"k is {k}; a list holds 1 item or more"):
        ease.similar_items(["0-00"], k)


def test_excluding_everything_leaves_an_empty_frame_of_the_same_columns(ease):
    lists = ease.recommend({"me": ["0-00"]}, exclude=ease.items.ids)
    assert lists.schema == {"user_id": pl.String, **SCHEMA}
    assert lists.is_empty()
    assert ease.recommend({"me": ["0-00"]}, items=[]).schema == lists.schema


def test_nobody_gets_an_empty_frame_of_the_same_columns(ease):
    lists = ease.recommend({})
    assert lists.schema == {"user_id": pl.String, **SCHEMA}
    assert lists.is_empty()


def test_some_lists_may_be_shorter_than_others(ease):
    few = ["0-01", "1-01", "1-02"]
    lists = ease.recommend({"a": ["0-01", "1-01"], "b": ["0-02"]}, k=3, items=few)
    assert items_of(lists, "a") == ["1-02"]
    assert sorted(items_of(lists, "b")) == few


@pytest.mark.parametrize("kind", [list, tuple, set, iter, pl.Series, np.array, dict.fromkeys])
def test_items_and_exclusions_may_be_any_collection(ease, kind):
    lists = ease.recommend(
        {"me": kind(["0-00"])}, items=kind(["0-01", "0-02"]), exclude=kind(["0-02"])
    )
    assert lists["item_id"].to_list() == ["0-01"]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (({"me": "0-00"},), "'0-00'"),
        (({"me": 5},), "5"),
    ],
)
def test_a_lone_id_where_a_list_is_expected_is_refused(ease, arguments, given):
    with pytest.raises(ValueError, match=rf"{given} is one id where a list .* write \[{given}\]"):
        ease.recommend(*arguments)


def test_nothing_where_a_list_is_expected_is_refused(ease):
    with pytest.raises(ValueError, match="there is no list of ids; give one"):
        ease.recommend({"me": None})


@pytest.mark.parametrize("name", ["items", "exclude"])
def test_a_lone_id_as_items_or_exclusion_is_refused(ease, name):
    with pytest.raises(ValueError, match=r"'0-00' is one id .* write \['0-00'\]"):
        ease.recommend({"me": ["0-01"]}, **{name: "0-00"})
    with pytest.raises(ValueError, match=r"'0-00' is one id .* write \['0-00'\]"):
        ease.similar_items("0-00")


# Batches


@pytest.mark.parametrize("size", [1, 3, 40])
def test_lists_are_the_same_in_every_batch_size(ease, monkeypatch, size):
    people = newcomers()
    expected = ease.recommend(people)
    monkeypatch.setattr(recommender, "BATCH_SIZE", size)
    assert ease.recommend(people).equals(expected)


def test_more_people_than_fit_into_a_batch_all_get_their_lists(ease):
    people = newcomers(1_201)
    lists = ease.recommend(people, k=2)
    assert lists["user_id"].unique(maintain_order=True).to_list() == list(people)
    for user in list(people)[::400]:
        mine = lists.filter(pl.col("user_id") == user)
        assert mine.equals(ease.recommend({user: people[user]}, k=2))


# Whose history


def test_people_come_in_the_order_given_with_ids_of_the_type_given(numbered):
    for users in (["zoe", "adam", "5"], [30, -4, 5], ["7", "3", "12"]):
        lists = numbered.recommend({user: [11] for user in users}, k=1)
        assert lists["user_id"].to_list() == users


FRAME = {"user_id": ["9", "10", "9", "2"], "item_id": ["0-00", "1-00", "0-01", "1-01"]}


@pytest.mark.parametrize(
    "kind", [pl.DataFrame, pl.LazyFrame, pd.DataFrame, pa.table], ids=["pl", "lazy", "pd", "pa"]
)
def test_people_of_a_frame_come_in_its_order_with_the_ids_it_has(ease, kind):
    lists = ease.recommend(kind(FRAME), k=3)
    assert lists["user_id"].to_list() == ["9"] * 3 + ["10"] * 3 + ["2"] * 3
    assert lists.equals(ease.recommend({"9": ["0-00", "0-01"], "10": ["1-00"], "2": ["1-01"]}, k=3))


@pytest.mark.parametrize("dtype", [pl.Int32, pl.Float64, pl.Categorical])
def test_users_of_a_frame_keep_their_type(ease, dtype):
    frame = pl.DataFrame(FRAME).with_columns(pl.col("user_id").cast(dtype))
    users = ease.recommend(frame, k=1)["user_id"]
    assert users.equals(frame["user_id"].unique(maintain_order=True))
    assert users.dtype == dtype


def test_a_frames_columns_are_found_by_their_usual_names(ease):
    frame = pl.DataFrame({"movieId": ["0-00"], "rating": [3.5], "userId": ["me"]})
    assert ease.recommend(frame).equals(ease.recommend({"me": ["0-00"]}))


@pytest.mark.parametrize("user", ["b,0-00\na,1-00\nb,0-01", "20,0-00\n3,1-00\n20,0-01"])
def test_a_file_is_read_as_events_in_its_order(ease, tmp_path, user):
    path = tmp_path / "histories.csv"
    path.write_text(f"user_id,item_id\n{user}\n")
    first, second = ("b", "a") if user[0] == "b" else (20, 3)
    expected = ease.recommend({first: ["0-00", "0-01"], second: ["1-00"]})
    assert ease.recommend(path).equals(expected)
    assert ease.recommend(str(path)).equals(expected)


def test_a_split_folder_is_read_whole(ease, tmp_path):
    (tmp_path / "unique_sid.txt").write_text("0-00\n0-01\n0-02\n")
    for name in ("train", "validation_tr", "validation_te", "test_tr", "test_te"):
        (tmp_path / f"{name}.csv").write_text(f"uid,sid\n{len(name)},0\n")
    lists = ease.recommend(tmp_path, k=1)
    assert lists["user_id"].to_list() == [5, 7, 13]


def test_interactions_are_histories_row_by_row(ease):
    test = split().test.fold_in
    lists = ease.recommend(test)
    assert lists["user_id"].unique(maintain_order=True).equals(test.users.ids)
    frame = test.to_frame()
    assert lists.equals(ease.recommend(frame))
    assert lists.join(frame, on=["user_id", "item_id"], how="semi").is_empty()  # none seen


def test_interactions_over_another_catalogue_are_understood(ease):
    events = pl.DataFrame({"user_id": ["me", "me"], "item_id": ["1-07", "0-03"]})
    other = Interactions.from_events(events)
    assert ease.recommend(other).equals(ease.recommend({"me": ["0-03", "1-07"]}))


def test_what_is_no_history_is_refused(ease):
    with pytest.raises(DataError, match="a list is nobody's history"):
        ease.recommend(["0-00"])
    with pytest.raises(DataError, match="no item_id column"):
        ease.recommend(pl.DataFrame({"user_id": ["me"]}))
    with pytest.raises(DataError, match="no user_id column"):
        ease.recommend(pl.DataFrame({"item_id": ["0-00"]}))
    with pytest.raises(DataError, match=r"no file or folder 'nowhere\.csv'"):
        ease.recommend("nowhere.csv")


def test_an_item_twice_in_a_history_counts_once(ease):
    twice = ease.recommend({"me": ["0-00", "1-00", "0-00", "0-00"]})
    assert twice.equals(ease.recommend({"me": ["0-00", "1-00"]}))


def test_text_finds_items_that_are_numbers(numbered):
    assert numbered.recommend({"me": ["11", 7]})["item_id"].to_list() == [5]
    assert numbered.recommend({"me": ["11"]}, items=["5", 7]).dtypes[1] == pl.Int64
    assert numbered.recommend({"me": [5]}, exclude=["7"])["item_id"].to_list() == [11]


def test_users_that_are_numbers_and_text_become_text(numbered):
    assert numbered.recommend({1: [7], "a": [7]}, k=1)["user_id"].to_list() == ["1", "a"]


# Items that are not known, and people without any


def test_unknown_items_in_a_history_are_counted_warned_of_and_left_out(ease):
    words = r"2 of 5 events in the histories .* not among the model's 50 \(such as 'x1'\)"
    with pytest.warns(UserWarning, match=words):
        lists = ease.recommend({"me": ["0-00", "x1", "1-00"], "you": ["x2", "0-02"][::-1]})
    assert lists.equals(ease.recommend({"me": ["0-00", "1-00"], "you": ["0-02"]}))


def test_unknown_items_may_be_ignored(ease):
    lists = ease.recommend({"me": ["0-00", "x1"], "you": ["x"]}, on_unknown="ignore")
    assert items_of(lists, "me") == items_of(ease.recommend({"me": ["0-00"]}), "me")
    assert len(items_of(lists, "you")) == 10


@pytest.mark.parametrize("unknown", ["x1", 17])
def test_unknown_items_may_be_refused(ease, unknown):
    with pytest.raises(UnknownItem, match=f"item '?{unknown}'? is not in the model's 50 items"):
        ease.recommend({"me": ["0-00", unknown]}, on_unknown="raise")


def test_another_wish_for_unknown_items_is_refused(ease):
    with pytest.raises(ValueError, match="on_unknown is 'drop'; it is 'warn', 'ignore' or 'raise'"):
        ease.recommend({"me": ["0-00"]}, on_unknown="drop")


@pytest.mark.parametrize("history", [[], ["x1"]])
def test_people_without_history_get_popular_items_and_it_is_said(ease, history):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lists = ease.recommend({"new": history, "old": ["0-00"]}, k=50)
    words = "1 of 2 people have no item that the model knows; they get the most popular items"
    assert [str(warning.message) for warning in caught][len(history) :] == [words]
    counts = pl.DataFrame({"item_id": split().train.items.ids, "n": split().train.item_counts()})
    expected = counts.sort("n", descending=True, maintain_order=True)["item_id"].to_list()
    assert items_of(lists, "new") == expected
    assert items_of(lists, "old") == items_of(ease.recommend({"old": ["0-00"]}, k=50), "old")


def test_nothing_is_said_where_nothing_is_wrong(ease):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ease.recommend({"me": ["0-00"]}, on_unknown="warn")


@pytest.mark.parametrize("name", ["items", "exclude"])
def test_unknown_items_to_list_or_to_exclude_are_refused(ease, name):
    words = "item 'x2' is not in the model's 50 items; it may have been filtered"
    with pytest.raises(UnknownItem, match=words):
        ease.recommend({"me": ["0-00"]}, **{name: ["0-01", "x2", "x3"]})
    with pytest.raises(LookupError, match=words):
        ease.similar_items(["0-01", "x2"])


# Similar items


def test_an_item_is_not_similar_to_itself(ease):
    lists = ease.similar_items(ease.items.ids, k=100)
    assert len(lists) == 50 * 49
    assert not (lists["query_id"] == lists["item_id"]).any()


def test_nothing_is_similar_to_nothing(ease):
    lists = ease.similar_items([])
    assert lists.schema == {"query_id": pl.String, **SCHEMA}
    assert lists.is_empty()


# Fitting


def test_the_catalogue_holds_ids_counts_and_features_in_row_order(ease):
    train = split().train
    assert ease.catalogue.columns == ["item_id", "train_events", "title", "tags", "price"]
    assert ease.catalogue["item_id"].equals(train.items.ids)
    assert ease.catalogue["train_events"].to_list() == train.item_counts().tolist()
    assert ease.catalogue["title"].to_list() == [f"Title of {i}" for i in train.items.ids]
    expected = {"data": train.fingerprint(), "users": train.n_users, "events": len(train)}
    assert ease.training | expected == ease.training
    assert ease.training["seconds"] >= 0


def test_a_catalogue_without_features_is_ids_and_counts(numbered):
    assert numbered.catalogue.rows() == [(11, 3), (7, 2), (5, 1)]
    assert numbered.catalogue.columns == ["item_id", "train_events"]


def test_features_called_train_events_give_way():
    items = pl.DataFrame({"item_id": ["b", "a"], "train_events": [7, 7], "colour": ["red", None]})
    data = macrid.read({"user": [1, 1, 2], "item": ["a", "b", "a"]}, items=items)
    model = Popularity().fit(data)
    assert model.catalogue.rows() == [("a", 2, None), ("b", 1, "red")]


def test_a_model_that_is_not_fitted_says_so():
    for use in (
        lambda model: model.items,
        lambda model: model.recommend({"me": [1]}),
        lambda model: model.similar_items([1]),
    ):
        with pytest.raises(MacridError, match="this EASE is not fitted; call fit, or"):
            use(EASE())


def test_nothing_to_learn_from_is_refused():
    nobody = split().train.take_users(np.array([], int))
    with pytest.raises(DataError, match="no events to train on"):
        EASE().fit(nobody)


def test_validation_users_over_another_catalogue_are_refused():
    train, people = split().train, split().validation
    fewer = macrid.Interactions.from_events(train.to_frame().head(5)).items
    shown, hidden = (part.with_catalogue(fewer) for part in (people.fold_in, people.held_out))
    for strange in (HeldOut(shown, people.held_out), HeldOut(people.fold_in, hidden)):
        with pytest.raises(DataError, match="validation users' catalogue is not that of the train"):
            EASE().fit(train, strange)


def test_a_fit_that_fails_leaves_no_model_behind():
    model = EASE().fit(split().train)
    model.metrics = {"test": {}}
    with pytest.raises(SettingsError, match="takes no epochs"):
        model.fit(macrid.read({"user": [1], "item": ["a"]}), epochs=1)
    with pytest.raises(MacridError, match="not fitted"):
        model.recommend({"me": ["a"]})


def test_fitting_again_forgets_what_was_learned_and_measured():
    model = Popularity().fit(split().train)
    model.metrics = {"test": {}}
    model.fit(macrid.read({"user": [1, 2, 2], "item": ["a", "b", "a"]}))
    assert model.metrics == {}
    assert model.recommend({"me": ["a"]})["item_id"].to_list() == ["b"]


def test_changed_settings_ask_for_another_fit():
    model = EASE().fit(split().train).set_params(regularization=500.0)
    assert len(model.items) == split().train.n_items
    with pytest.raises(macrid.MacridError, match="not fitted"):
        model.set_params(regularization=7.0).recommend({"me": []})


def test_neighbours_of_many_items_are_those_of_each_alone(ease, monkeypatch):
    ids = ease.items.ids.to_list()
    at_once = ease.similar_items(ids, 3)
    monkeypatch.setattr("macrid.models.recommender.BATCH_SIZE", 7)
    assert ease.similar_items(ids, 3).equals(at_once)
