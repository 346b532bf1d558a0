"""What the project set out to reach (issue 3), against what was measured."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from derive import Run, good, middle, peak, rate, ratio, score_fraction, seconds, step_fraction
from roofline import Machine

US, THEM = "macrid", "RecBole MacridVAE"
MILLION = 1_000_000
POSSIBLE = 1.02  # share of the roofline; what is beyond was measured on a busy machine


@dataclass(frozen=True)
class Target:
    """A bound on a number that may not have been measured.

    Example:
        >>> Target("a step", 3.0, 2.4, "×").row()
        ['a step', '≥ 3×', '2.4×', 'missed by 20%']
        >>> Target("some quality", 60, math.inf, " s", at_most=True).row()
        ['some quality', '≤ 60 s', 'never', 'missed']
    """

    what: str
    bound: float | None
    found: float | None
    unit: str = ""
    at_most: bool = False

    def row(self) -> list[str]:
        """As a line of the table."""
        found = "not measured" if self.found is None else f"{self.found:.4g}{self.unit}"
        found = "never" if self.found == math.inf else found
        if self.bound is None:
            return [self.what, "to be shown", found, ""]
        sign = "≤" if self.at_most else "≥"
        return [self.what, f"{sign} {self.bound:.4g}{self.unit}", found, self.verdict()]

    def verdict(self) -> str:
        """Reached, or missed by how much of the bound."""
        if self.found is None or not self.bound:
            return ""
        if self.unit == "%" and self.found > 100 * POSSIBLE:
            return "in doubt: the machine was busy while the roofline was measured"
        if self.found <= self.bound if self.at_most else self.found >= self.bound:
            return "reached"
        if self.found == math.inf:
            return "missed"
        return f"missed by {abs(self.found / self.bound - 1):.0%}"


def targets(kept: dict[str, Any], machine: Machine | None) -> list[Target]:
    """All of them, in the order of the issue."""
    return [
        *_steps(_found(kept, "step")),
        *_fractions(kept, machine),
        *_quality(_found(kept, "quality")),
        *_million(_found(kept, "million")),
        *_reading(_found(kept, "reading")),
    ]


def _found(kept: dict[str, Any], part: str) -> dict[str, Any]:
    return kept.get(part, {}).get("found", {})


def _steps(step: dict[str, dict[str, list[Run]]]) -> list[Target]:
    """Faster than the peer by a factor."""
    wanted = []
    for data, full, half in (("ml-1m", 3, 6), ("gowalla", 6, 12)):
        runs = step.get(data, {})
        theirs, bf16 = runs.get(THEM, []), runs.get("macrid, bf16", [])
        start = f"{data}: a step against RecBole's, "
        wanted += [
            Target(f"{start}float32", full, ratio(theirs, runs.get(US, []), seconds), "×"),
            Target(f"{start}bfloat16", half, ratio(theirs, bf16, seconds), "×"),
        ]
    runs = step.get("gowalla", {})
    ours = runs.get(US, [])
    one_hot = ratio(ours, runs.get("macrid, one-hot", []), seconds)
    least = ratio(ours, runs.get(THEM, []), peak)
    return [
        *wanted,
        Target("gowalla: one-hot sampling against soft (about K)", 7, one_hot, "×"),
        Target("gowalla: peak memory over RecBole's", 1 / 3, least, at_most=True),
    ]


def _fractions(kept: dict[str, Any], machine: Machine | None) -> list[Target]:
    """Of the roofline."""
    step = _found(kept, "step").get("gowalla", {})
    score = _found(kept, "score").get("gowalla", {})
    alone = _found(kept, "lists").get("41,000 items, float32", {}).get("roofline")

    def percent(of: Callable, runs: list[Run] | None) -> float | None:
        found = of(machine, runs or [])
        return None if found is None else 100 * found

    full, half = step.get(US), step.get("macrid, bf16")
    return [
        Target("gowalla: a step, float32, of the roofline", 50, percent(step_fraction, full), "%"),
        Target("gowalla: a step, bfloat16, of the roofline", 50, percent(step_fraction, half), "%"),
        Target(
            "gowalla: `recommend`, ids and all, of the roofline",
            60,
            percent(score_fraction, score.get(US)),
            "%",
        ),
        Target(
            "41,000 items: scoring alone, of the roofline",
            60,
            None if alone is None else 100 * alone,
            "%",
        ),
    ]


def _quality(quality: dict[str, Any]) -> list[Target]:
    """Soon, and good."""
    runs = good(quality.get("macrid", {}).get("fast recipe", []))
    runs = runs if quality.get("data") == "ml-1m" else []
    reached = [run["reached_seconds"] or math.inf for run in runs]
    tests = [run["test"]["ndcg@100"]["mean"] for run in runs]
    return [
        Target(
            "ml-1m: seconds to a validation NDCG@100 of 0.4260, fast recipe (slowest seed)",
            60,
            max(reached, default=None),
            " s",
            at_most=True,
        ),
        Target("ml-1m: its test NDCG@100 (lowest seed)", 0.4193, min(tests, default=None)),
    ]


def _million(found: dict[str, Run]) -> list[Target]:
    """A million items and 100,000 users."""
    wanted = (found.get("step", {"problem": ""}), found.get("recommend", {"problem": ""}))
    step, lists = [[run for run in good([one]) if run["items"] >= MILLION] for one in wanted]
    start = "1,000,000 items: "
    lists_took = middle(lists, lambda run: run["users"] / rate(run))
    return [
        Target(f"{start}a sampled step", 0.5, middle(step, seconds), " s", at_most=True),
        Target(f"{start}memory of training", 8, middle(step, peak), " GB", at_most=True),
        Target(f"{start}exact top-20 for 10,000 users", None, lists_took, " s"),
        Target(f"{start}memory of recommending", 8, middle(lists, peak), " GB", at_most=True),
    ]


def _reading(reading: dict[str, Any]) -> list[Target]:
    """20 million events from Parquet."""
    runs = [run for run in good(reading.get("runs", [])) if run["format"] == "parquet"]
    slowest = max((run["seconds"] for run in runs if run["events"] >= 20 * MILLION), default=None)
    what = "20 million events from Parquet to split"
    return [Target(what, 60, slowest, " s", at_most=True)]
