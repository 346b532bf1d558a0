"""`macrid tune` as people meet it: killed, shared, finished, and what comes of it."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tomllib

import numpy as np
import polars as pl
import pytest
import torch

from macrid.cli.app import run
from macrid.evaluation import tune as of_tune

# One worker, as what is shared takes seconds.
pytestmark = pytest.mark.xdist_group("tune command")

QUICK = [
    "--set", "n_dims=8", "--set", "n_concepts=2", "--set", "batch_size=20", "--threads", "1",
    "--hold-out", "8", "--epochs", "3",
]  # fmt: skip


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Two groups of 40 users, each on its own half of 24 items."""
    random = np.random.default_rng(0)
    events = [
        (f"u{user}", f"i{item + 12 * (user % 2)}")
        for user in range(80)
        for item in random.choice(12, size=8, replace=False)
    ]
    path = tmp_path_factory.mktemp("log") / "log.csv"
    pl.DataFrame(events, schema=["user", "item"], orient="row").write_csv(path)
    return path


def test_threads_are_of_any_model(log, tmp_path, capsys):
    command = ["tune", str(log), "--model", "ease", "--trials", "1", "--out", str(tmp_path)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert run([*command, "--threads", "1", "--json"]) == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert json.loads(capsys.readouterr().out)["data"] == {"data": str(log)}


@pytest.mark.parametrize("wrong", ["-1", "0", "1025"])
def test_threads_are_one_or_more(log, tmp_path, capsys, wrong):
    command = ["tune", str(log), "--model", "ease", "--out", str(tmp_path / "new")]
    assert run([*command, "--threads", wrong]) == 2
    assert "--threads" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "new").exists()


def words(log, out, trials, *more):
    """A command."""
    return ["tune", str(log), "--out", str(out), "--trials", str(trials), *QUICK, *more]


