"""What follows from measurements: medians, ratios of pairs, fractions of the roofline."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from roofline import Machine, Products, least_scoring_seconds, least_step_seconds

Run = dict[str, Any]


def good(runs: Sequence[Run]) -> list[Run]:
    """Those that were measured at all."""
    return [run for run in runs if "problem" not in run]


def seconds(run: Run) -> float:
    """The median of one process."""
    return median(run["seconds"])


def rate(run: Run) -> float:
    """Users scored in a second."""
    return run["users_per_second"]


def peak(run: Run) -> float:
    """GB (10⁹ bytes) that a process had at most."""
    return run["peak_bytes"] / 1e9


def middle(runs: Sequence[Run], of: Callable[[Run], float]) -> float | None:
    """The median over rounds; None where nothing was measured.

    Example:
        >>> middle([{"peak_bytes": 3e9}, {"problem": "no"}, {"peak_bytes": 1e9}], peak)
        2.0
    """
    return median(map(of, good(runs))) if good(runs) else None


def spread(runs: Sequence[Run], of: Callable[[Run], float], form: str) -> str:
    """Median and range over rounds.

    Example:
        >>> spread([{"peak_bytes": 3e9}, {"peak_bytes": 1e9}], peak, ".1f")
        '2.0 (1.0–3.0)'
    """
    values = sorted(map(of, good(runs)))
    text = format(median(values), form)
    return text if len(values) == 1 else f"{text} ({values[0]:{form}}–{values[-1]:{form}})"


def ratio(over: Sequence[Run], under: Sequence[Run], of: Callable[[Run], float]) -> float | None:
    """The median over rounds of one's value over the other's, measured in the same round.

    Example:
        >>> ratio([{"peak_bytes": 6}, {"peak_bytes": 8}], [{"peak_bytes": 2}], peak)
        3.0
    """
    both = [pair for pair in zip(over, under, strict=False) if len(good(pair)) == 2]
    return median(of(a) / of(b) for a, b in both) if both else None


def step_fraction(machine: Machine | None, runs: Sequence[Run]) -> float | None:
    """The least time of a step over the measured one; None where either is unknown."""
    took = middle(runs, seconds)
    if machine is None or took is None or "least" not in good(runs)[0]:
        return None
    return least_step_seconds(machine, **good(runs)[0]["least"]) / took


def score_fraction(machine: Machine | None, runs: Sequence[Run]) -> float | None:
    """The least time of scoring over the measured one; None where either is unknown."""
    found = middle(runs, rate)
    if machine is None or found is None or "least" not in good(runs)[0]:
        return None
    least = good(runs)[0]["least"]
    return least_scoring_seconds(machine, **least) * found / least["users"]


def best_machine(runs: Sequence[Run]) -> Machine | None:
    """The best of each rate over runs of the roofline: other work can only lower them."""
    found = [Machine.of({k: v for k, v in run.items() if k != "peak_bytes"}) for run in good(runs)]
    if not found:
        return None

    def best(of: Callable[[Machine], float]) -> float:
        return max(map(of, found))

    def of_shape(precision: str, shape: str) -> float:
        return best(lambda machine: getattr(machine.products[precision], shape))

    products = {
        precision: Products(**{shape: of_shape(precision, shape) for shape in asdict(rates)})
        for precision, rates in found[0].products.items()
    }
    return Machine(
        products,
        exponentials=best(lambda m: m.exponentials),
        exponentials_in_memory=best(lambda m: m.exponentials_in_memory),
        copy=best(lambda m: m.copy),
        triad=best(lambda m: m.triad),
        threads=found[0].threads,
    )
