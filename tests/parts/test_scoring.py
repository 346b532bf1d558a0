"""Lists from a scan are those of all logits, whatever the blocks and the precision."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from macrid.data.histories import Histories
from macrid.parts import scoring, shortlist
from macrid.parts.ranking import best_rows, mask_rows
from macrid.parts.scoring import Scan, mixture_logits

DTYPES = [torch.float32, torch.bfloat16]


def world(seed=0, *, n_items=300, batch=9, n_concepts=3, n_dims=4, scale=10.0, tied=False):
    """z of length ``scale``, item vectors of length 1, log-weights; with ``tied``, many twins."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(batch, n_concepts, n_dims, generator=generator)
    vectors = torch.randn(n_items, n_dims, generator=generator)
    log_weights = torch.randn(n_items, n_concepts, generator=generator).log_softmax(-1)
    z = scale * torch.nn.functional.normalize(z, dim=-1)
    vectors = torch.nn.functional.normalize(vectors, dim=-1)
    if tied:
        twin = torch.randint(0, min(5, n_items), (n_items,), generator=generator)
        vectors, log_weights = vectors[twin], log_weights[twin]
    return z, vectors, log_weights


def one_hot(log_weights):
    """As ``assignment="mode"`` has them."""
    concept = log_weights.argmax(-1)
    return torch.nn.functional.one_hot(concept, log_weights.shape[1]).float().log()


def naive(z, vectors, log_weights, k, seen=None, banned=None):
    """Lists from the logits of everything, in double precision."""
    joint = z.double() @ vectors.double().T + log_weights.double().T
    logits = joint.logsumexp(1).float()
    if banned is not None:
        logits[:, banned] = -torch.inf
    if seen is not None:
        mask_rows(logits, seen)
    return best_rows(torch.arange(len(vectors)).expand(len(z), -1), logits, min(k, len(vectors)))


def assert_same(ours, expected):
    """Rows and scores, where there is something to list."""
    listed = expected.score.isfinite()
    assert ours.score.equal(expected.score)
    assert ours.row[listed].equal(expected.row[listed])


