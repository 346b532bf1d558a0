"""A comparison as files: whole, readable, and in need of nothing from outside."""

import dataclasses
import json
import re
import sys

import numpy as np
import pytest

from macrid.errors import ArtifactError, MissingExtra
from macrid.evaluation.compare import Contender, compare
from macrid.report.comparison import markdown, page, words, write_report
from macrid.report.figures import _within_bounds, metric_figure
from planted import split

# One worker, as what is shared takes seconds.
pytestmark = pytest.mark.xdist_group("comparison page")


@pytest.fixture(scope="module")
def found():
    """Four models, one of which fails and one of which has an awkward name."""
    quick = {"epochs": 2, "batch_size": 40}
    return compare(
        split(),
        [
            "popularity",
            "ease",
            Contender("<b>a|b & a rather long label", "multdae", {"n_dims": 4}, quick),
            Contender("wild", "multdae", {}, {**quick, "learning_rate": 1e30}),
        ],
        seeds=2,
        beyond=True,
    )


@pytest.fixture(scope="module")
def html(found):
    pytest.importorskip("plotly")
    return page(found)


def without_scripts(html: str) -> str:
    return re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


def test_all_three_files_are_written(found, tmp_path):
    pytest.importorskip("plotly")
    write_report(found, tmp_path / "new")
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"comparison.json", "comparison.md", "comparison.html"}
    written = json.loads((tmp_path / "new" / "comparison.json").read_text())
    assert written == json.loads(json.dumps(found.to_dict()))
    assert (tmp_path / "new" / "comparison.md").read_text() == markdown(found)


def test_without_plotly_the_other_two_are_written(found, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    (tmp_path / "comparison.html").write_text("an older one")
    with pytest.raises(MissingExtra, match=r"pip install 'macrid\[viz\]'"):
        write_report(found, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"comparison.json", "comparison.md"}


def test_a_folder_that_cannot_be_written_is_a_sentence(found, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write to"):
        write_report(found, tmp_path / "file")


def test_markdown_has_both_tables_what_they_mean_and_what_failed(found):
    text = markdown(found)
    assert "20 test users: mean ± standard error over users (over 2" in text
    assert "| model | ndcg@100 | recall@20 | recall@50 | seconds | parameters |" in text
    assert "all 3 intervals hold at once with 95% confidence" in text
    assert "- wild: 2 of 2 failed: the loss" in text
    assert "| first | second | first less second | interval | p | p, Holm |" in text
    assert "seeds 98765, 1; 10,000 resamples" in text
    assert "- ease: regularization " in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len(tables) == (2 + 4) + (2 + 4) + (2 + 3)
    # A stroke in a label does not make a column.
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables[:6]} == {7}
    assert "<b>" not in text  # nor does it begin a tag


def test_where_the_events_are_from_is_said(found):
    known = dataclasses.replace(
        found, about={**found.about, "source": {"data": "a&b.csv", "min_weight": 4.0}}
    )
    assert "- data a&b.csv; min_weight 4.0; macrid " in markdown(known)
    pytest.importorskip("plotly")
    assert "data a&amp;b.csv; min_weight 4.0; macrid " in without_scripts(page(known))


def test_one_model_alone_has_no_differences_to_tell():
    alone = compare(split(), ["popularity"], seeds=1)
    assert "Differences" not in markdown(alone)
    assert "(over" not in markdown(alone)
    pytest.importorskip("plotly")
    assert "less that of" not in page(alone)


def test_one_difference_is_spoken_of_as_one():
    pair = compare(split(), ["popularity", "ease"], seeds=1)
    assert "same users; the interval holds with 95% confidence" in markdown(pair)
    assert "all 1" not in markdown(pair)


def test_conditions_leave_out_what_is_not_set(found):
    assert "n_dims 4" in markdown(found)
    assert "None" not in markdown(found)


def test_tables_may_be_wider_than_the_text(html):
    assert ".wide { overflow-x: auto; width: max-content; min-width: 100%" in html


def test_the_page_needs_nothing_from_outside(html):
    assert not re.search(r"""(src|href|action)\s*=\s*["']?(https?:)?//""", without_scripts(html))
    assert not re.search(r"<script[^>]+src", html)
    assert "<link" not in without_scripts(html)
    assert "@import" not in without_scripts(html)
    assert "http://" not in without_scripts(html)
    assert "https://" not in without_scripts(html)
    assert html.count("/**\n* plotly.js") == 1


def test_the_page_has_a_figure_per_metric_one_of_costs_and_one_of_differences(html):
    titles = re.findall("<h2>(.*?)</h2>", html)
    assert titles == [
        "NDCG@100 on the test users",
        "Recall@20 on the test users",
        "Recall@50 on the test users",
        "NDCG@100 against seconds of training",
        "NDCG@100 of each model less that of ease",
        "Conditions",
    ]
    assert html.count("Plotly.newPlot(") >= 5
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_labels_are_shown_as_they_are(html):
    shown = without_scripts(html)
    assert "&lt;b&gt;a|b &amp; a rather long label" in shown
    assert "<b>" not in shown


def test_figures_hold_the_numbers_of_the_comparison(found, html):
    drawn = re.findall(r"Plotly\.newPlot\(\s*\"(.*?)\",\s*(\[.*?\]),\s*\{", html, flags=re.DOTALL)
    assert len(drawn) == 5
    traces = json.loads(drawn[0][1])
    shown = found.models.drop_nulls("ndcg@100").sort("ndcg@100", descending=True)
    assert traces[1]["x"] == pytest.approx(shown["ndcg@100"].to_list())
    assert traces[1]["error_x"]["array"] == pytest.approx((1.96 * shown["ndcg@100_se"]).to_list())
    assert len(traces[0]["x"]) == 4  # a cell each of popularity and ease, two of the third
    forest = json.loads(drawn[4][1])[0]
    assert forest["x"] == pytest.approx(found.against_best()["difference"].to_list())
    low = [x - d for x, d in zip(forest["x"], forest["error_x"]["arrayminus"], strict=True)]
    assert low == pytest.approx(found.against_best()["low"].to_list())


def test_intervals_end_where_a_measure_does():
    bounded = _within_bounds(np.array([0.02, 0.5, 0.97]), np.array([0.05, 0.1, 0.05]))
    assert bounded["array"] == pytest.approx([0.05, 0.1, 0.03])
    assert bounded["arrayminus"] == pytest.approx([0.02, 0.1, 0.05])


def test_dots_of_seeds_only_where_there_are_several():
    pytest.importorskip("plotly")
    once = compare(split(), ["popularity", "ease"], seeds=3)
    assert len(metric_figure(once, "ndcg@100").data[0].x) == 0
    assert "small dots" not in page(once)


def test_metrics_in_words():
    assert [words(name) for name in ("ndcg@5", "recall@20")] == ["NDCG@5", "Recall@20"]
