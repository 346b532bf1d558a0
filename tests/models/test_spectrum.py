"""The start from singular vectors: it knows groups before any training, at the lengths drawn."""

import numpy as np
import pytest
import torch

import planted
from macrid.models.macridvae import MacridVAE, MacridVAESettings, macrid_vae
from macrid.models.spectrum import start_from_spectrum

GROUPS = planted.split().train


def started(train=GROUPS, **settings):
    torch.manual_seed(3)
    network = macrid_vae(train.n_items, MacridVAESettings(**{"n_dims": 8, **settings})).eval()
    drawn = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    start_from_spectrum(network, train)
    return network, drawn


def test_people_of_planted_groups_score_items_of_their_own_highest_before_any_training():
    network, _ = started()
    people = planted.split().validation.fold_in
    best = network.scores(people.histories()).topk(10).indices
    groups = np.array([int(item[0]) for item in GROUPS.items.ids])
    theirs = groups[people.columns[people.offsets[:-1]]]
    assert (groups[best] == theirs[:, None]).mean() > 0.95


def test_tables_keep_the_lengths_that_they_were_drawn_with():
    network, drawn = started()
    for name in ("decoder.items.weight", "latent.encoder.context"):
        before, after = drawn[name].norm(dim=1), network.state_dict()[name].norm(dim=1)
        assert after.mean().item() == pytest.approx(before.mean().item(), rel=1e-4)


def test_prototypes_stay_as_drawn():
    network, drawn = started()
    assert torch.equal(network.concepts.weight, drawn["concepts.weight"])


def test_the_first_dimension_of_items_is_their_log_count():
    """Directions: the coordinate is 0.6 tau times the log-count over the mean log-count."""
    network, _ = started(tau=0.2)
    log_counts = torch.from_numpy(GROUPS.item_counts()).float().log()
    expected = 0.6 * 0.2 * (log_counts - log_counts.mean())
    torch.testing.assert_close(network.decoder.items()[:, 0], expected)


def test_items_that_nobody_had_come_last():
    wider = planted.groups(3)
    nobody = GROUPS.with_catalogue(wider.items)
    network, _ = started(nobody)
    scores = network.scores(nobody.take_users(np.arange(5)).histories())
    had = torch.from_numpy(nobody.item_counts() > 0)
    assert scores[:, ~had].max() < scores[:, had].min()


@pytest.mark.parametrize("n_dims", [1, 2, 80])
def test_any_number_of_dimensions_is_filled(n_dims):
    network, _ = started(n_dims=n_dims)
    assert all(weight.isfinite().all() for weight in network.parameters())
    assert network.scores(planted.split().validation.fold_in.histories()).isfinite().all()


def test_the_recipe_starts_there_and_learns():
    split = planted.split()
    model = MacridVAE(n_dims=8, n_concepts=2)
    model.fit(split.train, split.validation, recipe="fast", epochs=3, batch_size=40, threads=1)
    assert model.training["recipe"] == "fast"
    assert model.training["start"] == "spectrum"
    lists = model.recommend(planted.newcomers(), k=10)
    assert planted.share_in_the_right_group(lists) >= 0.95
