"""What all pages share."""

import sys

import pytest

from macrid.errors import MissingExtra
from macrid.report import shell


def test_without_plotly_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    for make in (lambda: shell.page("title", []), shell.blank):
        with pytest.raises(MissingExtra, match=r"pip install 'macrid\[viz\]'"):
            make()


def test_a_page_shows_text_as_it_is_and_runs_its_script_last():
    pytest.importorskip("plotly")
    html = shell.page("One & <two>", shell.paragraphs(["a < b"]), style="i { }", script="go()")
    assert html.count("One &amp; &lt;two&gt;") == 2
    assert "<p>a &lt; b</p>" in html
    assert html.index("i { }") < html.index("plotly.js") < html.index("go()")
    assert html.rstrip().endswith("</html>")
