"""A search from its first trial to the test users."""

import json
import re
import tomllib
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import macrid
from macrid.data.splits import HeldOut, hold_out_users
from macrid.errors import (
    ArtifactError,
    DataError,
    SearchFailed,
    SettingsError,
    TooLarge,
    TrainingDiverged,
)
from macrid.evaluation import tune as of_tune
from macrid.evaluation.protocol import evaluate
from macrid.evaluation.search import Search
from macrid.evaluation.trials import label
from macrid.evaluation.tune import tune
from macrid.models.catalog import MODELS
from macrid.models.macridvae import MacridVAE
from planted import groups, split

# One worker, as what is shared takes seconds.
pytestmark = pytest.mark.xdist_group("tune")

TINY = {"n_dims": 8, "n_concepts": 2, "epochs": 2, "batch_size": 80}


def tiny(ranges=None, **fixed):
    """A search of a model that trains in no time; all is fixed but for some ranges."""
    ranges = ranges or {"learning_rate": "0.001..0.03", "beta": "0.1..1"}
    declared = Search.of("macridvae", TINY).start()
    kept = {name: value for name, value in declared.items() if name not in ranges}
    fixed = {name: value for name, value in (kept | TINY | fixed).items() if name not in ranges}
    return Search.of("macridvae", fixed, ranges)


def nobody(people):
    """Test users, none left."""
    none = np.arange(0)
    return HeldOut(people.test.fold_in.take_users(none), people.test.held_out.take_users(none))


