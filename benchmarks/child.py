"""What a measured process does, macrid's and the peers' alike: time steps, look at memory, answer.

A step is timed from the end of one optimiser step to the end of the next, inside each library's own
training loop, so that its loading of data and its loop count as they do for whoever uses it.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class EnoughError(Exception):
    """Ends a training loop once as many steps were timed as were asked for."""


class StepClock:
    """Notes when each optimiser step ends; raises `EnoughError` after ``steps``."""

    def __init__(self, steps: int | None = None) -> None:
        from torch.optim.optimizer import register_optimizer_step_post_hook

        self.steps, self.marks, self.first = steps, [], None
        self.hook = register_optimizer_step_post_hook(self)

    def __call__(self, optimizer: Any, *_: Any) -> None:
        """A loop may step several optimisers in turn; the first one counts."""
        self.first = self.first or optimizer
        if optimizer is self.first:
            self.marks.append(time.perf_counter())
            if self.steps and len(self.marks) > self.steps:
                raise EnoughError

    def seconds(self, warmup: int) -> list[float]:
        """Duration of each step but the first ones."""
        pairs = zip(self.marks[:-1], self.marks[1:], strict=True)
        return [end - start for start, end in pairs][max(warmup - 1, 0) :]


def timed_steps(train: Callable[[], Any], warmup: int, steps: int) -> list[float]:
    """Run a training loop until enough steps are timed; fewer, if it ends before."""
    clock = StepClock(warmup + steps - 1 if warmup else steps)
    try:
        train()
    except EnoughError:
        pass
    finally:
        clock.hook.remove()
    return clock.seconds(warmup)


def peak_bytes() -> int:
    """Most memory that this process ever had; not its parent's, which ru_maxrss can inherit."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(text for text in status.read_text().splitlines() if text.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def job() -> dict[str, Any]:
    """What is asked for: JSON as the first argument."""
    return json.loads(sys.argv.pop(1))


def answer(**found: Any) -> None:
    """One line of JSON, the last one printed."""
    print("\n" + json.dumps({**found, "peak_bytes": peak_bytes()}), flush=True)
