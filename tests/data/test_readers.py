"""Any event log becomes the same table, or a sentence that says what is wrong with it."""

import datetime as dt
import gzip
import io
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import macrid
from macrid.data.readers import ALIASES, find_column, read, read_features
from macrid.errors import DataError, MacridError

PAIRS = [(1, 20), (1, 10), (2, 10)]
LOG = pl.DataFrame({"user": [2, 1, 1], "item": [10, 20, 10]})


def written(write) -> bytes:
    """What a function writes into a file."""
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


GOOD_FILES = {
    "a.csv": written(LOG.write_csv),
    "a.csv.gz": gzip.compress(written(LOG.write_csv)),
    "a.parquet": written(LOG.write_parquet),
    "a.npz": written(lambda file: sparse.save_npz(file, sparse.eye_array(9, format="csr"))),
    "u.data": b"1\t2\t3\t4\n" * 5,
}


def pairs_of(data: macrid.Interactions) -> list[tuple]:
    return data.to_frame().select("user_id", "item_id").rows()


def read_text(tmp_path, text: str, name: str = "log.csv", **options) -> macrid.Interactions:
    (tmp_path / name).write_text(text)
    return read(tmp_path / name, **options)


def log(**columns) -> pl.DataFrame:
    """Two events, with some columns put in or replaced."""
    return pl.DataFrame({"user": [1, 2], "item": [3, 4]} | columns, strict=False)


# Every source.


def write_sources(folder) -> dict[str, object]:
    """One log in every form that can be read, in the same order of rows."""
    lines = {separator: "".join(f"{u}{separator}{i}\n" for u, i in PAIRS) for separator in ",;\t"}
    rated = {sep: "".join(f"{u}{sep}{i}{sep}4{sep}9\n" for u, i in PAIRS) for sep in ("::", "\t")}
    texts = {
        "log.csv": "user,item\n" + lines[","],
        "semicolons.csv": "userId;movieId\n" + lines[";"],
        "log.tsv": "user_id\titem_id\n" + lines["\t"],
        "ml.inter": "user_id:token\titem_id:token\n" + lines["\t"],
        "1m/ratings.dat": rated["::"],
        "100k/u.data": rated["\t"],
        "latest/ratings.csv": "userId,movieId\n" + lines[","],
    }
    frame = pl.DataFrame(PAIRS, ["user", "item"], orient="row")
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    for name in ("parts", "set"):
        (folder / name).mkdir()
    frame.write_parquet(folder / "log.parquet")
    frame[:2].write_parquet(folder / "parts/0.parquet")
    frame[2:].write_parquet(folder / "parts/1.parquet")
    frame.write_parquet(folder / "set/interactions.parquet")
    pl.DataFrame({"item": [10], "title": ["ten"]}).write_parquet(folder / "set/items.parquet")
    matrix = sparse.coo_array(([1.0] * 3, tuple(zip(*PAIRS, strict=True))))
    sparse.save_npz(folder / "log.npz", matrix)
    return {
        **{name: folder / name for name in (*texts, "log.parquet", "log.npz", "parts", "set")},
        **{f"folder {name}": folder / name for name in ("1m", "100k", "latest")},
        "polars": frame,
        "lazy": frame.lazy(),
        "pandas": frame.to_pandas(),
        "pyarrow": frame.to_arrow(),
        "scipy": matrix,
    }


def test_every_source_gives_the_same_table(tmp_path):
    for name, source in write_sources(tmp_path).items():
        data = read(source)
        assert pairs_of(data) == PAIRS, name
        assert data.users.ids.to_list() == [1, 2], name
        assert data.items.ids.to_list() == [20, 10], name


def test_macrid_read_is_this_read():
    assert macrid.read is read
    assert macrid.read_features is read_features