def some_seen(rng, batch, n_items):
    sizes = rng.integers(0, n_items // 2 + 1, batch)
    return Histories.from_lists([rng.choice(n_items, n, replace=False).tolist() for n in sizes])


@pytest.mark.parametrize("dtype", DTYPES, ids=["32", "bf16"])
@given(
    seed=st.integers(0, 10_000),
    n_items=st.integers(1, 700),
    n_concepts=st.integers(1, 4),
    k=st.sampled_from([1, 2, 20, 100, 1_000]),
    scale=st.sampled_from([0.0, 1.0, 10.0, 39.0, 60.0, 2_000.0]),  # 40 and more: no exponentials
    mode=st.booleans(),
    tied=st.booleans(),
    bans=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_lists_are_those_of_sorting_all_logits(
    dtype, seed, n_items, n_concepts, k, scale, mode, tied, bans
):
    z, vectors, log_weights = world(
        seed, n_items=n_items, n_concepts=n_concepts, scale=scale, tied=tied
    )
    log_weights = one_hot(log_weights) if mode else log_weights
    rng = np.random.default_rng(seed)
    seen = some_seen(rng, len(z), n_items)
    banned = torch.from_numpy(rng.random(n_items) < bans)
    ours = Scan(vectors, log_weights, banned=banned, dtype=dtype).top(z, k, seen)
    assert_same(ours, naive(z, vectors, log_weights, k, seen, banned))


@pytest.mark.parametrize("mode", [False, True])
@pytest.mark.parametrize(("width", "tile", "crowd"), [(128, 1, 1024), (256, 1 << 20, 0)])
def test_no_block_size_decides_who_is_listed(monkeypatch, width, tile, crowd, mode):
    z, vectors, log_weights = world(n_items=3_000, tied=True)
    log_weights = one_hot(log_weights) if mode else log_weights
    seen = some_seen(np.random.default_rng(0), len(z), 3_000)
    expected = Scan(vectors, log_weights).top(z, 7, seen)
    monkeypatch.setattr(scoring, "_WIDTH", width)
    monkeypatch.setattr(scoring, "_TILE", tile)
    monkeypatch.setattr(shortlist, "_CROWD", crowd)
    ours = Scan(vectors, log_weights).top(z, 7, seen)
    assert ours.row.equal(expected.row)
    assert ours.score.equal(expected.score)


@pytest.mark.parametrize("dtype", DTYPES, ids=["32", "bf16"])
@pytest.mark.parametrize("mode", [False, True])
def test_no_batch_size_decides_who_is_listed(dtype, mode):
    z, vectors, log_weights = world(n_items=5_000, batch=30)
    scan = Scan(vectors, one_hot(log_weights) if mode else log_weights, dtype=dtype)
    together = scan.top(z, 20)
    for size in (1, 7):
        parts = [scan.top(some, 20) for some in z.split(size)]
        assert torch.cat([part.row for part in parts]).equal(together.row)
        assert torch.cat([part.score for part in parts]).equal(together.score)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("dtype", DTYPES, ids=["32", "bf16"])
def test_items_from_worst_to_best_and_back(order, dtype):
    """The floor rises with every block, or never."""
    z, vectors, log_weights = world(n_items=20_000, batch=1, n_concepts=2)
    logits = mixture_logits(z, vectors, log_weights)[0]
    by_logit = logits.argsort(descending=order < 0)
    vectors, log_weights = vectors[by_logit], log_weights[by_logit]
    ours = Scan(vectors, log_weights, dtype=dtype).top(z, 20)
    assert_same(ours, naive(z, vectors, log_weights, 20))


def test_scores_are_the_logits_of_the_rows():
    z, vectors, log_weights = world(n_items=500)
    top = Scan(vectors, log_weights).top(z, 10)
    logits = mixture_logits(z, vectors, log_weights)
    torch.testing.assert_close(top.score, logits.gather(1, top.row), rtol=1e-5, atol=1e-5)


def test_points_are_divided_by_the_temperature():
    z, vectors, log_weights = world(n_items=100)
    cold = Scan(vectors, log_weights, tau=0.25).top(z / 4, 5)
    assert_same(cold, naive(z, vectors, log_weights, 5))


def test_a_processor_that_rounds_single_precision_is_reckoned_with():
    scan = Scan(*world()[1:])
    careful = scan._slack(10.0)
    torch.set_float32_matmul_precision("medium")
    try:
        assert scan._slack(10.0) > 100 * careful
    finally:
        torch.set_float32_matmul_precision("highest")
    assert scan._slack(10.0) == careful


def test_autocast_changes_no_list():
    z, vectors, log_weights = world(n_items=1_000)
    scan = Scan(vectors, log_weights)
    with torch.autocast("cpu", torch.bfloat16):
        rough = scan.top(z, 20)
    assert_same(rough, scan.top(z, 20))


def test_nobody_gets_no_lists_and_nothing_is_listed_where_nothing_may_be():
    z, vectors, log_weights = world(n_items=12)
    assert Scan(vectors, log_weights).top(z[:0], 5).row.shape == (0, 5)
    nothing = Scan(vectors, log_weights, banned=torch.ones(12, dtype=torch.bool)).top(z, 5)
    assert nothing.score.isneginf().all()


def test_a_share_that_rounds_to_one_leaves_the_others_theirs():
    """In float32, log(1 - 2e-9) is 0; what remains for the other concept may still be decisive."""
    scan = Scan(torch.eye(3), torch.tensor([[0.0, -20.0]] * 3))
    top = scan.top(torch.tensor([[[1.0, 2.0, 0.0], [0.0, 0.0, 30.0]]]), 1)
    assert top.row.tolist() == [[2]]
    torch.testing.assert_close(top.score, torch.tensor([[10.0]]), rtol=0, atol=1e-3)


def test_candidates_may_be_given_twice_or_had_already():
    z, vectors, log_weights = world(n_items=50)
    scan, seen = Scan(vectors, log_weights), Histories.from_lists([[3, 7]] * len(z))
    place = torch.tensor([[7, 4, -1, 4, 9, 3]]).repeat(len(z), 1)
    top = scan.best(z, place, 6, seen)
    assert (top.score.isfinite().sum(1) == 2).all()
    assert top.row[:, :2].sort(1).values.tolist() == [[4, 9]] * len(z)


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation made."""

    numel = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.numel = max(self.numel, out.numel())
        return out


@pytest.mark.parametrize("mode", [False, True])
def test_a_score_for_each_person_and_item_is_never_made(mode):
    batch, n_items = 64, 60_000
    z, vectors, log_weights = world(n_items=n_items, batch=batch, n_dims=4)
    scan = Scan(vectors, one_hot(log_weights) if mode else log_weights)
    with Largest() as largest:
        scan.top(z, 10)
    assert largest.numel < batch * n_items / 3


# All logits


@pytest.mark.parametrize("scale", [0.0, 10.0, 60.0, 50_000.0])
@pytest.mark.parametrize("block", [1, 7, 29, 256])
def test_logits_are_summed_over_concepts_in_blocks_of_any_size(scale, block):
    z, vectors, log_weights = (t.double() for t in world(n_items=29, scale=scale))
    expected = (z @ vectors.T + log_weights.T).logsumexp(1)
    torch.testing.assert_close(mixture_logits(z, vectors, log_weights, block), expected)


def test_logits_of_items_in_one_concept_see_only_its_point():
    z, vectors, log_weights = world(n_items=29)
    concept = log_weights.argmax(-1)
    expected = torch.stack([z[:, k] @ vectors[i] for i, k in enumerate(concept)], dim=1)
    torch.testing.assert_close(mixture_logits(z, vectors, one_hot(log_weights)), expected)


def test_nobody_has_no_logits():
    z, vectors, log_weights = world(n_items=29)
    assert mixture_logits(z[:0], vectors, log_weights).shape == (0, 29)
