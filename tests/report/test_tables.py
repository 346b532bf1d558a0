"""Tables: what stands left, what right, and what must not break out of them."""

import polars as pl
import pytest

from macrid.report.tables import html_frame, html_table, markdown_table


@pytest.mark.parametrize(
    "column",
    [["0.42", "–"], ["+0.1", "-3"], ["1,234.5", None], [7, 2.5], ["12%", "1e-05"]],
)
def test_numbers_stand_to_the_right(column):
    assert markdown_table(pl.DataFrame({"x": column}, strict=False))[1] == "| ---: |"
    assert html_table(["x"], [[cell] for cell in column]).count('class="number"') == 3


@pytest.mark.parametrize(
    "column",
    [
        ["0.42", "ease"],
        ["0.4 ± 0.1", "0.4 ± 0.1 (0.02)"],
        ["2md", "3-layers"],
        ["–", ""],
        [None, None],
    ],
)
def test_all_else_to_the_left(column):
    assert markdown_table(pl.DataFrame({"x": column}))[1] == "| --- |"
    assert "number" not in html_table(["x"], [[cell] for cell in column])


def test_a_table_without_rows_has_its_header():
    empty = pl.DataFrame(schema={"model": pl.String, "ndcg@100": pl.String})
    assert markdown_table(empty) == ["| model | ndcg@100 |", "| --- | --- |"]
    assert "<th>ndcg@100</th></tr></thead><tbody></tbody>" in html_frame(empty)


def test_text_stays_in_its_cell():
    odd = pl.DataFrame({"a|b": ["<b>\n|"]})
    assert markdown_table(odd) == ["| a\\|b |", "| --- |", "| &lt;b> \\| |"]
    assert "<td>&lt;b&gt;\n|</td>" in html_frame(odd)
