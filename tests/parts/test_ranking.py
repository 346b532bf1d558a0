"""Lists without sorting the catalogue, and metrics beside plain loops and ir-measures."""

import math

import ir_measures
import numpy as np
import pytest
import torch
from ir_measures import R, nDCG
from torch.utils._python_dispatch import TorchDispatchMode

from macrid.data.histories import Histories
from macrid.parts.ranking import TopRows, hits, mask_rows, ndcg, recall, top_rows
from reference.metrics import ndcg_at, recall_at

TIED = [[1.0, 3.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0], [-1.0, -1.0, -2.0, 5.0, -1.0]]


def random_world(seed=0, n_users=30, n_items=40):
    """Scores with many ties, and what was shown and held out; some people have nothing held out."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(-4, 5, (n_users, n_items)).astype(np.float32)
    shuffled = [rng.permutation(n_items) for _ in range(n_users)]
    held_out = [row[: n % 13].tolist() for n, row in enumerate(shuffled)]
    fold_in = [row[20 : 20 + n % 7].tolist() for n, row in enumerate(shuffled)]
    return torch.from_numpy(scores), fold_in, held_out


def found(scores, fold_in, held_out, k):
    scores = scores.clone()
    mask_rows(scores, Histories.from_lists(fold_in))
    return hits(top_rows(scores, k), Histories.from_lists(held_out))


@pytest.mark.parametrize("k", [1, 2, 4, 5])
def test_the_best_come_first_and_ties_go_to_the_lower_row(k):
    best = [[1, 2, 4, 3, 0], [0, 1, 2, 3, 4], [3, 0, 1, 4, 2]]
    top = top_rows(torch.tensor(TIED), k)
    assert top.row.tolist() == [row[:k] for row in best]
    assert top.score.tolist() == [
        [scores[i] for i in row[:k]] for row, scores in zip(best, TIED, strict=True)
    ]


@pytest.mark.parametrize("k", [1, 7, 100, 400])
def test_lists_are_those_of_a_stable_sort(k):
    rng = np.random.default_rng(k)
    scores = rng.choice([-np.inf, -3.5, -1e-40, 0.0, 1e-40, 2.25, 1e30], (20, 400))
    scores[::2] = rng.normal(size=(10, 400))
    scores = torch.from_numpy(scores.astype(np.float32))
    order = torch.sort(scores, descending=True, stable=True).indices
    assert top_rows(scores, k).row.equal(order[:, :k])


def test_minus_zero_ties_with_zero():
    assert top_rows(torch.tensor([[-0.0, 0.0, -0.0]]), 3).row.tolist() == [[0, 1, 2]]


def test_what_may_not_be_listed_comes_last_with_minus_infinity():
    top = top_rows(torch.tensor([[-torch.inf, -5.0, -torch.inf, 1.0]]), 4)
    assert top.row.tolist() == [[3, 1, 0, 2]]
    assert top.score.tolist() == [[1.0, -5.0, -torch.inf, -torch.inf]]


def test_a_list_is_no_longer_than_the_catalogue():
    assert top_rows(torch.tensor(TIED), 99).row.shape == (3, 5)


def test_nobody_gets_no_lists():
    assert top_rows(torch.empty(0, 5), 3).row.shape == (0, 3)


def test_lists_are_the_same_in_every_batch_size():
    scores, _, _ = random_world()
    whole = top_rows(scores, 9).row
    for size in (1, 7, 30):
        assert torch.cat([top_rows(block, 9).row for block in scores.split(size)]).equal(whole)


def test_the_catalogue_is_never_sorted():
    class Watch(TorchDispatchMode):
        """Notes the name of each operation and the size of what goes in."""

        def __init__(self):
            super().__init__()
            self.calls = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.calls.append((str(func), args[0].numel() if torch.is_tensor(args[0]) else 0))
            return func(*args, **(kwargs or {}))

    with Watch() as watch:
        top = top_rows(torch.rand(3, 10_000), 20)
        hits(top, Histories.from_lists([[5], [], [2, 9_999]]))
    assert any("topk" in name for name, _ in watch.calls)
    assert not [call for call in watch.calls if "sort" in call[0] and call[1] >= 10_000]


def test_masking_takes_each_persons_own_items_and_no_others():
    scores = torch.zeros(3, 4)
    mask_rows(scores, Histories.from_lists([[1, 3], [], [0]]))
    assert scores.isneginf().tolist() == [
        [False, True, False, True],
        [False, False, False, False],
        [True, False, False, False],
    ]


def test_a_hit_is_an_item_of_ones_own_and_not_of_a_neighbour():
    top = TopRows(torch.tensor([[0, 1], [0, 1], [1, 2]]), torch.ones(3, 2))
    found = hits(top, Histories.from_lists([[1, 2], [], [0, 2]]))
    assert found.tolist() == [[False, True], [False, False], [False, True]]


def test_a_masked_place_is_no_hit_even_where_the_item_is_held_out():
    scores = torch.tensor([[3.0, 2.0, 1.0]])
    mask_rows(scores, Histories.from_lists([[0]]))
    assert hits(top_rows(scores, 3), Histories.from_lists([[0, 1]])).tolist() == [
        [True, False, False]
    ]


def test_held_out_items_beyond_the_catalogue_are_missed():
    top = top_rows(torch.tensor([[1.0, 2.0], [1.0, 2.0]]), 2)
    assert hits(top, Histories.from_lists([[7, 0], [8]])).tolist() == [
        [False, True],
        [False, False],
    ]


def test_ndcg_by_hand():
    hit = torch.tensor([[True, False, True]])
    gain, ideal = 1 + 1 / math.log2(4), 1 + 1 / math.log2(3)
    assert ndcg(hit, torch.tensor([2]), 3).item() == pytest.approx(gain / ideal, rel=1e-6)
    assert ndcg(hit, torch.tensor([2]), 1).item() == 1.0
    assert ndcg(hit, torch.tensor([2]), 2).item() == pytest.approx(1 / ideal, rel=1e-6)


def test_a_perfect_list_has_an_ndcg_of_exactly_1_however_much_is_held_out():
    hit = torch.ones(3, 100, dtype=torch.bool)
    hit[0, 7:] = False
    assert ndcg(hit, torch.tensor([7, 100, 5_000]), 100).tolist() == [1.0, 1.0, 1.0]


def test_recall_divides_by_what_could_be_found():
    hit = torch.tensor([[True, False, True, True]])
    assert recall(hit, torch.tensor([3]), 4).item() == 1.0
    assert recall(hit, torch.tensor([100]), 4).item() == 0.75
    assert recall(hit, torch.tensor([3]), 1).item() == 1.0


def test_people_without_targets_score_0():
    hit, nothing = torch.tensor([[False, False]]), torch.tensor([0])
    assert (ndcg(hit, nothing, 2).item(), recall(hit, nothing, 2).item()) == (0.0, 0.0)


def test_lists_shorter_than_k_are_judged_as_far_as_they_go():
    hit, three = torch.tensor([[True, True]]), torch.tensor([3])
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    gain = 1 + 1 / math.log2(3)
    assert ndcg(hit, three, 100).item() == pytest.approx(gain / ideal, rel=1e-6)
    assert recall(hit, three, 100).item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("k", [1, 3, 10, 40, 100])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_metrics_are_those_of_plain_loops_ties_included(k, seed):
    scores, fold_in, held_out = random_world(seed)
    hit, lengths = found(scores, fold_in, held_out, k), torch.tensor([*map(len, held_out)])
    plain = [scores.tolist(), fold_in, held_out]
    assert ndcg(hit, lengths, k).tolist() == pytest.approx(ndcg_at(k, *plain), abs=1e-6)
    assert recall(hit, lengths, k).tolist() == pytest.approx(recall_at(k, *plain), abs=1e-6)


def test_metrics_of_a_long_list_do_for_shorter_ones():
    scores, fold_in, held_out = random_world()
    lengths = torch.tensor([*map(len, held_out)])
    long, short = (found(scores, fold_in, held_out, k) for k in (40, 5))
    assert ndcg(long, lengths, 5).equal(ndcg(short, lengths, 5))
    assert recall(long, lengths, 5).equal(recall(short, lengths, 5))


@pytest.mark.parametrize("k", [1, 5, 20])
def test_metrics_are_those_of_ir_measures_but_for_what_recall_divides_by(k):
    rng = np.random.default_rng(k)
    # Without ties, which trec_eval breaks by the documents' names.
    scores = np.stack([rng.permutation(50) for _ in range(25)])
    held_out = [rng.choice(50, 1 + n, replace=False).tolist() for n in range(25)]
    qrels = [ir_measures.Qrel(str(u), str(i), 1) for u, row in enumerate(held_out) for i in row]
    run = [
        ir_measures.ScoredDoc(str(u), str(i), float(scores[u, i]))
        for u in range(25)
        for i in range(50)
    ]
    theirs = {
        (m.query_id, m.measure): m.value
        for m in ir_measures.iter_calc([nDCG @ k, R @ k], qrels, run)
    }
    hit = found(torch.from_numpy(scores).float(), [[]] * 25, held_out, k)
    lengths = torch.tensor([*map(len, held_out)])
    for u, (gain, share) in enumerate(
        zip(ndcg(hit, lengths, k).tolist(), recall(hit, lengths, k).tolist(), strict=True)
    ):
        n_targets = len(held_out[u])
        assert gain == pytest.approx(theirs[str(u), nDCG @ k], abs=1e-6)
        # Theirs divides by all targets, ours by those that fit into the list.
        expected = theirs[str(u), R @ k] * n_targets / min(k, n_targets)
        assert share == pytest.approx(expected, abs=1e-6)
