"""A sweep as files: whole, readable, and in need of nothing from outside."""

import io
import re
import sys
from dataclasses import replace

import polars as pl
import pytest

from macrid.errors import ArtifactError, MissingExtra
from macrid.evaluation.sweep import Swept
from macrid.report.sweep import correlation_table, markdown, page, write_sweep

REPORTS = {"sweep.csv", "sweep.md", "sweep.svg", "sweep.html"}


@pytest.fixture
def swept():
    """Two numbers of concepts, three settings; of one, people do not vary."""
    cells = pl.DataFrame(
        {
            "n_concepts": [7, 1] * 3,
            "n_dims": [10, 70] * 3,
            "setting": [0, 0, 1, 1, 2, 2],
            "beta": [0.1, 0.1, 1.0, 1.0, 4.0, 4.0],
            "prior_std": [0.1] * 6,
            "recall@20": [0.2, 0.1, 0.25, 0.15, 0.3, 0.12],
            "recall@20_se": [0.01] * 6,
            "ndcg@100": [0.2] * 6,
            "items": [0.8, 0.7, 0.9, 0.75, 0.95, 0.78],
            "people": [0.5, 0.6, 0.6, None, 0.7, 0.8],
            "constant_dims": [0, 0, 0, 70, 0, 0],
            "seconds": [1.23456] * 6,
        }
    )
    rows = [
        (k, of, other, 3, *((None,) * 3 if (k, of) == (1, "people") else (0.5, -0.25, 1.0)))
        for k in (7, 1)
        for of in ("items", "people")
        for other in ("beta", "prior_std", "recall@20")
    ]
    schema = ["n_concepts", "of", "with", "n", "rho", "low", "high"]
    about = {
        "beta": "0.1..4 log", "prior_std": "0.1..0.1 log", "seed": 5, "epochs": 30,
        "fixed": {"tau": 0.2}, "training_users": 1234, "validation_users": 50, "items": 99,
        "level": 0.95, "resamples": 10_000,
    }  # fmt: skip
    correlations = pl.DataFrame(rows, schema=schema, orient="row")
    return Swept(cells, correlations, ["K = 1, beta 9: <it> diverged"], about)


def test_all_files_are_written(swept, tmp_path):
    pytest.importorskip("plotly")
    write_sweep(swept, tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == REPORTS
    content = (tmp_path / "new" / "sweep.csv").read_bytes()
    assert pl.read_csv(io.BytesIO(content)).equals(swept.cells)


def test_without_plotly_the_others_are_written(swept, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    (tmp_path / "sweep.html").write_text("an older one")
    with pytest.raises(MissingExtra, match=r"pip install 'macrid\[viz\]'"):
        write_sweep(swept, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == REPORTS - {"sweep.html"}


def test_a_folder_that_cannot_be_written_is_a_sentence(swept, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot write to"):
        write_sweep(swept, tmp_path / "file")


def test_correlations_as_a_table(swept):
    shown = correlation_table(swept)
    assert shown.columns == [
        "concepts", "uncorrelatedness of", "settings", "beta", "prior_std", "recall@20",
    ]  # fmt: skip
    assert shown.row(0) == (7, "items", 3, *["+0.50 (-0.25 to +1.00)"] * 3)
    bare = pl.when(pl.col("with") == "beta").then(None).otherwise("low")
    few = replace(swept, correlations=swept.correlations.with_columns(low=bare))
    assert correlation_table(few).row(0)[3:5] == ("+0.50", "+0.50 (-0.25 to +1.00)")
    assert shown.row(3) == (1, "people", 3, "–", "–", "–")


def test_markdown_says_what_was_done(swept):
    text = markdown(swept)
    assert "95% interval (10,000 bootstrap resamples of settings)" in text
    assert "MacridVAE with K = 7 (d = 10) and K = 1 (d = 70); beta from 0.1..4 log" in text
    assert "30 epochs, the last one is measured; tau 0.2" in text
    assert "- failed: K = 1, beta 9: <it> diverged" in text
    assert len([line for line in text.splitlines() if line.startswith("|")]) == (2 + 4) + (2 + 6)


def test_the_page_has_four_figures_and_needs_nothing_from_outside(swept):
    pytest.importorskip("plotly")
    html = page(swept)
    assert html.count("Plotly.newPlot(") >= 4
    shown = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//|@import|<link""", shown)
    assert not re.search(r"<script[^>]+src", html)
    assert "prefers-color-scheme: dark" in shown
    assert "&lt;it&gt; diverged" in shown
    assert len(re.findall("<h2>Uncorrelatedness of (items|people)", shown)) == 4
