"""How a training step grows with items, users, concepts and dims; a catalogue of a million.

Everything is drawn by Zipf's law. One process per size; a sweep ends where a step would take longer
than a minute.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from contenders import SIZES, Bench, macrid

LIMIT = 60.0  # seconds of a step
EVENTS = 34  # of a user, as in gowalla
ITEMS = 20_000  # where the other sizes are varied
SAMPLED = {"softmax": "sampled:8192"}
SWEEPS = {
    "items": (5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000),
    "items, sampled softmax": (20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000),
    "users": (125, 250, 500, 1_000, 2_000),
    "concepts": (1, 2, 4, 7, 14, 28),
    "dims": (25, 50, 100, 200, 400),
}
FIELD = {"users": "batch_size", "concepts": "n_concepts", "dims": "n_dims"}
STEPS, WARMUP = 3, 1


def growth(place: Bench, toy: bool, say: Callable[[str], None]) -> dict[str, list[dict]]:
    """Each sweep as ``{"at": size, "seconds": …, "peak_bytes": …}``, smallest first."""
    found: dict[str, list[dict]] = {}
    for name, sizes in SWEEPS.items():
        found[name] = rows = []
        for size in sizes[:2] if toy else sizes:
            if rows and (problem := rows[-1].get("problem")):
                say(f"  {name}: {problem}")
                break
            if rows and rows[-1]["seconds"] * size / rows[-1]["at"] > LIMIT:
                break
            rows.append({"at": size, **_step(place, name, size, toy)})
            say(f"  {name} {size:,}: {rows[-1].get('seconds', rows[-1].get('problem'))}")
    return found


def _step(place: Bench, name: str, size: int, toy: bool) -> dict:
    """One process."""
    sampled = name.endswith("softmax")
    items = size if name.startswith("items") else ITEMS
    job = {FIELD[name]: size} if name in FIELD else {}
    batch = job.get("batch_size", SIZES["batch_size"])
    data = f"zipf:{batch * (STEPS + WARMUP + 1)}:{items // (100 if toy else 1)}:{EVENTS}"
    who = macrid(settings=SAMPLED if sampled else {})
    found = place.measure(who, "step", data, steps=STEPS, warmup=WARMUP, **job)
    return found if "problem" in found else found | {"seconds": median(found["seconds"])}


def million(place: Bench, toy: bool, say: Callable[[str], None]) -> dict[str, dict]:
    """A million items and 100,000 users: a training step, and lists for 10,000 people."""
    users, items, people = (3_000, 10_000, 100) if toy else (100_000, 1_000_000, 10_000)
    data, found = f"zipf:{users}:{items}:50", {}
    for name, precision in (("step", {}), ("step, bf16", {"precision": "bf16"})):
        who = macrid(settings=SAMPLED, training=precision)
        found[name] = place.measure(who, "step", data, warmup=2, steps=3 if toy else 10)
    # A model that was trained with the sampled softmax, as nobody would wait for the full one.
    for name, job in (
        ("recommend", {"settings": SAMPLED}),
        ("recommend, bf16", {"settings": SAMPLED, "recommend": {"precision": "bf16"}}),
    ):
        found[name] = place.measure(macrid(**job), "score", data, users=people)
    for name, one in found.items():
        say(f"  {name}: {one.get('problem') or one.get('users_per_second') or one['seconds']}")
    return found


def seconds(run: dict) -> float:
    """The median of a process, which is all that is kept here."""
    return run["seconds"]


def memory(run: dict) -> float:
    """GB at the peak, beyond what the process had before it read any data."""
    return (run["peak_bytes"] - run["before_bytes"]) / 1e9


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of a straight line through the logarithms, by least squares.

    Example:
        >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
        2.0
    """
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    pairs = zip(x, y, strict=True)
    return sum((a - mean_x) * (b - mean_y) for a, b in pairs) / sum((a - mean_x) ** 2 for a in x)


def draw(found: dict[str, list[dict]], out: Path) -> None:
    """Seconds and memory of a step by each size that is varied, with the fitted exponents."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullLocator

    plt.rcParams |= {"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "macrid"}
    panels = ["items", "users", "concepts", "dims"]
    rows = [("seconds per step", seconds), ("GB beyond the imports", memory)]
    # One scale for a row, so that slopes can be compared.
    figure, axes = plt.subplots(
        2, 4, figsize=(12, 6), sharex="col", sharey="row", layout="constrained"
    )
    for row, (label, of) in enumerate(rows):
        axes[row, 0].set_ylabel(label)
        for axis, panel in zip(axes[row], panels, strict=True):
            exponents = []
            for name, runs in found.items():
                good = [run for run in runs if "problem" not in run]
                if not name.startswith(panel) or len(good) < 2:
                    continue
                x, y = [run["at"] for run in good], [of(run) for run in good]
                softmax = "sampled softmax" if "sampled" in name else "full softmax"
                axis.loglog(x, y, marker="o", markersize=4, label=softmax)
                exponents.append(f"{exponent(x, y):.2f}")
                if panel != "items":
                    axis.set_xticks(x, [f"{size:,}" for size in x])
                    axis.xaxis.set_minor_locator(NullLocator())
            axis.set_title(f"exponent {' and '.join(exponents)}", fontsize=9)
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_minor_locator(NullLocator())
            axis.grid(alpha=0.3)
            if row:
                axis.set_xlabel(panel)
    axes[0, 0].legend()
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)


if __name__ == "__main__":  # by the peers' Python, which has matplotlib
    draw(json.load(sys.stdin)["found"], Path(sys.argv[1]))
