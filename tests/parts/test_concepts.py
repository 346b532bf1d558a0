"""Assignments of items to concepts: what they sum to, when they are noisy, who gets a gradient."""

import math

import pytest
import torch

from macrid.parts.concepts import Prototypes
from macrid.parts.items import ItemVectors

N_ITEMS, N_DIMS, N_CONCEPTS, TAU = 400, 6, 3, 0.2


def prototypes_of(n_items=N_ITEMS, n_concepts=N_CONCEPTS, *, cosine=True, tau=TAU, **options):
    torch.manual_seed(1)
    items = ItemVectors(n_items, N_DIMS, cosine=cosine)
    return Prototypes(items, n_concepts, tau=tau, **options)


def test_prototypes_start_uniform_within_glorots_limit_for_fans_of_concepts_and_dims():
    torch.manual_seed(0)
    weight = Prototypes(ItemVectors(4, 1000), 7, tau=0.1).weight.detach()
    limit = math.sqrt(6 / (7 + 1000))
    assert 0.99 * limit < weight.abs().max() <= limit


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("sampling", ["soft", "straight-through", "none"])
@pytest.mark.parametrize("assignment", ["soft", "mode"])
def test_each_items_assignments_sum_to_one(training, cosine, sampling, assignment):
    prototypes = prototypes_of(cosine=cosine, sampling=sampling, assignment=assignment)
    weights = prototypes.train(training)().exp()
    torch.testing.assert_close(weights.sum(-1), torch.ones(N_ITEMS))
    assert (weights >= 0).all()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("assignment", ["soft", "mode"])
def test_a_single_concept_holds_every_item_wholly(training, assignment):
    prototypes = prototypes_of(n_concepts=1, assignment=assignment).train(training)
    assert (prototypes() == 0).all()


def test_after_training_assignments_are_the_softmax_of_cosines_over_tau():
    prototypes = prototypes_of().eval()
    cosines = torch.nn.functional.cosine_similarity(
        prototypes.items.weight[:, None], prototypes.weight[None], dim=-1
    )
    torch.testing.assert_close(prototypes().exp(), (cosines / TAU).softmax(-1))


def test_inner_product_ablation_uses_lengths_of_items_and_prototypes():
    prototypes = prototypes_of(cosine=False).eval()
    products = prototypes.items.weight @ prototypes.weight.T
    torch.testing.assert_close(prototypes().exp(), (products / TAU).softmax(-1))


def test_an_item_on_a_prototype_belongs_to_it():
    prototypes = prototypes_of(n_items=N_CONCEPTS, tau=0.01).eval()
    with torch.no_grad():
        prototypes.items.weight.copy_(3 * torch.eye(N_CONCEPTS, N_DIMS))
        prototypes.weight.copy_(torch.eye(N_CONCEPTS, N_DIMS))
    torch.testing.assert_close(prototypes().exp(), torch.eye(N_CONCEPTS))


def test_training_draws_anew_each_time_and_testing_never():
    prototypes = prototypes_of()
    assert not torch.equal(prototypes.train()(), prototypes())
    assert torch.equal(prototypes.eval()(), prototypes())


def test_without_sampling_training_and_testing_agree():
    prototypes = prototypes_of(sampling="none")
    assert torch.equal(prototypes.train()(), prototypes.eval()())


def test_samples_are_relaxed_never_one_hot():
    assert prototypes_of().train()().exp().max() < 1


def test_straight_through_is_the_largest_of_the_relaxed_sample_with_its_gradient():
    hard, soft = prototypes_of(sampling="straight-through").train(), prototypes_of().train()
    torch.manual_seed(5)
    one_hot = hard()
    torch.manual_seed(5)
    relaxed = soft()
    largest = relaxed.argmax(-1, keepdim=True)
    assert torch.equal(
        one_hot.exp(), torch.zeros_like(relaxed).scatter(1, largest, torch.ones(N_ITEMS, 1))
    )
    upstream = torch.randn(N_ITEMS)
    (one_hot.gather(1, largest).squeeze() * upstream).sum().backward()
    (relaxed.gather(1, largest).squeeze() * upstream).sum().backward()
    torch.testing.assert_close(hard.weight.grad, soft.weight.grad)
    torch.testing.assert_close(hard.items.weight.grad, soft.items.weight.grad)


