"""Settled concepts: the planted groups, from the first step to the saved model."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
import torch

import macrid
import planted
from macrid.data.shop import open_shop
from macrid.evaluation.alignment import normalised_mutual_information
from macrid.models.clusters import co_cluster, start_from_clusters
from macrid.models.macridvae import MacridVAE, MacridVAESettings, macrid_vae
from macrid.models.spectrum import start_from_spectrum

SIZES = 150, 40, 12
OPTIONS = {"batch_size": 40, "seed": 4}


def unequal_groups(n_users=600, n_events=10, stray=0.1):
    """People of a group have its items, and now and then one of any; and the group of each item."""
    random = np.random.default_rng(0)
    truth = np.repeat(np.arange(len(SIZES)), SIZES)
    starts = np.cumsum([0, *SIZES])[:-1]
    group = random.integers(len(SIZES), size=(n_users, 1))
    own = starts[group] + random.integers(np.array(SIZES)[group], size=(n_users, n_events))
    any_ = random.integers(len(truth), size=own.shape)
    items = np.where(random.random(own.shape) < stray, any_, own).ravel()
    people = np.repeat(np.arange(n_users), n_events)
    events = pl.DataFrame({"user_id": people, "item_id": items}).unique(maintain_order=True)
    train = macrid.read(events)
    return train, truth[train.items.ids.to_numpy()]


def agreement(found, truth):
    return normalised_mutual_information(np.asarray(found), truth)


def groups_of(items):
    """Of the two planted ones."""
    return np.array([int(item[0]) for item in items.ids])


def fit(*, model=None, **options):
    split = planted.split()
    settings = {"n_dims": 8, "n_concepts": 2, "prototypes": "clustered", **(model or {})}
    model = MacridVAE(**settings)
    return model.fit(split.train, split.validation, **OPTIONS | options)


def test_groups_of_very_unequal_sizes_are_found_in_the_events():
    train, truth = unequal_groups()
    assert agreement(co_cluster(train, len(SIZES)), truth) > 0.95


@pytest.mark.parametrize("start", ["random", "spectrum"])
@pytest.mark.parametrize("similarity", ["cosine", "inner"])
def test_before_the_first_step_items_are_of_their_clusters_at_the_length_drawn(start, similarity):
    train, truth = unequal_groups()
    torch.manual_seed(3)
    settings = MacridVAESettings(n_concepts=len(SIZES), n_dims=16, similarity=similarity)
    network = macrid_vae(train.n_items, settings).eval()
    length = network.decoder.items.weight.norm(dim=1).mean().item()
    if start == "spectrum":
        start_from_spectrum(network, train)
    start_from_clusters(network, train)
    assert agreement(network.concepts().argmax(1), truth) > 0.95
    lengths = network.decoder.items.weight.norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, length))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ({}, {}),
        ({}, {"recipe": "fast", "precision": "bf16"}),
        ({"softmax": "sampled:20"}, {}),
        ({"assignment_sampling": "straight-through"}, {}),
        ({"similarity": "inner"}, {}),
        ({"l2": 0.01}, {"gradients": "unit"}),
    ],
)
def test_concepts_are_the_planted_groups_however_the_rest_is_trained(model, options):
    fitted = fit(model=model, epochs=3, **options)
    assert agreement(fitted.item_concepts(), groups_of(fitted.items)) > 0.99


def test_prototypes_follow_their_items_in_every_epoch():
    seen = []
    model = MacridVAE(n_dims=8, n_concepts=2, prototypes="clustered")

    def note(row):
        concepts = model.network.concepts
        seen.append((concepts.weight.clone(), concepts.items().detach(), concepts.members))

    model.fit(planted.split().train, epochs=3, watch=note, **OPTIONS)
    for (_, items, members), (after, _, _) in pairwise(seen):
        means = torch.stack([items[members == k].mean(0) for k in (0, 1)])
        torch.testing.assert_close(after, means)
    assert not torch.equal(seen[0][0], seen[1][0])


def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_weights(tmp_path):
    class Stopped(Exception):  # noqa: N818  nothing went wrong
        pass

    def stop(row):
        if row["epoch"] == 2:
            raise Stopped

    options = {"epochs": 4, "average": 0.9, "start": "spectrum"}
    with pytest.raises(Stopped):
        fit(**options, folder=tmp_path, watch=stop)
    resumed, whole = fit(**options, folder=tmp_path, resume=True), fit(**options)
    for name, tensor in whole.tensors().items():
        assert torch.equal(resumed.tensors()[name], tensor)


def test_a_saved_model_has_the_same_concepts_and_lists(tmp_path):
    model = fit(epochs=2)
    model.save(tmp_path / "model")
    again = macrid.load(tmp_path / "model")
    assert again.settings.prototypes == "clustered"
    assert np.array_equal(again.item_concepts(), model.item_concepts())
    people = planted.newcomers()
    assert again.recommend(people).equals(model.recommend(people))


@pytest.mark.parametrize("n_concepts", [1, 5, 80])
def test_any_number_of_concepts_will_do_even_more_than_items(n_concepts):
    fitted = fit(model={"n_concepts": n_concepts, "n_dims": 4}, epochs=1)
    assert all(weight.isfinite().all() for weight in fitted.network.parameters())
    assert fitted.recommend(planted.newcomers()).height


@pytest.mark.slow
def test_in_a_shop_concepts_are_the_categories_where_learned_ones_are_not(tmp_path):
    train = macrid.read(open_shop(1_000, 400, seed=1).write(tmp_path / "shop"))
    agreements = {}
    for prototypes in ("clustered", "learned"):
        model = MacridVAE(n_dims=16, prototypes=prototypes)
        model.fit(train, recipe="fast", epochs=4, batch_size=100)
        agreements[prototypes] = agreement(
            model.item_concepts(), model.catalogue["category"].to_numpy()
        )
    assert agreements["clustered"] > 0.9
    assert agreements["clustered"] > agreements["learned"] + 0.1