def test_a_split_folder_is_read_whole(tmp_path):
    files = {
        "unique_sid.txt": "296\n593\ntt 1\n",
        "train.csv": "uid,sid\n0,0\n0,1\n",
        "validation_tr.csv": "uid,sid\n1,2\n",
        "validation_te.csv": "uid,sid\n1,0\n",
        "test_tr.csv": "uid,sid\n2,1\n",
        "test_te.csv": "uid,sid\n2,2\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    events = [(0, "296"), (0, "593"), (1, "tt 1"), (1, "296"), (2, "593"), (2, "tt 1")]
    assert pairs_of(read(tmp_path)) == events
    assert pairs_of(read(str(tmp_path), min_item_events=2, min_user_events=2)) == events
    items = pl.DataFrame({"item": ["593"], "title": ["Silence"]})
    assert read(tmp_path, items=items).features["title"].to_list() == [None, "Silence", None]


def test_users_are_sorted_and_their_events_keep_the_order_of_the_source():
    data = read(pl.DataFrame({"user": ["b", "a", "b", "a"], "item": ["x", "z", "y", "x"]}))
    assert pairs_of(data) == [("a", "z"), ("a", "x"), ("b", "x"), ("b", "y")]
    assert data.items.ids.to_list() == ["z", "x", "y"]


# Ids.


@pytest.mark.parametrize(
    ("texts", "ids"),
    [
        (["12", "7"], [12, 7]),
        (["12", "x"], ["12", "x"]),
        (["007", "8"], ["007", "8"]),
        (["9223372036854775807", "-1"], [2**63 - 1, -1]),
        (["9223372036854775808", "1"], ["9223372036854775808", "1"]),
        (["https://a.b/?c=1&d", "two words"], ["https://a.b/?c=1&d", "two words"]),
    ],
)
def test_ids_in_text_come_back_as_they_were(tmp_path, texts, ids):
    data = read_text(tmp_path, "user,item\n" + "".join(f"u,{id}\n" for id in texts))
    assert data.items.ids.to_list() == ids


@pytest.mark.parametrize(
    ("column", "ids"),
    [
        (pl.Series([7, 5], dtype=pl.UInt64), [7, 5]),
        (pl.Series([2**64 - 1, 5], dtype=pl.UInt64), [str(2**64 - 1), "5"]),
        (pl.Series([7, 5], dtype=pl.Int8), [7, 5]),
        (pl.Series([7.0, 5.0]), [7, 5]),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ["b", "a"]),
        (pl.Series(["b", "a"], dtype=pl.Enum(["a", "b"])), ["b", "a"]),
    ],
)
def test_ids_of_every_column_type_are_read(column, ids):
    data = read(pl.DataFrame({"user": [1, 1], "item": column}))
    assert data.items.ids.to_list() == ids
    assert read(pl.DataFrame({"user": column, "item": [1, 1]})).users.ids.to_list() == sorted(ids)


@pytest.mark.parametrize(
    ("column", "ids"),
    [
        (pd.array([7, 5], dtype="Int64"), [7, 5]),
        (pd.array(["b", "a"], dtype="string"), ["b", "a"]),
        (pd.array([7.0, 5.0], dtype="Float64"), [7, 5]),
        (np.array(["b", "a"], dtype=object), ["b", "a"]),
        (pd.Categorical(["b", "a"]), ["b", "a"]),
        (pd.Categorical([7, 5]), [7, 5]),
        (np.array([7.0, 5.0]), [7, 5]),
    ],
)
def test_pandas_columns_of_every_type_are_read(column, ids):
    data = read(pd.DataFrame({"user": [1, 1], "item": column}))
    assert data.items.ids.to_list() == ids


@pytest.mark.parametrize(
    "column",
    [
        [1.5, 2.0],
        [True, False],
        [dt.date(2020, 1, 1)] * 2,
        [UUID(int=1)] * 2,
        [[1], [2]],
        [b"a", b"b"],
        [2.0**60, 1.0],
    ],
)
def test_ids_that_are_neither_integers_nor_text_are_refused(column):
    with pytest.raises(DataError, match=r"column 'item' holds .* ids are whole numbers or text"):
        read(pl.DataFrame({"user": [1, 1], "item": column}))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("user,item\n,2\n1,3\n", "user"),
        ('user,item\n1,""\n1,a\n', "item"),
        ("user,item\n1\n", "item"),
    ],
)
def test_missing_ids_are_counted(tmp_path, text, name):
    with pytest.raises(DataError, match=rf"1 of \d rows have no '{name}' \(the first is row 1\)"):
        read_text(tmp_path, text)


