"""The page about a search: what is on it, and that it needs nobody else."""

import re
import sys

import polars as pl
import pytest

from macrid.errors import MissingExtra
from macrid.evaluation.search import Search
from macrid.evaluation.tune import Tuned, tune
from macrid.report.search import search_page, write_page
from planted import split

# One worker, as what is shared takes seconds.
pytestmark = pytest.mark.xdist_group("search page")

pytest.importorskip("plotly")


@pytest.fixture(scope="module")
def tuned():
    """A search of a linear model."""
    return tune("ease", split(), trials=8)


def visible(page):
    """What is on a page beside its scripts."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_it_says_what_was_found(tuned):
    shown = visible(search_page(tuned))
    assert f"{tuned.validation['ndcg@100']['mean']:.4f} ± " in shown
    assert f"{tuned.test['recall@20']['mean']:.4f} ± " in shown
    best = tuned.settings["regularization"]
    assert f'<td>regularization</td><td class="number">{best}</td>' in shown
    assert "Trial" in shown
    assert "8 trials" in shown
    assert "a search of 1 setting<" in shown


def test_it_draws_history_importance_and_slices(tuned):
    page = search_page(tuned)
    for figure in ("history", "importance", "slice-regularization"):
        assert page.count(f'id="{figure}"') == 1
    assert '"type":"log"' in page


def test_what_is_wide_wraps_its_labels_and_legends_grow_away_from_the_plot(tuned):
    page = search_page(tuned)
    assert "white-space: normal; min-width" in page
    assert '"yanchor":"bottom"' in page


def test_nothing_is_fetched(tuned):
    page = search_page(tuned)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    assert "prefers-color-scheme: dark" in page


def test_without_a_test_few_trials_and_with_failures_it_still_says_what_it_can(tmp_path):
    search = Search.of("vamp", {}, {"gated": "true,false", "likelihood": "logistic"})
    trials = pl.DataFrame(
        {
            "number": [0, 1, 2], "state": ["complete", "pruned", "failed"],
            "value": [0.25, 0.2, None], "seconds": [1.0, 0.5, 0.1],
            "reason": [None, None, "a <b> & c"],
            **{name: [known.nearest(search.start()[name])] * 3
               for name, known in search.space.items()},
        }
    )  # fmt: skip
    measured = {"ndcg@100": {"mean": 0.25, "se": 0.01, "n": 20}}
    found = Tuned(search, "vamp", 0, search.start(), {}, measured, None, trials, {})
    write_page(found, tmp_path)
    shown = visible((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Too few trials ended" in shown
    assert "a &lt;b&gt; &amp; c" in shown
    assert "test users" not in shown
    assert "1 pruned; 1 more failed, 0 interrupted" in shown


def test_without_plotly_the_extra_is_named(tuned, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(MissingExtra, match=r"macrid\[viz\]"):
        search_page(tuned)
