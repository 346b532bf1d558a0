"""The benchmark: macrid and its peers in turn, in the same run, into benchmarks/results.md.

    make bench                                             everything, about two hours
    python benchmarks/run.py --only roofline,step          some parts; the others stay as they were
    python benchmarks/run.py --quick                       all parts at toy sizes, some minutes
    python benchmarks/run.py --only none                   only write the report again

What a part measured is kept as JSON in benchmarks/.raw, so that parts can be run apart. Within a
part everybody takes a turn in each round (A B A B …), each measurement in a process of its own.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import sources
from contenders import (
    ALS,
    BF16,
    MULTIVAE,
    ONE_HOT,
    SCORED,
    TRAINED,
    Bench,
    Contender,
    bench,
    macrid,
)
from growth import growth, million

import report

HERE = Path(__file__).resolve().parent
RAW = HERE / ".raw"
SLOW = 30  # seconds of an epoch that is not measured more than once
TARGET = 0.4260  # validation NDCG@100 on ml-1m
FAST = {"recipe": "fast"}
QUALITY = {
    "defaults": macrid(),
    "defaults, bf16": macrid(training=BF16),
    "fast recipe": macrid(training=FAST),  # in half precision
}
THOROUGH = {
    "defaults, one-hot": macrid(settings=ONE_HOT),
    "fast recipe, one-hot": macrid(settings=ONE_HOT, training=FAST),
}


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    data: tuple[str, ...] = ("ml-1m", "gowalla")
    rounds: int = 5
    steps: int = 4
    users: int = 2_000
    sizes: dict[str, Any] | None = None
    epochs: int | None = None
    seeds: tuple[int, ...] = (98765,)
    thorough: bool = False
    events: int = 20_000_000
    toy: bool = False  # growth and million at a hundredth of the size, two points a sweep


QUICK = Plan(
    ("small",), 1, 2, 500, {"n_concepts": 3, "n_dims": 16}, epochs=2, events=100_000, toy=True
)


def main() -> None:
    """Run the parts asked for, keep what they found, write the report."""
    given = options()
    raw = RAW / "quick" if given.quick else RAW
    raw.mkdir(parents=True, exist_ok=True)
    plan = (
        QUICK
        if given.quick
        else Plan(
            tuple(given.data), given.rounds, seeds=tuple(given.seeds), thorough=given.thorough
        )
    )
    if not all(map(sources.there, plan.data)):
        plan = replace(plan, data=(*filter(sources.there, plan.data), "synthetic"))
    where = report.circumstances(given.threads)
    with bench(threads=given.threads, source=given.source) as place:
        for part in given.only:
            started = time.perf_counter()
            say(f"{part} …")
            found = PARTS[part](place, plan)
            took = time.perf_counter() - started
            note = {"seconds": took, "toy": plan.toy, **where, "found": found}
            report.write(raw / f"{part}.json", json.dumps(note, indent=1))
    kept = {path.stem: json.loads(path.read_text()) for path in sorted(raw.glob("*.json"))}
    drawn = report.figure(kept.get("growth"), given.out.with_name("growth.svg"))
    report.write(given.out, report.render(kept, drawn))
    say(f"written: {given.out}")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="toy sizes, written to .raw/quick")
    parts = ",".join(PARTS)
    parser.add_argument("--only", default=parts, help=f"some of {parts}; or none")
    parser.add_argument("--data", nargs="+", choices=Plan.data, default=Plan.data)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[98765], help="of quality")
    parser.add_argument("--thorough", action="store_true", help="quality of one-hot sampling too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--source", type=Path, help="folder of the macrid to measure, such as src")
    parser.add_argument("--out", type=Path, help="by default benchmarks/results.md")
    given = parser.parse_args()
    given.only = [] if given.only == "none" else given.only.split(",")
    if unknown := set(given.only) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    folder = RAW / "quick" if given.quick else HERE
    given.out = given.out or folder / "results.md"
    return given


def say(text: str) -> None:
    """Progress, on stderr."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def in_turn(
    who: list[Contender],
    plan: Plan,
    measure: Callable[[Contender, str], dict[str, Any]],
) -> dict[str, dict[str, list[dict]]]:
    """Rounds in which everybody takes a turn; who has a problem, or is slow, has only one."""
    found: dict[str, dict[str, list[dict]]] = {}
    for data in plan.data:
        runs = found[data] = {one.name: [] for one in who}
        for number in range(plan.rounds):
            for one in who:
                before = runs[one.name]
                if before and ("problem" in before[0] or before[0].get("once")):
                    continue
                before.append(measure(one, data))
                say(f"  {data}, round {number + 1}, {one.name}: {report.brief(before[-1])}")
    return found


