"""What is drawn: within its range, evenly by the logarithm, the same for the same seed."""

import numpy as np
import pytest

from macrid.errors import SettingsError
from macrid.evaluation.plan import Plan


def test_draws_lie_in_their_ranges_evenly_by_the_logarithm():
    draws = Plan(settings=4000, beta="0.1..10", prior_std="0.05..0.2").draws()
    for values, low, high in zip(draws.T, (0.1, 0.05), (10, 0.2), strict=True):
        assert low <= values.min() < values.max() <= high
        share = np.log(values / low) / np.log(high / low)
        assert np.quantile(share, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.03)
    assert abs(np.corrcoef(np.log(draws.T))[0, 1]) < 0.05


def test_more_settings_begin_with_the_same():
    few, many = (Plan(settings=n).draws() for n in (5, 50))
    assert np.array_equal(few, many[:5])
    assert not np.array_equal(few, Plan(settings=5, seed=1).draws())


def test_draws_have_four_digits():
    assert all(float(f"{value:.4g}") == value for value in Plan().draws().ravel())


def test_dimensions_are_shared_if_asked():
    assert [Plan(concepts=(7, 1), total_dims=700).dims(k) for k in (7, 1)] == [100, 700]
    assert [Plan(concepts=(7, 1)).dims(k) for k in (7, 1)] == [100, 100]
    assert Plan(fixed={"n_dims": "20"}).dims(7) == 20


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"settings": 2}, "2 settings"),
        ({"concepts": ()}, "3 settings or more, of 1 concept"),
        ({"concepts": (7, 0)}, "of 1 concept or more"),
        ({"concepts": (7, 1), "total_dims": 100}, "100 dimensions cannot be shared evenly by 7"),
        ({"fixed": {"n_concepts": 3}}, "n_concepts: said twice"),
        ({"fixed": {"n_dims": 3}, "total_dims": 7}, "n_dims: said twice"),
        ({"fixed": {"seed": 3}}, "seed: said twice"),
        ({"fixed": {"beta": 3}}, "beta: both fixed and searched"),
        ({"fixed": {"n_dim": 3}}, "did you mean 'n_dims'"),
        ({"beta": "1,2"}, r"beta is drawn from 1.*give LOW..HIGH"),
        ({"beta": "0..5"}, "both above 0"),
        ({"prior_std": "0.2..0.1"}, "swap them"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_in_words(given, words):
    with pytest.raises(SettingsError, match=words):
        Plan(**given)
