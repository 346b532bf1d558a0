"""Items of one concept each: the naive numbers and gradients, at 1/K of the products."""

import pytest
import torch

from macrid.data.histories import Histories
from macrid.parts import kernels
from macrid.parts.encoders import ConceptEncoder
from macrid.parts.kernels import mixture_log_likelihood
from macrid.parts.onehot import by_concept, one_concept, parts_of

BATCH, N_CONCEPTS, N_DIMS, N_ITEMS = 6, 4, 5, 29
EMPTY = 2  # a concept that no item belongs to
LISTS = [[0, 28, 7], [], [5], list(range(29)), [3, 3, 9, 3], [28]]  # empty, whole, duplicates


def concepts(n_items=N_ITEMS):
    generator = torch.Generator().manual_seed(4)
    return torch.tensor([0, 1, 3])[torch.randint(3, (n_items,), generator=generator)]


def inputs(scale=1.0, dtype=torch.float64, n_items=N_ITEMS):
    """z, vectors, log-weights with one finite entry per item, not always 0."""
    generator = torch.Generator().manual_seed(8)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    z, vectors = normal(BATCH, N_CONCEPTS, N_DIMS), normal(n_items, N_DIMS)
    z, vectors = (
        scale * torch.nn.functional.normalize(z, dim=-1),
        vectors.div(vectors.norm(dim=-1, keepdim=True)),
    )
    log_weights = torch.full((n_items, N_CONCEPTS), -torch.inf, dtype=torch.float64)
    log_weights[torch.arange(n_items), concepts(n_items)] = -normal(n_items).abs()
    return tuple(t.to(dtype).requires_grad_() for t in (z, vectors, log_weights))


def naive_log_likelihood(z, vectors, log_weights, histories):
    log_probs = (z @ vectors.T + log_weights.T).logsumexp(1).log_softmax(-1)
    observed = log_probs[histories.users, histories.items]
    return torch.zeros(len(histories), dtype=z.dtype).index_add(0, histories.users, observed)


def gradients(value, tensors, *, alike=False):
    """Of a sum, everybody counting alike or everybody differently."""
    weights = torch.ones(BATCH) if alike else torch.arange(1, BATCH + 1)
    return torch.autograd.grad((value * weights.to(value)).sum(), tensors)


def products(*arguments):
    """How many multiplications one likelihood and its gradients take."""
    with torch.profiler.profile(with_flops=True) as profile:
        mixture_log_likelihood(*arguments).mean().backward()
    return sum(e.flops for e in profile.key_averages() if e.key == "aten::mm") // 2


def test_an_item_of_one_concept_is_one_with_one_finite_log_weight():
    *_, log_weights = inputs()
    assert torch.equal(one_concept(log_weights), concepts())
    log_weights.data[7] = -1.0
    assert one_concept(log_weights) is None


def test_a_log_weight_of_zero_beside_small_ones_is_not_alone():
    """In single precision a softmax can be exactly 1 and still leave something to the others."""
    log_weights = torch.tensor([[20.0, 0.0]]).log_softmax(-1)
    assert log_weights[0, 0] == 0
    assert one_concept(log_weights) is None


def test_parts_hold_each_item_and_each_event_once():
    *_, log_weights = inputs()
    histories = Histories.from_lists(LISTS)
    parts = parts_of(log_weights, histories)
    assert [part.concepts.start for part in parts] == [0, 1, 3]
    rows = torch.cat([part.rows for part in parts])
    assert sorted(rows.tolist()) == list(range(N_ITEMS))
    events = [
        (user, item)
        for part in parts
        for user, item in zip(
            part.histories.users.tolist(), part.rows[part.histories.items].tolist(), strict=True
        )
    ]
    expected = zip(histories.users.tolist(), histories.items.tolist(), strict=True)
    assert sorted(events) == sorted(expected)


def test_events_by_concept_keep_their_people():
    apart = by_concept(Histories.from_lists(LISTS), concepts(), N_CONCEPTS)
    assert len(apart) == BATCH * N_CONCEPTS
    assert torch.equal(apart.users % N_CONCEPTS, concepts()[apart.items])
    by_person = apart.lengths.view(BATCH, N_CONCEPTS)
    assert by_person.sum(1).tolist() == [len(items) for items in LISTS]
    assert (by_person[:, EMPTY] == 0).all()


# 10 is tau 0.1; 60 is past the bound of the path without maxima; 2000 overflows exp in any type.
SCALES = [0.0, 1.0, 10.0, 39.9, 60.0, 2000.0]


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("block", [1, 7, None])
def test_likelihood_and_gradients_are_the_naive_ones(scale, block, alike):
    tensors, histories = inputs(scale), Histories.from_lists(LISTS)
    ours = mixture_log_likelihood(*tensors, histories, block)
    naive = naive_log_likelihood(*tensors, histories)
    torch.testing.assert_close(ours, naive, rtol=1e-9, atol=1e-9)
    mine, theirs = gradients(ours, tensors, alike=alike), gradients(naive, tensors, alike=alike)
    torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)
    assert (mine[0][:, EMPTY] == 0).all()
    assert (mine[2][tensors[2].isinf()] == 0).all()


