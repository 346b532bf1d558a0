"""Intervals and p-values beside scipy's, normal theory, and counting by hand."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from macrid.evaluation import significance
from macrid.evaluation.significance import (
    bootstrap_interval,
    holm,
    paired_differences,
    sign_flip_p,
)


def test_with_many_users_the_interval_is_scipys():
    gains = np.random.default_rng(1).exponential(size=(400, 1)) - 0.8
    theirs = stats.bootstrap(
        (gains[:, 0],), np.mean, n_resamples=5000, method="percentile", rng=2
    ).confidence_interval
    ours = bootstrap_interval(gains, n_resamples=5000)[:, 0]
    assert ours == pytest.approx([theirs.low, theirs.high], abs=0.01)


def test_with_few_users_the_interval_is_as_wide_as_students():
    gains = np.random.default_rng(3).normal(size=(12, 1))
    low, high = bootstrap_interval(gains)[:, 0]
    theirs = stats.t.interval(0.95, 11, gains.mean(), stats.sem(gains[:, 0]))
    assert high - low == pytest.approx(theirs[1] - theirs[0], rel=0.1)


def test_intervals_hold_the_truth_as_often_as_they_say():
    worlds = np.random.default_rng(4).gamma(2.0, size=(40, 1000))  # mean 2, and lopsided
    for level in (0.8, 0.95):
        low, high = bootstrap_interval(worlds, level=level, n_resamples=1000)
        assert ((low <= 2) & (high >= 2)).mean() == pytest.approx(level, abs=0.03)


def test_models_that_are_alike_are_seldom_told_apart():
    rng, wrong = np.random.default_rng(5), {"interval": 0, "p": 0}
    for seed in range(150):
        luck = rng.normal(size=40)  # what a user gives to every model
        values = {name: luck + rng.normal(size=40) for name in "abcd"}
        found = paired_differences(values, n_resamples=2000, seed=seed)
        wrong["interval"] += ((found["low"] > 0) | (found["high"] < 0)).any()
        wrong["p"] += (found["p_holm"] < 0.05).any()
    # One world in twenty, of 150: 7.5, and more than 15 once in two hundred times.
    assert wrong["interval"] <= 15
    assert wrong["p"] <= 15


def test_a_better_model_is_found_where_users_differ_more_than_models():
    rng = np.random.default_rng(6)
    users = rng.normal(scale=10, size=200)
    noise = {name: rng.normal(scale=0.5, size=200) for name in ("good", "same", "twin")}
    values = {name: users + noise[name] + (name == "good") for name in noise}
    found = paired_differences(values)
    good, other, alike = found.to_dicts()
    assert (good["first"], good["second"], alike["second"]) == ("good", "same", "twin")
    assert good["difference"] == pytest.approx(1, abs=0.15)
    assert good["low"] > 0.7
    assert max(good["p_holm"], other["p_holm"]) < 0.001
    assert alike["low"] < 0 < alike["high"]
    assert alike["p_holm"] > 0.05


def test_bonferroni_widens_the_intervals():
    rng = np.random.default_rng(7)
    values = {name: rng.normal(size=300) for name in "abcdef"}
    fifteen = paired_differences(values).row(0, named=True)
    alone = paired_differences({name: values[name] for name in "ab"}).row(0, named=True)
    assert fifteen["difference"] == pytest.approx(alone["difference"])
    wider = (fifteen["high"] - fifteen["low"]) / (alone["high"] - alone["low"])
    assert wider == pytest.approx(stats.norm.isf(0.025 / 15) / stats.norm.isf(0.025), rel=0.06)


def test_p_values_are_those_of_all_sign_flips():
    gains = np.array([0.3, 0.1, -0.2, 0.5, 0.4, 0.2, 0.6, -0.1])
    flips = np.array(list(product([-1, 1], repeat=8))) @ gains
    exact = np.mean(np.abs(flips) >= gains.sum() - 1e-9)
    assert sign_flip_p(gains[:, None]).item() == pytest.approx(exact, abs=0.01)


def test_p_values_are_students_for_normal_differences():
    gains = np.random.default_rng(8).normal(0.15, 1, size=(200, 3))
    theirs = stats.ttest_1samp(gains, 0).pvalue
    assert sign_flip_p(gains) == pytest.approx(theirs, abs=0.015)


def test_a_p_value_is_never_0():
    assert sign_flip_p(np.ones((50, 1)), n_resamples=999).tolist() == [0.001]


def test_a_model_does_not_differ_from_itself():
    values = np.random.default_rng(9).random(30)
    row = paired_differences({"a": values, "b": values.copy()}).row(0, named=True)
    assert (row["difference"], row["low"], row["high"]) == (0, 0, 0)
    assert row["p"] == row["p_holm"] == 1


def test_holms_correction_by_hand():
    # Ascending 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, never less than the one before.
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.6])).tolist() == [1.0, 1.0]


def test_the_same_seed_gives_the_same_numbers():
    values = {name: np.random.default_rng(n).random(20) for n, name in enumerate("abc")}
    assert paired_differences(values).equals(paired_differences(values))
    assert not paired_differences(values).equals(paired_differences(values, seed=1))


def test_many_users_are_drawn_in_blocks(monkeypatch):
    gains = np.random.default_rng(10).normal(0.2, 1, size=(60, 2))
    whole = bootstrap_interval(gains), sign_flip_p(gains)
    monkeypatch.setattr(significance, "_BLOCK", 60 * 7)  # 7 resamples at a time, and a rest
    assert bootstrap_interval(gains) == pytest.approx(whole[0], abs=0.02)
    assert sign_flip_p(gains) == pytest.approx(whole[1], abs=0.02)


def test_one_model_alone_has_no_differences():
    assert paired_differences({"a": np.ones(3)}).shape == (0, 7)
    assert (
        paired_differences({"a": np.ones(3)}).columns
        == paired_differences({"a": np.ones(3), "b": np.zeros(3)}).columns
    )


@pytest.mark.parametrize(
    ("values", "options", "sentence"),
    [
        ({"a": np.ones(3), "b": np.ones(4)}, {}, r"values of \[3, 4\] users"),
        ({"a": np.ones(1), "b": np.ones(1)}, {}, "two or more"),
        ({"a": np.ones(3)}, {"level": 1.0}, r"level is 1\.0"),
        ({"a": np.ones(3)}, {"n_resamples": 0}, "n_resamples is 0"),
    ],
)
def test_what_cannot_be_compared_is_refused(values, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        paired_differences(values, **options)
