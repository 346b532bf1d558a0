"""Varied lists against the formula written out; what changes between two lists."""

import polars as pl
import torch
from hypothesis import given
from hypothesis import strategies as st

from macrid.control.rerank import compare_lists, diversify
from macrid.parts.items import unit
from macrid.parts.ranking import TopRows


def candidates(seed, n_users=3, n_items=30, n_found=12):
    torch.manual_seed(seed)
    vectors = torch.randn(n_items, 4)
    rows = torch.stack([torch.randperm(n_items)[:n_found] for _ in range(n_users)])
    return TopRows(rows, torch.randn(n_users, n_found).sort(dim=1, descending=True).values), vectors


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_each_place_is_the_formulas_choice(seed, diversity):
    found, vectors = candidates(seed)
    varied = diversify(found, vectors, 5, diversity)
    cosines = unit(vectors) @ unit(vectors).T
    for user in range(3):
        rows, scores = found.row[user].tolist(), found.score[user]
        relevance = (scores - scores.min()) / (scores.max() - scores.min())
        chosen = [0]
        for place in range(1, 5):
            taken = [rows[c] for c in chosen]
            gains = [
                (1 - diversity) * relevance[c] - diversity * cosines[row, taken].max()
                if c not in chosen
                else torch.tensor(-9.0)
                for c, row in enumerate(rows)
            ]
            mine = rows.index(int(varied.row[user, place]))
            assert gains[mine] >= max(gains) - 1e-5
            chosen.append(mine)


def test_without_diversity_lists_stay():
    found, vectors = candidates(1)
    same = diversify(found, vectors, 5, 0.0)
    assert same.row.equal(found.row[:, :5])
    assert same.score.equal(found.score[:, :5])


@given(st.integers(0, 10**6))
def test_all_of_it_makes_lists_less_alike_than_none(seed):
    found, vectors = candidates(seed)

    def alike(top):
        chosen = unit(vectors[top.row])
        return (chosen @ chosen.mT).sum()

    assert (
        alike(diversify(found, vectors, 5, 1.0)) <= alike(diversify(found, vectors, 5, 0.0)) + 1e-4
    )


def test_lists_that_end_early_end_early_still():
    found = TopRows(torch.tensor([[4, 2, 0, 0]]), torch.tensor([[2.0, 1.0, *[-torch.inf] * 2]]))
    for diversity in (0.5, 1.0):
        varied = diversify(found, torch.randn(5, 3), 3, diversity)
        assert varied.row[0, :2].tolist() == [4, 2]
        assert varied.score.isfinite().tolist() == [[True, True, False]]


def test_a_list_longer_than_the_candidates_holds_them_all():
    found, vectors = candidates(0)
    assert diversify(found, vectors, 99, 0.3).row.shape == (3, 12)
    assert diversify(TopRows(found.row[:0], found.score[:0]), vectors, 5, 0.3).row.shape == (0, 5)


def test_changes_are_told_for_each_person_apart():
    def lists(*people):
        rows = [(user, item, rank) for user, items in people for rank, item in enumerate(items, 1)]
        return pl.DataFrame(rows, schema=["user_id", "item_id", "rank"], orient="row")

    changes = compare_lists(lists(("b", "xyz"), ("a", "xy")), lists(("b", "xwy"), ("a", "xy")))
    assert changes.rows() == [
        ("b", "x", "stayed", 1, 1),
        ("b", "w", "came", None, 2),
        ("b", "y", "moved", 2, 3),
        ("b", "z", "left", 3, None),
        ("a", "x", "stayed", 1, 1),
        ("a", "y", "stayed", 2, 2),
    ]