@pytest.mark.parametrize("at_once", [1, 4])
def test_some_people_at_a_time_change_nothing(monkeypatch, at_once):
    monkeypatch.setattr(kernels, "_FEWEST", at_once)
    monkeypatch.setattr(kernels, "_BLOCK_BYTES", at_once * N_ITEMS * 8)
    tensors, histories = inputs(10.0), Histories.from_lists(LISTS)
    ours = mixture_log_likelihood(*tensors, histories)
    naive = naive_log_likelihood(*tensors, histories)
    torch.testing.assert_close(ours, naive, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        gradients(ours, tensors, alike=True),
        gradients(naive, tensors, alike=True),
        rtol=1e-9,
        atol=1e-9,
    )


@pytest.mark.parametrize("most", [0, 2**27])
def test_an_item_costs_the_products_of_one_concept(monkeypatch, most):
    """Read once or twice; rows are as wide for one concept as for four."""
    monkeypatch.setattr(kernels, "_MOST_BYTES", most)
    monkeypatch.setattr(kernels, "SIZES", 1)
    z, vectors, log_weights = inputs()
    everywhere = torch.zeros_like(log_weights, requires_grad=True)
    histories = Histories.from_lists(LISTS)
    of_one = products(z, vectors, log_weights, histories)
    of_all = products(z, vectors, everywhere, histories)
    assert of_all == N_CONCEPTS * of_one > 0


def test_parts_are_rounded_up_by_items_that_nobody_can_have():
    """So that half precision meets few shapes, though parts are never twice of one size."""
    *_, vectors, log_weights = inputs()
    wide = kernels.wide_items(vectors, log_weights, torch.bfloat16, 16)
    assert len(wide) == 32
    logits = wide[N_ITEMS:, N_DIMS : N_DIMS + N_CONCEPTS]
    assert (logits.exp() == 0).all()
    assert (wide[N_ITEMS:, :N_DIMS] == 0).all()
    rounded = BATCH * kernels.SIZES * kernels._LANES  # for a part: people, items, width
    assert products(*inputs(), Histories.from_lists(LISTS)) == 3 * 3 * rounded


def test_half_precision_is_close_to_single():
    tensors, histories = inputs(10.0, torch.float32), Histories.from_lists(LISTS)
    exact = mixture_log_likelihood(*tensors, histories)
    with torch.autocast("cpu", torch.bfloat16):
        rough = mixture_log_likelihood(*tensors, histories)
    assert rough.dtype == torch.float32
    error = (rough - exact).abs() / histories.lengths.clamp_min(1)
    assert 0 < error.max() < 0.1
    for mine, theirs in zip(gradients(rough, tensors), gradients(exact, tensors), strict=True):
        assert mine.dtype == torch.float32
        cosine = torch.nn.functional.cosine_similarity(mine.flatten(), theirs.flatten(), dim=0)
        assert cosine > 0.999


def test_a_batch_without_people_is_empty():
    z, vectors, log_weights = inputs()
    nobody = mixture_log_likelihood(z[:0], vectors, log_weights, Histories.from_lists([]))
    assert nobody.shape == (0,)


def test_the_encoder_reads_what_it_would_read_with_a_weight_for_each_concept():
    """A weight of e⁻³⁰ is no weight in a sum, yet keeps an item from being of one concept."""
    torch.manual_seed(0)
    encoder = ConceptEncoder(N_ITEMS, N_DIMS, dropout=0.5).double().eval()
    *_, log_weights = inputs()
    nearly = log_weights.detach().clamp_min(-30.0)
    assert one_concept(nearly) is None
    nearly.requires_grad_()
    histories = Histories.from_lists([[0, 28, 7, 1, 2, 3, 4], [], list(range(29)), [3, 3, 9, 3]])
    alone, several = encoder(histories, log_weights), encoder(histories, nearly)
    # A view of nothing else but e⁻³⁰ would be scaled to unit length: only concepts with events.
    met = by_concept(histories, concepts(), N_CONCEPTS).lengths.view(-1, N_CONCEPTS) > 0
    torch.testing.assert_close(alone.mean[met], several.mean[met])
    torch.testing.assert_close(alone.log_var[met], several.log_var[met])
    silent = encoder.head(encoder.bias.tanh())[:N_DIMS]
    torch.testing.assert_close(alone.mean[~met], silent.expand((~met).sum(), -1))
    weights = [log_weights, *encoder.parameters()]
    mine = torch.autograd.grad(alone.mean[met].square().sum(), weights)
    weights[0] = nearly
    theirs = torch.autograd.grad(several.mean[met].square().sum(), weights)
    torch.testing.assert_close(mine[1:], theirs[1:])
    own = log_weights.isfinite()
    torch.testing.assert_close(mine[0][own], theirs[0][own])
    assert (mine[0][~own] == 0).all()


def test_dropout_keeps_its_share_of_events_of_one_concept():
    encoder = ConceptEncoder(N_ITEMS, 1, dropout=0.25).train()
    with torch.no_grad():
        encoder.context.fill_(1e-3)
        encoder.bias.zero_()
    seen = []
    encoder.head.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].atanh()))
    log_weights = torch.zeros(N_ITEMS, 1)
    encoder(Histories.from_lists([list(range(N_ITEMS))] * 500), log_weights)
    # A view of 29 equal weights at unit length sums to √29, and does so on average once thinned.
    expected = torch.tensor(1e-3 * N_ITEMS**0.5)
    torch.testing.assert_close(seen[0].mean(), expected, rtol=0.02, atol=0)
