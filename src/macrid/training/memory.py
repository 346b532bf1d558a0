"""Whether work fits into memory, asked before it begins: an estimate, what is free, a refusal."""

import os
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import torch
from torch import nn

from macrid.data.interactions import Interactions
from macrid.errors import TooLarge
from macrid.training.settings import TrainingSettings

# Of a container, version 2 and version 1: its limit, what is used of it, how much of that is cache.
_CGROUPS = [
    [f"sys/fs/cgroup/{name}" for name in names.split()]
    for names in (
        "memory.max memory.current memory.stat",
        "memory/memory.limit_in_bytes memory/memory.usage_in_bytes memory/memory.stat",
    )
]


@runtime_checkable
class Sized(Protocol):
    """A network that knows what a training step of it takes."""

    def step_bytes(self, n_users: int, n_events: int) -> int:
        """Most bytes at a time beside weights, gradients and the optimiser's state."""
        ...


def training_bytes(
    network: nn.Module,
    train: Interactions,
    settings: TrainingSettings,
    *,
    optimiser_floats: int = 2,
    checkpointed: bool = False,
) -> int:
    r"""About the memory that training takes beyond the network and the events, which are there.

    For each weight a gradient, the optimiser's state, the copy of the best epoch (and of what is
    remembered beside weights) and the moving average, if there is one; and then the most that is
    needed at one time: by a step, or by a checkpoint, which Lightning puts together in a buffer
    that grows by doubling.

    Args:
        network: A `Network` that is also `Sized`.
        train: Training users.
        settings: Of these batch size and average matter.
        optimiser_floats: State of the optimiser for each weight; Adam has two moments.
        checkpointed: Whether every epoch is written down.

    Example:
        >>> class Table(nn.Embedding):
        ...     def step_bytes(self, n_users, n_events):
        ...         return 64 * n_users
        >>> from macrid.data.readers import read
        >>> clicks = read({"user": [1, 2], "item": [3, 3]})
        >>> training_bytes(Table(10, 25), clicks, TrainingSettings())
        4128
    """
    weights, kept = (
        sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        for tensors in (network.parameters(), network.buffers())
    )
    copies = 2 + optimiser_floats + (settings.average > 0)
    n_users = min(settings.batch_size, train.n_users)
    n_events = round(n_users * len(train) / max(train.n_users, 1))
    at_once = (
        cast(Sized, network).step_bytes(n_users, n_events),
        2 * (copies * weights + 2 * kept) * checkpointed,
    )
    return copies * weights + kept + max(at_once)


def check_training(
    network: nn.Module,
    train: Interactions,
    settings: TrainingSettings,
    *,
    optimiser_floats: int = 2,
    checkpointed: bool = False,
    smaller: str = "take a smaller network",
) -> None:
    """Refuse a training that would not fit, with the batch size that would; not on a GPU.

    Args:
        network: As in `training_bytes`, like all the others.
        train: Training users.
        settings: Device and batch size.
        optimiser_floats: State of the optimiser for each weight.
        checkpointed: Whether every epoch is written down.
        smaller: What would need less memory, as advice.

    Raises:
        TooLarge: If it needs more than what is free.
    """
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    if settings.device in ("cuda", "mps") or (settings.device == "auto" and gpu):
        return

    def needed(batch_size: int) -> int:
        batch = settings.model_copy(update={"batch_size": batch_size})
        more = {"optimiser_floats": optimiser_floats, "checkpointed": checkpointed}
        return training_bytes(network, train, batch, **more)

    size = min(settings.batch_size, train.n_users)
    free = available_bytes()
    sizes = [size >> halvings for halvings in range(1, size.bit_length())]
    fitting = [half for half in sizes if free is not None and needed(half) <= free]
    advice = (
        f"batch_size={fitting[0]} would fit"
        if fitting
        else f"smaller batches alone would not do: drop rare items (min_item_events), or {smaller}"
    )
    check_fits(needed(size), f"training on {train.n_items:,} items", advice)


def check_fits(needed: int, work: str, advice: str) -> None:
    """Refuse work that would not fit into memory.

    Args:
        needed: Bytes that it takes beyond what is taken already.
        work: What it is, as the sentence begins.
        advice: What would do instead, as it ends.

    Raises:
        TooLarge: If that is more than what is free.

    Example:
        >>> check_fits(2**60, "everything", "take less")
        Traceback (most recent call last):
        macrid.errors.TooLarge: everything needs about 1,073,741,824.0 GiB and ... free; take less
    """
    available = available_bytes()
    if available is not None and needed > available:
        raise TooLarge(
            f"{work} needs about {needed / 2**30:,.1f} GiB and {available / 2**30:,.1f} GiB are "
            f"free; {advice}",
            needed=needed,
            available=available,
        )


def available_bytes(root: Path = Path("/")) -> int | None:
    """Bytes that could be used without swapping: the machine's, or its container's if fewer.

    Where the machine does not say: all its memory (macOS); where it says nothing at all: None.
    """
    free = []
    for limit, used, cache in _CGROUPS:
        try:
            stat = dict(line.split() for line in (root / cache).read_text().splitlines())
            inactive = int(stat.get("total_inactive_file", stat["inactive_file"]))
            taken = int((root / used).read_text()) - inactive
            free.append(int((root / limit).read_text()) - taken)
        except (OSError, ValueError, KeyError):  # no such container, or "max"
            continue
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        free += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")]
    except OSError:
        if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
            free.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(free)) if free else None
