"""Ids go in and come out unchanged, and each has one row."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from macrid.data.vocabulary import Vocabulary, clean_ids, in_type, number_ids
from macrid.errors import DataError, UnknownItem

integers = st.integers(-(2**63), 2**63 - 1)
strings = st.text(min_size=1).filter(str.strip)


@given(st.lists(integers, unique=True) | st.lists(strings, unique=True))
def test_every_id_leads_to_its_row_and_back(ids):
    vocabulary = Vocabulary(ids)
    assert vocabulary.numbers(vocabulary.ids).tolist() == list(range(len(ids)))
    assert [str(vocabulary.id(row)) for row in range(len(vocabulary))] == [str(id) for id in ids]


@given(st.lists(integers, unique=True, min_size=1))
def test_integers_are_found_as_integers_and_as_the_text_that_shows_them(ids):
    vocabulary = Vocabulary(ids)
    assert all(type(id) is int for id in vocabulary.ids)
    assert vocabulary.numbers([str(id) for id in ids]).tolist() == list(range(len(ids)))


def test_a_vocabulary_of_text_finds_ids_given_as_integers():
    vocabulary = Vocabulary(["tt1", "296"])
    assert vocabulary.numbers([296, 297]).tolist() == [1, -1]
    assert vocabulary.numbers(["tt1", 296]).tolist() == [0, 1]


@pytest.mark.parametrize(
    "other", ["007", "+7", " 7", 7.9, 2**70, True, b"7", None, "", object(), [7], {"a": 7}]
)
def test_what_is_merely_like_an_id_is_not_found(other):
    vocabulary = Vocabulary([1_000_000, 7])
    assert other not in vocabulary
    assert vocabulary.numbers([other]).tolist() == [-1]


def test_whole_floats_find_their_integers():
    assert Vocabulary([3, 7]).numbers([7.0, 3.5, float("nan"), float("inf")]).tolist() == [
        1,
        -1,
        -1,
        -1,
    ]


def test_an_empty_vocabulary_finds_nothing():
    assert Vocabulary([]).numbers(["a", 1]).tolist() == [-1, -1]
    assert Vocabulary(["a"]).numbers([]).tolist() == []
    assert len(Vocabulary([])) == 0


def test_rows_may_be_written_to_as_torch_wants_it():
    assert Vocabulary(["a"]).numbers(["a"]).flags.writeable


def test_an_unknown_item_is_a_lookup_error_that_says_how_many_there_are():
    vocabulary = Vocabulary(pl.int_range(20_108, eager=True))
    assert vocabulary.number(20_107) == 20_107
    with pytest.raises(UnknownItem, match=r"'tt99' is not in the model's 20,108 items") as caught:
        vocabulary.number("tt99")
    assert isinstance(caught.value, LookupError)


def test_vocabularies_are_equal_when_ids_and_order_are():
    assert Vocabulary(["a", "b"]) == Vocabulary(pl.Series("x", ["a", "b"]))
    assert Vocabulary(["a", "b"]) != Vocabulary(["b", "a"])
    assert Vocabulary([1]) != Vocabulary(["tt1"])
    assert Vocabulary([1]) != [1]


def test_an_id_that_stands_twice_is_refused_by_name():
    with pytest.raises(DataError, match="'a' appears twice"):
        Vocabulary(["a", "b", "a"])


@pytest.mark.parametrize("texts", [["007", "12"], ["1", "x"], ["1 ", "2"], ["1.0"], ["-0"], ["²"]])
def test_text_that_is_not_just_integers_stays_text(texts):
    assert clean_ids(pl.Series(texts), "user").to_list() == texts


@given(st.lists(integers, min_size=1))
def test_integers_written_as_text_become_integers(ids):
    assert clean_ids(pl.Series([str(id) for id in ids]), "user").to_list() == ids


@pytest.mark.parametrize(
    "dtype", [pl.Int8, pl.UInt8, pl.Int32, pl.UInt32, pl.UInt64, pl.Int128, pl.Float32, pl.Float64]
)
def test_every_kind_of_number_becomes_int64(dtype):
    ids = clean_ids(pl.Series([3, 1], dtype=dtype), "user")
    assert ids.dtype == pl.Int64
    assert ids.to_list() == [3, 1]


@pytest.mark.parametrize("big", [2**63, 2**64 - 1, -(2**63) - 1, 10**30])
def test_integers_beyond_64_bits_become_text_without_loss(big):
    assert clean_ids(pl.Series([big, 1], dtype=pl.Int128), "user").to_list() == [str(big), "1"]
    assert clean_ids(pl.Series([str(big), "1"]), "user").to_list() == [str(big), "1"]


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["b", "a"])])
def test_categories_become_their_text(dtype):
    assert clean_ids(pl.Series(["a", "b", "a"], dtype=dtype), "user").to_list() == ["a", "b", "a"]


def test_categories_that_are_integers_become_integers():
    assert clean_ids(pl.Series(["10", "9"], dtype=pl.Categorical), "user").to_list() == [10, 9]


@pytest.mark.parametrize(
    ("values", "n_missing", "row"),
    [
        ([1, None, 2, None], 2, 2),
        (["a", ""], 1, 2),
        (["a", "  "], 1, 2),
        ([1.0, float("nan")], 1, 2),
        ([None], 1, 1),
    ],
)
def test_missing_ids_are_counted_and_the_first_is_named(values, n_missing, row):
    sentence = f"{n_missing} of {len(values)} rows have no 'user' .* row {row}"
    with pytest.raises(DataError, match=sentence):
        clean_ids(pl.Series(values), "user")


@pytest.mark.parametrize("value", [1.5, float("inf"), 1e300, 2.0**60])
def test_floats_that_are_no_exact_whole_number_are_refused(value):
    with pytest.raises(DataError, match=r"'user' holds .* whole numbers or text"):
        clean_ids(pl.Series([1.0, value]), "user")


@pytest.mark.parametrize("values", [[True], [[1]], [b"a"], [{"a": 1}], [object()]])
def test_ids_of_any_other_type_are_refused(values):
    with pytest.raises(DataError, match=r"'user' holds \w+.*; ids are whole numbers or text"):
        clean_ids(pl.Series(values), "user")


@given(st.lists(integers | st.none()), st.lists(strings | st.none()))
def test_ids_survive_a_change_of_type_or_become_null(numbers, texts):
    there = in_type(pl.Series(numbers, dtype=pl.Int64), pl.String())
    assert in_type(there, pl.Int64()).to_list() == numbers
    cast = in_type(pl.Series(texts, dtype=pl.String), pl.Int64())
    assert all(new is None or str(new) == old for new, old in zip(cast, texts, strict=True))


columns = st.one_of(
    st.lists(integers).map(lambda ids: pl.Series(ids, dtype=pl.Int64)),
    st.lists(st.integers(-9, 9)).map(lambda ids: pl.Series(ids, dtype=pl.Int8)),
    st.lists(integers.map(str)).map(lambda ids: pl.Series(ids, dtype=pl.String)),
    st.lists(strings).map(lambda ids: pl.Series(ids, dtype=pl.String)),
    st.lists(strings).map(lambda ids: pl.Series(ids, dtype=pl.Categorical)),
    st.lists(integers.map(str)).map(lambda ids: pl.Series(ids, dtype=pl.Categorical)),
    st.lists(st.integers(-9, 9)).map(lambda ids: pl.Series(ids, dtype=pl.Float64)),
    st.lists(st.integers(0, 2**64 - 1)).map(lambda ids: pl.Series(ids, dtype=pl.UInt64)),
)


@given(columns, st.booleans())
def test_a_column_in_numbers_is_what_cleaning_sorting_and_looking_up_would_give(column, infer):
    vocabulary, rows = number_ids(column, "user", infer=infer)
    clean = clean_ids(column, "user", infer=infer)
    assert vocabulary.ids.to_list() == sorted(set(clean))
    assert vocabulary.ids.dtype == clean.dtype
    assert vocabulary.ids.gather(rows).to_list() == clean.to_list()
    assert rows.dtype == "int32"


@pytest.mark.parametrize("dtype", [pl.String(), pl.Categorical(), pl.Enum(["7", "12"])], ids=str)
def test_text_of_every_type_stays_text_if_nothing_is_inferred(dtype):
    vocabulary, rows = number_ids(pl.Series(["7", "12"], dtype=dtype), "user", infer=False)
    assert vocabulary.ids.gather(rows).to_list() == ["7", "12"]


@pytest.mark.parametrize("step", [1, 10**12])
def test_many_integers_are_numbered_whether_they_lie_close_or_far_apart(step):
    ids = [(5 * n % 70_001 - 35_000) * step for n in range(70_001)]
    vocabulary, rows = number_ids(pl.Series(ids), "user")
    assert vocabulary.ids.to_list() == sorted(ids)
    assert rows.tolist() == [5 * n % 70_001 for n in range(70_001)]


@pytest.mark.parametrize("values", [["a", None], ["a", " "], ["", "1"], [1, None], [1.5], [True]])
def test_a_column_that_cannot_be_cleaned_cannot_be_numbered(values):
    with pytest.raises(DataError) as expected:
        clean_ids(pl.Series(values), "user")
    with pytest.raises(DataError) as found:
        number_ids(pl.Series(values), "user")
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("kind", [int, str])
def test_a_few_ids_are_found_as_many_are(kind):
    """A few are searched for, many are joined; both by the vocabulary's own type."""
    rng = np.random.default_rng(0)
    ids = [kind(number) for number in rng.permutation(5_000)]
    items = Vocabulary(ids)
    asked = [*ids[:20], kind(-7), kind(9_999)]
    asked += [str(ids[7]), int(ids[8]), "007", "x", "", None]
    few, many = items.numbers(asked), items.numbers(asked * 5)
    assert few.tolist() == many[: len(asked)].tolist()
    assert few[:20].tolist() == list(range(20))
    assert few[20:24].tolist() == [-1, -1, 7, 8]
    assert few[24:].tolist() == [-1] * 4
