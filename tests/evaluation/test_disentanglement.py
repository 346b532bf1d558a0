"""Correlations of vectors with known ones, and what a planted world's model should show."""

import dataclasses
import json
from copy import deepcopy

import numpy as np
import polars as pl
import pytest
import torch

from macrid.errors import DataError
from macrid.evaluation.disentanglement import (
    item_uncorrelatedness,
    item_vectors,
    measure_disentanglement,
    people_uncorrelatedness,
    uncorrelatedness,
)
from macrid.models.macridvae import MacridVAE
from planted import fitted, groups, newcomers, split


def plain(vectors):
    """The paper's formula, by NumPy's correlations."""
    d = vectors.shape[1]
    correlations = np.corrcoef(vectors, rowvar=False)
    return 1 - 2 / (d * (d - 1)) * np.abs(correlations[np.triu_indices(d, 1)]).sum()


def hadamard():
    """Eight rows whose seven columns are orthogonal and sum to 0."""
    two = np.array([[1, 1], [1, -1]])
    return np.kron(np.kron(two, two), two)[:, 1:].astype(float)


def test_an_orthogonal_design_is_uncorrelated():
    assert uncorrelatedness(hadamard()) == pytest.approx(1)


def test_columns_that_are_multiples_of_one_another_are_not():
    one = np.random.default_rng(0).normal(size=(40, 1))
    vectors = one @ np.array([[1.0, -3.0, 0.001]]) + [5, 0, 1000]
    assert uncorrelatedness(vectors) == pytest.approx(0, abs=1e-6)


def test_doubled_columns_cost_one_pair_in_three():
    # Of the pairs of (a, b, b') only (b, b') is correlated.
    assert uncorrelatedness(hadamard()[:, [0, 1, 1]]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_it_is_the_papers_formula(kind):
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) + 3).astype(kind)
    assert uncorrelatedness(vectors) == pytest.approx(plain(vectors), abs=1e-5)


def test_a_constant_column_is_left_out():
    vectors = hadamard()[:, [0, 1, 1]]
    constant = np.full((8, 1), 0.3)
    assert uncorrelatedness(np.hstack([constant, vectors])) == pytest.approx(2 / 3)
    rounded = constant + 1e-9 * np.random.default_rng(0).normal(size=(8, 1))
    assert uncorrelatedness(np.hstack([rounded, vectors])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("vectors", [np.ones((5, 3)), np.arange(5.0)[:, None], np.ones((1, 4))])
def test_without_two_columns_that_vary_there_is_no_correlation(vectors):
    with pytest.raises(ValueError, match="fewer than two of the"):
        uncorrelatedness(vectors)


@pytest.fixture
def model():
    return fitted("macridvae")


def means(model, histories):
    """Everybody's means, at once."""
    with torch.no_grad():
        return model.network.latent(histories, model.network.concepts()).z.numpy()


def test_of_items_it_is_that_of_the_unit_rows(model):
    vectors = item_vectors(model)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(50), abs=1e-5)
    found = item_uncorrelatedness(model)
    assert found.value == pytest.approx(plain(vectors), abs=1e-5)
    assert (found.n_rows, found.constant_dims, found.constant_concepts) == (50, 0, 0)


def test_of_people_it_is_a_mean_over_concepts(model, monkeypatch):
    train = split().train
    z = means(model, train.histories())
    assert z.shape == (160, 2, 8)
    found = people_uncorrelatedness(model, train)
    assert found.value == pytest.approx(np.mean([plain(z[:, k]) for k in (0, 1)]), abs=1e-5)
    assert found.n_rows == 160
    monkeypatch.setattr("macrid.evaluation.disentanglement.BATCH_SIZE", 7)
    assert people_uncorrelatedness(model, train).value == pytest.approx(found.value, abs=1e-6)


def test_people_of_whom_nothing_is_known_are_left_out(model):
    people = newcomers()
    found = people_uncorrelatedness(model, people)
    strangers = {"first": [], **people, "last": ["unheard of"]}
    assert people_uncorrelatedness(model, strangers) == found


def test_a_concept_without_items_is_left_out_and_counted():
    """Nobody's events reach it, so that every person has the same mean there."""
    model = MacridVAE(n_concepts=2, n_dims=4, assignment="mode").fit(groups(), epochs=1)
    with torch.no_grad():
        concepts = model.network.concepts
        concepts.weight[0] = concepts.items.weight.mean(0)
        concepts.weight[1] = -concepts.items.weight.mean(0)
        concepts.items.weight[:] = concepts.weight[0] + 0.01 * concepts.items.weight
    found = people_uncorrelatedness(model, groups())
    assert (found.constant_dims, found.constant_concepts) == (4, 1)
    assert found.value == pytest.approx(
        plain(means(model, groups().histories())[:, 0].astype(float)), abs=1e-4
    )


