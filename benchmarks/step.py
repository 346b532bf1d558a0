"""Time training steps of one library on one data set, and print JSON.

    python benchmarks/step.py --who macrid --data ml-1m --precision bf16
    python benchmarks/step.py --who recbole --data gowalla --steps 3

Data: ml-1m, gowalla, synthetic, small, or zipf:USERS:ITEMS:EVENTS (macrid only).
"""

import argparse
import json
from pathlib import Path
from statistics import median

from contenders import MULTIVAE, RECBOLE, bench, macrid

PEERS = {"recbole": RECBOLE, "recbole-multivae": MULTIVAE}


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--who", choices=("macrid", *PEERS), default="macrid")
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--what", choices=("step", "epoch", "score"), default="step")
    parser.add_argument("--precision", default="32", help="of macrid's products")
    parser.add_argument("--sampling", help="macrid's assignment_sampling")
    parser.add_argument("--softmax", help="macrid's softmax: full or sampled:N")
    parser.add_argument("--batch-size", type=int, default=500)
    parser.add_argument("--concepts", type=int, default=7)
    parser.add_argument("--dims", type=int, default=100)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--users", type=int, default=2_000, help="to score")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--source", type=Path, help="folder of the macrid to measure, such as src")
    given = parser.parse_args()
    settings = {"assignment_sampling": given.sampling, "softmax": given.softmax}
    settings = {name: value for name, value in settings.items() if value}
    training = {} if given.precision == "32" else {"precision": given.precision}
    who = PEERS.get(given.who) or macrid(settings=settings, training=training)
    with bench(threads=given.threads, source=given.source) as place:
        found = place.measure(
            who,
            given.what,
            given.data,
            n_concepts=given.concepts,
            n_dims=given.dims,
            batch_size=given.batch_size,
            warmup=given.warmup,
            steps=given.steps,
            users=given.users,
            slow=60,
        )
    if "seconds" in found:
        found["median_seconds"] = median(found["seconds"])
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