def test_a_missing_id_among_pandas_integers_is_found():
    with pytest.raises(DataError, match="1 of 2 rows have no 'user'"):
        read(pd.DataFrame({"user": [7, None], "item": [1, 2]}))


# Columns.


@pytest.mark.parametrize(
    ("meaning", "alias"),
    [(meaning, alias) for meaning in ALIASES for alias in ALIASES[meaning].split()],
)
def test_the_usual_names_are_found_however_they_are_written(meaning, alias):
    for name in (alias, alias.upper(), "_".join(alias), f"{alias}:token", f" {alias} "):
        assert find_column(meaning, ["other", name, "id"], {}) == name


def test_every_column_is_found_beside_the_others():
    names = ["userId", "movieId", "rating", "timestamp"]
    assert [find_column(meaning, names, {}) for meaning in ALIASES] == names
    assert [find_column(meaning, ["id", "x"], {}) for meaning in ALIASES] == [None] * 4


def test_columns_with_other_names_are_read_when_named_and_leave_their_aliases_free():
    table = pl.DataFrame({"who": [1], "item": [2], "stars": [3], "rating": [4], "user": ["n"]})
    data = read(table, columns={"user_id": "who", "weight": "stars"})
    assert data.to_frame().rows() == [(1, 2, 3.0)]


def test_a_column_may_have_another_s_usual_name():
    table = pl.DataFrame({"item": [1], "user": [2]})
    assert pairs_of(read(table, columns={"user_id": "item", "item_id": "user"})) == [(1, 2)]


@pytest.mark.parametrize(
    ("names", "missing"),
    [(["a", "b"], "user_id"), (["user", "b"], "item_id"), (["1", "7"], "user_id")],
)
def test_a_log_without_users_or_items_names_its_columns_and_what_was_looked_for(names, missing):
    sentence = rf"no {missing} column among '{names[0]}', '{names[1]}'; looked for {missing} and .*"
    with pytest.raises(DataError, match=sentence + f"--column {missing}=NAME"):
        read(pl.DataFrame([(1, 2)], names, orient="row"))


@pytest.mark.parametrize("names", [["user", "user_id"], ["user", "User"], ["userId", "customer"]])
def test_two_columns_that_could_be_the_user_are_both_named(names):
    table = pl.DataFrame([(1, 2, 3)], [*names, "item"], orient="row")
    with pytest.raises(DataError, match=f"columns {names[0]}, {names[1]} could all be the user_id"):
        read(table)
    assert pairs_of(read(table, columns={"user_id": names[1]})) == [(2, 3)]


def test_a_named_column_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(DataError, match="there is no column 'who'; the columns are user, item"):
        read(LOG, columns={"user_id": "who"})


def test_unknown_keys_of_columns_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"\['usr'\]; it may name user_id, item_id, weight, time"):
        read(LOG, columns={"usr": "user"})


def test_one_column_cannot_have_two_meanings():
    with pytest.raises(ValueError, match="each meaning needs a column of its own"):
        read(LOG, columns={"user_id": "user", "item_id": "user"})


@pytest.mark.parametrize("text", ["user,item\n", "user,item"])
def test_a_log_of_a_header_alone_holds_no_events(tmp_path, text):
    with pytest.raises(DataError, match="holds no events"):
        read_text(tmp_path, text)


@pytest.mark.parametrize(
    "source", [pl.DataFrame(), LOG[:0], pd.DataFrame(), sparse.csr_array((3, 3)), {}]
)
def test_an_empty_frame_holds_no_events(source):
    with pytest.raises(DataError, match="holds no events"):
        read(source)