def roofline(place: Bench, plan: Plan) -> dict:
    """The best of some runs of the script."""
    words = ("roofline.py", "--json", "--threads", str(place.threads))
    return {"runs": [place.run(*words) for _ in range(1 if plan.toy else 3)]}


def step(place: Bench, plan: Plan) -> dict:
    """Training steps."""
    sizes = {"warmup": 2, "steps": plan.steps, **(plan.sizes or {})}
    return in_turn(TRAINED, plan, lambda who, data: place.measure(who, "step", data, **sizes))


def epoch(place: Bench, plan: Plan) -> dict:
    """Epochs; a slow one is measured once."""

    def measure(who: Contender, data: str) -> dict:
        found = place.measure(who, "epoch", data, slow=SLOW, **(plan.sizes or {}))
        return found | {"once": found.get("seconds", [0])[0] > SLOW}

    return in_turn([*TRAINED[:3], MULTIVAE, ALS], plan, measure)


def score(place: Bench, plan: Plan) -> dict:
    """Lists for people."""
    sizes = {"users": plan.users, **(plan.sizes or {})}
    return in_turn(SCORED, plan, lambda who, data: place.measure(who, "score", data, **sizes))


def lists(place: Bench, plan: Plan) -> dict:
    """Scoring without ids, which `scoring.py` measures beside a roofline of its own."""
    large, few = ("--items", "1000000", "--users", "2560"), ("--items", "41000")
    toy = ("--items", "2000", "--users", "500", "--rounds", "1")
    sizes = {"2,000 items": toy} if plan.toy else {"41,000 items": few, "1,000,000 items": large}
    kinds = {"float32": (), "bf16": ("--precision", "bf16"), "mode": ("--mode",)}
    found = {}
    for size, numbers in sizes.items():
        for kind, words in kinds.items():
            one = place.run("scoring.py", "--threads", str(place.threads), *numbers, *words)
            found[f"{size}, {kind}"] = one
            say(f"  {size}, {kind}: {report.brief(one)}")
    return found


def quality(place: Bench, plan: Plan) -> dict:
    """Seconds to a given NDCG, and what alternating least squares reaches."""
    data = "ml-1m" if "ml-1m" in plan.data else plan.data[0]
    if data != "ml-1m" and not plan.toy:
        return {"problem": "it is measured on ml-1m, which is not here"}
    epochs = {} if plan.epochs is None else {"epochs": plan.epochs}
    rows = QUALITY | (THOROUGH if plan.thorough else {})
    found: dict[str, list[dict]] = {}
    for name, who in rows.items():
        found[name] = []
        for seed in plan.seeds:
            training = {**who.job.get("training", {}), **epochs, "seed": seed}
            one = place.measure(who, "quality", data, target=TARGET, training=training)
            found[name].append(one | {"seed": seed})
            say(f"  {name}, seed {seed}: {report.brief(one)}")
    lists = str(place.folder / "lists.npy")
    als = place.measure(ALS, "quality", data, out=lists)
    if "problem" not in als:
        als |= place.measure(macrid(), "judge", data, out=lists)
    return {"data": data, "target": TARGET, "macrid": found, "als": als}


def reading(place: Bench, plan: Plan) -> dict:
    """Events from files to ready to train."""
    kinds = ("--ids", "numbers", "text", "--events", str(plan.events), "--json")
    found = place.run("reading.py", *kinds)
    return {"runs": [found] if isinstance(found, dict) else found}


PARTS = {
    "roofline": roofline,
    "step": step,
    "epoch": epoch,
    "score": score,
    "lists": lists,
    "growth": lambda place, plan: growth(place, plan.toy, say),
    "million": lambda place, plan: million(place, plan.toy, say),
    "quality": quality,
    "reading": reading,
}


if __name__ == "__main__":
    main()
