"""The page of results: from cells that are there, whoever made them."""

import argparse
import importlib.util
from pathlib import Path

import polars as pl
import pytest

import planted
from macrid.evaluation.cells import Cell
from macrid.evaluation.compare import Contender
from macrid.models.catalog import MODELS

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "results.py"


def script():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("results", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def results(monkeypatch, tmp_path):
    """The script, on the planted world in two splits, with two quick models and a tuned one."""
    module = script()
    world = module.Set("Planted", "nowhere", "Two groups.", splits=(1, 2), training={"epochs": 2})
    monkeypatch.setattr(module, "SETS", {"planted": world, "other": world})
    monkeypatch.setattr(module, "split_of", lambda name, seed: planted.split())
    monkeypatch.setattr(
        module, "DEFAULTS", (Contender("popularity", "popularity"), Contender("dae", "multdae"))
    )
    for name in ("CELLS", "TUNED"):
        monkeypatch.setattr(module, name, tmp_path / name)
    monkeypatch.setattr(module, "PAGE", tmp_path / "results.md")
    (tmp_path / "TUNED" / "planted").mkdir(parents=True)
    (tmp_path / "TUNED" / "planted" / "tuned.toml").write_text(
        '# 3 trials in 1 second.\nmodel = "ease"\n[settings]\nregularization = 5.0\n'
    )
    return module


def measure(results, **given):
    options = {"models": None, "seeds": 1, "threads": 1, **given}
    for seed in (1, 2):
        results.measure("planted", seed, argparse.Namespace(**options))


def test_two_splits_are_one_table_with_the_tuned_model_and_what_was_searched(results):
    measure(results)
    text = "\n".join(results.section("planted"))
    for label in ("popularity", "dae", "tuned"):
        assert f"| {label} |" in text
    assert "Training differs from every model's defaults by: epochs 2." in text
    assert "3 trials in 1 second." in text
    people = results.found("planted").users.filter(label="dae")
    assert len(people) == 2 * len(planted.split().test)
    assert people["user_id"].is_unique().all()


def test_a_model_that_is_not_there_in_every_split_is_left_out(results):
    measure(results, models="popularity")
    given = argparse.Namespace(models="dae", seeds=1, threads=1)
    results.measure("planted", 1, given)
    assert results.found("planted").models["label"].to_list() == ["popularity"]


def cell(validation, values, epochs=1):
    """One model, one seed, by what it reaches."""
    metrics = ("ndcg@100", "recall@20", "recall@50")
    users = pl.DataFrame(
        {"user_id": [*map(str, range(len(values)))], **dict.fromkeys(metrics, values)}
    )
    return Cell({}, {}, 1.0, 1, epochs, epochs, validation, {}, users)


def test_who_is_held_against_ease_is_chosen_on_the_validation_users(results):
    cells = {
        "lucky": {1: cell(0.4, [0.5] * 20)},
        "chosen": {1: cell(0.5, [0.4, 0.5] * 10), 2: cell(0.3, [0.4, 0.5] * 10)},
        "closed": {None: cell(0.9, [0.6] * 20, epochs=None)},
        "ease": {None: cell(0.1, [0.3] * 20, epochs=None)},
    }
    cells["lucky"][2] = cell(0.3, [0.5] * 20)
    found = results.summarise(
        cells,
        models={label: label for label in cells},
        failed={},
        metrics=["ndcg@100", "recall@20", "recall@50"],
        about={},
    )
    sentence = results.against_ease(found)[1]
    assert "(chosen) less EASE" in sentence
    assert "+0.1500" in sentence


def test_the_validation_of_several_splits_is_their_mean(results):
    whole = results.together([cell(0.2, [0.1, 0.2]), cell(0.4, [0.3, 0.4])])
    assert whole.validation == pytest.approx(0.3)
    assert whole.users["ndcg@100"].to_list() == [0.1, 0.2, 0.3, 0.4]


def test_what_was_not_measured_is_said(results):
    assert results.section("other")[-1] == "Not measured yet."


def test_an_unknown_model_is_named(results):
    with pytest.raises(
        SystemExit, match=r"no model is called 'zzz'; known: popularity, dae, tuned"
    ):
        results.contenders("planted", "zzz", 1)


def test_the_sets_name_real_models(results):
    assert {one.model for one in results.DEFAULTS} <= set(MODELS)


def test_the_page_says_what_the_committed_cells_say():
    module = script()
    page = module.PAGE.read_text(encoding="utf-8")
    for name in module.SETS:
        assert "\n".join(module.section(name)) in page
