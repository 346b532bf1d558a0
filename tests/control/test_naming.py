"""Names from features: planted ones are found, and chance is given none."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, spearmanr

from macrid.control.features import Features
from macrid.control.naming import (
    UNNAMED,
    associate,
    distinct,
    name_concepts,
    name_ends,
    over_representation,
    telling_terms,
    z_threshold,
)

KINDS = ["bag", "shoe", "lamp"]


def goods(n_each=40, *, seed=None):
    """Three kinds of things with a hue that means nothing; shuffled if there is a seed."""
    kinds = np.repeat(KINDS, n_each)
    if seed is not None:
        np.random.default_rng(seed).shuffle(kinds)
    return Features.of(pl.DataFrame({"kind": kinds, "hue": ["red", "blue"] * (3 * n_each // 2)}))


def concepts(n_each=40):
    return np.repeat([0, 1, 2], n_each)


def names_of(features, concept, n_concepts):
    return name_concepts(features, concept, telling_terms(features, concept, n_concepts))


def test_concepts_that_are_kinds_are_named_after_them():
    assert names_of(goods(), concepts(), 3) == KINDS


def test_what_all_of_a_concept_and_no_others_have_names_it_however_rare_it_makes_its_odds():
    """Half of the lamps are white, and hardly anything else is: z alone would say `white`."""
    kinds = np.repeat(["lamp", "phone", "shoe"], [160, 240, 1600])
    hues = ["white", "black"] * 80 + ["white", "black", "brown"] * 80 + ["brown", "red"] * 800
    features = Features.of(pl.DataFrame({"kind": kinds, "hue": hues}))
    concept = np.repeat([0, 1, 2], [160, 240, 1600])
    z = over_representation(features, concept, 3)[1]
    assert z[features.terms.index("white")] > z[features.terms.index("phone")]
    assert names_of(features, concept, 3) == ["lamp", "phone", "shoe"]


@pytest.mark.parametrize("seed", range(5))
def test_concepts_of_shuffled_kinds_are_unnamed(seed):
    assert names_of(goods(seed=seed), concepts(), 3) == [UNNAMED] * 3


def test_a_second_name_is_of_the_items_without_the_first_and_not_what_those_are_like():
    kinds = ["bag"] * 60 + ["watch"] * 40 + ["shoe"] * 100
    makes = ["tote", "sling"] * 30 + ["clock", "diver"] * 20 + ["boot", "clog"] * 50
    features = Features.of(pl.DataFrame({"kind": kinds, "make": makes}))
    assert names_of(features, np.repeat([0, 1], 100), 2) == ["bag & watch", "shoe"]


def test_a_second_name_that_says_little_is_left_out():
    kinds = ["bag"] * 95 + ["watch"] * 5 + ["shoe"] * 100
    features = Features.of(pl.DataFrame({"kind": kinds}))
    assert names_of(features, np.repeat([0, 1], 100), 2) == ["bag", "shoe"]


def test_chance_names_a_concept_in_no_more_worlds_than_stated():
    rng, n_worlds = np.random.default_rng(0), 300
    table = pl.DataFrame({"hue": rng.choice(list("abcdefgh"), 200)})
    features = Features.of(table)
    named = sum(any(telling_terms(features, rng.integers(0, 4, 200), 4)) for _ in range(n_worlds))
    assert named / n_worlds < 0.05 + 3 * (0.05 * 0.95 / n_worlds) ** 0.5


def test_over_representation_is_the_formula():
    """By hand: 8 of 10 have it here, 2 of 20 elsewhere, 10 prior items of which a third have it."""
    features = Features.of(pl.DataFrame({"hue": ["red"] * 8 + ["blue"] * 20 + ["red"] * 2}))
    (z, _), _ = over_representation(features, np.repeat([0, 1], [10, 20]), 2).T[::-1]
    yes, no, yes_else, no_else = 8 + 10 / 3, 2 + 20 / 3, 2 + 10 / 3, 18 + 20 / 3
    log_odds = np.log(yes / no) - np.log(yes_else / no_else)
    assert z == pytest.approx(log_odds / np.sqrt(1 / yes + 1 / no + 1 / yes_else + 1 / no_else))


def test_a_concept_without_items_and_one_that_has_all_say_nothing():
    z = over_representation(goods(), np.zeros(120, int), 2)
    np.testing.assert_allclose(z, 0, atol=1e-12)


def test_what_none_or_all_of_some_items_have_says_nothing():
    features = goods().take(np.arange(40))  # bags alone
    z = over_representation(features, np.repeat([0, 1], [30, 10]), 2)
    kinds = [features.terms.index(kind) for kind in KINDS]
    assert (np.abs(z[:, kinds]) < 0.01).all()


def test_the_more_is_tried_the_more_it_takes():
    assert z_threshold(1) < z_threshold(100) < z_threshold(10_000)
    assert z_threshold(1, sides=2) == pytest.approx(1.96, abs=0.001)


@given(st.lists(st.sampled_from(["war", "war 2", "War", UNNAMED]), max_size=6))
def test_distinct_names_are_distinct_whatever_their_case(names):
    found = [name.casefold() for name in distinct(names, taken=["WAR"]) if name != UNNAMED]
    assert len(set(found)) == len(found)
    assert "war" not in found


# Dimensions


def test_strengths_are_those_of_scipy():
    rng = np.random.default_rng(0)
    values, price = rng.normal(size=(60, 3)), rng.integers(0, 9, 60).astype(float)
    price[:20] = np.nan
    hue = rng.choice(["red", "blue"], 60)
    found = associate(values, Features.of(pl.DataFrame({"price": price, "hue": hue})))
    assert (found.features, found.n_numbers) == (["price", "blue", "red"], 1)
    for d in range(3):
        assert found.strength[0, d] == pytest.approx(spearmanr(price[20:], values[20:, d])[0])
        red, blue = values[hue == "red", d], values[hue == "blue", d]
        u = mannwhitneyu(red, blue, method="asymptotic", use_continuity=False)
        assert found.strength[2, d] == pytest.approx(2 * u.statistic / (len(red) * len(blue)) - 1)
        two_sided = 2 * z_to_p(abs(found.z[2, d]))
        assert two_sided == pytest.approx(u.pvalue)


def z_to_p(z):
    from scipy.stats import norm

    return norm.sf(z)


def test_ends_are_named_after_a_number_in_its_direction():
    price = np.linspace(0, 1, 50)
    features = Features.of(pl.DataFrame({"price": price}))
    up, down = name_ends(associate(np.stack([price, -price], 1), features), 1)
    assert (up.low, up.high, up.strength) == ("low price", "high price", pytest.approx(1))
    assert (down.low, down.high, down.strength) == ("high price", "low price", pytest.approx(-1))


def test_ends_are_named_after_two_terms_where_each_has_one():
    hues = ["dark"] * 20 + ["grey"] * 20 + ["bright"] * 20
    features = Features.of(pl.DataFrame({"hue": hues}))
    values = np.arange(60.0)[:, None]
    for sign, low, high in ((1, "dark", "bright"), (-1, "bright", "dark")):
        (ends,) = name_ends(associate(sign * values, features), 1)
        assert (ends.low, ends.high) == (low, high)


def test_the_other_end_of_a_lone_term_is_that_it_is_not():
    features = Features.of(pl.DataFrame({"new": [True] * 20 + [False] * 40}))
    (ends,) = name_ends(associate(-np.arange(60.0)[:, None], features), 1)
    assert (ends.low, ends.high) == ("not new", "new")


def test_chance_names_no_dimension_in_more_worlds_than_stated():
    rng, named = np.random.default_rng(1), 0
    for _ in range(100):
        table = pl.DataFrame({"price": rng.random(80), "hue": rng.choice(list("abcd"), 80)})
        found = name_ends(associate(rng.normal(size=(80, 10)), Features.of(table)), 1)
        named += any(ends.low != UNNAMED for ends in found)
    assert named <= 5 + 3 * (100 * 0.05 * 0.95) ** 0.5


def test_a_weak_feature_is_told_with_its_strength_but_gives_no_name():
    rng = np.random.default_rng(0)
    price = rng.random(3000)
    values = (price + 2 * rng.normal(size=3000))[:, None]
    (ends,) = name_ends(associate(values, Features.of(pl.DataFrame({"price": price}))), 1)
    assert (ends.low, ends.feature) == (UNNAMED, "price")
    assert 0.1 < ends.strength < 0.3


def test_without_features_or_items_nothing_is_named():
    nothing = Features.of(pl.DataFrame({"item_id": range(20)}))
    assert {ends.low for ends in name_ends(associate(np.eye(20), nothing), 1)} == {UNNAMED}
    none = goods().take(np.array([], int))
    assert name_ends(associate(np.zeros((0, 2)), none), 3)[0].feature is None


def test_constant_features_and_dimensions_go_with_nothing():
    table = pl.DataFrame({"price": [2.0] * 20, "size": range(20)})
    found = associate(np.ones((20, 1)), Features.of(table))
    assert (found.features, found.strength.tolist()) == (["size"], [[0.0]])
