import os

import pytest

from macrid.errors import SettingsError
from macrid.service.settings import ServeSettings


def test_threads_of_all_processes_leave_one_processor(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(9)))
    threads = [ServeSettings(folder="x", workers=n).torch_threads for n in (1, 2, 3, 20)]
    assert threads == [8, 4, 2, 1]
    assert ServeSettings(folder="x", workers=4, threads=5).torch_threads == 5


def test_a_store_lies_beside_its_model_unless_told_otherwise():
    assert ServeSettings(folder="runs/m").store_url == "sqlite:///runs/m.sqlite"
    assert ServeSettings(folder="runs/m", store="postgresql://h/x").store_url == "postgresql://h/x"


def test_a_map_lies_beside_the_store_or_else_beside_the_model():
    assert str(ServeSettings(folder="runs/m").map_path) == "runs/m.map.npz"
    kept = ServeSettings(folder="runs/m", store="sqlite:////var/lib/kept.db").map_path
    assert str(kept) == "/var/lib/kept.db.map.npz"
    remote = ServeSettings(folder="runs/m", store="postgresql://h/x").map_path
    assert str(remote) == "runs/m.map.npz"


@pytest.mark.parametrize(
    "wrong",
    [{"workers": 0}, {"rate_limit": 0}, {"timeout": -1}, {"x": 1}, {"origins": ("shop.example",)}],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(SettingsError):
        ServeSettings.of({"folder": "m", **wrong})