def states(tuned):
    """How the trials ended."""
    return tuned.trials["state"].to_list()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A search of three trials, what it said, and its folder."""
    folder, said = tmp_path_factory.mktemp("tune"), []
    search = tiny({"learning_rate": "0.001..0.03", "tau": "0.05,0.1,0.3"})
    return tune(search, split(), trials=3, folder=folder, tell=said.append), said, folder


class TestASearch:
    def test_begins_with_the_defaults(self, done):
        tuned, _, _ = done
        first = tuned.trials.row(0, named=True)
        assert (first["learning_rate"], first["tau"]) == (0.001, 0.1)
        assert tuned.defaults["ndcg@100"]["mean"] == first["value"]

    def test_finds_the_highest_value(self, done):
        tuned, _, _ = done
        complete = tuned.trials.filter(state="complete")
        assert tuned.validation["ndcg@100"]["mean"] == complete["value"].max()
        assert tuned.best == complete["number"][complete["value"].arg_max()]

    def test_the_settings_reach_that_value_again(self, done):
        tuned, _, _ = done
        model = MacridVAE(**tuned.settings).fit(split().train, split().validation, **tuned.training)
        again = evaluate(model, split().validation, metrics=["ndcg@100"])
        assert again.to_dict() == tuned.validation
        assert tuned.test == evaluate(model, split().test).to_dict()

    def test_says_how_it_goes(self, done):
        _, said, _ = done
        assert said[0].startswith("trial 0: 0.")
        assert "; best 0." in said[0]
        assert re.search(r"1 of 3 done; about \d+\.\d minutes left$", said[0])
        assert "minutes left" not in said[2]
        assert said[3].startswith("training by trial ")
        assert len(said) == 4

    def test_keeps_what_it_found(self, done):
        tuned, _, folder = done
        assert {path.name for path in folder.iterdir()} == {
            "best.toml", "result.json", "study.db", "trials.csv"
        }  # fmt: skip
        result = json.loads((folder / "result.json").read_text())
        assert result == json.loads(json.dumps(tuned.to_dict()))
        assert result["trials"] == 3
        assert set(result["test"]) == set(result["baselines"]["popularity"])
        assert all(measured["se"] >= 0 for measured in result["test"].values())
        csv = pl.read_csv(folder / "trials.csv")
        assert csv.columns[:5] == ["number", "state", "value", "seconds", "reason"]
        assert set(csv.columns[5:]) == {"learning_rate", "tau"}
        assert csv["value"].to_list() == pytest.approx(tuned.trials["value"].to_list())
        best = tomllib.loads((folder / "best.toml").read_text())
        assert best["settings"] == tuned.settings
        assert best["training"] == tuned.training

    def test_once_done_it_leaves_the_test_users_alone(self, done, monkeypatch):
        tuned, _, folder = done
        monkeypatch.setattr(of_tune, "evaluate", None)
        said = []
        again = tune(tuned.search, split(), trials=3, folder=folder, tell=said.append)
        assert not said
        assert again.to_dict() == tuned.to_dict()

    def test_another_start_adds_to_the_trials(self, done):
        tuned, _, folder = done
        more = tune(tuned.search, split(), trials=4, folder=folder, test=False)
        assert more.trials["value"][:3].to_list() == tuned.trials["value"].to_list()
        assert len(more.trials) == 4

    def test_other_data_or_settings_are_refused(self, done):
        tuned, _, folder = done
        fixed = tuned.search.fixed | {"beta": 0.9}
        search = Search.of("macridvae", fixed, tuned.search.space)
        with pytest.raises(DataError, match="begun with other beta"):
            tune(search, split(), folder=folder)
        other = of_tune.replace(split(), train=groups(seed=3))
        with pytest.raises(DataError, match="begun with other training users"):
            tune(tuned.search, other, folder=folder)

    def test_another_model_or_study_is_not_searched_over_it(self, done):
        tuned, _, folder = done
        before = {path: path.read_bytes() for path in folder.iterdir()}
        holds = r"holds the search of macridvae in the study 'macridvae', which .*another folder"
        with pytest.raises(ArtifactError, match=holds):
            tune("ease", split(), folder=folder)
        with pytest.raises(ArtifactError, match="in the study 'second' in another folder"):
            tune(tuned.search, split(), folder=folder, study="second")
        assert {path: path.read_bytes() for path in folder.iterdir()} == before

    def test_of_a_search_that_was_stopped_early_too(self, tmp_path):
        def stop(line):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            tune(tiny(), split(), folder=tmp_path, tell=stop)
        with pytest.raises(ArtifactError, match="holds the search of macridvae"):
            tune("ease", split(), folder=tmp_path)

    def test_the_file_says_what_the_best_was_chosen_from(self, done):
        first = (done[2] / "best.toml").read_text().splitlines()[0]
        assert re.fullmatch(
            r"# The best of \d trials \(\d pruned, \d\.\d minutes\): ndcg@100 0\.\d{4} on the "
            "validation users",
            first,
        )

    @pytest.mark.parametrize("content", ["{", "[]", "{}"])
    def test_a_result_that_is_damaged_is_measured_again(self, done, tmp_path, content):
        tuned, _, folder = done
        (tmp_path / "result.json").write_text(content)
        of_tune.prepare(tmp_path, "ease", "ease")
        assert of_tune._recalled(tuned, tmp_path) is tuned
        changed = of_tune.replace(tuned, best=99, test=None)
        assert of_tune._recalled(changed, folder).test is None


def test_trials_that_learn_nothing_are_pruned():
    search = tiny({"learning_rate": "0.03,0.02,1e-6"}, epochs=3)
    said: list[str] = []
    tuned = tune(search, split(), trials=8, test=False, tell=said.append)
    slow = tuned.trials.filter(pl.col("learning_rate") == 1e-6)
    assert tuned.training["learning_rate"] > 1e-6
    assert "pruned" in slow["state"].to_list()
    assert tuned.to_dict()["pruned"] == states(tuned).count("pruned")
    assert len(tuned.trials) == 8
    pruned = tuned.trials.filter(state="pruned")
    assert pruned["value"].max() < tuned.validation["ndcg@100"]["mean"]
    assert tuned.importance == {"learning_rate": 1.0}
    assert any("pruned after epoch 2" in line for line in said)
    assert not any("pruned after epoch 1" in line for line in said)  # a fifth is left alone


def test_lists_and_names_are_searched_too():
    search = Search.of(
        "multvae",
        {"epochs": 1, "n_dims": 4, "batch_size": 50},
        {"hidden": "[8],[16, 8]", "likelihood": "multinomial,logistic"},
    )
    tuned = tune(search, split(), trials=3, test=False)
    assert tuned.settings["hidden"] in ((8,), (16, 8))
    assert tuned.trials["hidden"][0] == label((8,))
    assert json.loads(json.dumps(tuned.to_dict()))["settings"]["likelihood"] in (
        "multinomial", "logistic"
    )  # fmt: skip


@pytest.mark.parametrize("model", ["ease", "hvamp"])
def test_every_model_can_be_searched(model):
    small = {"ease": {}}.get(model, {"hidden": 8, "n_dims": 4, "epochs": 1})
    small |= {"n_pseudo": 5} if model == "hvamp" else {}
    tuned = tune(Search.of(model, small), split(), trials=2)
    assert states(tuned) == ["complete"] * 2
    assert MODELS[model](**tuned.settings).name == model
    assert tuned.test["ndcg@100"]["mean"] > tuned.popularity["ndcg@100"]["mean"] / 2


class TestFailures:
    def test_a_trial_that_diverges_fails_with_its_reason_and_the_search_goes_on(self):
        search = tiny({"learning_rate": "0.001,0.01,1e30"}, epochs=1)
        said = []
        tuned = tune(search, split(), trials=4, test=False, tell=said.append)
        failed = tuned.trials.filter(state="failed")
        assert tuned.to_dict()["trials"] == 4
        assert set(failed["learning_rate"]) == {1e30}
        assert failed["value"].null_count() == len(failed) == tuned.to_dict()["failed"]
        assert all("is not finite" in reason for reason in failed["reason"])
        assert any("failed: the loss of step" in line for line in said)

    def test_if_all_fail_the_last_reason_is_told(self):
        with pytest.raises(
            SearchFailed, match=r"2 failed, the last one: the loss of step .* --set"
        ):
            tune(tiny({"learning_rate": "1e30"}), split(), trials=2)

    def test_what_does_not_fit_fails_its_trial(self):
        search = tiny({"n_dims": "8,2000000000"})
        tuned = tune(search, split(), trials=2, test=False)
        reasons = tuned.trials.filter(state="failed")["reason"]
        assert all("GiB are free" in reason for reason in reasons)
        assert {TooLarge, TrainingDiverged} < set(of_tune._FAILURES)

    def test_a_bug_ends_the_search(self, monkeypatch):
        def broken(*_, **__):
            raise ZeroDivisionError

        monkeypatch.setattr(MacridVAE, "prepare", broken)
        with pytest.raises(ZeroDivisionError):
            tune(tiny(), split(), trials=2)

    def test_a_bug_is_a_failure_and_a_stop_is_none(self, tmp_path, monkeypatch):
        prepare, errors = MacridVAE.prepare, [KeyboardInterrupt(), RuntimeError("broken")]

        def broken(*arguments):
            if errors:
                raise errors.pop(0)
            prepare(*arguments)

        monkeypatch.setattr(MacridVAE, "prepare", broken)
        for kind in (KeyboardInterrupt, RuntimeError):
            with pytest.raises(kind):
                tune(tiny(), split(), trials=2, folder=tmp_path)
        tuned = tune(tiny(), split(), trials=2, folder=tmp_path, test=False)
        assert tuned.trials["reason"].to_list() == ["stopped", "broken", None, None]
        told = tuned.to_dict()
        assert (told["trials"], told["failed"], told["interrupted"]) == (2, 1, 1)

    def test_in_no_time_nothing_is_found(self):
        with pytest.raises(SearchFailed, match="in that time"):
            tune("ease", split(), minutes=1e-9)

    def test_stopped_it_keeps_what_it_found_and_tries_again(self, tmp_path, monkeypatch):
        search, calls, build = tiny(), [], MacridVAE.build

        def stop(model, n_items):
            calls.append(model)
            if len(calls) == 5:  # each trial builds three times
                raise KeyboardInterrupt
            return build(model, n_items)

        monkeypatch.setattr(MacridVAE, "build", stop)
        with pytest.raises(KeyboardInterrupt):
            tune(search, split(), trials=3, folder=tmp_path)
        assert tomllib.loads((tmp_path / "best.toml").read_text())["model"] == "macridvae"
        tuned = tune(search, split(), trials=3, folder=tmp_path, test=False)
        assert states(tuned) == ["complete", "failed", "complete", "complete"]
        tried = tuned.trials.select("learning_rate", "beta").rows()
        assert tried[2] == tried[1]
        assert tuned.trials["reason"][1] == "stopped"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"trials": 0}, "trials is 0; 1 or more"),
        ({"minutes": 0}, "timeout is 0 minutes; it is above 0"),
        ({"minutes": float("nan")}, "timeout is nan minutes"),
        ({"storage": ""}, r"storage or study is '' \(a variable not set\?\)"),
        ({"study": ""}, "storage or study is ''"),
    ],
)
def test_no_trials_no_time_and_no_names_are_refused(tmp_path, wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        tune("ease", split(), folder=tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_a_zero_that_has_no_logarithm_is_tried_and_written(tmp_path):
    declared = Search.of("macridvae", TINY)
    fixed = {name: value for name, value in declared.start().items() if name != "l2"}
    search = Search.of("macridvae", fixed | TINY)
    assert str(search.space["l2"]) == "0, 6.2e-06..1 log"
    tuned = tune(search, split(), trials=2, folder=tmp_path, test=False)
    assert tuned.trials["l2"][0] == 0.0
    assert tuned.trials["l2"][1] > 6.2e-6
    assert tuned.defaults["ndcg@100"]["mean"] == tuned.trials["value"][0]
    again = tune(search, split(), trials=2, folder=tmp_path, test=False)
    assert again.trials["l2"].to_list() == tuned.trials["l2"].to_list()


def test_people_of_whom_nothing_is_held_out_are_refused(tmp_path):
    alone = macrid.read({"user": [*range(20)], "item": ["the only one"] * 20})
    with pytest.raises(DataError, match="of the 5 held-out users nothing is held out"):
        tune("ease", hold_out_users(alone, n_users=5), folder=tmp_path / "new")
    people = split()
    with pytest.raises(DataError, match="there are no held-out users"):
        tune("ease", replace(people, test=nobody(people)), folder=tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert tune("ease", replace(people, test=nobody(people)), trials=1, test=False).test is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused_before_the_first_trial(tmp_path):
    with pytest.raises(SettingsError, match="device is 'cuda', but torch finds none"):
        tune(tiny(device="cuda"), split(), folder=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_a_range_excludes_is_not_called_the_defaults():
    tuned = tune(Search.of("ease", {}, {"regularization": "600..900"}), split(), trials=1)
    assert tuned.trials["regularization"][0] == 600
    assert tuned.defaults is None
    assert tuned.to_dict()["validation_of_defaults"] is None


class TestTheFolder:
    def test_one_that_holds_something_else_is_left_alone(self, tmp_path):
        (tmp_path / "report.html").write_text("mine")
        with pytest.raises(ArtifactError, match=r"holds something else \('report.html'\)"):
            tune("ease", split(), trials=1, folder=tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["report.html"]

    def test_a_file_in_its_place_is_a_sentence(self, tmp_path):
        (tmp_path / "out").write_text("")
        with pytest.raises(ArtifactError, match=r"cannot write to .*out: File exists"):
            tune("ease", split(), trials=1, folder=tmp_path / "out")
