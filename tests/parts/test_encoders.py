"""From histories to posteriors: views, their lengths, dropout, and what empty people get."""

import math

import pytest
import torch

from macrid.data.histories import Histories
from macrid.parts.encoders import ConceptEncoder
from macrid.parts.events import weighted_bag

N_ITEMS, N_DIMS, N_CONCEPTS = 30, 5, 3


def encoder_of(dropout=0.5, n_items=N_ITEMS, n_dims=N_DIMS):
    torch.manual_seed(2)
    return ConceptEncoder(n_items, n_dims, dropout=dropout)


def log_weights_of(n_items=N_ITEMS, dtype=None):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(n_items, N_CONCEPTS, generator=generator, dtype=dtype).log_softmax(-1)


def some_histories():
    return Histories.from_lists([[3, 8, 1, 29], [7], [0, 1, 2, 3, 4, 5, 6]])


def views_seen(encoder, histories, log_weights):
    """What reaches the hidden layer: the context table is made the identity, tanh is undone."""
    with torch.no_grad():
        encoder.context.copy_(torch.eye(N_ITEMS))
        encoder.bias.zero_()
    seen = []
    encoder.head.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].atanh()))
    with torch.no_grad():
        encoder(histories, log_weights)
    return seen[0]


def test_tables_start_uniform_within_glorots_limits():
    encoder = encoder_of(n_items=2000, n_dims=20)
    for weight, fans in ((encoder.context, 2000 + 20), (encoder.head.weight, 20 + 40)):
        limit = math.sqrt(6 / fans)
        assert 0.98 * limit < weight.abs().max() <= limit


def test_biases_start_as_truncated_normals_of_deviation_a_thousandth():
    encoder = encoder_of(n_items=2, n_dims=1500)
    for bias in (encoder.bias, encoder.head.bias):
        assert 0 < bias.abs().max() <= 2e-3
        # Cut at two deviations, a standard normal's deviation is 0.8796.
        torch.testing.assert_close(bias.std().item(), 0.8796e-3, rtol=0.05, atol=0)


def test_a_view_is_the_history_times_the_concepts_weights_at_unit_length():
    histories, log_weights = some_histories(), log_weights_of()
    views = views_seen(encoder_of(n_dims=N_ITEMS).eval(), histories, log_weights)
    x = torch.zeros(len(histories), N_ITEMS)
    x[histories.users, histories.items] = 1
    expected = x[:, None] * log_weights.exp().T
    torch.testing.assert_close(views, expected / expected.norm(dim=-1, keepdim=True))


def test_dropout_comes_after_the_length_and_has_a_mask_for_each_concept():
    histories = Histories.from_lists([list(range(N_ITEMS))] * 40)
    log_weights = log_weights_of()
    clean = views_seen(encoder_of(n_dims=N_ITEMS).eval(), histories, log_weights)
    thinned = views_seen(encoder_of(0.25, n_dims=N_ITEMS).train(), histories, log_weights)
    kept = thinned > 0
    # What is kept is the clean view over the share kept: lengths were taken before dropout.
    torch.testing.assert_close(thinned[kept], clean[kept] / 0.75, rtol=1e-3, atol=1e-5)
    shares = kept.float().mean((0, 2))
    assert (shares - 0.75).abs().max() < 0.06
    assert (kept[:, 0] != kept[:, 1]).any()
    # Independent masks differ in 2 · 0.75 · 0.25 of the places.
    differing = (kept[:, 0] != kept[:, 1]).float().mean().item()
    assert abs(differing - 0.375) < 0.06


def test_posterior_is_the_papers_by_hand():
    """Mean first, then the negative of the log-variance, from tanh and one linear layer."""
    encoder = encoder_of().double().eval()
    histories, log_weights = some_histories(), log_weights_of(dtype=torch.float64)
    posterior = encoder(histories, log_weights)
    for user, items in enumerate(([3, 8, 1, 29], [7], [0, 1, 2, 3, 4, 5, 6])):
        for concept in range(N_CONCEPTS):
            c = log_weights[items, concept].exp()
            hidden = (c @ encoder.context[items] / c.square().sum().sqrt() + encoder.bias).tanh()
            both = encoder.head.weight @ hidden + encoder.head.bias
            torch.testing.assert_close(posterior.mean[user, concept], both[:N_DIMS])
            torch.testing.assert_close(posterior.log_var[user, concept], -both[N_DIMS:])


def test_order_within_a_history_does_not_matter():
    encoder, log_weights = encoder_of().eval(), log_weights_of()
    a = encoder(Histories.from_lists([[3, 8, 1]]), log_weights)
    b = encoder(Histories.from_lists([[8, 1, 3]]), log_weights)
    torch.testing.assert_close(a.mean, b.mean)


def test_a_batch_is_its_people_one_by_one():
    encoder, log_weights = encoder_of().eval(), log_weights_of()
    together = encoder(Histories.from_lists([[3, 8], [], [5]]), log_weights).mean
    for row, items in enumerate(([3, 8], [], [5])):
        alone = encoder(Histories.from_lists([items]), log_weights).mean[0]
        torch.testing.assert_close(together[row], alone)


@pytest.mark.parametrize("lists", [[[], [4, 2], []], [[], []]], ids=["some empty", "all empty"])
def test_empty_histories_depend_on_biases_alone_and_have_finite_gradients(lists):
    encoder = encoder_of().train()
    log_weights = log_weights_of().requires_grad_()
    posterior = encoder(Histories.from_lists(lists), log_weights)
    expected = encoder.head(encoder.bias.tanh())[:N_DIMS]
    torch.testing.assert_close(posterior.mean[0], expected.expand(N_CONCEPTS, -1))
    (posterior.mean.sum() + posterior.log_var.sum()).backward()
    for grad in (log_weights.grad, *(weight.grad for weight in encoder.parameters())):
        assert grad.isfinite().all()


def test_a_concept_none_of_ones_items_belongs_to_is_an_empty_view():
    encoder = encoder_of().eval()
    log_weights = log_weights_of().clone()
    log_weights[:, 1] = -torch.inf
    log_weights.requires_grad_()
    posterior = encoder(Histories.from_lists([[3, 8]]), log_weights)
    torch.testing.assert_close(posterior.mean[0, 1], encoder.head(encoder.bias.tanh())[:N_DIMS])
    posterior.mean.sum().backward()
    assert log_weights.grad.isfinite().all()


def test_a_weighted_bag_is_a_matrix_product():
    histories, table = some_histories(), torch.randn(N_ITEMS, 4, dtype=torch.float64)
    weights = torch.randn(2, len(histories.items), dtype=torch.float64)
    dense = torch.zeros(len(histories), 2, N_ITEMS, dtype=torch.float64)
    dense[histories.users, :, histories.items] = weights.T
    torch.testing.assert_close(weighted_bag(table, weights, histories), dense @ table)


def test_weighted_bag_has_the_right_gradients():
    histories = Histories.from_lists([[1, 2], [], [2]])
    table = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t, w: weighted_bag(t, w, histories), (table, weights))


def test_cost_grows_with_interactions_alone():
    """No tensor kept for the backward pass is as long as the catalogue, but the table itself."""
    n_items = 5000
    encoder = encoder_of(n_items=n_items).train()
    log_weights = torch.zeros(n_items, N_CONCEPTS, requires_grad=True)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: sizes.append(t.numel()) or t, lambda t: t
    ):
        encoder(some_histories(), log_weights)
    assert max(size for size in sizes if size != n_items * N_DIMS) < 500
