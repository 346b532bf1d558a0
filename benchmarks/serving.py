"""`macrid serve` under load on loopback: lists per second and how long one takes.

    make bench-serve
    python benchmarks/serving.py --seconds 5 --only ml-1m

Models of real size are trained for one epoch (what they cost, not what they are worth, is measured)
on the data beside the checkout, in shared/data, or where MACRID_DATA says. The load is wrk's, as
fast as answers come back, each request another person's history; and hey's, 50 requests a second.
Both are bounded in time and connections, and share the machine's processors with the service.
Scoring alone is `ready.recommend` in this process, one thread, of 32 people at a time and of one.
"""

import argparse
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

import macrid
from macrid.data.splits import read_split

HERE = Path(__file__).resolve().parent
RAW, OUT = HERE / ".raw" / "serving", Path(__file__).with_suffix(".md")
DATA = Path(os.environ.get("MACRID_DATA", HERE.parents[1] / "shared" / "data"))
SOURCES = {"ml-1m": DATA / "ml-1m" / "pro_sg", "gowalla": DATA / "gowalla" / "interactions.parquet"}
K, HAD, PEOPLE, RATE = 20, 50, 500, 50
ROUNDS = 5
CONNECTIONS = 32  # a batch of the service is as many lists at most
READY = 120  # seconds in which the service has to answer
SCRIPT = """
local bodies, n = {}, 0
for line in io.lines(os.getenv("BODIES")) do table.insert(bodies, line) end
function request()
  n = n % #bodies + 1
  return wrk.format("POST", "/v1/recommend", {["Content-Type"] = "application/json"}, bodies[n])
end
function done(summary, latency, requests)
  io.write(string.format('{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "failed": %d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, summary.errors.status + summary.errors.timeout
    + summary.errors.connect + summary.errors.read + summary.errors.write))
end
"""
ABOUT = f"""# The service under load

Written by `benchmarks/serving.py`: `POST /v1/recommend`, {K} items for histories of {HAD}, on
loopback; the load generators take their part of the same processors. `saturated`: wrk with
{CONNECTIONS} connections, requests per second and milliseconds of an answer. `{RATE} a second`:
hey, in pairs. `nothing`: `GET /health/live` of the same service under the same load, what a
request costs in itself, and what the machine takes from it. Medians of {ROUNDS} rounds in which all
take turns.
`alone`: lists per second of `ready.recommend` in one thread, without a service, {CONNECTIONS}
people at a time (and one at a time). `share`: saturated as a part of alone.
"""


def main() -> None:
    """Measure what was asked for, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SOURCES, default=[*SOURCES])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=int, default=4, help="of each load")
    given = parser.parse_args()
    if missing := [name for name in ("wrk", "hey") if shutil.which(name) is None]:
        sys.exit(f"{', '.join(missing)}: not installed (Debian: apt-get install wrk hey)")
    torch.set_num_threads(1)
    RAW.mkdir(parents=True, exist_ok=True)
    for name in given.only:
        model = prepared(name)
        alone = scoring_alone(model, bodies(name))
        for workers in given.workers:
            row = {"items": len(model.items), "workers": workers, **alone}
            row |= under_load(RAW / name, RAW / f"{name}.jsonl", workers, given.seconds)
            (RAW / f"{name}.{workers}.row").write_text(json.dumps(row), encoding="utf-8")
            print(row, flush=True)
    OUT.write_text(page(), encoding="utf-8")
    print(f"written: {OUT}")


def prepared(name: str) -> Any:
    """A model of the data set, and a file of requests."""
    folder = RAW / name
    if not folder.is_dir():
        source = SOURCES[name]
        events = (
            read_split(source).train if source.is_dir() else macrid.read(source, min_user_events=5)
        )
        macrid.MacridVAE().fit(events, epochs=1, recipe="fast", threads=1).save(folder)
    model = macrid.load(folder)
    draw = np.random.default_rng(0)
    rows = [draw.choice(len(model.items), HAD, replace=False) for _ in range(PEOPLE)]
    requests = [{"history": model.items.ids.gather(row).to_list(), "k": K} for row in rows]
    lines = "\n".join(json.dumps(one) for one in requests)
    (RAW / f"{name}.jsonl").write_text(lines + "\n", encoding="utf-8")
    return model


def bodies(name: str) -> list[dict[str, Any]]:
    """What is asked."""
    return [json.loads(line) for line in (RAW / f"{name}.jsonl").read_text().splitlines()]


def scoring_alone(model: Any, requests: list[dict[str, Any]]) -> dict[str, float]:
    """Lists per second without a service."""
    ready, found = model.ready(), {}
    for name, at_once in (("alone", CONNECTIONS), ("alone, one at a time", 1)):
        people = [
            {str(n): one["history"] for n, one in enumerate(requests[start : start + at_once])}
            for start in range(0, min(len(requests), 8 * at_once + 64), at_once)
        ]
        ready.recommend(people[0], K)
        began = time.perf_counter()
        for some in people:
            ready.recommend(some, K)
        found[name] = sum(map(len, people)) / (time.perf_counter() - began)
    return found


def under_load(folder: Path, requests: Path, workers: int, seconds: int) -> dict[str, float]:
    """The service at its limit and at a steady rate, with and without something to do."""
    rounds = []
    with served(folder, workers) as url:
        wrk(url, requests, 2)  # the first answers pay for what is made once
        for _ in range(ROUNDS):  # in turn, as the machine has better and worse moments
            full, nothing = wrk(url, requests, seconds), wrk(url, None, seconds)
            steady, idle = hey(url, requests, seconds), hey(url, None, seconds)
            rounds.append(
                {
                    "saturated": full["requests"] / full["seconds"],
                    "saturated p50": full["p50"],
                    "saturated p99": full["p99"],
                    "nothing": nothing["requests"] / nothing["seconds"],
                    "steady p50": steady["p50"],
                    "steady p99": steady["p99"],
                    "nothing p50": idle["p50"],
                    "nothing p99": idle["p99"],
                    "failed": sum(one["failed"] for one in (full, nothing, steady, idle)),
                }
            )
    found = {name: statistics.median(row[name] for row in rounds) for name in rounds[0]}
    return found | {"failed": sum(row["failed"] for row in rounds)}


@contextmanager
def served(folder: Path, workers: int) -> Iterator[str]:
    """`macrid serve` in processes of its own, from its first answer on."""
    store = folder.with_suffix(".sqlite")
    words = [
        folder,
        "--port",
        0,
        "--workers",
        workers,
        "--threads",
        1,
        "--no-page",
        "--store",
        f"sqlite:///{store}",
    ]
    command = [sys.executable, "-m", "macrid", "serve", *map(str, words)]
    log = folder.with_suffix(".log")
    with log.open("w") as kept:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stderr=kept, env=environment)
        try:
            yield address(process, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Of the service, once it answers."""
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"at (http://\S+) ", log.read_text()):
            ask = ["curl", "-fs", "-o", os.devnull, f"{found[1]}/health/ready"]
            if subprocess.run(ask).returncode == 0:
                return found[1]
        time.sleep(0.2)
    sys.exit(f"the service was not ready within {READY} seconds: {log.read_text()}")


