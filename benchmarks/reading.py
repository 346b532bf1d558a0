"""From an event log to ready-to-train: seconds and peak memory, each source in its own process.

    python benchmarks/reading.py --events 20000000            # writes logs aside, measures, removes
    python benchmarks/reading.py --folder /data/logs --json   # keeps the logs for the next time

The log: distinct pairs of users and items, both drawn by Zipf's law, in random order, each with a
rating and a time. The bound is four times what the events take in memory as a plain frame of ids
(64-bit integers or text) and weights (64-bit floats); times are left out of it, and so is what the
process takes before it reads anything.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

BLOCK = 1 << 22
BOUND = 4  # peak memory over the size of ids and weights


def main() -> None:
    """Write the logs that are not there yet, and measure each."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--users", type=int, help="by default a 144th of the events")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--repeats", type=float, default=0.0, help="share of pairs drawn before")
    parser.add_argument("--ids", nargs="+", choices=["numbers", "text"], default=["numbers"])
    parser.add_argument("--formats", nargs="+", choices=["parquet", "csv"])
    parser.add_argument("--folder", type=Path, help="where logs are kept; by default nowhere")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.events < 1:
        parser.error(f"--events is {given.events}; it is a number of 1 or more")
    if given.measure:
        print(json.dumps(measure(given.measure)))
        return
    with tempfile.TemporaryDirectory(prefix="macrid-reading-") as aside:
        folder = given.folder or Path(aside)
        folder.mkdir(parents=True, exist_ok=True)
        results = []
        for ids in given.ids:
            for kind in given.formats or ("parquet", "csv"):
                path = log(folder, ids, kind, given)
                command = [sys.executable, __file__, "--measure", str(path)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                results.append({"ids": ids, "format": kind} | json.loads(done.stdout))
                if not given.json:
                    print(sentence(results[-1]), flush=True)
        if given.json:
            print(json.dumps(results, indent=2))


def log(folder: Path, ids: str, kind: str, given: argparse.Namespace) -> Path:
    """The log of these numbers, drawn unless it is there already."""
    n_users = given.users or max(1, given.events // 144)
    name = f"{given.events}-{n_users}-{given.items}-{given.repeats:g}-{ids}"
    path = folder / f"{name}.{kind}"
    if path.exists():
        return path
    parquet = folder / f"{name}.parquet"
    if not parquet.exists():
        blocks = (draw_block(pairs, given.items, ids) for pairs in draw_pairs(n_users, given))
        with parquet.with_suffix(".part").open("wb") as file:
            pl.concat(list(blocks), rechunk=False).write_parquet(file)
        parquet.with_suffix(".part").replace(parquet)
    if kind == "csv":
        pl.scan_parquet(parquet).sink_csv(path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
    return path


def draw_pairs(n_users: int, given: argparse.Namespace) -> list[np.ndarray]:
    """Blocks of pairs ``user * n_items + item``, distinct but for the repeats, in random order."""
    random = np.random.default_rng(0)
    wanted = round(given.events * (1 - given.repeats))
    if wanted > n_users * given.items // 4:
        raise SystemExit(f"{wanted:,} pairs of {n_users:,} × {given.items:,} are too many to draw")
    pairs = np.zeros(0, np.int64)
    while len(pairs) < wanted:
        blocks = [
            draw_zipf(random, n_users, 0.5) * given.items + draw_zipf(random, given.items, 0.8)
            for _ in range(1 + (wanted - len(pairs)) // BLOCK)
        ]
        pairs = np.unique(np.concatenate([pairs, *blocks]))
    pairs = random.permutation(pairs)[:wanted]
    again = random.choice(pairs, given.events - wanted)
    return np.array_split(random.permutation(np.concatenate([pairs, again])), 8)


def draw_zipf(random: np.random.Generator, n: int, exponent: float) -> np.ndarray:
    """A block of numbers below ``n``, the chance of each in proportion to 1 / rank**exponent."""
    total = np.cumsum(np.arange(1, n + 1) ** -exponent)
    ranks = np.searchsorted(total, random.random(BLOCK) * total[-1])
    return np.random.default_rng(n).permutation(n)[ranks]


def draw_block(pairs: np.ndarray, n_items: int, ids: str) -> pl.DataFrame:
    """Some rows of the log."""
    random = np.random.default_rng(pairs[0])
    user, item = (pl.Series(numbers + 1) for numbers in np.divmod(pairs, n_items))
    if ids == "text":
        user = "u" + user.cast(pl.String)
        item = "B00" + item.cast(pl.String).str.zfill(7)
    return pl.DataFrame(
        {
            "user_id": user,
            "item_id": item,
            "rating": random.integers(1, 11, len(pairs)) / 2,
            "timestamp": random.integers(1_500_000_000, 1_700_000_000, len(pairs)),
        }
    )


def measure(path: Path) -> dict[str, float]:
    """Read and split in this very process."""
    import scipy.sparse  # noqa: F401  before the clock starts, as torch: both come with training
    import torch  # noqa: F401

    import macrid

    macrid.read, macrid.hold_out_users  # noqa: B018  imports what they need
    before = peak()
    started = time.perf_counter()
    data = macrid.read(path)
    read = time.perf_counter()
    after_read = peak()
    split = macrid.hold_out_users(data)
    done = time.perf_counter()
    taken = peak() - before  # before the frame below is made
    frame = data.to_frame().with_columns(pl.col("weight").cast(pl.Float64))
    return {
        "events": len(data),
        "training_events": len(split.train),
        "read_seconds": read - started,
        "split_seconds": done - read,
        "seconds": done - started,
        "before_mib": before,
        "read_mib": after_read - before,
        "peak_mib": taken,
        "frame_mib": frame.estimated_size("mb"),
        "size_mib": (size := frame.drop("timestamp", strict=False).estimated_size("mb")),
        "ratio": taken / size,
        "within_bound": taken < BOUND * size,
    }


def peak() -> float:
    """Most memory this process ever had, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would start from that of the process which started this one
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS counts in bytes


def sentence(r: dict) -> str:
    """One measurement for people."""
    return (
        f"{r['format']} with {r['ids']} as ids, {r['events']:,} events: {r['seconds']:.1f} s (read "
        f"{r['read_seconds']:.1f}, split {r['split_seconds']:.1f}); peak {r['peak_mib']:,.0f} MiB "
        f"beyond the {r['before_mib']:,.0f} MiB before (read {r['read_mib']:,.0f}), "
        f"{r['ratio']:.2f} times ids and weights ({r['size_mib']:,.0f} MiB), "
        f"{r['peak_mib'] / r['frame_mib']:.2f} times the frame with times "
        f"({r['frame_mib']:,.0f} MiB); bound {BOUND}: {'kept' if r['within_bound'] else 'BROKEN'}"
    )


if __name__ == "__main__":
    main()