def test_a_missing_file_is_named():
    with pytest.raises(DataError, match=r"no file or folder 'nowhere\.csv'"):
        read("nowhere.csv")


# Weights.


@pytest.mark.parametrize(
    "column",
    [
        [5, 2],
        [5.0, 2.0],
        ["5", "2.0"],
        [" 5", "2 "],
        pl.Series([5, 2], dtype=pl.UInt8),
        [Decimal("5"), Decimal("2")],
        pl.Series(["5", "2"], dtype=pl.Categorical),
    ],
)
def test_weights_are_read_from_numbers_and_from_text(column):
    assert read(log(rating=column)).weights.tolist() == [5, 2]
    assert pairs_of(read(log(rating=column), min_weight=4)) == [(1, 3)]


def test_flags_count_as_one_and_nought():
    assert read(log(rating=[True, False])).weights.tolist() == [1, 0]
    assert pairs_of(read(log(rating=[True, False]), min_weight=1)) == [(1, 3)]


def test_without_a_weight_every_event_counts_one():
    assert read(LOG).weights.tolist() == [1, 1, 1]


@pytest.mark.parametrize("weight", ["nan", "", "inf", "-inf", "good", "true", "3,5", "1e300", None])
def test_weights_that_are_no_finite_numbers_are_refused_with_the_first_such_row(weight):
    table = pl.DataFrame({"user": [1, 1], "item": [1, 2], "rating": ["4", weight]}, strict=False)
    for least in (None, 1.0):
        with pytest.raises(DataError, match=r"1 of 2 weights are not numbers .*row 2 has"):
            read(table, min_weight=least)


@pytest.mark.parametrize(
    "column", [[[1], [2]], [dt.date(2020, 1, 1)] * 2, [None, None], [1j, 2j], [{"a": 1}] * 2]
)
def test_columns_that_cannot_be_weights_are_refused_on_one_line(column):
    with pytest.raises(DataError, match="2 of 2 weights are not numbers") as caught:
        read(log(rating=column))
    assert "\n" not in str(caught.value)


def test_negative_weights_are_refused_unless_a_smallest_weight_drops_them():
    table = log(rating=[-1, 3])
    with pytest.raises(DataError, match=r"1 of 2 weights .*row 1 has -1.*--min-weight"):
        read(table)
    assert pairs_of(read(table, min_weight=1)) == [(2, 4)]
    assert pairs_of(read(table, min_weight=-1)) == [(1, 3), (2, 4)]


def test_when_no_weight_is_large_enough_the_range_is_said():
    with pytest.raises(DataError, match=r"weight of 4 or more; the weights reach from 1 to 3\.5"):
        read(log(rating=[1, 3.5]), min_weight=4)


def test_pandas_missing_weights_are_refused():
    frame = pd.DataFrame({"user": [1, 2], "item": [3, 4], "rating": pd.array([1, None], "Int64")})
    with pytest.raises(DataError, match="1 of 2 weights are not numbers"):
        read(frame)


# Times.

NEW_YEAR = 1_577_836_800


@pytest.mark.parametrize(
    "column",
    [
        [NEW_YEAR, NEW_YEAR + 1],
        [NEW_YEAR + 0.5, NEW_YEAR + 1.5],
        [str(NEW_YEAR), f"{NEW_YEAR + 1}.9"],
        ["2020-01-01T00:00:00Z", "2020-01-01T00:00:01Z"],
        ["2020-01-01 00:00:00", "2020-01-01 00:00:01.5"],
        ["2020-01-01T01:00:00+01:00", "2020-01-01T00:00:01+00:00"],
        [dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 1, 0, 0, 1)],
        pl.Series([NEW_YEAR * 1000, NEW_YEAR * 1000 + 1500]).cast(pl.Datetime("ms", "Asia/Tokyo")),
        pl.Series(["2020-01-01T00:00:00", "2020-01-01T00:00:01"], dtype=pl.Categorical),
    ],
)
def test_times_become_whole_seconds_since_1970(column):
    assert read(log(time=column)).timestamps.tolist() == [NEW_YEAR, NEW_YEAR + 1]


