"""A study: opened, gone on with, refused; its draws; trials whose processes died."""

import sqlite3
import subprocess
import sys
import time
from datetime import datetime, timedelta

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from macrid.errors import DataError, MissingExtra, SearchFailed, SettingsError
from macrid.evaluation import study as of_study
from macrid.evaluation.study import bury, file_url, opened, retry, sign

# A process of a search: four trials, each begun before the last of the other process ends.
SHARER = """
import sys, time
from macrid.evaluation.study import opened, sign

def drawn(trial):
    sign(trial)
    time.sleep(0.2)
    return trial.suggest_float("x", 0.0, 1.0)

with opened(sys.argv[1], "one", {"model": "ease"}, seed=0, warmup=1) as study:
    study.optimize(drawn, n_trials=4)
"""
SPACE = {"x": optuna.distributions.FloatDistribution(0.0, 1.0)}


def drawn(trial):
    """An objective of one number."""
    sign(trial)
    return trial.suggest_float("x", 0.0, 1.0)


def at(url, name="one", identity=None, seed=0):
    """A study by its address."""
    return opened(url, name, identity or {"model": "ease"}, seed=seed, warmup=1)


@pytest.fixture
def url(tmp_path):
    """Of an SQLite file."""
    return f"sqlite:///{tmp_path / 'study.db'}"


def values(study):
    """What was drawn."""
    return [trial.params["x"] for trial in study.trials if trial.state == TrialState.COMPLETE]


def test_stopped_and_gone_on_with_it_draws_what_it_would_have_drawn(url):
    with at(None) as whole:
        whole.optimize(drawn, n_trials=12)  # the first ten learn nothing from each other
    for _ in range(2):
        with at(url) as study:
            study.optimize(drawn, n_trials=6)
            found = values(study)
    assert found == values(whole)
    assert len(set(found)) == 12


def test_another_seed_draws_otherwise():
    with at(None) as first, at(None, seed=1) as second:
        first.optimize(drawn, n_trials=2)
        second.optimize(drawn, n_trials=2)
        assert values(first) != values(second)


def test_optuna_is_as_talkative_afterwards_as_before():
    optuna.logging.set_verbosity(optuna.logging.INFO)
    with at(None):
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR
    assert optuna.logging.get_verbosity() == optuna.logging.INFO


class TestIdentity:
    def test_another_search_is_refused_with_what_differs(self, url):
        with at(url, identity={"model": "ease", "epochs": 3}):
            pass
        with (
            pytest.raises(DataError, match=r"begun with other epochs \(it had epochs 3\)"),
            at(url, identity={"model": "ease", "epochs": 4}),
        ):
            pass

    def test_a_study_of_somebody_else_is_refused(self, url):
        optuna.create_study(storage=url, study_name="one", direction="maximize").add_trial(
            create_trial(value=1.0)
        )
        with pytest.raises(DataError, match="'one' was not made by macrid tune"), at(url):
            pass

    def test_two_studies_share_a_file(self, url):
        with at(url, "one"), at(url, "two", {"model": "vamp"}) as study:
            assert study.study_name == "two"


class TestStorage:
    @pytest.mark.parametrize(
        ("address", "words"),
        [
            ("nonsense", "cannot open the storage of that address"),
            ("sqlite:////no/such/folder/study.db", "unable to open database file"),
            (
                "postgresql+pg8000://me:secret@host/name",
                r"me:\*\*\*@host.*the database's driver, pg8000, is not installed",
            ),
        ],
    )
    def test_one_that_cannot_be_opened_is_a_sentence_without_password(self, address, words):
        with pytest.raises(SettingsError, match=words) as caught, at(address):
            pass
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
    def test_the_driver_of_postgresql_is_named(self, monkeypatch, scheme):
        monkeypatch.setitem(sys.modules, "psycopg", None)
        sentence = r"driver is not installed; run: pip install 'psycopg\[binary\]'"
        with pytest.raises(SettingsError, match=sentence), at(f"{scheme}://me:secret@host/name"):
            pass

    def test_two_processes_share_an_empty_postgresql(self, postgres):
        postgres._call("createdb", "-h", postgres.folder, "-U", "macrid", "shared")
        url = postgres.url.replace("/postgres?", "/shared?")
        command = [sys.executable, "-c", SHARER, url]
        both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate(timeout=120)[1] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        with at(url) as study:
            assert len(set(values(study))) == 8
            assert {t.user_attrs["process"]["pid"] for t in study.trials} == {p.pid for p in both}

    def test_one_that_fails_on_the_way_is_a_sentence(self, url, tmp_path):
        sentence = "no such table: trials; once it is mended"
        with pytest.raises(SearchFailed, match=sentence), at(url) as study:  # noqa: PT012
            with sqlite3.connect(tmp_path / "study.db") as file:
                file.execute("drop table trials")
            study.optimize(drawn, n_trials=1)

    def test_one_that_fails_as_a_trial_ends_is_a_sentence(self, url, tmp_path):
        def objective(trial):
            with sqlite3.connect(tmp_path / "study.db") as file:
                file.execute("alter table trials rename to gone")
            return 1.0

        with pytest.raises(SearchFailed, match="no such table: trials"), at(url) as study:
            study.optimize(objective, n_trials=1)

    def test_one_that_can_be_read_alone_is_a_sentence_too(self, url):
        with pytest.raises(SearchFailed, match=r"study\.db failed: the disk is full"), at(url):  # noqa: PT012
            try:
                raise optuna.exceptions.StorageInternalError("the disk is full")
            finally:
                raise AssertionError("as Optuna ends")

    @pytest.mark.parametrize("error", [AssertionError, UnboundLocalError])
    def test_what_is_wrong_with_a_trial_is_not_blamed_on_the_storage(self, url, error):
        with pytest.raises(error, match="mine"), at(url):
            raise error("mine")

    def test_a_storage_whose_tables_another_process_is_making_is_waited_for(self, monkeypatch):
        tried = []

        class Storage(of_study.optuna.storages.RDBStorage):
            def __init__(self, url, **options):
                tried.append(url)
                if len(tried) == 1:
                    raise RuntimeError("duplicate key value violates unique constraint")
                super().__init__("sqlite://")

        monkeypatch.setattr(of_study.optuna.storages, "RDBStorage", Storage)
        with at("postgresql://host/name"):
            assert len(tried) == 2

    def test_a_damaged_file_is_a_sentence_that_says_what_to_do(self, url, tmp_path):
        (tmp_path / "study.db").write_text("no database")
        with pytest.raises(SettingsError, match="not a database; move a damaged"), at(url):
            pass

    @pytest.mark.parametrize("name", ["a b", "50%20", "what?", "#1", "{x}", "ü"])
    def test_a_file_lies_where_it_should(self, tmp_path, name):
        (tmp_path / name).mkdir()
        with at(file_url(tmp_path / name / "study.db")):
            assert (tmp_path / name / "study.db").is_file()

    def test_without_optuna_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "optuna", None)
        monkeypatch.delitem(sys.modules, "macrid.evaluation.study")
        with pytest.raises(MissingExtra, match=r"macrid\[tune\]"):
            __import__("macrid.evaluation.study")


