"""`macrid sweep` as people meet it."""

import json
import os
import signal
import threading
import time

import numpy as np
import polars as pl
import pytest

from macrid.cli.app import run

# One worker, as what is shared takes seconds.
pytestmark = pytest.mark.xdist_group("sweep command")

QUICK = ["--epochs", "1", "--batch-size", "40", "--set", "n_dims=4", "--settings", "3"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Two groups of 30 users, each on its own half of 24 items."""
    random = np.random.default_rng(0)
    events = [
        (f"u{user}", f"i{item + 12 * (user % 2)}")
        for user in range(60)
        for item in random.choice(12, size=8, replace=False)
    ]
    path = tmp_path_factory.mktemp("log") / "log.csv"
    pl.DataFrame(events, schema=["user", "item"], orient="row").write_csv(path)
    return path


def test_a_table_and_the_files(log, tmp_path, capsys):
    pytest.importorskip("plotly")
    words = ["sweep", str(log), "--out", str(tmp_path / "s"), "--concepts", "2,1", *QUICK]
    assert run(words) == 0
    captured = capsys.readouterr()
    assert "Spearman's rank correlation" in captured.out
    assert "6 of 6: K = 1" in captured.err
    assert "the last one is measured" in captured.err
    names = {path.name for path in (tmp_path / "s").iterdir()}
    assert names == {"sweep.csv", "sweep.md", "sweep.svg", "sweep.html", "cells"}
    assert run([*words, "--json"]) == 0  # nothing is trained again
    captured = capsys.readouterr()
    assert captured.err.count("finished before") == 6
    document = json.loads(captured.out)
    assert len(document["cells"]) == 6
    assert document["cells"] == pl.read_csv(tmp_path / "s" / "sweep.csv").to_dicts()


def test_stopped_by_hand_it_says_how_to_go_on(log, tmp_path, capsys):
    out = tmp_path / "s"

    def stop():
        while not (out / "cells" / "K2" / "0000").is_dir():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    words = ["sweep", str(log), "--out", str(out), "--concepts", "2", *QUICK[:-1], "99"]
    assert run(words) == 130
    told = capsys.readouterr().err
    assert f"finished trainings are kept in {out}; the same command goes on" in told


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--concepts", "7;1"], "--concepts '7;1' is not a list of whole numbers"),
        (["--concepts", "7", "--total-dims", "100"], "cannot be shared evenly by 7"),
        (["--beta", "5"], "give LOW..HIGH"),
        (["--settings", "1"], "draw 3 settings or more"),
        (["--set", "n_concept=3"], "did you mean 'n_concepts'"),
        (["--epochs", "0"], "epochs is 0"),
    ],
)
def test_a_wrong_request_is_refused_in_a_sentence(log, tmp_path, capsys, words, sentence):
    assert run(["sweep", str(log), "--out", str(tmp_path / "s"), *words]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
