"""The sweep: measures of the last epoch, kept cell by cell; correlations as scipy has them."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from macrid.errors import ArtifactError, DataError, TrainingDiverged
from macrid.evaluation.disentanglement import item_uncorrelatedness, people_uncorrelatedness
from macrid.evaluation.plan import Plan
from macrid.evaluation.protocol import evaluate
from macrid.evaluation.sweep import spearman_interval, sweep
from macrid.models.macridvae import MacridVAE
from planted import split

# One worker, as what is shared takes seconds.
pytestmark = pytest.mark.xdist_group("sweep")

QUICK = {"epochs": 2, "batch_size": 40, "n_dims": 4}
PLAN = Plan(settings=3, concepts=(2, 1), beta="0.1..0.3", fixed=QUICK, seed=5)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A sweep and its folder, which tests leave as they are."""
    folder = tmp_path_factory.mktemp("sweep") / "out"
    return sweep(split(), PLAN, folder=folder), folder


def test_each_pair_is_trained_with_each_number_of_concepts(kept):
    cells = kept[0].cells
    assert cells["n_concepts"].to_list() == [2, 1] * 3
    assert cells["setting"].to_list() == [0, 0, 1, 1, 2, 2]
    assert cells["beta", "prior_std"].rows() == [tuple(d) for d in PLAN.draws() for _ in (1, 2)]


def test_a_row_holds_what_a_training_without_validation_users_reaches(kept):
    row = kept[0].cells.row(2, named=True)
    model = MacridVAE(
        n_concepts=2, n_dims=4, beta=row["beta"], prior_std=row["prior_std"]
    ).fit(split().train, epochs=2, batch_size=40, seed=5)  # fmt: skip
    measured = evaluate(model, split().validation)
    assert row["recall@20"] == pytest.approx(measured["recall@20"].mean)
    assert row["recall@20_se"] == pytest.approx(measured["recall@20"].se)
    assert row["ndcg@100"] == pytest.approx(measured["ndcg@100"].mean)
    assert row["items"] == pytest.approx(item_uncorrelatedness(model).value)
    assert row["people"] == pytest.approx(people_uncorrelatedness(model, split().train).value)
    assert row["n_dims"] == 4


def test_correlations_are_of_each_number_of_concepts_by_itself(kept):
    found, _ = kept
    assert found.correlations["n_concepts", "of", "with"].rows() == [
        (k, of, other)
        for k in (2, 1)
        for of in ("items", "people")
        for other in ("beta", "beta given prior_std", "prior_std", "recall@20")
    ]
    one = found.cells.filter(n_concepts=1)
    told = found.correlations.filter(
        (pl.col("n_concepts") == 1) & (pl.col("of") == "people") & (pl.col("with") == "beta")
    ).row(0, named=True)
    assert told["rho"] == pytest.approx(spearmanr(one["beta"], one["people"]).statistic)
    assert told["n"] == 3
    assert set(found.to_dict()) == {"cells", "correlations", "failed", "about"}


def test_a_finished_training_is_not_run_again_and_more_settings_are_added(kept, monkeypatch):
    found, folder = kept
    told = []
    more = sweep(split(), replace(PLAN, settings=4), folder=folder, tell=told.append)
    assert sum("finished before" in line for line in told) == 6
    assert more.cells[:6].equals(found.cells)
    monkeypatch.setattr(MacridVAE, "fit", None)  # nothing is trained any more
    again = sweep(split(), PLAN, folder=folder)
    assert again.cells.equals(found.cells)
    assert again.correlations.equals(found.correlations)


def test_another_sweeps_folder_is_refused_and_replaced_if_asked(tmp_path):
    small = Plan(settings=3, concepts=[1], fixed={**QUICK, "epochs": 1})
    sweep(split(), small, folder=tmp_path)
    other = replace(small, fixed={**QUICK, "epochs": 1, "tau": 0.2})
    with pytest.raises(DataError, match="tau differ; choose another folder"):
        sweep(split(), other, folder=tmp_path)
    sweep(split(), other, folder=tmp_path, overwrite=True)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match=r"thesis\.tex"):
        sweep(split(), other, folder=tmp_path)