def wrk(url: str, requests: Path | None, seconds: int) -> dict[str, float]:
    """As many requests as come back."""
    script = RAW / "load.lua"
    script.write_text(SCRIPT if requests else SCRIPT[SCRIPT.index("function done") :])
    path = "" if requests else "/health/live"
    load = ["wrk", "-t", 1, "-c", CONNECTIONS, "-d", f"{seconds}s", "-s", script, url + path]
    environment = {**os.environ, "BODIES": str(requests)}
    said = subprocess.run(
        list(map(str, load)), capture_output=True, text=True, check=True, env=environment
    )
    return json.loads(said.stdout[said.stdout.rindex("{") :])


def hey(url: str, requests: Path | None, seconds: int) -> dict[str, float]:
    """So many requests a second; the first one's history.

    The workers of hey send at the same moments, so that many would be bursts: two come closest to
    strangers, of whom each third finds another one's list being made.
    """
    workers = 2
    load = ["hey", "-n", RATE * seconds, "-c", workers, "-q", RATE / workers, "-o", "csv"]
    if requests is None:
        load += [f"{url}/health/live"]
    else:
        body = requests.with_suffix(".json")
        body.write_text(requests.read_text().splitlines()[0])
        load += ["-m", "POST", "-T", "application/json", "-D", body, f"{url}/v1/recommend"]
    said = subprocess.run(list(map(str, load)), capture_output=True, text=True, check=True)
    rows = pl.read_csv(said.stdout.encode())
    times = 1e3 * rows["response-time"]
    return {
        "p50": times.quantile(0.5) or 0.0,
        "p99": times.quantile(0.99) or 0.0,
        "failed": RATE * seconds - (rows["status-code"] == 200).sum(),
    }


def page() -> str:
    """All that was measured."""
    head = ["items", "workers", "saturated / s", "p50 ms", "p99 ms", "nothing / s"]
    head += [f"{RATE} a second: p50 ms", "p99 ms", "of nothing: p50 ms", "p99 ms"]
    head += ["alone / s", "share", "failed"]
    lines = [ABOUT, f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}.", ""]
    lines += [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for path in sorted(RAW.glob("*.row")):
        row = json.loads(path.read_text())
        cells = [f"{row['items']:,}", row["workers"], f"{row['saturated']:.0f}"]
        cells += [f"{row[name]:.1f}" for name in ("saturated p50", "saturated p99")]
        cells += [f"{row['nothing']:.0f}"]
        steady = ("steady p50", "steady p99", "nothing p50", "nothing p99")
        cells += [f"{row[name]:.1f}" for name in steady]
        cells += [f"{row['alone']:.0f} ({row['alone, one at a time']:.0f})"]
        cells += [f"{row['saturated'] / row['alone']:.2f}", int(row["failed"])]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
