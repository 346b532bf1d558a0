"""`macrid compare` as people meet it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import polars as pl
import pytest

from macrid.cli.app import run
from macrid.models.popularity import Popularity

QUICK = ["--epochs", "2", "--batch-size", "20", "--set", "multdae.n_dims=4"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Two groups of 30 users, each on its own half of 24 items, with genres."""
    folder = tmp_path_factory.mktemp("log")
    random = np.random.default_rng(0)
    events = [
        (f"u{user}", f"i{item + 12 * (user % 2)}")
        for user in range(60)
        for item in random.choice(12, size=8, replace=False)
    ]
    pl.DataFrame(events, schema=["user", "item"], orient="row").write_csv(folder / "log.csv")
    films = {"item": [f"i{i}" for i in range(24)], "genres": ["War", "War|Drama", "Drama"] * 8}
    pl.DataFrame(films).write_csv(folder / "films.csv")
    return folder / "log.csv"


def refused(words, capsys, status=2):
    """Run a command that must end with one sentence on stderr; the sentence."""
    assert run([str(word) for word in words]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    last = captured.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


def compared(log, out, *words):
    """Run the command on three models; it must work."""
    models = ["--models", "popularity,ease,multdae"]
    assert run(["compare", str(log), "--out", str(out), *models, *QUICK, *words]) == 0


def test_a_table_the_differences_and_a_report(log, tmp_path, capsys):
    out = tmp_path / "c"
    compared(log, out, "--seeds", "2", "--beyond", "--items", str(log.parent / "films.csv"))
    captured = capsys.readouterr()
    assert "6 test users: mean ± standard error over users (over 2 seeds)" in captured.out
    assert "gini@20" in captured.out
    assert "less ease" in captured.out or "less multdae" in captured.out
    assert "3 of 4: multdae, seed 98765 …" in captured.err
    assert f"the report is in {out}" in captured.err
    written = json.loads((out / "comparison.json").read_text())
    assert written["models"][0]["beyond"]["diversity@20"] is not None
    assert (out / "comparison.md").read_text().startswith("# Models compared")


def test_json_is_one_document_on_stdout(log, tmp_path, capsys):
    compared(log, tmp_path / "c", "--json", "--seeds", "1", "--metrics", "recall@5")
    document = json.loads(capsys.readouterr().out)
    assert document["metric"] == "recall@5"
    assert document == json.loads((tmp_path / "c" / "comparison.json").read_text())


def test_flags_go_before_a_toml_file_and_that_before_defaults(log, tmp_path, capsys):
    (tmp_path / "narrow.toml").write_text(
        'model = "multdae"\n[settings]\nn_dims = 3\nl2 = 0.5\n[training]\nepochs = 3\nseed = 7\n'
        "learning_rate = 0.02\n[data]\nmin_user_events = 7\n"
    )
    (tmp_path / "ridge.toml").write_text('model = "ease"\n[settings]\nregularization = 3.0\n')
    models = f"{tmp_path}/narrow.toml,{tmp_path}/ridge.toml,popularity"
    words = ["compare", str(log), "--out", str(tmp_path / "c"), "--models", models, "--json"]
    words += ["--seeds", "1", "--epochs", "2", "--threads", "1", "--set", "narrow.n_dims=5"]
    assert run(words) == 0
    captured = capsys.readouterr()
    narrow, ridge, popularity = json.loads(captured.out)["models"]
    cell = narrow["cells"][0]
    assert (narrow["label"], narrow["model"]) == ("narrow", "multdae")
    assert (cell["settings"]["n_dims"], cell["settings"]["l2"]) == (5, 0.5)
    assert (cell["training"]["epochs"], cell["training"]["learning_rate"]) == (2, 0.02)
    assert cell["seed"] == cell["training"]["seed"] == 98765
    assert ridge["cells"][0]["settings"] == {"regularization": 3.0}
    assert popularity["cells"][0]["settings"] == {}
    assert "narrow.toml has other min_user_events" in captured.err
    assert "narrow.toml is not used: a comparison has seeds of its own" in captured.err


def test_labels_are_given_or_follow_the_model_of_a_search(log, tmp_path, capsys):
    (tmp_path / "best.toml").write_text('model = "ease"\n[settings]\nregularization = 3.0\n')
    models = f"ease,{tmp_path}/best.toml,mine={tmp_path}/best.toml,other=ease"
    words = ["compare", str(log), "--out", str(tmp_path / "c"), "--models", models, "--json"]
    assert run([*words, "--set", "other.regularization=7", "--min-user-events", "4"]) == 0
    found = json.loads(capsys.readouterr().out)
    ridges = {m["label"]: m["cells"][0]["settings"]["regularization"] for m in found["models"]}
    assert ridges == {"ease": 500.0, "ease-tuned": 3.0, "mine": 3.0, "other": 7.0}
    assert found["source"] == {"data": str(log), "min_user_events": 4}


def test_files_are_found_whatever_their_names_and_are_of_macridvae_if_they_say_nothing(
    log, tmp_path, capsys
):
    (tmp_path / "beta=2").mkdir()
    file = tmp_path / "beta=2" / "best.toml"
    file.write_text("[settings]\nn_dims = 4\nn_concepts = 2\n")
    words = [
        "compare",
        str(log),
        "--out",
        str(tmp_path / "c"),
        "--models",
        f"{file}, p = popularity",
    ]
    assert run([*words, *QUICK[:4], "--seeds", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["models"]
    assert [(m["label"], m["model"]) for m in found] == [
        ("macridvae-tuned", "macridvae"),
        ("p", "popularity"),
    ]


def test_settings_of_training_can_be_of_one_model(log, tmp_path, capsys):
    words = ["compare", str(log), "--out", str(tmp_path), "--models", "multdae,macridvae"]
    words += ["--set", "macridvae.recipe=fast", "--set", "macridvae.epochs=3", *QUICK]
    assert run([*words, "--set", "macridvae.n_dims=4", "--seeds", "1", "--json"]) == 0
    dae, vae = (m["cells"][0]["training"] for m in json.loads(capsys.readouterr().out)["models"])
    assert (dae["recipe"], dae["epochs"]) == ("faithful", 2)
    assert (vae["recipe"], vae["epochs"], vae["batch_size"]) == ("fast", 3, 20)


def test_without_plotly_there_is_a_note(log, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    assert run(["compare", str(log), "--out", str(tmp_path), "--models", "popularity"]) == 0
    captured = capsys.readouterr()
    assert "there is no comparison.html: plotly is not installed; run: pip" in captured.err
    assert "popularity" in captured.out


def test_a_model_that_fails_does_not_end_the_comparison(log, tmp_path, capsys):
    words = ["compare", str(log), "--models", "popularity,multdae", "--out", str(tmp_path)]
    assert run([*words, "--seeds", "1", "--epochs", "9", "--learning-rate", "1e30"]) == 0
    captured = capsys.readouterr()
    assert "multdae: 1 of 1 failed: the loss" in captured.err
    assert run([*words[:3], "multdae", *words[4:], "--epochs", "9", "--learning-rate", "1e30"]) == 1


def test_killed_and_started_again_it_goes_on(log, tmp_path, capsys):
    out = tmp_path / "c"
    words = ["compare", str(log), "--models", "popularity,multdae", "--out", str(out),
             "--seeds", "3", "--epochs", "10", "--set", "multdae.n_dims=4"]  # fmt: skip
    second = out / "cells" / "multdae" / "98765"
    with subprocess.Popen(
        [sys.executable, "-m", "macrid", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while not second.is_dir() and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "cells" / "multdae" / "2").exists()
    done = {p: p.stat().st_mtime_ns for p in out.rglob("*.*") if ".1" not in p.parts}
    assert len(done) >= 4  # two files of each cell
    assert run([*words, "--json"]) == 0
    captured = capsys.readouterr()
    assert "multdae, seed 98765 finished before" in captured.err
    assert "multdae, seed 2 …" in captured.err
    assert {path: path.stat().st_mtime_ns for path in done} == done
    resumed = json.loads(captured.out)
    whole = tmp_path / "whole"
    assert run([*words[:5], str(whole), *words[6:], "--json"]) == 0
    undisturbed = json.loads(capsys.readouterr().out)
    assert resumed["differences"] == undisturbed["differences"]


def test_stopped_by_hand_it_says_how_to_go_on(log, tmp_path, capsys):
    out = tmp_path / "c"

    def stop():
        while not (out / "cells" / "popularity" / "once").is_dir():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    words = ["compare", log, "--out", out, "--models", "popularity,multdae", "--epochs", "5000"]
    threading.Thread(target=stop, daemon=True).start()
    assert run([str(word) for word in words]) == 130
    told = capsys.readouterr().err
    assert f"finished cells are kept in {out}; the same command goes on from there" in told
    assert [path.name for path in (out / "cells").iterdir()] == ["popularity"]


def test_stopped_before_the_first_cell_it_speaks_of_none(log, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Popularity, "fit", stop)
    out = tmp_path / "c"
    assert run(["compare", str(log), "--out", str(out), "--models", "popularity"]) == 130
    assert "kept" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--models", "easy"], "no model 'easy'; did you mean 'ease'"),
        (["--models", ","], "no model was named"),
        (["--models", ""], "no model was named"),
        (["--models", "ease,ease"], "--models has 'ease' twice"),
        (["--models", "nowhere.toml"], "cannot read nowhere.toml: No such file or directory"),
        (
            ["--models", "a=ease,a=multvae"],
            "twice; call one of them otherwise, as in other=multvae",
        ),
        (["--models", "ease,multdae", "--recipe", "fast"], "--set macridvae.recipe=fast"),
        (["--models", "ease", "--set", "ease.epochs=2"], "no setting 'epochs'"),
        (["--models", "multdae", "--set", "multdae.seed=2"], "no setting 'seed'"),
        (["--models", "multdae", "--set", "multdae.epochs=0"], "epochs is '0'"),
        (
            ["--models", "ease", *["--set", "ease.regularization=2"] * 2],
            "--set names ease.regularization twice",
        ),
        (["--models", "ease", "--seeds", "0"], "seeds is 0"),
        (["--models", "ease", "--seeds", "1000000000"], "seeds is 1000000000"),
        (["--models", "ease", "--metrics", "map@9"], "no metric 'map@9'"),
        (["--models", "ease", "--set", "beta=2"], "write --set MODEL.beta=2"),
        (["--models", "ease", "--set", "multvae.beta=2"], "'multvae', which is not compared"),
        (["--models", "ease", "--set", "ease.ridge=2"], "no setting 'ridge'"),
        (["--models", "ease", "--set", "ease.regularization"], "not of the form name=value"),
        (["--models", "multdae", "--epochs", "0"], "epochs is 0"),
        (["--models", "multdae", "--recipe", "slow"], "recipe is 'slow'"),
    ],
)
def test_a_wrong_request_is_refused_before_the_data_are_read(tmp_path, capsys, words, sentence):
    command = ["compare", tmp_path / "none.csv", "--out", tmp_path / "c", *words]
    assert sentence in refused(command, capsys)
    assert not (tmp_path / "c").exists()


def test_a_folder_of_another_comparison_or_of_somebody_else_is_refused(log, tmp_path, capsys):
    words = ["compare", log, "--out", tmp_path / "c", "--models", "popularity"]
    assert run([str(word) for word in words]) == 0
    capsys.readouterr()
    assert "--overwrite" in refused([*words, "--hold-out", "7"], capsys)
    assert run([str(word) for word in [*words, "--hold-out", "7", "--overwrite"]]) == 0
    capsys.readouterr()
    (tmp_path / "c" / "thesis.tex").write_text("years of work")
    assert "thesis.tex" in refused(words, capsys)
