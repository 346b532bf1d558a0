"""Candidates hold everybody who may be listed, and few others."""

import math

import pytest
import torch

from macrid.parts.shortlist import Shortlist


def run(scores, k, width, **how):
    shortlist = Shortlist(len(scores), k, **how)
    for start in range(0, scores.shape[1], width):
        shortlist.add(scores[:, start : start + width], start)
    return shortlist.candidates()


def listed(found, user):
    return set(found.column[user][found.column[user] >= 0].tolist())


@pytest.mark.parametrize("width", [2_048, 3_000])
@pytest.mark.parametrize("k", [1, 20, 300])
def test_the_best_are_candidates_and_most_others_are_not(width, k):
    scores = torch.randn(5, 10_000, generator=torch.Generator().manual_seed(k))
    found = run(scores, k, width)
    for user, best in enumerate(scores.topk(k).indices.tolist()):
        assert set(best) <= listed(found, user)
        assert len(listed(found, user)) <= 1.3 * k + 5
    assert not found.crowded.any()


@pytest.mark.parametrize("exponential", [False, True])
def test_all_within_the_slack_are_candidates(exponential):
    logits = torch.linspace(0, 10, 400)[None]
    scores = logits.exp() if exponential else logits
    found = run(scores, 3, 50, slack=2.0, exponential=exponential)
    near = set((logits[0] >= logits[0, -3] - 2.0).nonzero().flatten().tolist())
    assert near <= listed(found, 0)
    assert len(listed(found, 0)) <= len(near) + 2


def test_what_may_not_be_listed_is_no_candidate():
    scores = torch.full((2, 300), -torch.inf)
    scores[0, [5, 200]] = torch.tensor([-3e38, 1.0])
    found = run(scores, 4, 64)
    assert listed(found, 0) == {5, 200}
    assert listed(found, 1) == set()


def test_a_user_among_a_crowd_of_ties_is_told_from_the_others():
    scores = torch.stack([torch.zeros(5_000), torch.arange(5_000.0)])
    found = run(scores, 2, 500)
    assert found.crowded.tolist() == [True, False]
    assert listed(found, 0) == set()
    assert listed(found, 1) >= {4_998, 4_999}


def test_what_is_remembered_does_not_grow_with_the_columns():
    shortlist = Shortlist(2, 1)
    for start in range(0, 400_000, 4_000):
        # Rising, so that each block is full of new candidates.
        shortlist.add(torch.arange(start, start + 4_000.0).repeat(2, 1), start)
        assert shortlist.n_found <= 2 * shortlist._limit
    assert listed(shortlist.candidates(), 0) >= {399_999}


def test_the_slack_of_exponentials_is_a_factor():
    shortlist = Shortlist(1, 1, slack=math.log(2), exponential=True)
    shortlist.add(torch.tensor([[4.0]]), 0)
    assert shortlist.floor.item() == pytest.approx(2.0)
