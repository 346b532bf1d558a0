"""From what the parts measured to results.md: tables, the figure, what became of the targets."""

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import peers
from derive import (
    Run,
    best_machine,
    good,
    middle,
    peak,
    rate,
    ratio,
    score_fraction,
    seconds,
    spread,
    step_fraction,
)
from growth import exponent, memory
from roofline import Machine, sentences
from targets import POSSIBLE, THEM, targets

HERE = Path(__file__).resolve().parent
Runs = dict[str, list[Run]]
WHERE = ("machine", "versions", "commit", "load", "date")
START = """# Benchmark

Written by `make bench`. Medians over rounds (and their range); in each round everybody takes a
turn, in a process of its own. Everybody has {threads} threads, K = 7, d = 100, batches of 500 users
and the same events. RecBole's MacridVAE has a hidden layer of d, as the authors' and ours (its own
default is 600); MultiVAE keeps its defaults. A step is timed from the end of one optimiser step to
the end of the next, in each library's own training loop. Peak memory is the whole process's.
"Roofline" is the least time by the formula in `benchmarks/roofline.py` over the time measured;
more than all of it (marked ?) means that the machine was busy while the roofline was measured.

"bf16" is `--precision bf16`, "one-hot" `--assignment-sampling straight-through`, "fast recipe"
`--recipe fast`. Where the time goes that keeps targets from being reached: `docs/decisions.md`.
"""


def write(path: Path, text: str) -> None:
    """Aside, then renamed."""
    aside = path.with_name(path.name + ".aside")
    aside.write_text(text)
    aside.replace(path)


def circumstances(threads: int) -> dict[str, Any]:
    """Machine, versions, commit, how busy others keep it, date."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "machine": f"{(names or [platform.processor()])[0]}, {os.cpu_count()} cores, "
        f"{memory:.0f} GiB, {platform.system()}",
        "threads": threads,
        "versions": f"Python {platform.python_version()}, "
        f"torch {importlib.metadata.version('torch')}",
        "commit": _git("rev-parse", "--short", "HEAD")
        + (" with changes" if _git("status", "--porcelain", "../src") else ""),
        "load": f"{os.getloadavg()[0]:.1f}",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
    }


def _git(*words: str) -> str:
    """What git prints here; nothing outside of a checkout."""
    try:
        done = subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def brief(run: Run) -> str:
    """One measurement in a few words, for the log."""
    if "problem" in run:
        return run["problem"]
    if "users_per_second" in run:
        return f"{rate(run):,.0f} users/s"
    if "best" in run:
        return f"best {run['best']:.4f}, target after {run['reached_seconds']} s"
    return f"{seconds(run):.4g} s, peak {peak(run):.2f} GB"


def figure(growth: dict[str, Any] | None, out: Path) -> str:
    """Draw how a step grows; a line of Markdown that shows it, or says why it does not."""
    if growth is None:
        return ""
    aside = out.with_suffix(".aside.svg")
    try:
        command = [str(peers.build()), str(HERE / "growth.py"), str(aside)]
        subprocess.run(
            command, input=json.dumps(growth), check=True, capture_output=True, text=True
        )
    except (peers.PeerError, subprocess.CalledProcessError) as problem:
        why = problem if isinstance(problem, peers.PeerError) else "matplotlib failed"
        return f"There is no figure: {why}."
    aside.replace(out)
    return f"![How the seconds of a step grow]({out.name})"


def render(kept: dict[str, Any], drawn: str) -> str:
    """The whole report."""
    if not kept:
        return START.format(threads=2) + "\nNothing was measured yet.\n"
    found = {part: note["found"] for part, note in kept.items()}
    machine = best_machine(found["roofline"]["runs"]) if "roofline" in found else None
    bounds = [target.row() for target in targets(kept, machine)]
    sections = [
        START.format(threads=max(note["threads"] for note in kept.values())),
        "**Toy sizes: this shows that it runs, and nothing else.**"
        if any(note.get("toy") for note in kept.values())
        else "",
        _when(kept),
        "## Targets\n\n" + table(["", "target", "measured", ""], bounds),
        _limits(found.get("roofline"), machine),
        _section("Training step", found.get("step"), lambda runs: _steps(runs, machine)),
        _section("Epoch, loading of data included", found.get("epoch"), _epochs),
        _section(
            "Scoring: top 20 of everything", found.get("score"), lambda r: _scores(r, machine)
        ),
        _lists(found.get("lists")),
        _quality(found.get("quality")),
        _million(found.get("million"), machine),
        _growth(found.get("growth"), machine, drawn),
        _reading(found.get("reading")),
    ]
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def table(head: list[str], rows: Sequence[list[str]]) -> str:
    """Markdown; the first column is text."""
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ruler, *rows])


def _when(kept: dict[str, Any]) -> str:
    """Under which circumstances each part was measured."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for part, note in kept.items():
        key = tuple(note.get(name, "") for name in WHERE)
        rows.setdefault(key, []).append(f"{part} ({note['seconds']:,.0f})")
    lines = [[", ".join(parts), *key] for key, parts in rows.items()]
    return table(["parts (seconds)", "machine", "versions", "commit", "load before", "date"], lines)


