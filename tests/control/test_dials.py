"""Dials: directions found where they were planted, refused where there is none, turned rightly."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from macrid.control.dials import FEWEST, Turn, axis, fit_number, fit_term, turned
from macrid.control.walk import stable_range
from macrid.errors import ControlError, SettingsError
from macrid.parts.items import unit

SEEDS = st.integers(0, 2**32 - 1)


def cloud(n_items=200, n_dims=12, seed=0):
    random = np.random.default_rng(seed)
    return random, random.normal(size=(n_items, n_dims)) * np.linspace(0.2, 1, n_dims) + 3


def test_a_number_is_found_along_a_slanted_direction():
    random, items = cloud()
    truth = np.array([0, 0, 3, 0, 0, 0, 0, -4, 0, 0, 0, 0]) / 5
    fit = fit_number(items, 100 + 7 * (items @ truth) + random.normal(size=200))
    assert fit.direction @ truth > 0.98
    assert np.linalg.norm(fit.direction) == pytest.approx(1)
    assert fit.strength > 0.95
    assert fit.r2 > 0.9


def test_a_term_is_found_along_a_slanted_direction():
    random, items = cloud(400)
    truth = np.array([0, 0, 3, 0, 0, 0, 0, -4, 0, 0, 0, 0]) / 5
    values = items @ truth + 0.1 * random.normal(size=400)
    fit = fit_term(items, (values > np.quantile(values, 0.7)).astype(float))
    assert fit.direction @ truth > 0.95
    assert fit.strength > 0.9
    assert fit.r2 is None


@pytest.mark.parametrize("n_items", [FEWEST, 60])
def test_noise_is_as_strong_on_items_held_out_as_chance_makes_it(n_items):
    """Even with more dimensions than items."""
    random, items = cloud(n_items, 80)
    half = (np.arange(n_items) % 2).astype(float)
    fits = [fit_number(items, random.normal(size=n_items)) for _ in range(30)]
    fits += [fit_term(items, random.permutation(half)) for _ in range(30)]
    beyond = [fit.strength > 2.5 * fit.chance for fit in fits]  # 0.6% of a normal distribution
    assert sum(beyond) <= 2


def test_a_ridge_regression_is_the_textbooks():
    random, items = cloud(50, 4)
    values = items @ random.normal(size=4) + random.normal(size=50)
    fit = fit_number(items, values)
    around = items - items.mean(0)
    gram = around.T @ around
    penalty = fit.penalty * np.trace(gram) / 4
    weights = np.linalg.solve(gram + penalty * np.eye(4), around.T @ (values - values.mean()))
    assert np.allclose(fit.direction, weights / np.linalg.norm(weights))


def test_a_logistic_regression_lies_where_its_gradient_is_zero():
    random, items = cloud(300, 4)
    has = (items @ np.array([1, -1, 0.5, 0]) + random.normal(size=300) > 1).astype(float)
    fit = fit_term(items, has)
    around = items - items.mean(0)
    penalty = fit.penalty * (around**2).sum() / 4

    # Newton's method to the end, from the textbook.
    wide, ridge = np.column_stack([np.ones(300), around]), np.diag([0, *[penalty] * 4])
    weights = np.zeros(5)
    for _ in range(50):
        chance = 1 / (1 + np.exp(-wide @ weights))
        bend = (wide.T * (chance * (1 - chance))) @ wide + ridge
        weights -= np.linalg.solve(bend, wide.T @ (chance - has) + ridge @ weights)
    assert fit.direction @ weights[1:] / np.linalg.norm(weights[1:]) > 0.9999


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.ones(100), "100 of the concept's items have it, 1 different"),
        (np.arange(FEWEST - 1.0), f"a dial needs {FEWEST} items that differ"),
    ],
)
def test_too_little_to_fit_a_number_to_is_refused(values, words):
    with pytest.raises(ControlError, match=words):
        fit_number(np.ones((len(values), 3)), values)


@pytest.mark.parametrize("n_with", [0, 9, 91])
def test_too_few_with_or_without_a_term_are_refused(n_with):
    with pytest.raises(ControlError, match=f"{n_with} of the concept's 100 items have it"):
        fit_term(np.ones((100, 3)), (np.arange(100) < n_with).astype(float))


def test_there_is_no_axis_beyond_the_last():
    with pytest.raises(SettingsError, match="no dimension 5; the model's 5 are numbered 0 to 4"):
        axis(0, 5, 5)


def world(seed, n_dims=5, n_items=60):
    """Points, items and prototypes of one concept among three."""
    torch.manual_seed(seed)
    points, items = unit(torch.randn(4, 3, n_dims)), unit(torch.randn(n_items, n_dims))
    return points, items, unit(torch.randn(3, n_dims))


def moved(points, items, prototypes, **wish):
    dial = axis(1, 2, points.shape[2])
    return turned(points, [Turn(dial, items[:, 2], **wish)], prototypes)


@given(SEEDS)
def test_a_shift_of_zero_changes_not_a_bit(seed):
    points, items, prototypes = world(seed)
    assert moved(points, items, prototypes, shift=0.0).equal(points)


@given(SEEDS, st.floats(-1, 1))
def test_points_stay_of_unit_length_and_other_concepts_where_they_are(seed, shift):
    points, items, prototypes = world(seed)
    found = moved(points, items, prototypes, shift=shift)
    assert torch.allclose(found.norm(dim=-1), torch.ones(4, 3), atol=1e-5)
    assert found[:, [0, 2]].equal(points[:, [0, 2]])


@given(SEEDS)
def test_the_value_rises_with_the_shift_and_the_rest_keeps_its_direction(seed):
    points, items, prototypes = world(seed)
    steps = [
        moved(points, items, prototypes, shift=s)[:, 1] for s in torch.linspace(-1, 1, 9).tolist()
    ]
    values = torch.stack([step[:, 2] for step in steps])
    assert (values.diff(dim=0) >= -1e-6).all()
    flat = torch.tensor([1.0, 1, 0, 1, 1])
    for step in steps:
        assert torch.allclose(unit(step * flat), unit(points[:, 1] * flat), atol=1e-4)


@given(SEEDS)
def test_the_best_items_values_rise_with_the_shift(seed):
    # Of one concept a list is ordered by rest + t * value, with t rising: their mean cannot fall.
    points, items, prototypes = world(seed)
    means = []
    for shift in torch.linspace(-1, 1, 9).tolist():
        found = moved(points, items, prototypes, shift=shift)[:, 1]
        means.append(items[:, 2][(found.double() @ items.T.double()).topk(10).indices].mean(1))
    assert (torch.stack(means).diff(dim=0) >= -1e-6).all()


@given(SEEDS, st.floats(-3, 3))
def test_a_value_is_reached_within_the_probed_range(seed, value):
    points, items, prototypes = world(seed)
    found = moved(points, items, prototypes, value=value)[:, 1]
    own = points[:, 1]
    stable = stable_range(own, prototypes, 1, torch.eye(5)[2])
    rest = (own * torch.tensor([1.0, 1, 0, 1, 1])).norm(dim=1)
    ends = [end / (end**2 + rest**2).sqrt() for end in (stable.low, stable.high)]
    low = torch.where(stable.low.isinf(), -1.0, ends[0]).maximum(items[:, 2].min())
    high = torch.where(stable.high.isinf(), 1.0, ends[1]).minimum(items[:, 2].max())
    some = (low < high) & (stable.low < stable.high)
    aim = torch.full_like(low, value).maximum(low).minimum(high)
    assert torch.allclose(found[some, 2], aim[some], atol=1e-4)


@given(SEEDS)
def test_two_dials_of_one_concept_leave_its_prototype_the_nearest(seed):
    torch.manual_seed(seed)
    points, items = unit(torch.randn(4, 5, 6)), unit(torch.randn(60, 6))
    prototypes = unit(torch.randn(5, 6))
    turns = [Turn(axis(1, d, 6), items[:, d], shift=1.0) for d in (0, 3)]
    there = (turned(points, turns, prototypes)[:, 1] @ prototypes.T).double()
    before = (points[:, 1] @ prototypes.T).argmax(1) == 1
    assert (there[:, 1, None] >= there - 1e-5).all(1)[before].all()
    still = replace(turns[1], shift=0.0)
    alone = turned(points, turns[:1], prototypes)
    assert torch.allclose(turned(points, [turns[0], still], prototypes), alone, atol=1e-5)


def test_turns_of_one_concept_do_not_depend_on_their_order():
    points, items, prototypes = world(0)
    turns = [Turn(axis(1, d, 5), items[:, d], shift=s) for d, s in ((0, 0.5), (3, -1.0))]
    assert torch.allclose(
        turned(points, turns, prototypes), turned(points, turns[::-1], prototypes)
    )
