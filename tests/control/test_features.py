"""What a table of items says, as numbers and terms."""

import numpy as np
import polars as pl

from macrid.control.features import Features


def terms_of(values, **kind):
    return Features.of(pl.DataFrame({"item_id": range(len(values)), "x": values}, **kind)).terms


def test_numbers_keep_their_gaps_and_ids_and_counts_are_left_out():
    table = pl.DataFrame({"item_id": [3, 4], "train_events": [1, 2], "price": [None, 2.5]})
    numbers = Features.of(table).numbers
    assert list(numbers) == ["price"]
    np.testing.assert_equal(numbers["price"], [np.nan, 2.5])


def test_values_that_recur_are_terms_whole():
    assert terms_of(["Sci-Fi ", "war"] * 6) == ["sci-fi", "war"]


def test_elements_of_lists_are_terms_and_nulls_are_none():
    assert terms_of([["War", "new"], ["war"], None, []] * 5) == ["new", "war"]


def test_texts_that_do_not_recur_are_words_of_three_letters_or_more():
    titles = [f"{colour} bag no. {n}" for n in range(6) for colour in ("Pâle", "dark")]
    assert terms_of([*titles, "Zebra", "Lion"]) == ["bag", "dark", "pâle"]


def test_words_are_left_out_where_there_are_labels():
    titles = [f"{colour} bag {n}" for n in range(6) for colour in ("pale", "dark")]
    table = pl.DataFrame({"title": titles, "hue": ["red", "blue"] * 6})
    assert Features.of(table).terms == ["blue", "red"]


def test_words_keep_their_hyphens():
    assert terms_of([f"in-ear {'abcdefgh'[n] * 3}" for n in range(8)] + ["Zebra"]) == ["in-ear"]


def test_flags_are_terms_called_as_their_column():
    assert terms_of([True, False, None] * 6) == ["x"]
    assert terms_of([1, 0, None] * 6) == ["x"]


def test_terms_of_few_items_or_of_all_are_left_out():
    assert terms_of(["rare"] * 4 + ["common"] * 8 + ["other"] * 8) == ["common", "other"]
    assert terms_of(["same"] * 10) == []


def test_what_is_neither_number_nor_text_is_left_out():
    assert terms_of([[0.5]] * 10) == []
    assert terms_of([{"a": 1}] * 10) == []


def test_a_term_of_two_columns_is_one_and_counted_once():
    hues = ["red", "blue"] * 6
    features = Features.of(pl.DataFrame({"hue": hues, "tags": [[hue.upper()] for hue in hues]}))
    assert features.terms == ["blue", "red"]
    assert features.carried.toarray().tolist() == [[0, 1], [1, 0]] * 6


def test_some_items_have_their_own_features():
    table = pl.DataFrame({"size": range(12), "hue": ["red", "blue"] * 6})
    some = Features.of(table).take(np.array([3, 0]))
    assert some.numbers["size"].tolist() == [3, 0]
    assert some.carried.toarray().tolist() == [[1, 0], [0, 1]]


def test_a_table_of_ids_alone_has_no_features():
    features = Features.of(pl.DataFrame({"item_id": ["a", "b"]}))
    assert (features.numbers, features.terms, features.carried.shape) == ({}, [], (2, 0))