def _section(title: str, data: dict[str, Runs] | None, rows: Callable[[Runs], str]) -> str:
    """A table per data set, and under it who could not be measured."""
    if not data:
        return ""
    parts = [f"## {title}"]
    for name, runs in data.items():
        bad = [f"* {who}: {one[-1]['problem']}" for who, one in runs.items() if not good(one)]
        parts += [f"### {name}", rows({who: one for who, one in runs.items() if good(one)})]
        parts += ["Not measured:\n\n" + "\n".join(bad)] if bad else []
    return "\n\n".join(parts)


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}×"


def _percent(value: float | None) -> str:
    doubt = " (?)" if value and value > POSSIBLE else ""
    return "" if value is None else f"{value:.0%}{doubt}"


def _limits(roofline: dict | None, machine: Machine | None) -> str:
    """What the machine can do."""
    if roofline is None or machine is None:
        return "" if roofline is None else f"## Roofline\n\n{roofline['runs'][0]['problem']}"
    return f"## Roofline\n\n```text\n{sentences(machine)}\n```"


def _steps(runs: Runs, machine: Machine | None) -> str:
    return _compared(
        runs,
        ("seconds", "RecBole's / its", "roofline"),
        lambda theirs, one: spread(one, seconds, ".3f"),
        lambda theirs, one: _times(ratio(theirs, one, seconds)),
        lambda theirs, one: _percent(step_fraction(machine, one)),
    )


def _epochs(runs: Runs) -> str:
    return _compared(
        runs,
        ("seconds", "RecBole's / its", "seconds to ready"),
        lambda theirs, one: spread(one, seconds, ".2f"),
        lambda theirs, one: _times(ratio(theirs, one, seconds)),
        lambda theirs, one: f"{middle(one, lambda run: run['ready_seconds']):.1f}",
    )


def _scores(runs: Runs, machine: Machine | None) -> str:
    return _compared(
        runs,
        ("users/s", "its / RecBole's", "roofline"),
        lambda theirs, one: spread(one, rate, ",.0f"),
        lambda theirs, one: _times(ratio(one, theirs, rate)),
        lambda theirs, one: _percent(score_fraction(machine, one)),
    )


def _compared(
    runs: Runs, head: Sequence[str], *cells: Callable[[list[Run], list[Run]], str]
) -> str:
    """A row for each contender, from RecBole's runs and its own."""
    theirs = runs.get(THEM, [])
    rows = [
        [
            who,
            *(cell(theirs, one) for cell in cells),
            f"{middle(one, peak):.2f}",
            str(len(good(one))),
        ]
        for who, one in runs.items()
    ]
    return table(["", *head, "peak GB", "rounds"], rows)


def _lists(found: dict[str, Run] | None) -> str:
    """Scoring by itself."""
    if not found:
        return ""
    rows = [
        [name, run["problem"], "", ""]
        if "problem" in run
        else [name, f"{rate(run):,.0f}", _percent(run["roofline"]), f"{peak(run):.2f}"]
        for name, run in found.items()
    ]
    return "## Scoring alone: histories to rows, random weights\n\n" + table(
        ["", "users/s", "roofline", "peak GB"], rows
    )