def running(study, process, started=None, **attrs):
    """A trial that seems to run."""
    signs = {} if process is None else {"process": process}
    trial = create_trial(
        state=TrialState.RUNNING, params={"x": 0.5}, distributions=SPACE,
        user_attrs={**signs, **attrs},
    )  # fmt: skip
    trial.datetime_start = started or datetime.now()
    study.add_trial(trial)


def gone():
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as process:
        pass
    return process.pid


class TestTheDead:
    def test_a_trial_of_a_dead_process_fails_and_is_tried_again(self, url):
        with at(url) as study:
            running(study, {**of_study._ME, "run": "another", "pid": gone()})
            bury(study)
            bury(study)
            dead, again = study.trials
            assert (dead.state, again.state) == (TrialState.FAIL, TrialState.WAITING)
            study.optimize(drawn, n_trials=1)
            assert study.trials[1].params == {"x": 0.5}
            assert len(study.trials) == 2

    def test_one_with_the_number_of_this_process_but_older_is_dead(self):
        with at(None) as study:
            running(study, {**of_study._ME, "run": "another"})
            bury(study)
            assert study.trials[0].state == TrialState.FAIL

    @pytest.mark.parametrize("process", [of_study._ME, {"host": "elsewhere", "pid": 1, "run": ""}])
    def test_the_living_and_those_elsewhere_are_left_alone(self, process):
        with at(None) as study:
            running(study, process)
            running(study, {**of_study._ME, "run": "parent", "pid": 1})  # there always is one
            bury(study)
            assert [trial.state for trial in study.trials] == [TrialState.RUNNING] * 2

    def test_one_that_never_said_whose_it_is_is_dead_after_a_minute(self):
        with at(None) as study:
            running(study, None)
            running(study, None, started=datetime.now() - timedelta(minutes=2))
            bury(study)
            assert [t.state for t in study.trials][:2] == [TrialState.RUNNING, TrialState.FAIL]

    def test_settings_that_kill_twice_are_not_tried_a_third_time(self):
        with at(None) as study:
            running(study, {**of_study._ME, "run": "another", "pid": gone()}, tries=2)
            bury(study)
            assert [trial.state for trial in study.trials] == [TrialState.FAIL]

    def test_where_nobody_can_be_asked_everybody_may_live(self, monkeypatch):
        pid = gone()
        monkeypatch.setattr(of_study.os, "name", "other")
        assert of_study._alive(pid)

    def test_the_heartbeat_tries_again_too(self, url, monkeypatch):
        monkeypatch.setattr(of_study, "GRACE", 1)
        with at(url) as study:

            def first(trial):
                trial.suggest_float("x", 0.0, 1.0)
                time.sleep(2.1)  # SQLite counts whole seconds
                with at(url) as other:  # while this one gives no sign of life
                    other.optimize(drawn, n_trials=1)
                raise optuna.TrialPruned

            with pytest.raises((ValueError, optuna.exceptions.OptunaError)):
                study.optimize(first, n_trials=1)
            states = [trial.state for trial in study.trials]
            assert states == [TrialState.FAIL, TrialState.COMPLETE]
            assert study.trials[0].params == study.trials[1].params

    def test_a_trial_that_drew_nothing_yet_leaves_nothing_to_retry(self):
        with at(None) as study:
            retry(study, create_trial(state=TrialState.FAIL))
            assert not study.trials