def test_it_says_where_beta_cannot_get(tmp_path):
    told = []
    plan = Plan(settings=3, concepts=[1], beta="0.1..0.9", fixed={**QUICK, "epochs": 1})
    sweep(split(), plan, tell=told.append)
    assert "only reaches 0.2 in 1; those up to 0.9 need more epochs" in told[0]
    assert "recall@20 0." in told[-1]


def test_trainings_that_fail_are_told_and_if_all_do_the_reason_is_the_answer():
    wild = Plan(settings=3, concepts=[1], fixed={**QUICK, "learning_rate": 1e30})
    told = []
    with pytest.raises(TrainingDiverged):
        sweep(split(), wild, tell=told.append)
    assert sum("failed: the loss" in line for line in told) == 3


def test_without_validation_users_there_is_nothing_to_measure():
    nobody = split().validation
    nobody = replace(
        nobody,
        fold_in=nobody.fold_in.take_users(np.arange(0)),
        held_out=nobody.held_out.take_users(np.arange(0)),
    )
    with pytest.raises(DataError, match="no held-out users"):
        sweep(replace(split(), validation=nobody), PLAN)


@pytest.mark.parametrize("seed", range(3))
def test_the_rank_correlation_is_scipys_ties_included(seed):
    rng = np.random.default_rng(seed)
    left = rng.integers(0, 8, 30).astype(float)
    right = left + rng.normal(scale=4, size=30).round()
    rho, low, high = spearman_interval(left, right)
    assert rho == pytest.approx(spearmanr(left, right).statistic)
    assert -1 <= low < rho < high <= 1


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Pairs of normals with correlation r have a rank correlation of 6 / π · asin(r / 2)."""
    rng = np.random.default_rng(0)
    truth = 6 / np.pi * np.arcsin(0.6 / 2)
    covered = 0
    for seed in range(150):
        left = rng.normal(size=60)
        right = 0.6 * left + 0.8 * rng.normal(size=60)
        _, low, high = spearman_interval(left, right, n_resamples=400, seed=seed)
        covered += low <= truth <= high
    assert 0.88 <= covered / 150 <= 0.99


def test_an_interval_does_not_depend_on_how_many_resamples_are_drawn_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    left, right = rng.random((2, 20))
    whole = spearman_interval(left, right, n_resamples=300)
    monkeypatch.setattr("macrid.evaluation.sweep._BLOCK", 2 * 20 * 7)
    assert spearman_interval(left, right, n_resamples=300) == pytest.approx(whole)


def test_the_partial_correlation_is_that_of_what_the_ranks_leave():
    rng = np.random.default_rng(0)
    left, given = rng.random((2, 40))
    right = 0.3 * left - given
    ranks = np.argsort(np.argsort([left, right, given], axis=1), axis=1)
    (_, one, two), (_, _, three), _ = np.corrcoef(ranks)
    partial = (one - two * three) / np.sqrt((1 - two**2) * (1 - three**2))
    rho, low, high = spearman_interval(left, right, given)
    assert rho == pytest.approx(partial)
    assert low < rho < high
    assert rho > spearman_interval(left, right)[0]
    # What is given whole leaves nothing.
    assert np.isnan(spearman_interval(left, right, left)).all()


def test_a_constant_side_has_no_correlation():
    assert np.isnan(spearman_interval(np.ones(9), np.arange(9.0))).all()


def test_an_interval_that_most_resamples_know_nothing_of_has_no_ends():
    left = np.array([0.0] * 8 + [1.0])  # constant in a third of the resamples
    assert np.isfinite(spearman_interval(left, np.arange(9.0))).all()
    right = np.array([1.0] + [0.0] * 8)  # one side or the other, in most
    rho, low, high = spearman_interval(left, right)
    assert rho == pytest.approx(-1 / 8)
    assert np.isnan([low, high]).all()