@pytest.mark.parametrize(
    "column", [["2020-01-01", "2020-01-02"], [dt.date(2020, 1, d) for d in (1, 2)]]
)
def test_dates_are_their_midnight(column):
    assert read(log(date=column)).timestamps.tolist() == [NEW_YEAR, NEW_YEAR + 86_400]


def test_pandas_times_are_read_with_their_gaps():
    times = pd.to_datetime(["2020-01-01", None])
    for column in (times, times.tz_localize("UTC")):
        data = read(pd.DataFrame({"user": [1, 2], "item": [3, 4], "time": column}))
        assert np.array_equal(data.timestamps, [NEW_YEAR, np.nan], equal_nan=True)


def test_a_column_of_no_times_at_all_is_no_times(tmp_path):
    assert read_text(tmp_path, "user,item,time\n1,2,\n1,3,\n").timestamps is None
    assert read(log(time=[None, None])).timestamps is None


@pytest.mark.parametrize("gap", ["", '""', "nan", "inf"])
def test_a_gap_between_times_is_not_a_number(tmp_path, gap):
    data = read_text(tmp_path, f"user,item,time\n1,2,5\n1,3,{gap}\n")
    assert np.array_equal(data.timestamps, [5, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    "column",
    [
        ["yesterday", "2020-01-01"],
        ["2020-01-01", "100"],
        ["01/02/2020", "13/02/2020"],
        ["2020-99-99", "2020-99-99"],
        ["2020-01-01T00:00:00Z", "2020-01-01 00:00:00"],
        [True, False],
        [dt.time(1), dt.time(2)],
        [dt.timedelta(1), dt.timedelta(2)],
        [[1], [2]],
    ],
)
def test_times_that_could_be_anything_are_refused_on_one_line(column):
    with pytest.raises(
        DataError, match=r"'time' holds times such as .*; they are seconds"
    ) as caught:
        read(log(time=column))
    assert "\n" not in str(caught.value)


# Merging and filtering.


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 9)), min_size=1))
def test_the_latest_of_repeated_times_is_the_one_a_loop_would_keep(events):
    merged = {}
    for user, item, time in events:
        n, latest = merged.get((user, item), (0, 0))
        merged[user, item] = (n + 1, max(latest, time))
    users, items, times = zip(*events, strict=True)
    data = read({"user": users, "item": items, "time": times})
    expected = [(*pair, *values) for pair, values in merged.items()]
    assert data.to_frame().rows() == sorted(expected, key=lambda event: event[0])


def test_a_repeated_event_takes_the_time_that_is_known():
    data = read({"user": [1, 1, 1], "item": [5, 5, 6], "time": [None, 7, None]})
    assert np.array_equal(data.timestamps, [7, np.nan], equal_nan=True)


def test_a_frame_is_the_same_after_it_was_read():
    frame = LOG.clone()
    read(frame)
    assert frame.equals(LOG)


def test_a_line_without_users_and_items_is_refused_even_if_nothing_else_of_it_is_read(tmp_path):
    with pytest.raises(DataError, match="1 of 2 rows have no 'user'"):
        read_text(tmp_path, "user,item,note\n1,2,x\n,,what?\n")


def test_an_event_that_happens_again_adds_its_weight_and_its_latest_time_where_it_first_stood():
    table = pl.DataFrame(
        {
            "user": [1, 1, 2, 1, 1],
            "item": ["a", "b", "a", "a", "b"],
            "plays": [1.0, 2.0, 3.0, 4.0, 0.5],
            "ts": [50, 10, 30, 20, None],
        }
    )
    rows = [(1, "a", 5.0, 50), (1, "b", 2.5, 10), (2, "a", 3.0, 30)]
    assert read(table).to_frame().rows() == rows


def test_small_weights_are_dropped_before_they_could_add_up():
    table = pl.DataFrame({"user": [1, 1, 1], "item": [1, 1, 2], "plays": [2, 2, 3]})
    assert pairs_of(read(table, min_weight=3)) == [(1, 2)]


