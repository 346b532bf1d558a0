"""The likelihood against a sample: exact when everything is drawn, unbiased when little is."""

import math

import pytest
import torch

from macrid.data.histories import Histories
from macrid.parts import kernels
from macrid.parts.kernels import mixture_log_likelihood
from macrid.parts.sampled import Negatives, sampled_log_likelihood

BATCH, N_CONCEPTS, N_DIMS, N_ITEMS = 4, 3, 5, 40
LISTS = [[0, 39, 7], [], [5], [1, 2, 3, 4, 5, 6, 7, 8]]
SCALES = [1.0, 10.0, 60.0, 2000.0]  # on both sides of the bound that spares looking for maxima


def inputs(scale=10.0, dtype=torch.float64, n_items=N_ITEMS):
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(BATCH, N_CONCEPTS, N_DIMS, generator=generator, dtype=torch.float64)
    vectors = torch.randn(n_items, N_DIMS, generator=generator, dtype=torch.float64)
    weights = torch.randn(n_items, N_CONCEPTS, generator=generator, dtype=torch.float64)
    z = scale * z / z.norm(dim=-1, keepdim=True)
    vectors = vectors / vectors.norm(dim=-1, keepdim=True)
    return tuple(t.to(dtype).requires_grad_() for t in (z, vectors, weights.log_softmax(-1)))


def sampled(z, vectors, log_weights, rows, log_weight, histories):
    """As the decoder does it, from logits that are computed naively."""
    logits = (z @ vectors.T + log_weights.T).logsumexp(1)
    columns = torch.full((len(vectors),), -1)
    columns[rows] = torch.arange(len(rows))
    return sampled_log_likelihood(
        z,
        vectors[rows],
        log_weights[rows] + log_weight[:, None],
        logits[histories.users, histories.items],
        histories,
        columns[histories.items],
    )


def naive(z, vectors, log_weights, rows, log_weight, histories):
    """The sum over a person's own items, and those drawn that are not among them."""
    logits = (z @ vectors.T + log_weights.T).logsumexp(1)
    values = []
    for user in range(len(histories)):
        own = histories.items[histories.users == user]
        other = ~torch.isin(rows, own)
        drawn = (logits[user, rows] + log_weight)[other]
        total = torch.cat([logits[user, own], drawn]).logsumexp(0)
        values.append((logits[user, own] - total).sum())
    return torch.stack(values)


