"""An estimate beside what training really takes, and machines of all kinds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import planted
from macrid.errors import TooLarge
from macrid.models.macridvae import MacridVAESettings, macrid_vae
from macrid.training import memory
from macrid.training.memory import available_bytes, check_fits, check_training, training_bytes
from macrid.training.settings import TrainingSettings

GIB = 2**30


def network(**settings) -> torch.nn.Module:
    return macrid_vae(planted.split().train.n_items, MacridVAESettings(**settings))


def estimate(batch_size: int = 10, *, net=None, **more) -> int:
    settings = TrainingSettings(batch_size=batch_size)
    return training_bytes(net or network(), planted.split().train, settings, **more)


def test_the_estimate_grows_with_weights_and_batches():
    assert estimate() < estimate(net=network(n_dims=200))
    assert estimate() < estimate(40)


class TakesAKilobyte(torch.nn.Embedding):
    """A network whose step takes a kilobyte for each person."""

    def step_bytes(self, n_users: int, n_events: int) -> int:
        return 1024 * n_users


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, 4 * 4_000 + 1024 * 10),
        ({"optimiser_floats": 0}, 2 * 4_000 + 1024 * 10),
        ({"checkpointed": True}, 4 * 4_000 + 8 * 4_000),
    ],
)
def test_the_terms_are_gradients_moments_the_best_weights_and_the_most_at_one_time(more, expected):
    train = planted.split().train
    net = TakesAKilobyte(10, 100)

    assert training_bytes(net, train, TrainingSettings(batch_size=10), **more) == expected


def test_an_average_is_one_copy_of_the_weights_more():
    train, net = planted.split().train, TakesAKilobyte(10, 100)
    free, averaged = (
        training_bytes(net, train, TrainingSettings(batch_size=10, average=decay), **more)
        for decay, more in ((0.0, {"optimiser_floats": 3}), (0.9, {}))
    )
    assert averaged == free == 5 * 4_000 + 1024 * 10


def test_more_people_per_step_than_there_are_need_no_more():
    assert estimate(10**6) == estimate(planted.split().train.n_users)


def test_a_training_that_fits_is_let_go():
    check_training(network(), planted.split().train, TrainingSettings())


def has_free(monkeypatch, n_bytes: int | None) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: n_bytes)


def test_a_training_that_does_not_fit_names_the_batch_that_would(monkeypatch):
    has_free(monkeypatch, estimate(20))
    settings = TrainingSettings(batch_size=80)
    sentence = r"training on \d+ items needs about .* GiB and .* free; batch_size=20 would fit"
    with pytest.raises(TooLarge, match=sentence) as caught:
        check_training(network(), planted.split().train, settings)
    assert (caught.value.needed, caught.value.available) == (estimate(80), estimate(20))


def test_where_no_batch_is_small_enough_the_other_ways_out_are_named(monkeypatch):
    has_free(monkeypatch, 1000)
    with pytest.raises(TooLarge, match=r"alone would not do: .*min_item_events\), or walk$"):
        check_training(network(), planted.split().train, TrainingSettings(), smaller="walk")


def test_nothing_is_refused_for_a_gpu_or_where_nothing_is_known(monkeypatch):
    has_free(monkeypatch, 1000)
    check_training(network(), planted.split().train, TrainingSettings(device="cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    check_training(network(), planted.split().train, TrainingSettings())
    has_free(monkeypatch, None)
    check_training(network(), planted.split().train, TrainingSettings(device="cpu"))
    check_fits(10**30, "everything", "take less")


MEASURE = """
import sys

import numpy as np

import macrid
from macrid.data.splits import HeldOut, read_split
from macrid.training import fit
from macrid.training.memory import training_bytes


def status(name):
    return int(open("/proc/self/status").read().split(name + ":")[1].split()[0]) * 1024


def noted(network, train, validation, objective, settings, **more):
    before = status("VmRSS")
    needed = training_bytes(network, train, settings)
    done = inner(network, train, validation, objective, settings, **more)
    print(before + needed, status("VmHWM"))
    return done


inner, fit.fit_network = fit.fit_network, noted
where = sys.argv[1]
split = read_split(where) if where.endswith("sg") else macrid.hold_out_users(macrid.read(where))
train, shown, hidden = (
    part.take_users(np.arange(n))
    for part, n in (
        (split.train, 400), (split.validation.fold_in, 100), (split.validation.held_out, 100)
    )
)
macrid.MacridVAE().fit(train, HeldOut(shown, hidden), epochs=1, batch_size=200, threads=1)
"""


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's own count")
@pytest.mark.parametrize("name", ["ml-1m/pro_sg", "gowalla"])
def test_the_estimate_is_near_what_training_takes(data_dir, name):
    command = [sys.executable, "-c", MEASURE, str(data_dir / name)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    estimated, measured = map(int, done.stdout.split())
    assert 1 / 1.5 < estimated / measured < 1.5


# What is free.


def machine(root, **files):
    """A machine's memory files, written below a folder."""
    for name, text in files.items():
        path = root.joinpath(*name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = f"MemTotal: {8 * 2**20} kB\nMemFree: 5 kB\nMemAvailable: {6 * 2**20} kB\n"


def testavailable_bytes_counts_what_the_disk_cache_would_give_back(tmp_path):
    assert available_bytes(machine(tmp_path, proc__meminfo=MEMINFO)) == 6 * GIB


@pytest.mark.parametrize(
    ("folder", "limit", "used", "stat"),
    [
        ("sys__fs__cgroup", "memory.max", "memory.current", "inactive_file"),
        (
            "sys__fs__cgroup__memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ],
)
@pytest.mark.parametrize(("allowed", "free"), [(4, 3), (64, 6), (1, 0)])
def test_a_container_may_have_less_than_its_machine(
    tmp_path, folder, limit, used, stat, allowed, free
):
    files = {limit: str(allowed * GIB), used: str(3 * GIB), "memory.stat": f"{stat} {2 * GIB}\n"}
    files = {f"{folder}__{name}": text for name, text in files.items()}
    files |= {f"{folder}__memory.stat": f"inactive_file 0\n{stat} {2 * GIB}\n"}
    assert available_bytes(machine(tmp_path, proc__meminfo=MEMINFO, **files)) == free * GIB


def test_a_container_without_a_limit_has_what_the_machine_has(tmp_path):
    files = {"memory.max": "max", "memory.current": "5", "memory.stat": "inactive_file 0"}
    files = {f"sys__fs__cgroup__{name}": text for name, text in files.items()}
    assert available_bytes(machine(tmp_path, proc__meminfo=MEMINFO, **files)) == 6 * GIB


def test_a_machine_that_says_nothing_is_taken_for_empty_or_for_unknown(tmp_path, monkeypatch):
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert available_bytes(tmp_path) == total  # as on macOS
    monkeypatch.delattr(os, "sysconf_names")
    assert available_bytes(tmp_path) is None  # as on Windows
