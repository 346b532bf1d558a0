"""Figures of a comparison: where names stand, and what they need."""

import sys

import pytest

from macrid.errors import MissingExtra
from macrid.evaluation.compare import compare
from macrid.report.figures import _sides, cost_figure, metric_figure
from planted import split


@pytest.fixture(scope="module")
def found():
    return compare(split(), ["popularity", "ease"])


def test_without_plotly_the_extra_is_named(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(MissingExtra, match=r"pip install 'macrid\[viz\]'"):
        metric_figure(found, "ndcg@100")


def test_every_model_is_within_the_figure_of_costs(found):
    pytest.importorskip("plotly")
    drawn = cost_figure(found)
    low, high = (10**end for end in drawn.layout.xaxis.range)
    assert all(low < seconds < high for seconds in drawn.data[0].x)
    low, high = drawn.layout.yaxis.range
    assert all(low < value < high for value in drawn.data[0].y)
    assert set(drawn.data[0].text) == {"popularity", "ease"}


def test_names_of_neighbours_do_not_cover_each_other():
    # One above the other, and one alone: the first name goes up, so the second goes elsewhere.
    assert _sides([100, 100, 200], [100, 114, 30], ["lower", "upper", "alone"]) == [
        "bottom center",
        "top center",
        "top center",
    ]


def test_a_name_at_the_edge_stays_inside():
    assert _sides([298], [100], ["a rather long"]) == ["middle left"]


def test_one_model_alone_can_be_drawn():
    pytest.importorskip("plotly")
    drawn = cost_figure(compare(split(), ["popularity"]))
    assert drawn.layout.yaxis.range[0] < drawn.data[0].y[0] < drawn.layout.yaxis.range[1]