def begin(command):
    """It in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "macrid", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def trials(out):
    """What ``trials.csv`` says."""
    return pl.read_csv(out / "trials.csv")


@pytest.fixture(scope="module")
def folder(log, tmp_path_factory):
    """A search of three trials."""
    out = tmp_path_factory.mktemp("tune") / "found"
    assert run(words(log, out, 3, "--search", "beta=0.1,0.2,0.5")) == 0
    return out


class TestAWholeSearch:
    def test_train_takes_the_file_and_reaches_the_same(self, log, folder, tmp_path):
        assert run(["train", str(log), "--config", str(folder / "best.toml"), "--threads", "1",
                    "--out", str(tmp_path / "m"), "--no-baselines"]) == 0  # fmt: skip
        metrics = json.loads((tmp_path / "m" / "metrics.json").read_text())
        result = json.loads((folder / "result.json").read_text())
        assert metrics["validation"]["ndcg@100"] == result["validation"]["ndcg@100"]
        assert metrics["test"] == result["test"]

    def test_json_is_the_result_and_a_second_time_nothing_is_trained(self, log, folder, capsys):
        command = words(log, folder, 3, "--search", "beta=0.1,0.2,0.5", "--json")
        assert run(command) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out) == json.loads((folder / "result.json").read_text())
        assert "trial" not in captured.err.replace("searching", "")
        assert "searching beta in 0.1 | 0.2 | 0.5\n" in captured.err

    def test_the_file_holds_how_the_events_were_read(self, folder):
        config = tomllib.loads((folder / "best.toml").read_text())
        assert config["data"] == {"hold_out": 8}
        assert config["training"]["epochs"] == 3
        assert "threads" not in config["training"]

    def test_tables_and_the_next_command(self, log, folder, capsys):
        run(words(log, folder, 3, "--search", "beta=0.1,0.2,0.5"))
        captured = capsys.readouterr()
        assert "MacridVAE" in captured.out
        assert "defaults" in captured.out
        assert "popularity" in captured.out
        assert f"--config {folder}/best.toml" in captured.err

    def test_another_search_in_its_folder_is_refused(self, log, folder, capsys):
        assert run(words(log, folder, 3)) == 2
        assert "begun with other beta (it had beta 0.1 | 0.2 | 0.5)" in capsys.readouterr().err


def running(out, after):
    """Whether a trial that is not one of the first has reported an epoch and is under way."""
    try:
        with sqlite3.connect(f"file:{out / 'study.db'}?mode=ro", uri=True) as file:
            query = (
                "select count(*) from trials join trial_intermediate_values using (trial_id) "
                "where state = 'RUNNING' and number >= ?"
            )
            return file.execute(query, (after,)).fetchone()[0] > 0
    except sqlite3.Error:
        return False


def wait(out, after):
    """Until there is such a trial."""
    deadline = time.monotonic() + 60
    while not running(out, after) and time.monotonic() < deadline:
        time.sleep(0.02)


def test_two_processes_share_a_search_and_after_one_was_killed_it_goes_on(log, tmp_path, capsys):
    out, more = tmp_path / "shared", ("--epochs", "12", "--no-test")
    with begin(words(log, out, 99, *more)) as process:
        wait(out, after=0)
        assert run(words(log, out, 4, *more)) == 0  # the other process is this one
        shared = trials(out)
        wait(out, after=len(shared))
        process.kill()
        said = [process.communicate()[1], capsys.readouterr().err]
    assert process.returncode == -signal.SIGKILL
    assert set(shared["state"]) <= {"complete", "pruned"}
    lines = [sum(line.startswith("trial ") for line in text.splitlines()) for text in said]
    assert all(lines), said
    assert lines[1] < 4 <= sum(lines)
    assert json.loads((out / "result.json").read_text())["test"] is None
    assert tomllib.loads((out / "best.toml").read_text())["model"] == "macridvae"

    before = trials(out)
    assert run(words(log, out, len(before) + 1, *more)) == 0
    found = trials(out)
    assert found["value"][: len(before)].to_list() == before["value"].to_list()
    assert found["state"].to_list().count("failed") == 1
    assert len(found) == len(before) + 2
    dead = found.filter(state="failed").row(0, named=True)
    assert dead["reason"] == "its process was killed"
    tried = found.drop("number", "state", "value", "seconds", "reason").rows()
    assert tried.count(tried[dead["number"]]) == 2
    assert found["learning_rate"].n_unique() == len(found) - 1


def test_ctrl_c_keeps_what_was_found(log, tmp_path, capsys):
    out = tmp_path / "stopped"

    def stop():
        wait(out, after=0)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    assert run(words(log, out, 3, "--epochs", "5000")) == 130
    assert f"is kept in {out}; the same command goes on with it\n" in capsys.readouterr().err


def test_stopped_before_there_is_a_folder_it_speaks_of_none(log, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(of_tune, "prepare", stop)
    assert run(["tune", str(log), "--model", "ease", "--out", str(tmp_path / "t")]) == 130
    assert "kept" not in capsys.readouterr().err


def test_without_plotly_there_is_a_note(log, folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert run(words(log, folder, 3, "--search", "beta=0.1,0.2,0.5")) == 0
    said = capsys.readouterr().err
    assert "no report.html was written: plotly is not installed" in said
    assert "pip install 'macrid[viz]'" in said


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--model", "macridva"], "there is no model 'macridva'; did you mean 'macridvae'?"),
        (["--search", "bata=1..2"], "there is no setting 'bata'; did you mean 'beta'?"),
        (["--search", "beta=3..1"], "beta is to be searched from 3.0 to 1.0; swap them"),
        (["--search", "beta"], "--search 'beta' is not of the form name=value"),
        (["--model", "popularity"], "there is nothing to search of popularity"),
        (["--model", "ease", "--trials", "0"], "trials is 0; 1 or more"),
        (["--model", "ease", "--timeout", "0"], "timeout is 0 minutes"),
        (["--model", "ease", "--storage", ""], "storage or study is ''"),
        (["--model", "ease", "--study", ""], "storage or study is ''"),
        (["--metrics", "hits@3"], "there is no metric 'hits@3'"),
    ],
)
def test_a_wrong_request_is_a_sentence_before_the_data_are_read(tmp_path, capsys, more, sentence):
    assert run(["tune", str(tmp_path / "none.csv"), "--out", str(tmp_path / "t"), *more]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err.splitlines()[-1]
    assert not (tmp_path / "t").exists()


def test_a_storage_that_cannot_be_opened_is_a_sentence(log, tmp_path, capsys):
    words = ["--model", "ease", "--storage", "nonsense", "--out", str(tmp_path / "t")]
    assert run(["tune", str(log), *words]) == 2
    assert "cannot open the storage of that address" in capsys.readouterr().err


def test_help_names_the_driver_of_postgresql(capsys):
    assert run(["tune", "--help"]) == 0
    assert "'psycopg[binary]'" in capsys.readouterr().out
