"""Walks of a report: along the dials that were planted, with the values of their features."""

from functools import cache

import numpy as np
import polars as pl

from macrid.report.strips import MOST, STEPS, dimension_strips, direction_strips
from steerable import HUE, PRICE, steerable, vectors_of


@cache
def model():
    return steerable()


@cache
def along_dimensions():
    return dimension_strips(model(), model().concepts())


@cache
def along_directions():
    return direction_strips(model(), model().concepts())


def test_one_dimension_of_each_concept_those_with_planted_features():
    strips = along_dimensions()
    assert sorted(strip.walk.concept for strip in strips) == [0, 1, 2]
    named = [strip for strip in strips if "unnamed" not in strip.dial]
    assert {strip.walk.dial for strip in named} <= {str(PRICE), str(HUE)}
    assert {strip.feature for strip in named} >= {"price"}  # each another as far as there are
    assert len({strip.feature for strip in named}) > 1
    assert all("of the variance of the concept's items" in strip.told for strip in strips)


def test_a_strip_goes_up_with_items_of_one_concept():
    for strip in (*along_dimensions(), *along_directions()):
        assert (np.diff(strip.walk.steps.value) > 0).all()
        assert 1 < len(strip.values) <= STEPS
        assert set(strip.walk.items["item_id"].str.head(1)) == {str(strip.walk.concept)}


def test_numbers_come_first_and_rise_along_their_direction():
    strips = along_directions()
    assert 0 < len(strips) <= MOST
    (price,) = [strip for strip in strips if strip.feature == "price"]
    known = [value for value in price.values if value is not None]
    assert np.corrcoef(known, range(len(known)))[0, 1] > 0.7
    told = pl.Series(price.walk.items["price"]).to_list()
    assert price.values == told
    assert "on items held out" in price.told


def test_of_a_term_it_is_told_who_has_it():
    hues = [strip for strip in along_dimensions() if strip.feature in ("red", "blue")]
    assert hues
    for strip in hues:
        assert (
            strip.values == (strip.walk.items["hue"].str.to_lowercase() == strip.feature).to_list()
        )


def test_the_start_is_the_popular_item_that_goes_farthest():
    strip, catalogue = along_dimensions()[0], model().catalogue
    concept, dimension = strip.walk.concept, int(strip.walk.dial)
    own = catalogue.filter(pl.col("item_id").str.starts_with(str(concept)))
    popular = own.sort("train_events", descending=True, maintain_order=True)["item_id"][:12]
    starts = model().items.numbers(popular)
    assert strip.walk.start in vectors_of(model())[starts, dimension]
    walks = [model().walk(item, concept, dimension, steps=STEPS) for item in popular]
    reach = [w.steps.value[-1] - w.steps.value[0] for w in walks if w.stable]
    assert strip.walk.steps.value[-1] - strip.walk.steps.value[0] == max(reach)


def test_a_concept_of_one_item_has_no_strip():
    found = model().concepts()
    lonely = found.assignments.with_columns(
        concept=pl.when(pl.int_range(pl.len()) == 0).then(0).otherwise(1)
    )
    alone = type(found)(**{**vars(found), "assignments": lonely})
    # Of concept 2 nothing is left to start from.
    assert 2 not in {strip.walk.concept for strip in dimension_strips(model(), alone)}
    assert 2 not in {strip.walk.concept for strip in direction_strips(model(), alone)}
