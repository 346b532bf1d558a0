"""Figure 4 of Ma et al. (2019) as SVG, for documents that run no script.

Recall goes to the right, uncorrelatedness up, of items on the left, of people on the right. A mark
is a training; its colour goes with beta, its shape with the number of concepts.
"""

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

RAMP = (59, 130, 246), (245, 158, 11)  # of a small and of a large beta, seen on white and black
_WIDTH, _HEIGHT = 420, 380  # of a panel
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 16, 56, 50  # its margins
_SHAPES = (  # around 0, by number of concepts, in turn
    "M4.5,0A4.5,4.5 0 1 1 -4.5,0A4.5,4.5 0 1 1 4.5,0Z",
    "M-4,-4H4V4H-4Z",
    "M0,-5.5L5.5,0L0,5.5L-5.5,0Z",
    "M0,-5.5L5,4H-5Z",
)
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1c1f24 } .name { font-weight: 600 }
.line { stroke: #d9dde5 } .mark { fill-opacity: .85 }
@media (prefers-color-scheme: dark) { text { fill: #e8eaed } .line { stroke: #3a404c } }
"""


def picture(cells: pl.DataFrame) -> str:
    """The trainings of a sweep as two panels.

    Args:
        cells: As `Swept` has them.

    Example:
        >>> rows = {"n_concepts": [7, 7], "beta": [0.1, 2.0], "recall@20": [0.2, 0.25]}
        >>> drawn = picture(pl.DataFrame(rows | {"items": [0.8, 0.9], "people": [0.7, None]}))
        >>> drawn.count('class="mark"')
        3
    """
    panels = [
        f'<g transform="translate({n * _WIDTH},0)">{_panel(cells, of)}</g>'
        for n, of in enumerate(("items", "people"))
    ]
    size = f'width="{2 * _WIDTH}" height="{_HEIGHT}" viewBox="0 0 {2 * _WIDTH} {_HEIGHT}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            "<title>Uncorrelatedness of items and of people against Recall@20, by beta</title>",
            f"<style>{_STYLE}</style>",
            *panels,
            *_legend(cells),
            "</svg>\n",
        ]
    )


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from one end to the other, three to six of them.

    Example:
        >>> ticks(0.81, 0.97)
        [0.85, 0.9, 0.95]
    """
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(power * m for m in (1, 2, 5, 10) if (high - low) / (power * m) <= 5)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(f"{n * step:.6g}") for n in range(first, last + 1)]


def _panel(cells: pl.DataFrame, of: str) -> str:
    """One side: its grid, and a mark per training."""
    shown = cells.drop_nulls(of)
    across, up = (_reach(shown[name]) for name in ("recall@20", of))

    def x(value: float) -> float:
        share = (value - across[0]) / (across[1] - across[0])
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        share = (value - up[0]) / (up[1] - up[0])
        return round(_HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM), 1)

    floor, middle = _HEIGHT - _BOTTOM, (_LEFT + _WIDTH - _RIGHT) / 2
    grid = [
        f'<path class="line" d="M{x(t)},{_TOP}V{floor}"/>'
        f'<text x="{x(t)}" y="{floor + 18}" text-anchor="middle">{t:g}</text>'
        for t in ticks(*across)
    ] + [
        f'<path class="line" d="M{_LEFT},{y(t)}H{_WIDTH - _RIGHT}"/>'
        f'<text x="{_LEFT - 7}" y="{y(t) + 4}" text-anchor="end">{t:g}</text>'
        for t in ticks(*up)
    ]
    concepts = cells["n_concepts"].unique(maintain_order=True).to_list()
    colours = dict(zip(shown["beta"], _colours(shown["beta"], cells["beta"]), strict=True))
    marks = [
        f'<path class="mark" d="{_SHAPES[concepts.index(k) % len(_SHAPES)]}" '
        f'fill="{colours[beta]}" transform="translate({x(recall)},{y(value)})"/>'
        for k, beta, recall, value in shown["n_concepts", "beta", "recall@20", of].iter_rows()
    ]
    words = [
        f'<text class="name" x="{middle}" y="{_TOP - 12}" text-anchor="middle">of {of}</text>',
        f'<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">Recall@20</text>',
        f'<text transform="translate(15,{(_TOP + floor) / 2}) rotate(-90)" text-anchor="middle">'
        "uncorrelatedness</text>",
    ]
    return "".join([*grid, *marks, *words])


def _legend(cells: pl.DataFrame) -> list[str]:
    """What colours and shapes mean, above the panels."""
    beta, concepts = cells["beta"], cells["n_concepts"].unique(maintain_order=True).to_list()
    ends = pl.Series([beta.min(), beta.max()])
    stops = "".join(
        f'<stop offset="{n}" stop-color="{colour}"/>'
        for n, colour in enumerate(_colours(ends, beta))
    )
    shapes = [
        f'<path d="{_SHAPES[n % len(_SHAPES)]}" fill="#8b93a1" '
        f'transform="translate({_LEFT + 5 + 80 * n},16)"/>'
        f'<text x="{_LEFT + 15 + 80 * n}" y="20">K = {k}</text>'
        for n, k in enumerate(concepts)
    ]
    right = 2 * _WIDTH - _RIGHT
    return [
        f'<defs><linearGradient id="beta">{stops}</linearGradient></defs>',
        *shapes,
        f'<text x="{right - 178}" y="20" text-anchor="end">beta {ends[0]:.2g}</text>',
        f'<rect x="{right - 170}" y="10" width="130" height="12" rx="3" fill="url(#beta)"/>',
        f'<text x="{right - 32}" y="20">{ends[1]:.2g}</text>',
    ]


def _colours(some: pl.Series, every: pl.Series) -> Sequence[str]:
    """Colours of some betas among all, by their logarithm."""
    logs, known = np.log(some.to_numpy()), np.log(every.to_numpy())
    share = (logs - known.min()) / (np.ptp(known) or 1.0)
    ends = np.array(RAMP)
    mixed = np.round(ends[0] + share[:, None] * (ends[1] - ends[0])).astype(int)
    return [f"rgb({r},{g},{b})" for r, g, b in mixed.tolist()]


def _reach(values: pl.Series) -> tuple[float, float]:
    """From a little below the least to a little above the greatest."""
    numbers = values.to_numpy()
    low, high = (numbers.min(), numbers.max()) if len(numbers) else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.05
    return float(low - room), float(high + room)
