"""EASE beside Steck's three lines of numpy, in small worlds and against machines of all kinds."""

import numpy as np
import polars as pl
import pytest
import torch

import macrid
from macrid.data.histories import Histories
from macrid.errors import SettingsError, TooLarge
from macrid.models.ease import EASE
from planted import fitted, groups, split


def steck(matrix: np.ndarray, ridge: float) -> np.ndarray:
    """The paper's algorithm 1, as printed."""
    gram = matrix.T @ matrix
    diagonal = np.diag_indices(gram.shape[0])
    gram[diagonal] += ridge
    inverse = np.linalg.inv(gram)
    weights = inverse / (-np.diag(inverse))
    weights[diagonal] = 0
    return weights


@pytest.mark.parametrize("ridge", [0.5, 10.0, 500.0])
def test_weights_and_scores_are_those_of_the_papers_algorithm(ridge):
    data = groups(3, n_users=40, n_items=12, n_events=6)
    matrix = data.matrix().toarray().astype(np.float64)
    weights = steck(matrix, ridge)
    model = EASE(regularization=ridge).fit(data)
    assert np.allclose(model.weights.numpy(), weights, atol=1e-6)
    assert np.allclose(model.scores(data.histories()).numpy(), matrix @ weights, atol=1e-5)


def test_no_item_speaks_for_itself():
    assert fitted("ease").weights.diagonal().count_nonzero() == 0


def test_weights_lie_in_rows_which_scoring_reads():
    # Columns, as LAPACK leaves them, would make scoring 30 times slower.
    assert fitted("ease").weights.is_contiguous()


def test_items_of_other_groups_are_worth_nothing():
    model = fitted("ease")
    group = model.items.ids.str.split("-").list.first().to_numpy()
    same = torch.from_numpy(group[:, None] == group)
    assert not model.weights[~same].any()
    assert model.weights[same].mean() > 0


def test_an_empty_history_scores_nothing_anywhere():
    assert fitted("ease").scores(Histories.from_lists([[], [1], []])).any(dim=1).tolist() == [
        False,
        True,
        False,
    ]


def test_similar_items_are_those_that_gain_most():
    model = fitted("ease")
    lists = model.similar_items(["1-03", "0-11"], k=5)
    assert lists.columns == ["query_id", "item_id", "score", "rank"]
    row = model.weights[model.items.number("1-03")].clone()
    best = row.argsort(descending=True, stable=True)[:5]
    assert lists["item_id"].head(5).to_list() == model.items.ids.gather(best.numpy()).to_list()
    assert lists["query_id"].unique(maintain_order=True).to_list() == ["1-03", "0-11"]


def test_asking_for_similar_items_changes_nothing():
    model = fitted("ease")
    before = model.weights.clone()
    model.similar_items(["1-03"])
    assert model.weights.equal(before)


def test_a_catalogue_too_large_for_memory_is_refused_with_an_estimate():
    n_items = 300_000
    data = macrid.read(pl.DataFrame({"user": [1] * n_items, "item": range(n_items)}))
    model = EASE()
    with pytest.raises(
        TooLarge, match=r"300,000 items needs about 1,173\.5 GiB .*min_item_ev"
    ) as e:
        model.fit(data)
    assert e.value.needed == 14 * n_items**2
    assert 0 < e.value.available < e.value.needed
    with pytest.raises(macrid.MacridError, match="not fitted"):  # nor does it look as if it were
        model.recommend({"me": [1]})


def test_a_ridge_too_small_for_identical_items_is_refused():
    twins = macrid.read({"user": [0, 0], "item": ["a", "b"]})
    with pytest.raises(SettingsError, match="regularization is 1e-300, too small"):
        EASE(regularization=1e-300).fit(twins)


@pytest.mark.parametrize("ridge", [0, -1, float("nan"), float("inf")])
def test_a_ridge_that_is_none_is_refused_with_its_bound(ridge):
    with pytest.raises(SettingsError, match=r"regularization is .*, but should be .*lambda"):
        EASE(regularization=ridge)


def test_a_misspelt_setting_names_the_nearest():
    with pytest.raises(SettingsError, match="no setting 'regularisation'; did you mean 'regulariz"):
        EASE(regularisation=3)


def test_it_is_not_trained_in_epochs():
    with pytest.raises(SettingsError, match="ease is not trained in epochs and takes no epochs"):
        EASE().fit(split().train, epochs=3)


def test_it_has_as_many_parameters_as_pairs_of_items():
    assert EASE().n_parameters(50) == fitted("ease").weights.numel() == 2500


def test_weights_for_another_catalogue_are_refused():
    with pytest.raises(ValueError, match="the weights are not 50 × 50"):
        fitted("ease").restore({"weights": torch.zeros(50, 49)})
