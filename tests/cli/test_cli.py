"""The command line as people meet it: words in, exit status, stdout and stderr out."""

import json
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest

import macrid
from macrid.cli.app import _explain, run
from macrid.report import projection

QUICK = ["--epochs", "2", "--set", "n_dims=8", "--set", "n_concepts=2"]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Two groups of 30 users, each on its own half of 24 items, with titles."""
    folder = tmp_path_factory.mktemp("log")
    random = np.random.default_rng(0)
    events = [
        (f"u{user}", f"i{item + 12 * (user % 2)}", 5)
        for user in range(60)
        for item in random.choice(12, size=8, replace=False)
    ]
    pl.DataFrame(events, schema=["user", "item", "rating"], orient="row").write_csv(
        folder / "log.csv"
    )
    titles = pl.DataFrame({"item": [f"i{i}" for i in range(24)]}).with_columns(
        title=pl.col("item").str.replace("i", "Film "), genres=pl.lit("Comedy|War")
    )
    titles.write_csv(folder / "films.csv")
    return folder / "log.csv"


@pytest.fixture(scope="module")
def folder(log, tmp_path_factory):
    """A model trained by the command."""
    out = tmp_path_factory.mktemp("runs") / "model"
    words = ["train", str(log), "--out", str(out), "--items", str(log.parent / "films.csv"), *QUICK]
    assert run(words) == 0
    return out


def refused(words, capsys, status=2):
    """Run a command that must end with one sentence on stderr; the sentence."""
    assert run([str(word) for word in words]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    last = captured.err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


class TestTrain:
    def test_writes_a_model_folder_with_the_documented_metrics(self, folder):
        metrics = json.loads((folder / "metrics.json").read_text())
        for measured in (
            metrics["test"],
            metrics["validation"],
            metrics["baselines"]["popularity"],
        ):
            for name in ("ndcg@100", "recall@20", "recall@50"):
                assert set(measured[name]) == {"mean", "se", "n"}
                assert 0 <= measured[name]["mean"] <= 1
        assert metrics["baselines"]["ease"]["ndcg@100"]["n"] == 6
        assert metrics["epochs"] == 2
        assert metrics["seconds"] > 0
        names = {path.name for path in folder.iterdir()}
        assert names == {
            "README.md",
            "config.json",
            "items.parquet",
            "log.csv",
            "metrics.json",
            "model.safetensors",
        }

    def test_a_recipe_is_named_on_the_way_and_on_the_model_card(self, log, tmp_path, capsys):
        fast = ["train", str(log), "--out", str(tmp_path / "m"), "--recipe", "fast", *QUICK]
        assert run([*fast, "--no-baselines"]) == 0
        assert "by the fast recipe: epochs 2, learning_rate 0.004" in capsys.readouterr().err
        card = (tmp_path / "m" / "README.md").read_text()
        assert "- recipe: fast\n- epochs: 2\n" in card
        assert "- schedule: cosine\n" in card
        assert "- start: spectrum\n" in card

    def test_json_is_one_document_on_stdout(self, log, tmp_path, capsys):
        assert run(["train", str(log), "--out", str(tmp_path / "m"), "--json", *QUICK]) == 0
        assert json.loads(capsys.readouterr().out)["model"] == "macridvae"

    def test_configuration_file_and_flags_give_the_same_run(self, log, tmp_path):
        toml = tmp_path / "run.toml"
        toml.write_text(
            'model = "macridvae"\n[settings]\nn_dims = 8\nn_concepts = 2\n[training]\nepochs = 2\n'
            "[data]\nhold_out = 6\n"
        )
        assert run(["train", str(log), "--out", str(tmp_path / "a"), "--config", str(toml)]) == 0
        flags = ["--hold-out", "6", *QUICK]
        assert run(["train", str(log), "--out", str(tmp_path / "b"), *flags]) == 0
        weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
        assert weights[0] == weights[1]

    @pytest.mark.parametrize("model", ["ease", "popularity"])
    def test_trains_the_closed_form_models_too(self, log, tmp_path, model):
        assert run(["train", str(log), "--model", model, "--out", str(tmp_path / "m")]) == 0
        assert run(["recommend", str(tmp_path / "m"), "--items", "i1,i2"]) == 0

    def test_softmax_and_assignment_sampling_are_settings_of_the_model(self, log, tmp_path):
        out = tmp_path / "m"
        flags = ["--softmax", "sampled:20", "--assignment-sampling", "none", *QUICK]
        assert run(["train", str(log), "--out", str(out), *flags]) == 0
        settings = json.loads((out / "config.json").read_text())["settings"]
        assert settings["softmax"] == "sampled:20"
        assert settings["assignment_sampling"] == "none"
        assert run(["recommend", str(out), "--items", "i1,i2"]) == 0

    def test_refit_trains_on_everyone_and_says_so(self, log, tmp_path, capsys):
        assert run(["train", str(log), "--out", str(tmp_path / "m"), "--refit", *QUICK]) == 0
        config = json.loads((tmp_path / "m" / "config.json").read_text())
        assert config["training"]["users"] == 60
        assert config["training"]["refit"] is True
        assert "on everyone" in capsys.readouterr().err
        assert run(["evaluate", str(tmp_path / "m"), str(log)]) == 0
        assert "refitted on everyone" in capsys.readouterr().err

    def test_a_finished_folder_is_not_overwritten_unasked(self, log, folder, capsys):
        before = (folder / "model.safetensors").read_bytes()
        assert "--overwrite" in refused(["train", log, "--out", folder, *QUICK], capsys)
        assert (folder / "model.safetensors").read_bytes() == before

    def test_resuming_a_finished_run_changes_nothing(self, log, folder, capsys):
        before = (folder / "model.safetensors").read_bytes()
        resumed = ["train", str(log), "--out", str(folder), "--resume"]
        resumed += ["--items", str(log.parent / "films.csv")]
        assert run([*resumed, *QUICK]) == 0
        assert "finished already" in capsys.readouterr().err
        assert (folder / "model.safetensors").read_bytes() == before

    def test_resuming_a_finished_run_of_another_kind_is_refused(self, log, folder, capsys):
        words = ["train", log, "--out", folder, "--resume", "--items", log.parent / "films.csv"]
        assert "finished run with other model" in refused([*words, "--model", "ease"], capsys)
        assert "refit" in refused([*words, *QUICK, "--refit"], capsys)
        assert "n_concepts" in refused([*words, *QUICK, "--set", "n_concepts=3"], capsys)

    def test_another_model_in_its_place_leaves_nothing_of_the_old_run(self, log, tmp_path, capsys):
        words = ["train", str(log), "--out", str(tmp_path / "m"), "--no-baselines"]
        assert run([*words, *QUICK]) == 0
        assert run([*words, "--model", "popularity", "--overwrite"]) == 0
        assert not (tmp_path / "m" / "log.csv").exists()
        capsys.readouterr()

    def test_too_small_a_disk_is_noticed_before_training(self, log, tmp_path, capsys, monkeypatch):
        tiny = shutil.disk_usage(tmp_path)._replace(free=1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: tiny)
        words = ["train", log, "--out", tmp_path / "a" / "m", *QUICK]
        sentence = refused(words, capsys, status=1)
        assert "GiB free" in sentence
        assert not (tmp_path / "a").exists()

    def test_people_who_share_no_item_cannot_be_held_out(self, tmp_path, capsys):
        events = [(user, f"{user}-{item}") for user in range(12) for item in range(6)]
        log = tmp_path / "lonely.csv"
        pl.DataFrame(events, schema=["user", "item"], orient="row").write_csv(log)
        sentence = refused(["train", log, "--out", tmp_path / "m", *QUICK], capsys)
        assert "share items" in sentence

    def test_a_folder_with_other_things_is_left_alone(self, log, tmp_path, capsys):
        (tmp_path / "thesis.tex").write_text("years of work")
        assert "thesis.tex" in refused(["train", log, "--out", tmp_path, *QUICK], capsys)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]

    @pytest.mark.slow
    def test_killed_and_resumed_it_ends_with_the_weights_of_an_undisturbed_run(
        self, log, tmp_path, capsys
    ):
        words = ["train", str(log), "--epochs", "25", "--threads", "1", "--no-baselines"]
        words += QUICK[2:]
        whole, broken = tmp_path / "whole", tmp_path / "broken"
        assert run([*words, "--out", str(whole)]) == 0
        with subprocess.Popen(
            [sys.executable, "-m", "macrid", *words, "--out", str(broken)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            while not (broken / "checkpoint.ckpt").exists() and process.poll() is None:
                time.sleep(0.005)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        assert not (broken / "config.json").exists()
        capsys.readouterr()
        assert "--resume" in refused(["train", log, "--out", broken, "--no-baselines"], capsys)
        assert run([*words, "--out", str(broken), "--resume"]) == 0
        weights = [(path / "model.safetensors").read_bytes() for path in (whole, broken)]
        assert weights[0] == weights[1]
        assert not (broken / "checkpoint.ckpt").exists()


class TestUse:
    def test_recommend_lists_unseen_items_as_json(self, folder, capsys):
        capsys.readouterr()
        assert run(["recommend", str(folder), "--items", "i1,i2", "-k", "5", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["recommendations"]
        assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
        assert not {"i1", "i2"} & {row["item_id"] for row in rows}
        assert set(rows[0]) == {"user_id", "item_id", "score", "rank"}

    def test_recommend_shows_titles(self, folder, capsys):
        assert run(["recommend", str(folder), "--items", "i1", "-k", "2"]) == 0
        assert "Film " in capsys.readouterr().out

    @pytest.mark.parametrize("ending", ["parquet", "csv", "json"])
    def test_recommend_for_a_file_of_people_to_a_file(self, folder, log, tmp_path, ending):
        out = tmp_path / f"lists.{ending}"
        assert run(["recommend", str(folder), str(log), "-k", "3", "--out", str(out)]) == 0
        lists = getattr(pl, f"read_{ending}")(out)
        assert lists.columns == ["user_id", "item_id", "score", "rank"]
        assert len(lists) == 60 * 3

    def test_recommend_to_a_folder_of_parts(self, folder, log, tmp_path, capsys):
        out, file = tmp_path / "lists", tmp_path / "lists.parquet"
        words = ["recommend", str(folder), str(log), "-k", "3"]
        assert run([*words, "--out", str(out), "--json"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out) == {"model": "macridvae", "folder": str(out)}
        assert f"wrote the lists of 60 people to {out}" in captured.err
        assert "60 of 60 people" in captured.err
        assert run([*words, "--out", str(file)]) == 0
        assert pl.read_parquet(out).equals(pl.read_parquet(file))
        assert "holds lists already; name a new" in refused([*words, "--out", out], capsys)

    def test_recommend_draws_a_bar_on_a_terminal(self, folder, log, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        assert run(["recommend", str(folder), str(log), "--out", str(tmp_path / "lists")]) == 0
        assert len(pl.read_parquet(tmp_path / "lists")) == 600

    def test_recommend_from_an_index_says_how_much_it_finds(self, folder, log, capsys):
        words = ["recommend", str(folder), str(log), "-k", "5", "--precision", "bf16", "--json"]
        assert run(words) == 0
        exact = capsys.readouterr().out
        assert run([*words, "--ann"]) == 0
        captured = capsys.readouterr()
        assert captured.out == exact
        assert "ann finds 1.0000 of the exact top 5 of 60 people" in captured.err

    def test_recommend_from_an_index_without_faiss_is_a_sentence(self, folder, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, "faiss", None)
        words = ["recommend", folder, "--items", "i1", "--ann"]
        assert "pip install 'macrid[ann]'" in refused(words, capsys)

    def test_recommend_reads_histories_from_json(self, folder, tmp_path, capsys):
        people = tmp_path / "people.json"
        people.write_text('{"ann": ["i1", "i3"], "bob": []}')
        assert run(["recommend", str(folder), str(people), "-k", "1", "--json"]) == 0
        captured = capsys.readouterr()
        assert [r["user_id"] for r in json.loads(captured.out)["recommendations"]] == ["ann", "bob"]
        assert "most popular" in captured.err

    def test_recommend_can_be_told_what_to_list(self, folder, capsys):
        words = ["recommend", str(folder), "--items", "i1", "--only", "i2,i3", "--exclude", "i3"]
        capsys.readouterr()
        assert run([*words, "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["recommendations"]
        assert [row["item_id"] for row in rows] == ["i2"]

    def test_unknown_items_are_counted_or_refused(self, folder, capsys):
        assert run(["recommend", str(folder), "--items", "i1,nope", "--json"]) == 0
        assert "1 of 2 events" in capsys.readouterr().err
        words = ["recommend", folder, "--items", "i1,nope", "--on-unknown", "raise"]
        assert "'nope'" in refused(words, capsys)

    def test_ids_may_hold_commas_and_escape_sequences(self, tmp_path, capsys):
        events = [(u, f"a,{i}\x1b[31m") for u in range(12) for i in range(8) if (u + i) % 3]
        log = tmp_path / "log.csv"
        pl.DataFrame(events, schema=["user", "item"], orient="row").write_csv(log)
        words = ["train", str(log), "--model", "popularity", "--out", str(tmp_path / "m")]
        assert run(words) == 0
        capsys.readouterr()
        assert run(["recommend", str(tmp_path / "m"), "--items", "a,3\x1b[31m", "-k", "99"]) == 0
        captured = capsys.readouterr()
        assert "\x1b" not in captured.out
        assert "warning" not in captured.err
        assert "a,3" not in captured.out

    def test_a_long_table_shows_its_first_rows_and_says_so(self, folder, log, capsys):
        assert run(["recommend", str(folder), str(log), "-k", "9"]) == 0
        captured = capsys.readouterr()
        assert "the first 200 of 540 rows" in captured.err
        assert len(captured.out.splitlines()) == 201

    def test_similar_leaves_out_the_item_itself(self, folder, capsys):
        capsys.readouterr()
        assert run(["similar", str(folder), "i1", "-k", "4", "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)["similar"]
        assert len(rows) == 4
        assert "i1" not in {row["item_id"] for row in rows}

    def test_evaluate_finds_the_same_test_users_again(self, folder, log, capsys):
        capsys.readouterr()
        assert run(["evaluate", str(folder), str(log), "--json"]) == 0
        captured = capsys.readouterr()
        saved = json.loads((folder / "metrics.json").read_text())
        again = json.loads(captured.out)
        assert again["test"] == saved["test"]
        assert again["baselines"] == saved["baselines"]
        assert "warning" not in captured.err

    def test_evaluate_takes_other_cut_offs_and_everybody(self, folder, log, capsys):
        capsys.readouterr()
        words = ["evaluate", str(folder), str(log), "--people", "all", "--metrics", "recall@3"]
        assert run([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["all"]["recall@3"]["n"] == 60

    def test_evaluate_says_when_the_people_may_have_been_trained_on(self, folder, log, capsys):
        words = ["evaluate", str(folder), str(log), "--split-seed", "1", "--no-baselines"]
        assert run(words) == 0
        assert "not those the model was trained on" in capsys.readouterr().err


class TestOther:
    def test_models_lists_settings_with_bounds(self, capsys):
        assert run(["models"]) == 0
        captured = capsys.readouterr()
        shown = captured.out
        assert captured.err == ""
        assert "…" not in shown
        assert "0.05..5 by 0.05" in shown
        vamp = shown.split("\nvamp: ")[1].split("\n\n")[0].splitlines()
        assert vamp[-2].startswith("trained with epochs 400, batch_size 200")
        assert vamp[-1].startswith("tune also searches batch_size 128 | 256 | 500 | 1024 | 200, ")
        assert all(
            name in shown for name in ("macridvae", "ease", "popularity", "n_concepts", "≥ 1")
        )
        assert "soft | straight-through | none" in shown
        assert "typing" not in shown
        assert run(["models", "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert listed["macridvae"]["training_defaults"] == {}
        assert listed["vamp"]["training_defaults"]["epochs"] == 400
        assert listed["ease"]["searched"] == {"regularization": "10..5000 log"}
        assert listed["popularity"]["searched"] == {}

    def test_doctor_says_what_each_extra_would_add(self, capsys):
        assert run(["doctor", "--json"]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["versions"]["torch"].startswith("2.")
        assert facts["extras"]["tune"]["install"] == "pip install 'macrid[tune]'"
        assert run(["doctor"]) == 0
        assert "hyper-parameters" in capsys.readouterr().out

    def test_data_list_knows_nine_sets(self, capsys):
        assert run(["data", "list", "--json"]) == 0
        names = {known["name"] for known in json.loads(capsys.readouterr().out)}
        assert names == {
            "ml-100k", "ml-1m", "ml-20m", "ml-latest-small", "netflix", "msd-taste", "alishop-7c",
            "goodbooks-10k", "lastfm-360k",
        }  # fmt: skip

    def test_data_get_wants_the_licence_accepted(self, tmp_path, capsys):
        sentence = refused(["data", "get", "ml-1m", "--folder", tmp_path], capsys)
        assert "--accept-licence" in sentence

    def test_data_get_names_the_nearest_set(self, tmp_path, capsys):
        sentence = refused(["data", "get", "ml-1", "--folder", tmp_path], capsys)
        assert "did you mean 'ml-1m'" in sentence

    def test_data_shop_writes_a_shop_that_can_be_trained_on(self, tmp_path, capsys):
        words = ["data", "shop", "--users", "80", "--items", "400", "--out", str(tmp_path / "shop")]
        assert run(words) == 0
        assert {"interactions.parquet", "items.parquet", "users.parquet"} <= {
            path.name for path in (tmp_path / "shop").iterdir()
        }
        assert run(["train", str(tmp_path / "shop"), "--out", str(tmp_path / "m"), *QUICK]) == 0
        capsys.readouterr()

    @pytest.mark.slow
    def test_demo_shows_metrics_concepts_and_a_list(self, tmp_path, capsys, monkeypatch):
        for iterations in ("_EARLY", "_LATE"):  # a map that need not be beautiful
            monkeypatch.setattr(projection, iterations, 5)
        words = ["demo", "--out", str(tmp_path), "--users", "300", "--items", "400", "--json"]
        assert run(words) == 0
        shown = json.loads(capsys.readouterr().out)
        expected = "test baselines table nmi concepts person history recommendations explanation"
        assert set(expected.split()) <= set(shown)
        page = tmp_path / "report.html"
        assert shown["report"] == str(page)
        assert "NMI of concepts and category" in page.read_text(encoding="utf-8")

    def test_version_and_help_do_not_import_torch(self):
        code = (
            "import sys; from macrid.cli.app import run; run(['--help']); run(['data', 'list']);"
            "sys.exit('torch' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0

    def test_the_version_needs_no_command(self, capsys):
        assert run(["--version"]) == 0
        assert capsys.readouterr().out == f"{macrid.__version__}\n"

    @pytest.mark.parametrize("words", [[], ["data"]])
    def test_no_command_shows_the_help_and_no_empty_error(self, words, capsys):
        assert run(words) == 2
        captured = capsys.readouterr()
        assert "Usage:" in captured.out + captured.err
        assert "error:" not in captured.err

    def test_a_reader_that_goes_away_is_no_failure(self):
        line = f"{sys.executable} -m macrid data list | true; exit ${{PIPESTATUS[0]}}"
        assert subprocess.run(["bash", "-c", line], capture_output=True).returncode == 0

    def test_closed_streams_are_no_failure(self):
        line = f"{sys.executable} -m macrid data list >&- 2>&-"
        assert subprocess.run(["bash", "-c", line], capture_output=True).returncode == 0

    def test_work_that_needs_too_much_memory_is_a_failure_in_words(self):
        refusal = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 33 GB")
        assert _explain(refusal) == (
            "there is not enough memory; try fewer concepts, dims or users per batch",
            1,
        )

    def test_a_bug_is_not_passed_off_as_a_sentence(self):
        with pytest.raises(RuntimeError, match="a bug"):
            _explain(RuntimeError("a bug"))

    @pytest.mark.parametrize(
        "command",
        [
            *("train", "evaluate", "recommend", "similar", "concepts", "explain", "steer", "walk"),
            *("compare", "tune", "sweep", "report", "models", "doctor", "demo", "data get"),
        ],
    )
    def test_help_of_every_command_has_an_example(self, command, capsys):
        assert run([*command.split(), "--help"]) == 0
        assert "Example:" in capsys.readouterr().out


@pytest.fixture
def small_disk(monkeypatch):
    """No file may grow beyond 20 kB, and what is imported now is not compiled into one."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestBadInput:
    def write(self, path, content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def test_missing_file(self, tmp_path, capsys):
        words = ["train", tmp_path / "no.csv", "--out", tmp_path / "m"]
        assert "no.csv" in refused(words, capsys)
        assert not (tmp_path / "m").exists()

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("", ["empty"]),
            ("user,item\n", ["no events"]),
            ("a,b\n1,2\n", ["'a'", "'b'", "user_id", "userid"]),
            ("user,item,rating\n1,2,nan\n", ["weight", "nan", "row 1"]),
            ("user,item,rating\n1,2,-3\n", ["weight", "-3", "min_weight"]),
            ("user,item,rating\n1,2,good\n", ["weight", "good"]),
            ("user,item\n1,1\n1,2\n1,3\n1,4\n1,5\n", ["1 + 1 users", "leaves nobody of 1"]),
            ("user,item\n1,1\n2,2\n", ["no user is left", "--min-user-events"]),
            ("user,user,item\n1,1,1\n", ["twice"]),
            ("user,userId,item\n1,1,1\n", ["user, userId", "--column"]),
            (b"\x00\x01\x02\x93NUMPY\x00", ["binary"]),
            (b"user,item\nann\xff,1\n", ["UTF-8"]),
        ],
        ids=["empty", "header", "columns", "nan", "negative", "text", "one-user", "filtered",
             "duplicate", "ambiguous", "binary", "utf8"],
    )  # fmt: skip
    def test_bad_csv(self, content, words, tmp_path, capsys):
        source = self.write(tmp_path / "log.csv", content)
        sentence = refused(["train", source, "--out", tmp_path / "m", *QUICK], capsys)
        assert all(word in sentence for word in words), sentence
        assert not (tmp_path / "m").exists()

    def test_people_too_short_to_be_measured(self, tmp_path, capsys):
        events = "".join(f"{user},{item}\n" for user in range(30) for item in range(3))
        source = self.write(tmp_path / "log.csv", f"user,item\n{events}")
        words = ["train", source, "--out", tmp_path / "m", "--min-user-events", "1", *QUICK]
        assert "nothing is held out" in refused(words, capsys)
        assert not (tmp_path / "m").exists()

    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (["--set", "n_concept=3"], ["'n_concept'", "n_concepts"]),
            (["--set", "n_concepts=0"], ["n_concepts", "1"]),
            (["--set", "tau=-1"], ["tau", "0"]),
            (["--set", "tau=hot"], ["tau", "hot"]),
            (["--set", "tau"], ["name=value"]),
            (["--set", "similarity=dot"], ["similarity", "cosine"]),
            (["--model", "macrid"], ["'macrid'", "macridvae"]),
            (["--epochs", "0"], ["epochs", "1"]),
            (["--learning-rate", "0"], ["learning_rate"]),
            (["--precision", "8"], ["precision", "bf16"]),
            (["--recipe", "slow"], ["recipe", "'fast'"]),
            (["--device", "tpu"], ["device", "cpu"]),
            (["--threads", "0"], ["threads"]),
            (["--metrics", "auc"], ["auc", "ndcg@k"]),
            (["--metrics", "recall@0"], ["recall@0"]),
            (["--hold-out", "0"], ["hold_out"]),
            (["--hold-out", "30"], ["30 + 30", "60"]),
            (["--column", "user_id=nobody"], ["nobody"]),
            (["--column", "person=user"], ["person"]),
            (["--config", "/nowhere.toml"], ["nowhere"]),
            (["--items", "/nowhere.csv"], ["nowhere"]),
            (["--epochs", "many"], ["--epochs"]),
            (["--nonsense"], ["--nonsense"]),
        ],
        ids=lambda value: "" if isinstance(value[0], list) else " ".join(map(str, value)),
    )
    def test_bad_settings(self, log, flags, words, tmp_path, capsys):
        sentence = refused(["train", log, "--out", tmp_path / "m", *flags], capsys)
        assert all(word in sentence for word in words), sentence
        assert not (tmp_path / "m").exists()

    def test_misspelt_entry_of_a_configuration_file(self, log, tmp_path, capsys):
        toml = self.write(tmp_path / "run.toml", "[setings]\nbeta = 1\n")
        sentence = refused(["train", log, "--out", tmp_path / "m", "--config", toml], capsys)
        assert "'settings'" in sentence
        toml = self.write(tmp_path / "run.toml", "[training]\nepoch = 1\n")
        sentence = refused(["train", log, "--out", tmp_path / "m", "--config", toml], capsys)
        assert "'epochs'" in sentence

    def test_closed_form_models_take_no_epochs(self, log, tmp_path, capsys):
        words = ["train", log, "--model", "ease", "--epochs", "3", "--out", tmp_path / "m"]
        assert "epochs" in refused(words, capsys)

    def test_unwritable_out_is_refused_before_training(self, log, tmp_path, capsys):
        self.write(tmp_path / "file", "in the way")
        sentence = refused(
            ["train", log, "--out", tmp_path / "file" / "m", *QUICK], capsys, status=1
        )
        assert "cannot write" in sentence

    def test_divergence_is_a_failure_that_names_the_step(self, log, tmp_path, capsys):
        words = ["train", log, "--out", tmp_path / "m", *QUICK, "--learning-rate", "1e30"]
        sentence = refused([*words, "--epochs", "5", "--set", "similarity=inner"], capsys, status=1)
        assert "step" in sentence
        assert "not finite" in sentence

    def test_full_disk_leaves_nothing_half_written(self, log, tmp_path, capsys, small_disk):
        out = tmp_path / "m"
        words = ["train", log, "--out", out, "--set", "n_dims=64", "--epochs", "2"]
        refused([*words, "--threads", "1"], capsys, status=1)
        assert not out.exists()

    def test_foreign_model_folder(self, tmp_path, capsys):
        assert "no model folder" in refused(["recommend", tmp_path / "x", "--items", "a"], capsys)
        assert "config.json" in refused(["recommend", tmp_path, "--items", "a"], capsys)

    def test_truncated_model_folder(self, folder, tmp_path, capsys):
        copy = tmp_path / "copy"
        copy.mkdir()
        for path in folder.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        weights = copy / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        assert "truncated" in refused(["similar", copy, "i1"], capsys)

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["recommend", "--items", "i1", "-k", "0"], "k is 0"),
            (["recommend"], "--items"),
            (["recommend", "--items", "i1", "--only", "nope"], "'nope'"),
            (["recommend", "--items", "i1", "--on-unknown", "shrug"], "on_unknown"),
            (["recommend", "--items", "i1", "--out", "list.xls"], ".parquet"),
            (["similar", "nope"], "'nope'"),
        ],
    )
    def test_bad_requests_of_a_model(self, folder, words, expected, capsys):
        capsys.readouterr()
        assert expected in refused([words[0], folder, *words[1:]], capsys)

    def test_filters_do_not_apply_to_a_split_folder(self, tmp_path, capsys):
        split = tmp_path / "pro_sg"
        split.mkdir()
        (split / "unique_sid.txt").write_text("7\n8\n")
        for name in ("train", "validation_tr", "validation_te", "test_tr", "test_te"):
            (split / f"{name}.csv").write_text("uid,sid\n0,0\n0,1\n")
        words = ["train", split, "--out", tmp_path / "m", "--min-weight", "4"]
        assert "already split" in refused(words, capsys)

    def test_a_shop_is_not_replaced_unasked(self, tmp_path, capsys):
        words = ["data", "shop", "--users", "20", "--items", "400", "--out", str(tmp_path / "s")]
        assert run(words) == 0
        capsys.readouterr()
        assert "--overwrite" in refused(words, capsys)
        assert run([*words, "--overwrite"]) == 0

    def test_data_of_another_catalogue_cannot_be_evaluated(self, folder, tmp_path, capsys):
        events = [(user, f"x{item}", 5) for user in range(20) for item in range(user % 3, 9)]
        other = tmp_path / "other.csv"
        pl.DataFrame(events, schema=["user", "item", "rating"], orient="row").write_csv(other)
        assert "knows none of the" in refused(["evaluate", folder, other], capsys)

    @pytest.mark.parametrize("people", ["[1]", '{"a": "i1"}', '{"a": [["i1"]]}', "{", ""])
    def test_json_of_another_shape(self, folder, people, tmp_path, capsys):
        path = self.write(tmp_path / "people.json", people)
        assert "people.json" in refused(["recommend", folder, path], capsys)

    def test_unknown_command(self, capsys):
        assert run(["trian"]) == 2
        assert "train" in capsys.readouterr().err
