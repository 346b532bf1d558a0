"""Walks against the paper's own words: binary search, brute force, and what they promise."""

from itertools import combinations, pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from macrid.control.walk import (
    Range,
    WalkSettings,
    beam_walk,
    equal_count_cuts,
    probe,
    stable_range,
    within,
)
from macrid.errors import ControlError

SEEDS = st.integers(0, 2**32 - 1)
ALL = WalkSettings(tau=0.1, steps=3, beam=10**6, nearest=10**6)


def directions(random, *shape):
    vectors = random.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def rest(vectors, direction):
    left = vectors - np.multiply.outer(vectors @ direction, direction)
    return left / np.linalg.norm(left, axis=-1, keepdims=True)


def worth(walk, point, vectors, direction, tau, gamma):
    """The objective, written out."""
    items, start = rest(vectors[list(walk)], direction), rest(point, direction)
    alone = sum(np.exp((item @ start - 1) / tau) for item in items)
    return alone + gamma * sum(np.exp((a @ b - 1) / tau) for a, b in combinations(items, 2))


def parts(vectors, direction, cuts):
    values = vectors @ direction
    low, *inner = cuts[:-1]
    edges = [low - 1e-9, *inner, cuts[-1]]
    return [np.flatnonzero((values > a) & (values <= b)) for a, b in pairwise(edges)]


def end_by_halving(point, prototypes, concept, direction, start, far):
    """The last value, from ``start`` towards ``far``, at which the prototype is the nearest."""

    def nearest(value):
        moved = point + (value - point @ direction) * direction
        return (prototypes @ moved).argmax() == concept

    if nearest(far):
        return far
    for _ in range(200):
        middle = (start + far) / 2
        start, far = (middle, far) if nearest(middle) else (start, middle)
    return start


class TestStableRange:
    @given(SEEDS)
    def test_equals_the_binary_search_of_the_paper(self, seed):
        random = np.random.default_rng(seed)
        prototypes, points = directions(random, 4, 5), directions(random, 6, 5)
        direction = directions(random, 5)
        for point in points:
            concept = int((prototypes @ point).argmax())
            found = stable_range(
                *map(torch.from_numpy, (point[None], prototypes)),
                concept,
                torch.from_numpy(direction),
            )
            for end, far in ((found.low, -1e6), (found.high, 1e6)):
                sought = end_by_halving(
                    point, prototypes, concept, direction, point @ direction, far
                )
                assert abs(float(end.clamp(-1e6, 1e6)) - sought) <= 1e-6 * max(1, abs(sought))

    def test_people_are_probed_as_one_by_one(self):
        random = np.random.default_rng(0)
        points, prototypes = map(
            torch.from_numpy, (directions(random, 9, 4), directions(random, 3, 4))
        )
        direction = torch.from_numpy(directions(random, 4))
        together = stable_range(points, prototypes, 1, direction)
        alone = [stable_range(point[None], prototypes, 1, direction) for point in points]
        assert torch.allclose(together.low, torch.cat([one.low for one in alone]))
        assert torch.allclose(together.high, torch.cat([one.high for one in alone]))

    def test_is_empty_where_a_level_rival_is_nearer_whatever_the_value(self):
        prototypes = torch.eye(3)[:2]
        found = stable_range(torch.tensor([[0.1, 0.9, 0.0]]), prototypes, 0, torch.eye(3)[2])
        assert float(found.low) > float(found.high)

    def test_of_the_only_concept_is_everything(self):
        found = stable_range(torch.ones(1, 3), torch.ones(1, 3), 0, torch.eye(3)[0])
        assert (float(found.low), float(found.high)) == (-torch.inf, torch.inf)


def test_infinite_ends_are_where_the_items_end():
    ends, holds = within(
        Range(torch.tensor([-torch.inf, 0.2]), torch.tensor([torch.inf, 0.4])),
        torch.tensor([0.1, 0.9, 0.5]),
    )
    assert torch.equal(ends.low, torch.tensor([0.1, 0.2]))
    assert torch.equal(ends.high, torch.tensor([0.9, 0.4]))
    assert holds.all()


def test_a_range_without_an_item_gives_way_to_all_that_the_items_reach():
    # The prototypes leave 0.4 … 0.6 to the concept, between its two items.
    items = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    prototypes = torch.tensor([[0.5, 0.5], [0.8, 0.14], [0.2, 0.74]])
    point, up = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])
    ends, stable = probe(point, items @ up, prototypes, 0, up)
    assert ends == pytest.approx((0.1, 0.9))
    assert not stable


class TestCuts:
    @given(st.lists(st.floats(-1, 1), min_size=1, max_size=60, unique=True), st.integers(1, 12))
    def test_parts_hold_equally_many_or_one_more(self, values, steps):
        cuts = equal_count_cuts(np.array(values), -2.0, 2.0, steps)
        counts = np.histogram(-np.array(values), -cuts[::-1])[0]  # (a, b] in place of [a, b)
        assert counts.sum() == len(values)
        assert counts.min() >= 1
        assert counts.max() - counts.min() <= 1
        assert len(counts) == min(steps, len(values))

    @given(st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=1), st.integers(1, 9))
    def test_equal_values_are_never_put_apart_and_no_part_is_empty(self, values, steps):
        cuts = equal_count_cuts(np.array(values), 0.0, 1.0, steps)
        counts = np.histogram(-np.array(values), -cuts[::-1])[0]
        assert counts.sum() == len(values)
        assert counts.min() >= 1


