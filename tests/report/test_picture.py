"""The figure as SVG: well formed, a mark per training, at its place and in its colour."""

import re
from xml.etree import ElementTree

import polars as pl
import pytest

from macrid.report.picture import picture, ticks

CELLS = pl.DataFrame(
    {
        "n_concepts": [7, 1, 7, 1],
        "beta": [0.1, 0.1, 10.0, 1.0],
        "recall@20": [0.2, 0.3, 0.4, 0.3],
        "items": [0.5, 0.7, 0.9, 0.7],
        "people": [0.5, None, 0.5, 0.5],
    }
)


def marks(svg):
    """Colour, place and shape of each mark: of items, then of people."""
    found = re.findall(r'class="mark" d="(.*?)" fill="(.*?)" transform="translate\((.*?)\)', svg)
    return [(shape, colour, *map(float, place.split(","))) for shape, colour, place in found]


def test_it_is_well_formed_and_needs_nothing_from_outside():
    svg = picture(CELLS)
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert "href" not in svg
    assert "K = 7" in svg
    assert "beta 0.1" in svg


def test_a_mark_is_where_its_numbers_are():
    drawn = marks(picture(CELLS))
    assert len(drawn) == 4 + 3
    (_, _, x0, y0), (_, _, x1, y1), (_, _, x2, y2), _ = drawn[:4]
    assert x0 < x1 < x2
    assert y0 > y1 > y2  # down is more in SVG
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)
    assert len({y for *_, y in drawn[4:]}) == 1


def test_colours_go_with_the_logarithm_of_beta_and_shapes_with_concepts():
    first, second, third, fourth = marks(picture(CELLS))[:4]
    assert first[1] == second[1] == "rgb(59,130,246)"
    assert third[1] == "rgb(245,158,11)"
    halfway = [int(part) for part in re.findall(r"\d+", fourth[1])]
    assert halfway == pytest.approx([152, 144, 128.5], abs=0.6)
    assert first[0] == third[0] != second[0] == fourth[0]


def test_values_that_are_all_the_same_or_missing_are_drawn_too():
    one = CELLS[:1].with_columns(people=pl.lit(None, pl.Float64))
    assert len(marks(picture(one))) == 1


@pytest.mark.parametrize(
    ("ends", "found"),
    [
        ((0.0, 1.0), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ((0.141, 0.262), [0.15, 0.2, 0.25]),
        ((0.931, 0.9334), [0.931, 0.9315, 0.932, 0.9325, 0.933]),
    ],
)
def test_ticks_are_round_numbers(ends, found):
    assert ticks(*ends) == found
