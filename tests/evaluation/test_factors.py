"""Codes against known factors: planted codes, whose measures are known, and plain loops."""

import sys

import numpy as np
import pytest

from macrid.errors import MissingExtra
from macrid.evaluation.factors import (
    completeness,
    dci,
    disentanglement,
    mutual_information_gap,
    usable,
)

N_ROWS = 900


@pytest.fixture(scope="module")
def factors():
    """Two continuous and one binary factor, independent."""
    rng = np.random.default_rng(0)
    return np.column_stack([rng.random((N_ROWS, 2)), rng.random(N_ROWS) < 0.3])


@pytest.fixture(scope="module")
def rotation():
    """None of whose axes is near another's."""
    return np.array([[2, -1, 2], [2, 2, -1], [-1, 2, 2]]) / 3


def standard(values):
    return (values - values.mean(0)) / values.std(0)


@pytest.fixture(params=["trees", "lasso"])
def regressor(request):
    pytest.importorskip("sklearn")
    return request.param


def test_one_code_per_factor_is_all_that_can_be(factors, regressor):
    codes = factors[:, [2, 0, 1]] * [5, -1, 0.1] + [0, 7, 0]
    found = dci(codes, factors, regressor=regressor)
    assert found.disentanglement > 0.95
    assert found.completeness > 0.95
    assert found.informativeness > 0.95
    assert mutual_information_gap(codes, factors) > 0.75  # chance gives the next best some


def test_rotated_codes_know_as_much_but_are_entangled(factors, rotation, regressor):
    found = dci(standard(factors) @ rotation, factors, regressor=regressor)
    assert found.disentanglement < 0.4
    assert found.completeness < 0.4
    assert found.informativeness > 0.8
    assert mutual_information_gap(standard(factors) @ rotation, factors) < 0.2


def test_codes_that_come_twice_halve_completeness_alone(factors):
    pytest.importorskip("sklearn")
    codes = np.concatenate([factors[:, :2]] * 2, axis=1)
    found = dci(codes, factors[:, :2])
    assert found.disentanglement > 0.95
    assert found.completeness == pytest.approx(0.5, abs=0.05)
    assert mutual_information_gap(codes, factors[:, :2]) == pytest.approx(0)


def test_noise_tells_nothing(factors, regressor):
    noise = np.random.default_rng(1).normal(size=(N_ROWS, 6))
    found = dci(noise, factors, regressor=regressor)
    assert found.informativeness < 0.1
    assert mutual_information_gap(noise, factors) < 0.1
    if regressor == "trees":  # the lasso may find one code by chance, or none at all
        assert found.disentanglement < 0.1
        assert found.completeness < 0.1


def test_a_factor_unknown_for_some_is_judged_by_the_others(factors, regressor):
    holes = factors.copy()
    holes[:300, 0] = np.nan
    codes = factors.copy()
    codes[:300, 0] = 99.0  # what stands there does not matter but for the scale
    assert dci(codes, holes, regressor=regressor).disentanglement > 0.9
    whole = mutual_information_gap(factors[300:, :2], factors[300:, :1])
    assert mutual_information_gap(factors[:, :2], holes[:, :1]) == pytest.approx(whole)


def test_the_unit_of_a_factor_is_all_the_same(factors, rotation, regressor):
    codes, other = (
        standard(factors) @ rotation,
        factors * np.array([1000.0, *[1] * 20])[: factors.shape[1]],
    )
    found = [dci(codes, some, regressor=regressor) for some in (factors, other)]
    assert found[0].disentanglement == pytest.approx(found[1].disentanglement, abs=1e-3)


def test_an_infinite_factor_is_refused(factors):
    factors = factors.copy()
    factors[0, 0] = np.inf
    with pytest.raises(ValueError, match="a factor is infinite"):
        mutual_information_gap(np.ones((len(factors), 2)), factors)


def test_the_seed_decides(factors, rotation):
    pytest.importorskip("sklearn")
    codes = standard(factors)[:300] @ rotation
    found = [dci(codes, factors[:300], seed=seed) for seed in (3, 3, 4)]
    assert found[0] == found[1] != found[2]


