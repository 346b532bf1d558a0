"""What all pages share: one HTML file that needs no network, light or dark, narrow or wide.

Plotly's script is inside. Figures are drawn without colours of text and grid, which the page's
style sheet gives them, so that they follow the reader's light or dark at once.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from macrid.errors import MissingExtra

BLUE, ORANGE, GREY = "#3b82f6", "#e8890c", "#8b93a1"  # seen on white and on near-black
FONT = {"size": 14, "family": "system-ui, sans-serif"}
MODELS = {  # what they are called where people read
    "macridvae": "MacridVAE",
    "multvae": "Mult-VAE",
    "multdae": "Mult-DAE",
    "vamp": "Vamp",
    "hvamp": "H+Vamp",
    "recvae": "RecVAE",
    "ease": "EASE",
    "popularity": "popularity",
}
_CONFIG = {"displayModeBar": False, "responsive": True}
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1f24; --soft: #565d68; --paper: #fff; --line: #dfe3e8;
  --card: #f6f7f9 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --soft: #a7aeb9; --paper: #15181c; --line: #343a43; --card: #1d2126 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 54rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; margin: .5rem 0 }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .3rem }
p { margin: .3rem 0; color: var(--soft); overflow-wrap: anywhere }
.wide { overflow-x: auto; width: max-content; min-width: 100%; max-width: calc(100vw - 3rem);
  margin: .6rem 0; position: relative; left: 50%; transform: translateX(-50%) }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .9rem .35rem 0; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--line) }
.number { text-align: right }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--paper);
  white-space: normal; min-width: 7rem }
summary { cursor: pointer; margin: 1rem 0 }
.js-plotly-plot text { fill: var(--ink) !important }
.js-plotly-plot .hoverlayer text { fill: #fff !important }
.js-plotly-plot .gridlayer path { stroke: var(--line) !important }
"""
# They were drawn while the page was being read, perhaps wider than it became.
_SETTLE = """
document.querySelectorAll('.plotly-graph-div').forEach(one => Plotly.Plots.resize(one))
"""


def page(title: str, body: Iterable[str], *, style: str = "", script: str = "") -> str:
    """A whole page.

    Args:
        title: Shown as its heading, too.
        body: HTML.
        style: CSS beside that of all pages.
        script: Run when everything has been read.

    Raises:
        MissingExtra: If plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtra("plotly", "viz") from error
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>",
            f"<script>{get_plotlyjs()}</script>\n</head>\n<body>",
            f"<h1>{escape(title)}</h1>",
            *body,
            f"<script>{_SETTLE}{script}</script>\n</body>\n</html>\n",
        ]
    )


def drawn(figure: Any, name: str) -> str:
    """A plotly figure, with the id that it has on the page."""
    return figure.to_html(
        full_html=False, include_plotlyjs=False, config=_CONFIG, div_id=escape(name)
    )


def paragraphs(sentences: Sequence[str]) -> list[str]:
    """Sentences, each as a paragraph.

    Example:
        >>> paragraphs(["a < b"])
        ['<p>a &lt; b</p>']
    """
    return [f"<p>{escape(sentence)}</p>" for sentence in sentences]


def blank() -> Any:
    """A figure without anything.

    Raises:
        MissingExtra: If plotly is not installed.
    """
    try:
        from plotly.graph_objects import Figure
    except ImportError as error:
        raise MissingExtra("plotly", "viz") from error
    return Figure()


def plain(figure: Any, *, height: int) -> Any:
    """What figures share: no colours but the page's, nothing to drag, room for names."""
    figure.update_layout(
        template="none",
        height=height,
        showlegend=False,
        dragmode=False,
        margin={"l": 10, "r": 16, "t": 16, "b": 40},
        font=FONT,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"bgcolor": "#2b3440", "font": {"size": 14}},
    )
    axis = {"automargin": True, "fixedrange": True, "zeroline": False, "title_font_size": 14}
    axis["title_standoff"] = 8  # or a name comes to lie on numbers
    figure.update_xaxes(nticks=5, **axis)
    figure.update_yaxes(**axis)
    return figure