def walked(point, vectors, direction, ends, settings):
    """By a direction, from which the values come."""
    return beam_walk(
        (point, float(point @ direction)), vectors, vectors @ direction, ends, settings
    )


class TestBeamWalk:
    @given(SEEDS, st.integers(1, 25), st.integers(1, 8), st.integers(1, 6))
    def test_rises_with_one_item_from_each_sub_range(self, seed, n_items, steps, beam):
        random = np.random.default_rng(seed)
        vectors, point, direction = (directions(random, *s) for s in ((n_items, 4), (4,), (4,)))
        settings = WalkSettings(tau=0.1, steps=steps, beam=beam, nearest=3)
        found = walked(point, vectors, direction, (-1.0, 1.0), settings)
        assert len(found.row) == min(steps, n_items)
        assert (np.diff(found.value) > 0).all()
        assert np.allclose(found.value, (vectors @ direction)[found.row])
        for row, part in zip(found.row, parts(vectors, direction, found.cuts), strict=True):
            assert row in part
        gamma = 1 / len(found.row)
        value = worth(found.row, point, vectors, direction, 0.1, gamma)
        assert found.objective == pytest.approx(value, rel=1e-9)

    @given(SEEDS, st.floats(0, 2))
    def test_with_a_wide_beam_equals_brute_force(self, seed, gamma):
        random = np.random.default_rng(seed)
        vectors, point, direction = (directions(random, *s) for s in ((12, 4), (4,), (4,)))
        settings = WalkSettings(0.1, 3, 10**6, gamma, 10**6)
        found = walked(point, vectors, direction, (-1.0, 1.0), settings)
        best = max(
            worth(walk, point, vectors, direction, 0.1, gamma)
            for walk in product(*parts(vectors, direction, found.cuts))
        )
        assert found.objective == pytest.approx(best, rel=1e-9)

    @given(SEEDS, st.integers(1, 3), st.integers(1, 4))
    def test_is_never_worse_than_the_best_item_at_every_step(self, seed, beam, nearest):
        random = np.random.default_rng(seed)
        vectors, point, direction = (directions(random, *s) for s in ((40, 3), (3,), (3,)))
        settings = WalkSettings(0.2, 6, beam, 3.0, nearest)
        found = walked(point, vectors, direction, (-1.0, 1.0), settings)
        greedy = []
        for part in parts(vectors, direction, found.cuts):
            gains = [worth([*greedy, i], point, vectors, direction, 0.2, 3.0) for i in part]
            greedy.append(part[int(np.argmax(gains))])
        assert found.objective >= worth(greedy, point, vectors, direction, 0.2, 3.0) - 1e-9

    def test_a_turned_world_is_walked_alike(self):
        random = np.random.default_rng(5)
        vectors, point = directions(random, 60, 5), directions(random, 5)
        turn = np.linalg.qr(random.normal(size=(5, 5)))[0]
        axis = walked(point, vectors, np.eye(5)[2], (-1.0, 1.0), ALL)
        direction = walked(point @ turn, vectors @ turn, turn[2], (-1.0, 1.0), ALL)
        assert axis.row.tolist() == direction.row.tolist()
        assert axis.objective == pytest.approx(direction.objective)

    def test_keeps_to_the_range(self):
        random = np.random.default_rng(1)
        vectors = directions(random, 80, 4)
        found = walked(vectors[0], vectors, np.eye(4)[1], (-0.2, 0.3), ALL)
        assert found.value.min() >= -0.2
        assert found.value.max() <= 0.3
        assert (found.cuts[0], found.cuts[-1]) == (-0.2, 0.3)

    def test_the_smallest_tau_overflows_nothing(self):
        random = np.random.default_rng(1)
        vectors = directions(random, 30, 4)
        found = walked(vectors[0], vectors, np.eye(4)[1], (-1.0, 1.0), WalkSettings(tau=1e-4))
        assert np.isfinite(found.objective)

    def test_an_item_on_the_direction_itself_is_no_trouble(self):
        vectors = np.array([[0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])
        settings = WalkSettings(tau=0.1)
        found = walked(vectors[0], vectors, vectors[1], (0.0, 1.0), settings)
        assert found.row.tolist() == [0, 2, 1]

    def test_rests_of_hardly_any_length_count_as_one_at_most(self):
        random = np.random.default_rng(3)
        for _ in range(40):
            vectors = directions(random, 30, 2).astype(np.float32)  # a rest has no other direction
            settings = WalkSettings(tau=0.1, steps=4, gamma=0.5)
            found = walked(vectors[0], vectors, vectors[1], (-1.0, 1.0), settings)
            assert found.objective <= len(found.row) + 0.5 * 6 + 1e-6

    def test_without_an_item_in_the_range_there_is_no_walk(self):
        with pytest.raises(ControlError, match=r"no item between 2 and 3 to walk through"):
            walked(np.eye(2)[0], np.eye(2), np.eye(2)[1], (2.0, 3.0), ALL)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"steps": 0}, "steps is 0; a walk needs a whole number, 1 or more"),
        ({"beam": 0}, "beam is 0"),
        ({"nearest": -1}, "nearest is -1"),
        ({"gamma": -0.1}, "gamma is -0.1; it is a weight of 0 or more"),
        ({"gamma": float("nan")}, "gamma is nan"),
    ],
)
def test_impossible_walks_are_refused_in_words(wrong, words):
    with pytest.raises(ControlError, match=words):
        WalkSettings(tau=0.1, **wrong)