def test_the_last_people_may_have_no_events_of_enough_weight():
    table = pl.DataFrame({"user": [1, 1, 2], "item": ["a", "a", "b"], "rating": [5, 5, 1]})
    assert read(table, min_weight=4).to_frame().rows() == [(1, "a", 10.0)]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 5)), min_size=1))
def test_merging_equals_a_loop_over_the_events(events):
    merged: dict[tuple, int] = {}
    for user, item, weight in events:
        merged[user, item] = merged.get((user, item), 0) + weight
    data = read(pl.DataFrame(events, ["user", "item", "weight"], orient="row"))
    expected = sorted(((*pair, weight) for pair, weight in merged.items()), key=lambda row: row[0])
    assert data.to_frame().rows() == expected


def test_rare_items_go_first_then_users_and_neither_again():
    # Item z has one user and goes; that leaves user 3 with one event, who goes; that leaves item y
    # with one user, which stays, because the recipe filters once.
    table = pl.DataFrame({"user": [1, 1, 2, 3, 3], "item": ["x", "y", "x", "y", "z"]})
    data = read(table, min_item_events=2, min_user_events=2)
    assert pairs_of(data) == [(1, "x"), (1, "y")]


def test_an_item_counts_users_not_events():
    table = pl.DataFrame({"user": [1, 1, 1, 2], "item": ["x", "x", "y", "y"]})
    assert pairs_of(read(table, min_item_events=2)) == [(1, "y"), (2, "y")]


@pytest.mark.parametrize("least", [{"min_user_events": 3}, {"min_item_events": 3}])
def test_when_nobody_is_left_the_limits_are_said(least):
    with pytest.raises(
        DataError, match=r"no user is left: of 3 events.*--min-user-events.*--min-it"
    ):
        read(LOG, **least)


def test_one_user_with_one_event_is_a_table():
    assert repr(read({"user": [1], "item": [1]})) == "Interactions(1 users, 1 items, 1 events)"


# What is known of items.


def test_features_follow_the_items_whatever_their_order_and_type():
    items = pl.DataFrame(
        {
            "title": ["ten", "thirty", "twenty"],
            "movieId": ["10", "30", "20"],
            "genres": ["A|B", "", None],
        }
    )
    features = read(LOG, items=items).features
    assert features.columns == ["item_id", "title", "genres"]
    assert features.rows() == [(20, "twenty", None), (10, "ten", ["A", "B"])]


def test_lists_and_other_columns_of_an_item_table_stay_as_they_are(tmp_path):
    items = pl.DataFrame({"item": [10, 20], "tags": [["a"], []], "price": [1.5, None]})
    items.write_parquet(tmp_path / "about.parquet")
    features = read(LOG, items=tmp_path / "about.parquet").features
    assert features.rows() == [(20, [], None), (10, ["a"], 1.5)]


def test_the_table_beside_the_events_is_used_unless_another_is_given(tmp_path):
    LOG.write_parquet(tmp_path / "interactions.parquet")
    pl.DataFrame({"item": [10], "title": ["ten"]}).write_parquet(tmp_path / "items.parquet")
    for source in (tmp_path, tmp_path / "interactions.parquet", str(tmp_path)):
        assert read(source).features["title"].to_list() == [None, "ten"]
    other = pl.DataFrame({"item": [20], "title": ["twenty"]})
    assert read(tmp_path, items=other).features["title"].to_list() == ["twenty", None]


@pytest.mark.parametrize(
    ("name", "text", "row"),
    [
        ("movies.dat", "1::Heat (1995)::Crime|War\n", (1, "Heat (1995)", ["Crime", "War"])),
        ("movies.csv", 'movieId,title,genres\n1,"Heat, The",War\n', (1, "Heat, The", ["War"])),
        ("u.item", f"1|Heat|1995||url{'|0' * 18}|1\n", (1, "Heat", "1995", ["Western"])),
        ("ml.item", "item_id:token\tclass:token_seq\n1\tComedy War\n", (1, ["Comedy", "War"])),
        ("about.tsv", "id\tname\n1\tone\n", (1, "one")),
    ],
)
def test_item_tables_of_every_format_are_read(tmp_path, name, text, row):
    (tmp_path / name).write_text(text)
    assert read_features(tmp_path / name).rows() == [row]


