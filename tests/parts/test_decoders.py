"""Scores and likelihood of the mixture decoder belong together."""

import pytest
import torch

from macrid.data.histories import Histories
from macrid.parts.decoders import MixtureDecoder
from macrid.parts.items import ItemVectors, unit

N_ITEMS, N_DIMS, TAU = 23, 4, 0.1


def decoder_of(*, cosine=True, tau=TAU):
    torch.manual_seed(4)
    items = ItemVectors(N_ITEMS, N_DIMS, cosine=cosine)
    torch.nn.init.normal_(items.weight)
    return MixtureDecoder(items, tau=tau).double()


def some_people(n_concepts=3, batch=5):
    generator = torch.Generator().manual_seed(6)
    z = torch.randn(batch, n_concepts, N_DIMS, generator=generator, dtype=torch.float64)
    weights = torch.randn(N_ITEMS, n_concepts, generator=generator, dtype=torch.float64)
    return unit(z), weights.log_softmax(-1)


def test_one_concept_gives_the_softmax_of_cosines_over_tau():
    decoder = decoder_of()
    z, log_weights = some_people(n_concepts=1)
    cosines = torch.nn.functional.cosine_similarity(z, decoder.items.weight[None], dim=-1)
    probabilities = decoder.scores(z, torch.zeros_like(log_weights)).softmax(-1)
    torch.testing.assert_close(probabilities, (cosines / TAU).softmax(-1))


def test_inner_product_ablation_uses_the_lengths_of_the_items():
    decoder = decoder_of(cosine=False)
    z, log_weights = some_people(n_concepts=1)
    logits = z[:, 0] @ decoder.items.weight.T / TAU
    torch.testing.assert_close(decoder.scores(z, torch.zeros_like(log_weights)), logits)


def test_likelihood_is_the_sum_of_the_log_softmax_of_the_scores():
    decoder = decoder_of()
    z, log_weights = some_people()
    lists = [[0, 5, 22], [7], [], [1, 2, 3], [4]]
    log_probs = decoder.scores(z, log_weights).log_softmax(-1)
    expected = torch.stack([row[items].sum() for row, items in zip(log_probs, lists, strict=True)])
    likelihood = decoder.log_likelihood(z, log_weights, Histories.from_lists(lists))
    torch.testing.assert_close(likelihood, expected)


def test_the_probabilities_of_single_items_sum_to_one():
    decoder = decoder_of()
    z, log_weights = some_people(batch=1)
    single = Histories.from_lists([[item] for item in range(N_ITEMS)])
    likelihood = decoder.log_likelihood(z.expand(N_ITEMS, -1, -1), log_weights, single)
    assert likelihood.exp().sum().item() == pytest.approx(1, abs=1e-12)


def test_permuting_items_permutes_scores():
    decoder = decoder_of()
    z, log_weights = some_people()
    order = torch.randperm(N_ITEMS)
    before = decoder.scores(z, log_weights)
    with torch.no_grad():
        decoder.items.weight.copy_(decoder.items.weight[order].clone())
    torch.testing.assert_close(decoder.scores(z, log_weights[order]), before[:, order])


def test_a_smaller_tau_makes_the_nearest_item_likelier():
    z, log_weights = some_people(n_concepts=1)
    likeliest = [
        decoder_of(tau=tau).scores(z, torch.zeros_like(log_weights)).softmax(-1).amax(-1)
        for tau in (1.0, 0.1, 0.01)
    ]
    assert (likeliest[0] < likeliest[1]).all()
    assert (likeliest[1] < likeliest[2]).all()