def test_where_nothing_varies_there_is_no_value(model):
    one = people_uncorrelatedness(model, {"me": ["0-01"]})
    assert (one.value, one.n_rows, one.constant_concepts) == (None, 1, 2)


def test_prototypes_in_the_middle_of_the_groups_find_them_whole(model):
    """Two groups of items, whose centres the prototypes are moved to."""
    model = deepcopy(model)
    labels = model.catalogue["item_id"].str.split("-").list.first()
    of_one = (labels == "1").to_numpy()
    vectors = item_vectors(model)
    with torch.no_grad():
        middles = np.stack([vectors[~of_one].sum(0), vectors[of_one].sum(0)])
        model.network.concepts.weight[:] = torch.from_numpy(middles)
    found = measure_disentanglement(model, split().test, labels=labels)
    assert found.alignment.to_dict() == {
        "n_items": 50, "nmi": pytest.approx(1), "ari": 1, "purity": 1, "score": 3,
    }  # fmt: skip
    assert found.people.n_rows == 20
    assert found.items == item_uncorrelatedness(model)
    written = json.loads(json.dumps(found.to_dict()))
    assert written["alignment"]["purity"] == 1
    assert written["item_factors"] is None


def test_factors_of_items_and_of_people(model):
    pytest.importorskip("sklearn")
    ids = model.catalogue["item_id"]
    item_factors = pl.DataFrame(
        {
            "group": ids.str.starts_with("1"),
            "first": item_vectors(model)[:, 0],
            "price": [None if n % 4 == 0 else float(n) for n in range(len(ids))],
            "never": [False] * len(ids),
        }
    )
    people = newcomers(60)
    mine = pl.Series(list(people)).str.starts_with("new1")
    age = pl.Series(np.random.default_rng(0).integers(18, 80, 60))
    found = measure_disentanglement(
        model,
        people,
        item_factors=item_factors,
        people_factors=pl.DataFrame({"group": mine, "age": age}),
    )
    items, persons = found.item_factors, found.people_factors
    assert items.factors == ("group", "first", "price")
    assert items.left_out == ("never",)
    assert (items.n_rows, items.n_codes) == (50, 8)
    assert (persons.n_rows, persons.n_codes) == (60, 16)
    for one in (items, persons):
        numbers = dataclasses.astuple(one)[4:]
        assert all(np.isfinite(numbers))
        assert 0 <= one.disentanglement <= 1
        assert 0 <= one.completeness <= 1
        assert 0 <= one.mig <= 1
    json.dumps(found.to_dict())


def test_regressors_get_no_more_rows_than_they_can_bear(model, monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr("macrid.evaluation.disentanglement.MOST_ROWS", 40)
    factors = pl.DataFrame({"a": np.arange(50) % 7, "b": np.arange(50) % 2})
    one, again, other = (
        measure_disentanglement(model, item_factors=factors, regressor="lasso", seed=seed)
        for seed in (1, 1, 2)
    )
    assert one.item_factors.n_rows == 40
    assert one == again
    assert one.item_factors.mig != other.item_factors.mig


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"labels": pl.Series(["a"])}, DataError, "1 labels for 50 items"),
        ({"item_factors": pl.DataFrame({"a": [1]})}, DataError, "1 item factors for 50 items"),
        (
            {"people": {"me": ["0-01"]}, "people_factors": pl.DataFrame({"a": [1, 2]})},
            DataError,
            "2 people factors for 1 people",
        ),
        ({"people_factors": pl.DataFrame({"a": [1]})}, DataError, "without people"),
        ({"people": {"me": ["unheard of"]}}, DataError, "none of the 1 people"),
        (
            {"item_factors": pl.DataFrame({"title": ["x"] * 50})},
            ValueError,
            "title are not numbers",
        ),
        (
            {"item_factors": pl.DataFrame({"a": range(50), "b": [1] * 50})},
            ValueError,
            "1 of the 2 factors can be measured",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_in_words(model, given, error, words):
    with pytest.raises(error, match=words):
        measure_disentanglement(model, **given)


def test_a_model_without_vectors_is_refused():
    with pytest.raises(DataError, match="ease has no vectors to measure"):
        measure_disentanglement(fitted("ease"))


def test_a_model_of_one_concept_has_measures_but_no_score():
    model = fitted("multvae")
    labels = model.catalogue["item_id"].str.split("-").list.first()
    found = measure_disentanglement(model, newcomers(), labels=labels)
    assert found.alignment.nmi == 0
    assert found.alignment.score is None
    assert 0 < found.people.value < 1
