"""Colours of concepts and labels, the same wherever they are drawn."""

import colorsys

# Of concepts and labels; seen on white and on near-black.
_COLOURS = (
    *("#3b82f6", "#e8890c", "#2aa876", "#d9559b", "#8f6ff0", "#b8860b", "#16a2b8", "#e05a47"),
    *("#7a9c1f", "#a8653a", "#6b7fa8", "#c04fd0"),
)


def colours(n: int) -> list[str]:
    """So many colours; beyond the chosen ones, further hues around the wheel.

    Example:
        >>> len(set(colours(30)))
        30
    """
    more = (colorsys.hls_to_rgb((0.382 * i) % 1, 0.55, 0.6) for i in range(n - len(_COLOURS)))
    return [*_COLOURS, *(f"rgb{tuple(round(255 * part) for part in one)}" for one in more)][:n]