@pytest.mark.parametrize("weights", [[1.0] * BATCH, [1.0, 2.0, 3.0, 4.0]], ids=["alike", "not"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("at_once", [1, 3, 64])
def test_value_and_gradients_are_the_naive_ones(monkeypatch, at_once, scale, weights):
    monkeypatch.setattr(kernels, "_FEWEST", at_once)
    monkeypatch.setattr(kernels, "_BLOCK_BYTES", 1)
    tensors, histories = inputs(scale), Histories.from_lists(LISTS)
    rows = torch.tensor([0, 3, 11, 20, 39])
    log_weight = torch.tensor([0.0, 2.0, 1.0, 3.0, 0.5], dtype=torch.float64)
    ours = sampled(*tensors, rows, log_weight, histories)
    theirs = naive(*tensors, rows, log_weight, histories)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    weights = torch.tensor(weights, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((ours * weights).sum(), tensors),
        torch.autograd.grad((theirs * weights).sum(), tensors),
        rtol=1e-9,
        atol=1e-9,
    )


def test_when_every_item_is_drawn_once_it_is_the_exact_likelihood():
    tensors, histories = inputs(), Histories.from_lists(LISTS)
    everything = sampled(*tensors, torch.arange(N_ITEMS), torch.zeros(N_ITEMS), histories)
    exact = mixture_log_likelihood(*tensors, histories)
    torch.testing.assert_close(everything, exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("proposal", ["popularity", "log-uniform"])
def test_the_normaliser_is_estimated_without_bias_and_ever_closer(proposal):
    """Spread falls with the root of N, and the mean of many estimates is the sum itself."""
    torch.manual_seed(0)
    n_items = 500
    z, vectors, weights = (t.detach() for t in inputs(3.0, n_items=n_items))
    one = Histories.from_lists([[7]] * BATCH)
    exact = mixture_log_likelihood(z, vectors, weights, one)
    spreads = []
    for n_draws in (50, 5000):
        negatives = Negatives(n_items, n_draws, proposal)
        negatives.follow(torch.arange(n_items))
        estimates = []
        for _ in range(200):
            draw = negatives.draw()
            estimates.append(sampled(z, vectors, weights, draw.rows, draw.log_weight.double(), one))
        error = (exact - torch.stack(estimates)).exp()  # estimated sum over the true one
        assert (error.mean(0) - 1).abs().max() < 5 * error.std(0).max() / math.sqrt(200)
        spreads.append(error.std(0).mean().item())
    assert 5 < spreads[0] / spreads[1] < 20
    assert spreads[1] < 0.05


def test_items_are_drawn_in_proportion_to_events_plus_one():
    torch.manual_seed(0)
    negatives = Negatives(4, 100_000)
    negatives.follow(torch.tensor([7, 0, 1, 0]))
    torch.testing.assert_close(
        negatives.probability, torch.tensor([8, 1, 2, 1], dtype=torch.float64) / 12
    )
    draw = negatives.draw()
    assert draw.rows.tolist() == [0, 1, 2, 3]
    # Each stands for about as many as it is: one.
    torch.testing.assert_close(draw.log_weight.exp(), torch.ones(4), rtol=0.05, atol=0)


def test_log_uniform_draws_by_rank_alone_however_large_the_counts():
    negatives = Negatives(3, 10, "log-uniform")
    negatives.follow(torch.tensor([1, 10**9, 0]))
    logs = torch.tensor([2.0, 3.0, 4.0], dtype=torch.float64).log()
    by_rank = torch.diff(logs, prepend=torch.zeros(1, dtype=torch.float64)) / math.log(4)
    torch.testing.assert_close(negatives.probability, by_rank[torch.tensor([1, 0, 2])])


def test_before_counts_are_known_every_item_is_as_likely():
    assert Negatives(5, 10).probability.tolist() == pytest.approx([0.2] * 5)


def test_bf16_products_are_close_to_single_precision():
    tensors, histories = inputs(10.0, torch.float32), Histories.from_lists(LISTS)
    rows, log_weight = torch.arange(0, N_ITEMS, 2), torch.full((N_ITEMS // 2,), 0.7)
    exact = sampled(*tensors, rows, log_weight, histories)
    with torch.autocast("cpu", torch.bfloat16):
        rough = sampled_log_likelihood(
            tensors[0],
            tensors[1][rows],
            tensors[2][rows] + log_weight[:, None],
            (tensors[0] @ tensors[1].T + tensors[2].T)
            .float()
            .logsumexp(1)[histories.users, histories.items],
            histories,
            torch.where(histories.items % 2 == 0, histories.items // 2, -1),
        )
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().max() < 0.1 * 8


def test_a_batch_without_people_is_empty():
    z, vectors, log_weights = inputs()
    nobody = Histories.from_lists([])
    none = torch.empty(0, dtype=torch.long)
    value = sampled_log_likelihood(z[:0], vectors, log_weights, z.new_zeros(0), nobody, none)
    assert value.shape == (0,)
    assert all((grad == 0).all() for grad in torch.autograd.grad(value.sum(), (z, vectors)))


def test_an_own_item_far_beyond_what_was_drawn_does_not_overflow():
    z = torch.full((1, 1, 1), 10.0, requires_grad=True)
    own = torch.tensor([200.0], requires_grad=True)
    value = sampled_log_likelihood(
        z,
        torch.zeros(2, 1),
        torch.zeros(2, 1),
        own,
        Histories.from_lists([[0]]),
        torch.tensor([-1]),
    )
    torch.testing.assert_close(value, torch.zeros(1))
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(value.sum(), (z, own)))


def test_a_sample_too_large_for_many_people_at_once_is_read_by_as_many_as_have_room(monkeypatch):
    monkeypatch.setattr(kernels, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(kernels, "_MOST_BYTES", 700)
    assert kernels.people_at_once(8, 8 * 50, torch.float32) == 3
    assert kernels.people_at_once(8, 8 * 500, torch.float32) == 0