def test_straight_through_is_soft_after_training_unless_the_mode_is_asked_for():
    prototypes = prototypes_of(sampling="straight-through").eval()
    assert torch.equal(prototypes(), prototypes_of().eval()())


def test_noise_is_gumbel_so_that_the_winners_follow_the_probabilities():
    """The Gumbel-max trick: the argmax of noisy logits is a draw from the softmax."""
    prototypes = prototypes_of(n_items=1, tau=1.0)
    expected = prototypes.eval()().exp().squeeze()
    with torch.no_grad():
        prototypes.items.weight = torch.nn.Parameter(prototypes.items.weight.repeat(100_000, 1))
        winners = prototypes.train()().argmax(-1).bincount(minlength=N_CONCEPTS) / 100_000
    torch.testing.assert_close(winners, expected, atol=0.006, rtol=0)


def test_relaxation_has_temperature_one_not_tau():
    """Differences of log-weights are differences of logits plus logistic noise of scale 1."""
    prototypes = prototypes_of(n_items=50_000, n_concepts=2, tau=5.0)
    noisy, clean = prototypes.train()(), prototypes.eval()()
    noise = (noisy - clean).detach()
    logistic = noise[:, 0] - noise[:, 1]
    torch.testing.assert_close(logistic.std().item(), math.pi / math.sqrt(3), rtol=0.02, atol=0)


def test_mode_puts_each_item_into_its_likeliest_concept_after_training():
    prototypes = prototypes_of(assignment="mode").eval()
    soft = prototypes_of(assignment="soft").eval()
    expected = torch.nn.functional.one_hot(soft().argmax(-1), N_CONCEPTS).float()
    assert torch.equal(prototypes().exp(), expected)


def test_mode_still_samples_while_training():
    assert prototypes_of(assignment="mode").train()().isfinite().all()


@pytest.mark.parametrize("sampling", ["soft", "straight-through", "none"])
def test_gradients_reach_prototypes_and_items(sampling):
    """RecBole #859: a hard sample had none."""
    prototypes = prototypes_of(sampling=sampling).train()
    log_weights = prototypes()
    log_weights[log_weights.isfinite()].sum().backward()
    for weight in (prototypes.weight, prototypes.items.weight):
        assert (weight.grad.abs().sum(-1) > 0).all()


def test_half_precision_is_kept_away_from_the_cosines():
    prototypes = prototypes_of(tau=0.02).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(prototypes(), prototypes_of(tau=0.02).eval()())


@pytest.mark.parametrize("cosine", [True, False])
def test_settled_prototypes_follow_the_means_of_their_items_and_one_without_any_stays(cosine):
    prototypes = prototypes_of(cosine=cosine)
    drawn = prototypes.weight.detach().clone()
    members = torch.arange(N_ITEMS) % 2
    prototypes.settle(members)
    with torch.no_grad():
        prototypes.items.weight.mul_(torch.rand(N_ITEMS, 1) + 0.5)
    prototypes.follow()
    expected = torch.stack([prototypes.items()[members == k].mean(0) for k in (0, 1)])
    torch.testing.assert_close(prototypes.weight[:2], expected)
    assert torch.equal(prototypes.weight[2], drawn[2])


def test_settled_prototypes_are_not_trained_and_items_are():
    prototypes = prototypes_of().train()
    prototypes.settle(torch.zeros(N_ITEMS, dtype=torch.long))
    prototypes()[:, 0].sum().backward()
    assert prototypes.weight.grad is None
    assert (prototypes.items.weight.grad.abs().sum(-1) > 0).all()


def test_prototypes_that_are_learned_follow_nothing():
    prototypes = prototypes_of()
    drawn = prototypes.weight.detach().clone()
    prototypes.follow()
    assert torch.equal(prototypes.weight, drawn)
