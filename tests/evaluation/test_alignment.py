"""Concepts beside categories: counts by hand, mutual information by plain loops, scikit-learn's."""

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest

from macrid.evaluation.alignment import (
    Alignment,
    adjusted_rand_index,
    align,
    category_centres,
    concept_table,
    contingency,
    core_category_score,
    normalised_mutual_information,
    purity,
)


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


@pytest.fixture(params=range(6))
def labellings(request):
    """Two labellings of 300 things that go together, more or less; the second one in letters."""
    rng = np.random.default_rng(request.param)
    left, noise = rng.integers(0, 5, 300), rng.integers(0, 4, 300)
    right = np.where(rng.random(300) < request.param / 5, left % 4, noise)
    return left, np.array(list("pqrs"))[right]


def test_all_indices_are_those_of_scikit_learn(labellings):
    metrics = pytest.importorskip("sklearn.metrics")
    left, right = labellings
    assert normalised_mutual_information(left, right) == pytest.approx(
        metrics.normalized_mutual_info_score(left, right), abs=1e-12
    )
    assert adjusted_rand_index(left, right) == pytest.approx(
        metrics.adjusted_rand_score(left, right), abs=1e-12
    )
    table = metrics.cluster.contingency_matrix(left, right)
    assert np.array_equal(contingency(left, right), table)
    assert purity(left, right) == table.max(1).sum() / 300


def plain_rand(left, right):
    """Hubert and Arabie's index, pair by pair."""
    pairs = [(i, j) for i in range(len(left)) for j in range(i)]
    one = [left[i] == left[j] for i, j in pairs]
    other = [right[i] == right[j] for i, j in pairs]
    both, expected = sum(a and b for a, b in zip(one, other, strict=True)), 0
    expected = sum(one) * sum(other) / len(pairs)
    return (both - expected) / ((sum(one) + sum(other)) / 2 - expected)


def test_the_rand_index_is_that_of_plain_pairs(labellings):
    left, right = (labels[:60] for labels in labellings)
    found = adjusted_rand_index(left, right)
    assert found == pytest.approx(plain_rand(left, right))
    assert found == pytest.approx(adjusted_rand_index(right, left))


@pytest.mark.parametrize(
    ("left", "right", "index"),
    [
        ([1, 1, 1], [2, 2, 2], 1),
        ([1, 2, 3], [5, 4, 6], 1),
        ([1, 1, 1], [1, 2, 3], 0),
        ([1], [1], 1),
    ],
)
def test_the_rand_index_where_no_pair_could_be_otherwise(left, right, index):
    assert adjusted_rand_index(np.array(left), np.array(right)) == index


def test_purity_counts_the_commonest_category_of_each_concept():
    # 2 of 3, 1 of 2 and 1 of 1; of the categories it would be 2 + 2 of 6.
    found, known = np.array([0, 0, 0, 1, 1, 2]), np.array(list("aabbcc"))
    assert purity(found, known) == pytest.approx(4 / 6)
    assert purity(known, found) == pytest.approx(4 / 6)
    assert purity(np.arange(6), known) == 1


@pytest.mark.parametrize(
    ("best_category", "best_concept", "score"),
    [
        ([0, 0, 1], [2, 2, 0], 0),  # both ways round, two have the same nearest
        ([0, 1, 2], [0, 0, 2], 1),  # only concepts have one category each
        ([0, 0, 2], [2, 1, 0], 1),  # only categories have one concept each
        ([1, 2, 0], [1, 2, 0], 2),  # one to one both ways, but not the same pairs
        ([1, 2, 0], [2, 0, 1], 3),
        ([0, 1, 2], [0, 1, 2], 3),
    ],
)
def test_the_score_of_the_authors(best_category, best_concept, score):
    assert core_category_score(np.array(best_category), np.array(best_concept)) == score


def test_no_table_of_similarities_gives_a_score_of_two():
    rng = np.random.default_rng(0)
    tables = [rng.integers(0, levels, (3, 3)) for levels in (2, 3, 9, 99) for _ in range(500)]
    scores = {core_category_score(t.argmax(1), t.argmax(0)) for t in tables}
    assert scores == {0, 1, 3}


def test_centres_are_directions_of_sums_of_unit_vectors():
    vectors = np.array([[3.0, 0.0], [0.0, 0.1], [5.0, 5.0], [0.0, 0.0]])
    centres = category_centres(vectors, np.array(list("aabc")), np.array(["b", "a", "c"]))
    root = np.sqrt(0.5)
    assert centres == pytest.approx(np.array([[root, root], [root, root], [0, 0]]))


def corners(*, swapped=False):
    """Nine items in three corners, six of them with a category; prototypes in the corners."""
    vectors = np.repeat(np.eye(3), 3, axis=0) + 0.1 * np.tile(np.eye(3), (3, 1))
    labels = pl.Series([None, 7, 7, None, 8, 8, None, 9, 9])
    prototypes = np.eye(3)[[1, 2, 0]] if not swapped else np.eye(3)[[0, 0, 0]] + 0.01
    return np.repeat([2, 0, 1], 3), labels, vectors, prototypes


def test_items_without_a_category_do_not_count():
    concepts, labels, vectors, prototypes = corners()
    assert align(concepts, labels, vectors, prototypes) == Alignment(6, 1.0, 1.0, 1.0, 3)
    assert align(concepts, labels.fill_null(9).to_numpy()).n_items == 9
    wrong = np.where(labels.is_null().to_numpy(), 1, concepts)
    assert align(wrong, labels, vectors, prototypes) == Alignment(6, 1.0, 1.0, 1.0, 3)


def test_prototypes_in_one_corner_score_nothing():
    assert align(*corners(swapped=True)).score == 0


def test_as_many_of_the_largest_categories_as_concepts_are_scored():
    concepts, labels, vectors, prototypes = corners()
    few = labels.replace_strict([7, 8], [7, None], default=pl.first())
    assert align(concepts, few, vectors, prototypes).score is None
    two = align(np.minimum(concepts, 1), labels, vectors, prototypes[:2])
    assert two.purity == pytest.approx(4 / 6)


def test_a_label_that_is_no_number_is_not_known():
    numbers = pl.Series([1.0, 1.0, 2.0, float("nan")])
    assert align(np.array([0, 0, 1, 1]), numbers).n_items == 3


def test_without_prototypes_there_is_no_score():
    concepts, labels, *_ = corners()
    assert align(concepts, labels).to_dict() == {
        "n_items": 6, "nmi": 1.0, "ari": 1.0, "purity": 1.0, "score": None,
    }  # fmt: skip


@pytest.mark.parametrize("labels", [["a", "b"], [None, None, None]])
def test_labels_that_are_not_one_per_item_or_all_unknown_are_refused(labels):
    with pytest.raises(ValueError, match="one category per item, null where it is not known"):
        align(np.array([0, 1, 1]), pl.Series(labels, dtype=pl.String))
