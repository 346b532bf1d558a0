"""Concepts beside categories: counts by hand, mutual information by plain loops."""

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest

from macrid.evaluation.alignment import concept_table, normalised_mutual_information


def plain_nmi(left, right):
    """2 (H(L) + H(R) - H(L, R)) / (H(L) + H(R)), by counting."""

    def entropy(labels):
        shares = [count / len(labels) for count in Counter(labels).values()]
        return -sum(share * math.log(share) for share in shares)

    one, other, both = (
        entropy(labels) for labels in (left, right, list(zip(left, right, strict=True)))
    )
    return 2 * (one + other - both) / (one + other)


def test_items_are_counted_by_concept_and_category():
    concepts = np.array([2, 0, 0, 2, 2, 0])
    table = concept_table(concepts, pl.Series(["bag", "bag", "tent", "bag", "shoe", "bag"]))
    assert table.columns == ["concept", "bag", "shoe", "tent"]
    assert table.rows() == [(0, 2, 0, 1), (2, 2, 1, 0)]


def test_categories_of_the_same_size_stand_in_the_order_of_the_alphabet():
    for seed in range(5):
        names = np.random.default_rng(seed).permutation(list("hgfedcba")).tolist()
        assert concept_table(np.zeros(8, int), pl.Series(names)).columns[1:] == list("abcdefgh")


def test_missing_categories_are_a_question_mark():
    table = concept_table(np.array([0, 1, 1]), pl.Series([None, None, "bag"]))
    assert table.to_dict(as_series=False) == {"concept": [0, 1], "?": [1, 1], "bag": [0, 1]}


def test_categories_may_be_numbers():
    assert concept_table(np.array([0, 1]), pl.Series([7, 7])).columns == ["concept", "7"]


def test_the_counts_sum_to_the_items():
    rng = np.random.default_rng(0)
    table = concept_table(rng.integers(0, 5, 300), pl.Series(rng.choice(list("abc"), 300)))
    assert table.drop("concept").to_numpy().sum() == 300


def test_the_same_labels_under_other_names_share_everything():
    left = np.array([0, 0, 1, 2, 2, 2])
    assert normalised_mutual_information(left, np.array(list("xxyzzz"))) == pytest.approx(1)


def test_independent_labels_share_nothing():
    left, right = np.divmod(np.arange(6 * 5), 5)
    assert normalised_mutual_information(left, right) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("left", "right"), [([1, 1, 1], [2, 2, 2]), ([1, 1, 1], [1, 2, 3])])
def test_a_constant_labelling_tells_nothing(left, right):
    shared = normalised_mutual_information(np.array(left), np.array(right))
    assert shared == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_mutual_information_is_that_of_plain_loops(seed):
    rng = np.random.default_rng(seed)
    left, noise = rng.integers(0, 4, 200), rng.integers(0, 3, 200)
    right = np.where(rng.random(200) < 0.6, left % 3, noise)
    shared = normalised_mutual_information(left, right)
    assert shared == pytest.approx(plain_nmi(left.tolist(), right.tolist()))
    assert shared == pytest.approx(normalised_mutual_information(right, left))
    assert 0 < shared < 1
