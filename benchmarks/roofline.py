"""Where the limit is: what this machine can do, and the least time that follows from it.

    python benchmarks/roofline.py [--json] [--threads 2]

Measured, the best of several tries each: matrix products at the decoder's shapes, float32 and
bfloat16 (the logits ``(B·K, d) · (d, block)``, and the two products of their gradients, each at its
best block of items), the best square product, exponentials in cache and out of it, and the
bandwidth of memory.

The least time of a training step with B users, K concepts, d dimensions, N items and E events:

    2·B·K·d·N · (1/logits + 1/people + 1/items)     three products at their own measured rates
    + B·K·N / exponentials                          one exponential per logit
    + max(3·2·E·K·d / product, 3·E·d·4 / bandwidth) the encoder's weighted bag: forward, and its
                                                    gradients to table and weights
    + 7·4·parameters / bandwidth                    Adam reads four numbers of each and writes three

and of scoring U users: ``2·U·K·d·N / logits + U·K·N / exponentials``, or ``2·U·d·N / logits`` where
each item meets one concept and no exponential is needed.

It is a lower bound: only what must be done is counted (not the logits' second computation in the
backward pass, nor the extra dimensions that carry log-assignments, nor the search for the best
items), at the best rates ever seen here, as if nothing else had to move through memory. Sampled
softmax is counted with the sampled items as N; one-hot assignments with K = 1 in the decoder.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch

USERS, CONCEPTS, DIMS = 500, 7, 100
BLOCKS = (128, 256, 512, 1024, 2048, 4096)
SQUARES = (1024, 2048, 4096)
DTYPES = {"32": torch.float32, "bf16": torch.bfloat16}
ROOMY, CACHED = 2**26, 2**17  # numbers: 256 MiB, 512 KiB


@dataclass(frozen=True)
class Products:
    """Rates of matrix products in one precision, in flops per second."""

    logits: float
    people: float
    items: float
    square: float

    @property
    def best(self) -> float:
        """The highest of all shapes."""
        return max(self.logits, self.people, self.items, self.square)


@dataclass(frozen=True)
class Machine:
    """What was measured: products by precision, exponentials per second, bytes per second."""

    products: dict[str, Products]
    exponentials: float
    exponentials_in_memory: float
    copy: float
    triad: float
    threads: int

    @property
    def bandwidth(self) -> float:
        """The better of the two patterns."""
        return max(self.copy, self.triad)

    @classmethod
    def of(cls, values: dict) -> "Machine":
        """From the JSON that this script prints."""
        products = {name: Products(**rates) for name, rates in values["products"].items()}
        return cls(**{**values, "products": products})


def least_step_seconds(  # noqa: PLR0913  the terms of the formula
    machine: Machine,
    *,
    users: int,
    concepts: int,
    dims: int,
    items: int,
    events: float,
    parameters: float,
    precision: str = "32",
    one_hot: bool = False,
) -> float:
    """The formula above for a training step.

    Args:
        machine: What `measure` found.
        users: Of a batch.
        concepts: K.
        dims: d.
        items: Looked at by the likelihood: the catalogue, or the sample of it.
        events: Of the batch.
        parameters: That the optimiser moves in a step.
        precision: Of the products, ``"32"`` or ``"bf16"``.
        one_hot: Whether an item meets one concept only.

    Example:
        >>> ten = Products(logits=10.0, people=10.0, items=10.0, square=10.0)
        >>> slow = Machine({"32": ten}, 5.0, 5.0, 100.0, 100.0, 1)
        >>> size = {"users": 1, "concepts": 1, "dims": 5, "items": 10}
        >>> least_step_seconds(slow, **size, events=0, parameters=0)  # 3 · 100 / 10 + 10 / 5
        32.0
    """
    rates = machine.products[precision]
    meetings = users * (1 if one_hot else concepts) * items
    inverse = 1 / rates.logits + 1 / rates.people + 1 / rates.items
    decoder = 2 * meetings * dims * inverse + meetings / machine.exponentials
    flops, traffic = 6 * events * concepts * dims, 12 * events * dims
    encoder = max(flops / machine.products["32"].best, traffic / machine.bandwidth)
    return decoder + encoder + 28 * parameters / machine.bandwidth


def least_scoring_seconds(
    machine: Machine,
    *,
    users: int,
    concepts: int,
    dims: int,
    items: int,
    precision: str = "32",
    mode: bool = False,
) -> float:
    """The formula above for lists of the best items; ``mode`` where an item meets one concept.

    Example:
        >>> ten = Products(logits=10.0, people=10.0, items=10.0, square=10.0)
        >>> slow = Machine({"32": ten}, 5.0, 5.0, 100.0, 100.0, 1)
        >>> least_scoring_seconds(slow, users=1, concepts=2, dims=5, items=10)
        24.0
    """
    rate = machine.products[precision].logits
    meetings = users * items * (1 if mode else concepts)
    return 2 * meetings * dims / rate + (0 if mode else meetings / machine.exponentials)


def measure(threads: int = 2, seconds: float = 0.3) -> Machine:
    """Measure this machine, each rate for about ``seconds``."""
    torch.set_num_threads(threads)
    large, other, third = torch.zeros(ROOMY), torch.ones(ROOMY), torch.ones(ROOMY)
    near, by = torch.zeros(CACHED), torch.ones(CACHED)
    return Machine(
        products={name: _products(dtype, seconds) for name, dtype in DTYPES.items()},
        exponentials=CACHED / _best(lambda: torch.exp(by, out=near), seconds),
        exponentials_in_memory=ROOMY / _best(lambda: torch.exp(large, out=other), seconds),
        copy=2 * 4 * ROOMY / _best(lambda: large.copy_(other), seconds),
        triad=3 * 4 * ROOMY / _best(lambda: torch.add(other, third, alpha=2, out=large), seconds),
        threads=threads,
    )


def _products(dtype: torch.dtype, seconds: float) -> Products:
    """Rates of one precision."""
    rows, share = USERS * CONCEPTS, seconds / len(BLOCKS)
    people, best = torch.randn(rows, DIMS).to(dtype), {}
    for block in BLOCKS:
        items = torch.randn(block, DIMS).to(dtype)
        logits = torch.randn(rows, block).to(dtype)
        for name, left, right in (
            ("logits", people, items.T),
            ("people", logits, items),
            ("items", logits.T, people),
        ):
            turned = _rate(right.T, left.T, share / 2)  # the same numbers, in the other order
            best[name] = max(best.get(name, 0.0), _rate(left, right, share / 2), turned)
    squares = (torch.randn(side, side).to(dtype) for side in SQUARES)
    square = max(_rate(one, one, seconds / len(SQUARES)) for one in squares)
    return Products(**best, square=square)


def _rate(left: torch.Tensor, right: torch.Tensor, seconds: float) -> float:
    """Flops per second of a product whose result has its memory already."""
    out = left.new_empty(len(left), right.shape[1])
    flops = 2 * left.shape[0] * left.shape[1] * right.shape[1]
    return flops / _best(lambda: torch.mm(left, right, out=out), seconds)


def _best(work: Callable[[], object], seconds: float) -> float:
    """The shortest time of the tries that fit into ``seconds``, but of three at least."""
    work()
    best, n_tries, end = float("inf"), 0, time.perf_counter() + seconds
    while n_tries < 3 or time.perf_counter() < end:
        started = time.perf_counter()
        work()
        best, n_tries = min(best, time.perf_counter() - started), n_tries + 1
    return best


def sentences(machine: Machine) -> str:
    """What was measured, and what follows for gowalla's size, for people."""
    size = {"users": USERS, "concepts": CONCEPTS, "dims": DIMS, "items": 41_000}
    lines = []
    for name, rates in machine.products.items():
        giga = ", ".join(f"{key} {rate / 1e9:.0f}" for key, rate in asdict(rates).items())
        step = least_step_seconds(machine, **size, events=17_500, parameters=8.2e6, precision=name)
        users = USERS / least_scoring_seconds(machine, **size, precision=name)
        lines += [
            f"{name:>4}: {giga} GFLOP/s",
            f"      41,000 items: a step of 500 users in {step:.3f} s, {users:,.0f} users scored/s",
        ]
    return "\n".join(
        [
            *lines,
            f"exponentials: {machine.exponentials / 1e9:.2f} G/s in cache, "
            f"{machine.exponentials_in_memory / 1e9:.2f} G/s out of it",
            f"memory: copy {machine.copy / 1e9:.1f}, triad {machine.triad / 1e9:.1f} GB/s",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    found = measure(given.threads)
    print(json.dumps(asdict(found)) if given.json else sentences(found))
