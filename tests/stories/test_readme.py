"""The README's example and commands, run as they stand (on a smaller log)."""

import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from macrid.cli.app import run

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A working folder with the files that the README speaks of."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    films = ["296", "593", *map(str, range(1000, 1038))]
    events = [
        (user, film, random.integers(3, 6))
        for user in range(120)
        for film in random.choice(films[user % 2 :: 2], 12, replace=False)
    ]
    log = pl.DataFrame(events, schema=["userId", "movieId", "rating"], orient="row")
    log.write_csv("ratings.csv")
    log.head(50).write_parquet("people.parquet")
    pl.DataFrame({"movieId": films, "title": [f"Film {film}" for film in films]}).write_csv(
        "films.csv"
    )
    return tmp_path


@pytest.mark.slow
def test_the_python_example_runs(desk):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    small = code.replace("n_users=500", "n_users=10").replace("epochs=150", "epochs=2")
    assert small != code
    names = {}
    exec(compile(small, "README.md", "exec"), names)
    assert (desk / "model" / "config.json").is_file()
    assert len(names["model"].recommend({"me": ["296"]}, k=10)) == 10


@pytest.mark.slow
def test_the_commands_run(desk):
    (commands,) = re.findall(r"```sh\n(\.venv/bin/macrid train.*?)```", README, re.DOTALL)
    for line in commands.strip().splitlines():
        words = shlex.split(line, comments=True)[1:]
        assert run([*words, "--epochs", "2"] if words[0] == "train" else words) == 0, line
    assert (desk / "lists.parquet").is_file()
