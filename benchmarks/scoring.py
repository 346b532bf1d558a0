"""How many people get their exact best 20 in a second, and what share of the least time that is.

    python benchmarks/scoring.py [--items 41000] [--users 2560] [--precision bf16] [--mode] [--ann]

People with Zipf-drawn histories, a network of random weights; the whole path from a history to a
list, encoder included. Before each round the machine is measured again (roofline.py), so that a
disturbed round is compared with a disturbed machine; medians are printed, as JSON. ``least`` is the
least time for the same people at the rates of the precision asked for.
"""

import argparse
import json
import resource
import statistics
import time

import numpy as np
import torch
from roofline import least_scoring_seconds, measure

from macrid.data.histories import Histories
from macrid.models.lists import BATCH_SIZE
from macrid.models.macridvae import MacridVAESettings, macrid_vae
from macrid.models.people import distinct
from macrid.models.ready import PRECISIONS


def people(n_users: int, n_items: int, n_events: int) -> Histories:
    """Histories of ``n_events`` draws, the popular items more often."""
    rng = np.random.default_rng(0)
    items = (n_items ** rng.random(n_users * n_events)).astype(np.int64) - 1  # log-uniform
    return distinct(Histories.from_arrays(items, np.arange(n_users + 1) * n_events))


def rounds(given: argparse.Namespace) -> list[dict[str, float]]:
    """The seconds of each round, and the least there could be."""
    torch.manual_seed(0)
    settings = MacridVAESettings(
        n_concepts=given.concepts,
        n_dims=given.dims,
        assignment="mode" if given.mode else "soft",
    )
    network = macrid_vae(given.items, settings).eval()
    ranker = network.ranker(dtype=PRECISIONS[given.precision], ann=given.ann)
    size = {"concepts": given.concepts, "dims": given.dims, "items": given.items}
    share = given.users // given.rounds
    batches = [people(BATCH_SIZE, given.items, given.events)] * max(1, share // BATCH_SIZE)
    ranker.top(batches[0], given.k)
    found = []
    for _ in range(given.rounds):
        machine = measure(given.threads, seconds=0.1)
        started = time.perf_counter()
        for batch in batches:
            ranker.top(batch, given.k)
        seconds, users = time.perf_counter() - started, len(batches) * BATCH_SIZE
        least = least_scoring_seconds(
            machine, users=users, **size, precision=given.precision, mode=given.mode
        )
        found.append({"users": users, "seconds": seconds, "least": least})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=2_560, help="in all rounds together")
    parser.add_argument("--items", type=int, default=41_000)
    parser.add_argument("--concepts", type=int, default=7)
    parser.add_argument("--dims", type=int, default=100)
    parser.add_argument("--events", type=int, default=35, help="of each person")
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--precision", choices=PRECISIONS, default="32")
    parser.add_argument("--mode", action="store_true", help="each item in one concept")
    parser.add_argument("--ann", action="store_true", help="from an index")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if given.users < 1 or given.rounds < 1:
        parser.error("--users and --rounds are numbers of 1 or more")
    torch.set_num_threads(given.threads)
    found = rounds(given)
    users = sum(one["users"] for one in found)
    seconds = sum(one["seconds"] for one in found)
    result = vars(given) | {
        "users": users,
        "seconds": round(seconds, 3),
        "users_per_second": round(statistics.median(o["users"] / o["seconds"] for o in found), 1),
        "roofline": round(statistics.median(o["least"] / o["seconds"] for o in found), 3),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