def plain(importance):
    """Eastwood and Williams' measure by loops, entropies to the base of the number of factors."""
    total, sum_of_all = 0.0, importance.sum()
    for row in importance:
        if row.sum() == 0:
            continue
        shares = row / row.sum()
        spread = -sum(p * np.log(p) / np.log(len(row)) for p in shares if p > 0)
        total += row.sum() / sum_of_all * (1 - spread)
    return total


def test_measures_of_an_importance_matrix_are_those_of_plain_loops():
    importance = np.random.default_rng(0).random((7, 3)) ** 3
    importance[2] = 0
    importance[3, :2] = 0
    assert disentanglement(importance) == pytest.approx(plain(importance))
    assert completeness(importance) == pytest.approx(plain(importance.T))


def test_importance_by_hand():
    importance = np.array([[2.0, 0, 0], [0, 1, 1]])
    # Half of all importance is of one factor, half is evenly of two of three.
    assert disentanglement(importance) == pytest.approx(0.5 + 0.5 * (1 - np.log(2) / np.log(3)))
    assert completeness(importance) == pytest.approx(1)


def test_a_code_that_does_not_matter_does_not_count():
    importance = np.array([[1.0, 0], [0, 2]])
    assert disentanglement(np.vstack([importance, [0.0, 0.0]])) == 1
    assert disentanglement(np.zeros((3, 2))) == completeness(np.zeros((3, 2))) == 0


def test_the_gap_is_that_of_scikit_learns_mutual_information(factors, rotation):
    information = pytest.importorskip("sklearn.metrics").mutual_info_score
    codes = standard(factors) @ rotation

    def digits(values, bins=20):
        return np.digitize(values, np.histogram(values, bins)[1][:-1])

    gaps = []
    for factor in factors.T:
        told = sorted(information(digits(code), digits(factor)) for code in codes.T)
        gaps.append((told[-1] - told[-2]) / information(digits(factor), digits(factor)))
    assert mutual_information_gap(codes, factors) == pytest.approx(np.mean(gaps))


def test_the_gap_does_not_depend_on_how_many_codes_are_counted_at_a_time(factors, monkeypatch):
    codes = np.random.default_rng(2).normal(size=(N_ROWS, 5)) + factors[:, :1]
    whole = mutual_information_gap(codes, factors)
    monkeypatch.setattr("macrid.evaluation.factors._BLOCK", 2 * N_ROWS)
    assert mutual_information_gap(codes, factors) == pytest.approx(whole)


def test_factors_that_can_be_measured():
    rows = np.arange(2000.0)
    columns = {
        "continuous": rows,
        "constant": np.ones(2000),
        "unknown": np.full(2000, np.nan),
        "rare": rows < 19,  # under 1%
        "rare enough": rows < 20,
        "common": rows >= 19,
        "hardly known": np.where(rows < 19, rows, np.nan),
        "little known": np.where(rows < 20, rows, np.nan),
        "nine of eighteen": np.where(rows < 18, rows % 2, np.nan),
        "ten of twenty": np.where(rows < 20, rows % 2, np.nan),
    }
    fit = usable(np.column_stack(list(columns.values())))
    assert [name for name, fits in zip(columns, fit, strict=True) if fits] == [
        "continuous", "rare enough", "little known", "ten of twenty",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("n_codes", "n_factors", "n_rows", "words"),
    [(1, 2, 50, "two codes"), (2, 1, 50, "2 factors or more"), (2, 2, 49, "the same rows")],
)
def test_too_little_to_compare_is_refused(n_codes, n_factors, n_rows, words):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=words):
        dci(rng.random((50, n_codes)), rng.random((n_rows, n_factors)))


def test_a_code_that_is_no_number_is_refused():
    codes = np.random.default_rng(0).random((50, 3))
    codes[7, 1] = np.nan
    with pytest.raises(ValueError, match="a code is NaN or infinite"):
        dci(codes, np.random.default_rng(1).random((50, 2)))


def test_a_factor_that_hardly_varies_is_refused():
    codes = np.random.default_rng(0).random((50, 3))
    with pytest.raises(ValueError, match=r"columns \[1\] hardly vary"):
        mutual_information_gap(codes, np.column_stack([codes[:, 0], np.ones(50)]))


def test_without_scikit_learn_it_says_what_to_install(factors, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(MissingExtra, match=r"pip install 'macrid\[measure\]'"):
        dci(factors, factors)