def _quality(quality: dict | None) -> str:
    """Time to a validation NDCG."""
    if not quality or "problem" in quality:
        return f"## Time to quality\n\nNot measured: {quality['problem']}." if quality else ""
    rows = []
    for name, runs in quality["macrid"].items():
        for run in runs:
            if "problem" in run:
                rows.append([name, str(run["seed"]), run["problem"], "", "", "", ""])
                continue
            reached, test = run["reached_seconds"], run["test"]["ndcg@100"]
            rows.append(
                [
                    name,
                    str(run["seed"]),
                    "never" if reached is None else f"{reached:.1f} (epoch {run['reached_epoch']})",
                    f"{run['best']:.4f}",
                    str(run["epochs"]),
                    f"{run['fit_seconds']:.1f}",
                    f"{test['mean']:.4f} ± {test['se']:.4f}",
                ]
            )
    als = quality["als"]
    beside = als.get("problem") or (
        f"{als['fit_seconds']:.1f} s of training (15 iterations, its defaults), "
        f"test NDCG@100 {als['test_ndcg']:.4f}"
    )
    head = ["", "seed", f"seconds to {quality['target']:.4f}", "best", "epochs", "seconds", "test"]
    return (
        f"## Time to quality ({quality['data']})\n\nSeconds of training and validation until the "
        "validation users' NDCG@100 is reached; then the best one, all epochs, the whole of `fit`, "
        f"and the test users' NDCG@100.\n\n{table(head, rows)}\n\nimplicit ALS beside it: {beside}."
    )


def _million(found: dict[str, Run] | None, machine: Machine | None) -> str:
    """A large catalogue."""
    if not found:
        return ""
    rows = []
    for name, run in found.items():
        if "problem" in run:
            rows.append([name, run["problem"], "", ""])
        elif "users_per_second" in run:
            took = f"{run['users'] / rate(run):.1f} s for {run['users']:,} users"
            rows.append([name, took, _percent(score_fraction(machine, [run])), f"{peak(run):.2f}"])
        else:
            took = f"{median(run['seconds']):.3f} s a step"
            rows.append([name, took, _percent(step_fraction(machine, [run])), f"{peak(run):.2f}"])
    head = ["", "time", "roofline", "peak GB"]
    items = max((run["items"] for run in good(list(found.values()))), default=0)
    return f"## {items or 1_000_000:,} items, sampled softmax\n\n{table(head, rows)}"


def _growth(found: dict[str, list[Run]] | None, machine: Machine | None, drawn: str) -> str:
    """A table per size that is varied."""
    if not found:
        return ""
    parts = [f"## Growth of a step\n\n{drawn}"]
    for name, runs in found.items():
        rows, problems = good(runs), [run["problem"] for run in runs if "problem" in run]
        text = f"### {name}"
        if len(rows) > 1:
            sizes = [run["at"] for run in rows]
            times = exponent(sizes, [run["seconds"] for run in rows])
            beyond = exponent(sizes, [memory(run) for run in rows])
            text += f"\n\nFitted exponent: {times:.2f} of the seconds, {beyond:.2f} of the memory "
            text += "beyond what the process has before it reads any data."
        lines = [_size(run, machine) for run in rows]
        head = [name.split(",")[0], "seconds", "roofline", "peak GB"]
        parts += [text, table(head, lines) if lines else "", *problems]
    return "\n\n".join(part for part in parts if part)


def _size(run: Run, machine: Machine | None) -> list[str]:
    took = [{**run, "seconds": [run["seconds"]]}]
    part = _percent(step_fraction(machine, took))
    return [f"{run['at']:,}", f"{run['seconds']:.3f}", part, f"{peak(run):.2f}"]


def _reading(reading: dict | None) -> str:
    """Events to ready to train."""
    if not reading:
        return ""
    rows = [
        [
            f"{run['events']:,} events, {run['format']}, ids are {run['ids']}",
            f"{run['seconds']:.1f}",
            f"{run['peak_mib']:,.0f}",
            f"{run['ratio']:.2f}",
        ]
        for run in good(reading["runs"])
    ]
    problems = [run["problem"] for run in reading["runs"] if "problem" in run]
    head = ["read and split", "seconds", "MiB at the peak", "of ids and weights"]
    return "\n\n".join(["## Reading", table(head, rows), *problems])
