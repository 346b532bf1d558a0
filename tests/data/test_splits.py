"""The same seed holds out the very people, and the very items of theirs, of the published files."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from macrid.data.interactions import Interactions
from macrid.data.readers import read
from macrid.data.splits import (
    HeldOut,
    Split,
    everyone,
    hide_events,
    hold_out_users,
    is_split_folder,
    read_split,
)
from macrid.errors import DataError
from reference.split import published_split


def parts_of(split: Split) -> dict[str, Interactions]:
    """The five tables under the names of their files."""
    return {
        "train": split.train,
        "validation_tr": split.validation.fold_in,
        "validation_te": split.validation.held_out,
        "test_tr": split.test.fold_in,
        "test_te": split.test.held_out,
    }


def pairs_of(data: Interactions) -> list[tuple]:
    return data.to_frame().select("user_id", "item_id").rows()


def permuted(users: pl.Series, seed: int = 98765) -> list:
    """Users in the order whose positions are the published ``uid``."""
    return users.gather(np.random.RandomState(seed).permutation(len(users))).to_list()


# Against the recipe written straight out.


def ratings(seed: int, n_users=40, n_items=30, n_events=700) -> pd.DataFrame:
    """Ratings in no order at all; some items have many, some one or two."""
    random = np.random.default_rng(seed)
    events = pd.DataFrame(
        {
            "user": random.integers(0, n_users, n_events) * 7 % 101,
            "item": (n_items * random.random(n_events) ** 3).astype(int),
            "rating": random.integers(2, 6, n_events),
        }
    )
    return events.drop_duplicates(["user", "item"], ignore_index=True)


def expect_published_split(
    events: pd.DataFrame, *, n_held_out: int, seed: int, n_item: int
) -> Split:
    """Split as the library does and compare with the reference, pair by pair."""
    data = read(pl.from_pandas(events), min_weight=4, min_user_events=5, min_item_events=n_item)
    split = hold_out_users(data, n_held_out, seed=seed)
    files = published_split(events, n_held_out=n_held_out, seed=seed, min_per_item=n_item)
    users, catalogue = permuted(data.users.ids, seed), files["unique_sid"]["item"]
    for name, part in parts_of(split).items():
        expected = [
            (users[uid], catalogue[sid]) for uid, sid in files[name].itertuples(index=False)
        ]
        assert sorted(pairs_of(part)) == sorted(expected), name
    assert sorted(split.train.items.ids) == sorted(catalogue)
    return split


@pytest.mark.parametrize("world", range(12))
def test_random_ratings_are_split_as_the_reference_splits_them(world):
    n_held_out, n_item, seed = 1 + world % 5, 1 + world % 3, (98765, 0, 2**32 - 1)[world % 3]
    expect_published_split(ratings(world), n_held_out=n_held_out, seed=seed, n_item=n_item)


@pytest.mark.parametrize("world", range(4))
def test_text_ids_are_split_as_the_reference_splits_them(world):
    events = ratings(world)
    # Sorted as text: "10" before "9", capitals before the rest, é behind it, 🎬 last.
    events["user"] = [f"{'🎬Zaé'[user % 4]}{user}" for user in events["user"]]
    events["item"] = [f"film {item}, part 1" for item in events["item"]]
    expect_published_split(events, n_held_out=4, seed=98765, n_item=1)


@pytest.mark.parametrize("world", range(4))
def test_where_the_rows_are_sorted_by_user_the_items_have_their_published_numbers(world):
    events = ratings(world).sort_values("user", kind="stable", ignore_index=True)
    split = expect_published_split(events, n_held_out=4, seed=98765, n_item=1)
    files = published_split(events, n_held_out=4)
    assert split.train.items.ids.to_list() == files["unique_sid"]["item"].to_list()
    assert split.train.columns.tolist() == files["train"]["sid"].to_list()


def test_who_has_few_known_items_left_keeps_them_and_who_has_none_is_dropped():
    # Five events each; an item above 100 is one that nobody else has.
    kept = [5, 4, 1, 0]
    events = pd.DataFrame(
        [
            (user, item if item < kept[user % 4] else 100 + 5 * user + item, 5)
            for user in range(40)
            for item in range(5)
        ],
        columns=["user", "item", "rating"],
    )
    split = expect_published_split(events, n_held_out=8, seed=98765, n_item=1)
    for group in (split.validation, split.test):
        n_known = [kept[user % 4] for user in group.fold_in.users.ids]
        assert 0 not in n_known
        assert np.diff(group.fold_in.offsets).tolist() == [4 if n == 5 else n for n in n_known]
        assert np.diff(group.held_out.offsets).tolist() == [int(n == 5) for n in n_known]
        assert {4, 1} <= set(n_known)


# What holds for every split.


@pytest.mark.parametrize(("world", "share"), [(0, 0.05), (1, 0.2), (2, 0.5), (3, 0.95)])
def test_people_are_in_one_group_and_their_known_events_in_one_part(world, share):
    data = read(pl.from_pandas(ratings(world)))
    split = hold_out_users(data, 5, share=share)
    groups = [split.train.users, split.validation.fold_in.users, split.test.fold_in.users]
    ids = [id for users in groups for id in users.ids]
    assert len(ids) == len(set(ids))
    assert set(ids) <= set(data.users.ids)
    known = {pair for pair in pairs_of(data) if pair[1] in split.train.items and pair[0] in ids}
    found = [pair for part in parts_of(split).values() for pair in pairs_of(part)]
    assert sorted(found) == sorted(known)
    for part in parts_of(split).values():
        assert part.items == split.train.items
    for group in (split.validation, split.test):
        assert len(group) == group.fold_in.n_users
        assert group.fold_in.users == group.held_out.users
        n_hidden = np.diff(group.held_out.offsets)
        n_events = n_hidden + np.diff(group.fold_in.offsets)
        assert n_hidden.tolist() == [int(share * n) if n >= 5 else 0 for n in n_events]


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    data = read(pl.from_pandas(ratings(0)))
    first, again, other = (hold_out_users(data, 5, seed=seed) for seed in (1, 1, 2))
    prints = [[part.fingerprint() for part in parts_of(s).values()] for s in (first, again, other)]
    assert prints[0] == prints[1] != prints[2]


def test_splitting_leaves_numpy_s_own_generator_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002  the state that must not change
    hold_out_users(read(pl.from_pandas(ratings(0))), 5)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_a_tenth_of_the_people_is_held_out_unless_told_otherwise():
    split = hold_out_users(read(pl.from_pandas(ratings(0))))
    assert (split.train.n_users, len(split.validation), len(split.test)) == (32, 4, 4)
    assert repr(split).startswith("Split(Interactions(32 users,")
    assert repr(split).endswith("validation 4, test 4)")


def test_features_weights_and_times_come_along():
    events = ratings(3).assign(timestamp=range(len(ratings(3))))
    items = pl.DataFrame({"item": range(30), "title": [f"film {item}" for item in range(30)]})
    data = read(pl.from_pandas(events), items=items)
    seen = {row[:2]: row[2:] for row in data.to_frame().rows()}
    split = hold_out_users(data, 5)
    for part in parts_of(split).values():
        assert {row[:2]: row[2:] for row in part.to_frame().rows()}.items() <= seen.items()
        assert part.features["title"].to_list() == [f"film {item}" for item in part.items.ids]


def test_everyone_is_all_known_events_over_the_training_catalogue():
    data = read(pl.from_pandas(ratings(1)))
    split = hold_out_users(data, 5)
    together = everyone(split)
    assert together.items == split.train.items
    expected = [pair for part in parts_of(split).values() for pair in pairs_of(part)]
    assert sorted(pairs_of(together)) == sorted(expected)


def test_one_s_own_people_can_be_hidden_from_in_the_same_way():
    data = read(pl.from_pandas(ratings(2)))
    split = hold_out_users(data, 5)
    rows = data.users.numbers(split.test.fold_in.users.ids)
    people = data.take_users(rows).with_catalogue(split.train.items)
    hidden = hide_events(people)
    assert hidden.fold_in.fingerprint() == split.test.fold_in.fingerprint()
    assert hidden.held_out.fingerprint() == split.test.held_out.fingerprint()


def test_ids_keep_their_type_in_every_part():
    users = [*map(str, range(39)), "anna"]
    log = {"user": [u for u in users for _ in range(6)], "item": [*"12345x"] * 40}
    split = hold_out_users(read(log), 10)
    parts = [split.train, split.validation.fold_in, split.test.fold_in, split.test.held_out]
    assert {part.users.ids.dtype for part in parts} == {pl.String}
    assert {part.items.ids.dtype for part in parts} == {pl.String}


# What is refused.


def test_people_without_a_single_known_item_are_refused_as_a_group():
    lonely = pl.DataFrame({"user": range(9), "item": range(9)})
    with pytest.raises(DataError, match=r"of 2 held-out users, none has an item .* share items"):
        hold_out_users(read(lonely), 2)


def test_held_out_tables_of_other_people_are_refused():
    one, two = (read({"user": [user], "item": [1]}) for user in (1, 2))
    with pytest.raises(DataError, match="same users"):
        HeldOut(one, two)


@pytest.mark.parametrize("n_users", [1, 2, None])
def test_holding_out_more_people_than_there_are_says_both_numbers(n_users):
    data = read({"user": [1, 2], "item": [1, 1]})
    n = n_users or 1
    with pytest.raises(
        DataError, match=rf"holding out {n} \+ {n} users leaves nobody of 2 to train"
    ):
        hold_out_users(data, n_users)


def test_a_single_user_cannot_be_split():
    with pytest.raises(DataError, match="leaves nobody of 1"):
        hold_out_users(read({"user": [1], "item": [1]}))


@pytest.mark.parametrize("wrong", [{"n_users": 0}, {"n_users": -1}, {"share": 0.0}, {"share": 1.0}])
def test_counts_and_shares_out_of_range_are_refused(wrong):
    with pytest.raises(
        ValueError, match=r"n_users is .* share is .*; at least 1, and within \(0, 1"
    ):
        hold_out_users(read(pl.from_pandas(ratings(0))), **wrong)


# The folder format.

FILES = {
    "unique_sid.txt": "31\n7\n19\n",
    "train.csv": "uid,sid\n0,0\n0,1\n1,1\n1,2\n",
    "validation_tr.csv": "uid,sid\n2,0\n3,1\n",
    "validation_te.csv": "uid,sid\n2,1\n",
    "test_tr.csv": "uid,sid\n5,2\n4,0\n",
    "test_te.csv": "uid,sid\n5,0\n4,1\n4,2\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_split_folder_is_read_as_it_is(folder):
    split = read_split(folder)
    assert {name: pairs_of(part) for name, part in parts_of(split).items()} == {
        "train": [(0, 31), (0, 7), (1, 7), (1, 19)],
        "validation_tr": [(2, 31), (3, 7)],
        "validation_te": [(2, 7)],
        "test_tr": [(4, 31), (5, 19)],
        "test_te": [(4, 7), (4, 19), (5, 31)],
    }
    assert split.train.items.ids.to_list() == [31, 7, 19]
    assert split.validation.held_out.users.ids.to_list() == [2, 3]
    assert is_split_folder(folder)
    assert is_split_folder(str(folder))


def test_features_of_a_split_folder_come_in_the_order_of_its_items(folder):
    features = pl.DataFrame({"item_id": [7, 31], "title": ["seven", "thirty-one"]})
    for part in parts_of(read_split(str(folder), features=features)).values():
        assert part.features["title"].to_list() == ["thirty-one", "seven", None]


def test_a_split_that_is_written_out_and_read_back_is_the_same(tmp_path):
    split = hold_out_users(read(pl.from_pandas(ratings(4))), 5)
    (tmp_path / "unique_sid.txt").write_text("\n".join(map(str, split.train.items.ids)))
    for name, part in parts_of(split).items():
        rows = {"uid": part.to_frame()["user_id"], "sid": part.columns}
        pl.DataFrame(rows).write_csv(tmp_path / f"{name}.csv")
    again = read_split(tmp_path)
    for name, part in parts_of(split).items():
        assert pairs_of(parts_of(again)[name]) == pairs_of(part)


def test_item_ids_of_a_split_folder_may_be_any_text_with_any_line_ends(folder):
    for text in ("a b\nhttps://é/?q=1,2\n007\n", "\ufeffa b\r\nhttps://é/?q=1,2\r\n007"):
        (folder / "unique_sid.txt").write_bytes(text.encode())
        assert read_split(folder).train.items.ids.to_list() == ["a b", "https://é/?q=1,2", "007"]


@pytest.mark.parametrize("name", FILES)
def test_a_split_folder_with_a_missing_file_names_it(folder, name):
    (folder / name).unlink()
    assert is_split_folder(folder) == (name not in ("unique_sid.txt", "train.csv"))
    with pytest.raises(DataError, match=f"cannot read .*{name}"):
        read_split(folder)


def test_a_split_folder_that_is_not_there_is_named():
    with pytest.raises(DataError, match="no file or folder 'nowhere'"):
        read_split("nowhere")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("uid,sid\n0,3\n", r"has sid 3, but unique_sid\.txt lists 3 items \(0 to 2\)"),
        ("uid,sid\n0,-1\n", "has sid -1"),
        ("uid,sid\n", "holds no events"),
        ("uid,sid\n0,\n", "has empty cells"),
        ("", r"cannot read .* as uid,sid: .*; a split folder holds unique_sid\.txt, train\.csv"),
        ("user,item\n0,0\n", "cannot read .* as uid,sid"),
        ("uid,sid\n0,zero\n", "cannot read .* as uid,sid"),
        ("uid,sid\n0,0,0\n", "cannot read .* as uid,sid"),
        ("uid,sid\n0,0.5\n", "cannot read .* as uid,sid"),
    ],
)
@pytest.mark.parametrize("name", ["train", "validation_tr", "test_te"])
def test_lines_that_are_not_a_uid_and_a_known_sid_are_refused(folder, name, text, sentence):
    (folder / f"{name}.csv").write_text(text)
    with pytest.raises(DataError, match=sentence) as caught:
        read_split(folder)
    assert f"{name}.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_item_list_in_another_encoding_is_refused(folder):
    (folder / "unique_sid.txt").write_bytes("café\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"cannot read .*unique_sid\.txt: 'utf-8' codec"):
        read_split(folder)


def test_an_item_that_a_split_folder_lists_twice_is_named(folder):
    (folder / "unique_sid.txt").write_text("31\n7\n31\n")
    with pytest.raises(DataError, match="31 appears twice"):
        read_split(folder)


def test_an_empty_item_list_is_refused(folder):
    (folder / "unique_sid.txt").write_text("\n")
    with pytest.raises(DataError, match=r"unique_sid\.txt.*no items"):
        read_split(folder)


# Against the published files.


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "n_held_out", "n_items", "n_train"),
    [("ml-1m", 500, 3_502, 480_438), ("ml-latest-small", 50, 5_697, 39_618)],
)
def test_real_data_is_split_into_the_very_pairs_of_the_published_recipe(
    data_dir, name, n_held_out, n_items, n_train
):
    data = read(data_dir / name, min_weight=4, min_user_events=5)
    split = hold_out_users(data, n_held_out, seed=98765)
    published = read_split(data_dir / name / "pro_sg")
    assert (split.train.n_items, len(split.train)) == (n_items, n_train)
    assert split.train.items == published.train.items
    users = pl.Series(permuted(data.users.ids))
    for part, expected in zip(parts_of(split).values(), parts_of(published).values(), strict=True):
        pairs = part.to_frame().select("user_id", "item_id")
        uid_pairs = expected.to_frame().select(
            pl.col("user_id").replace_strict(range(len(users)), users), "item_id"
        )
        assert pairs.sort(pl.all()).equals(uid_pairs.sort(pl.all()))


@pytest.mark.data
def test_ml_100k_has_its_published_training_size(data_dir):
    data = read(data_dir / "ml-100k", min_weight=4, min_user_events=5)
    train = hold_out_users(data, 50, seed=98765).train
    assert (train.n_users, train.n_items, len(train)) == (838, 1_433, 49_624)


def test_held_out_people_are_counted():
    empty = read({"user": [1], "item": [1]}).take_users(np.array([], np.int64))
    assert len(HeldOut(empty, empty)) == 0