def test_in_an_item_table_the_first_column_that_may_be_the_item_is():
    assert read_features({"title": ["a"], "track_id": [1], "artist": ["x"]}).rows() == [
        (1, "a", "x")
    ]
    assert read_features({"artist": ["x"], "item_id": [1]}).rows() == [(1, "x")]
    assert read_features({"id": [1], "title": ["a"]}).rows() == [(1, "a")]


def test_an_item_table_without_items_says_what_to_rename():
    with pytest.raises(DataError, match="item table has no item_id column among 'title'; rename"):
        read_features({"title": ["a"]})


def test_an_item_that_is_described_twice_is_named():
    with pytest.raises(DataError, match="item table has item 7 twice"):
        read_features({"item": ["7", "8", "7"]})


def test_a_table_of_other_items_is_refused():
    with pytest.raises(DataError, match=r"knows none of the items: .* 'tt1', .* 10"):
        read(LOG, items={"item": ["tt1"], "title": ["a"]})


# What people do to files.

CELLS = st.sampled_from(
    [
        "",
        " ",
        "1",
        "2",
        "x",
        '"',
        "'",
        "nan",
        "-1",
        "1e999",
        "é",
        "a b",
        ";",
        ",",
        "\t",
        "2020-01-01",
    ]
)


def refusal(path) -> str | None:
    """The sentence that a file is refused with, if it is; any other exception fails the test."""
    try:
        assert len(read(path)) > 0
    except MacridError as error:
        return str(error)
    return None


@given(
    header=st.lists(st.sampled_from(["user", "item", "rating", "time", "id", ""]), max_size=4),
    lines=st.lists(st.lists(CELLS, max_size=5), max_size=4),
    separator=st.sampled_from(",;\t|"),
)
def test_whatever_stands_in_a_file_ends_in_a_table_or_in_one_sentence(
    header, lines, separator, tmp_path_factory
):
    path = tmp_path_factory.getbasetemp() / "anything.csv"
    path.write_text("\n".join(separator.join(line) for line in [header, *lines]))
    assert "\n" not in (refusal(path) or "")


@given(st.binary(max_size=60), st.sampled_from(["x.csv", "x.parquet", "x.npz", "u.data"]))
def test_whatever_bytes_a_file_holds_end_in_a_table_or_in_a_sentence(tmp_path_factory, noise, name):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(noise)
    assert refusal(path) != ""


@given(st.data(), st.sampled_from(["a.csv", "a.csv.gz", "a.parquet", "a.npz", "u.data"]))
def test_a_good_file_with_bytes_changed_ends_in_a_table_or_in_a_sentence(
    tmp_path_factory, draw, name
):
    path = tmp_path_factory.getbasetemp() / name
    content = bytearray(GOOD_FILES[name])
    for _ in range(draw.draw(st.integers(1, 4))):
        place = draw.draw(st.integers(0, len(content) - 1))
        content[place : place + draw.draw(st.integers(0, 3))] = draw.draw(st.binary(max_size=3))
    path.write_bytes(content)
    assert refusal(path) != ""


# The published sizes of models.md, section 3.2.


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "users", "items", "events"),
    [
        ("ml-1m", 6_034, 3_533, 575_272),
        ("ml-latest-small", 603, 6_298, 48_562),
        ("ml-100k", 938, 1_447, 55_361),
    ],
)
def test_real_data_has_its_published_size_and_a_title_for_each_item(
    data_dir, name, users, items, events
):
    data = read(data_dir / name, min_weight=4, min_user_events=5)
    assert (data.n_users, data.n_items, len(data)) == (users, items, events)
    assert data.features["item_id"].equals(data.items.ids)
    assert data.features["title"].null_count() == 0
