"""Models beside each other on the planted world: what is found, kept, refused."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest
import torch

import macrid
from macrid.data.splits import hold_out_users
from macrid.errors import ArtifactError, DataError, SettingsError, TrainingDiverged
from macrid.evaluation import cells
from macrid.evaluation.baselines import best_ease
from macrid.evaluation.compare import Contender, compare
from macrid.evaluation.comparison import summarise
from macrid.evaluation.significance import paired_differences
from planted import groups, split

# One worker, as what is shared takes seconds.
pytestmark = pytest.mark.xdist_group("compare")

DAE = Contender("small", "multdae", {"n_dims": 8}, {"epochs": 3, "batch_size": 40})
# Its first step takes the weights to where no loss is finite.
WILD = Contender("wild", "multdae", {"n_dims": 8}, {"epochs": 9, "learning_rate": 1e30})


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A finished comparison, its folder and what was told on the way."""
    folder, told = tmp_path_factory.mktemp("compared") / "new", []
    found = compare(
        split(), ["popularity", "ease", DAE], seeds=2, folder=folder, beyond=True, tell=told.append
    )
    return found, folder, told


def test_every_model_has_its_metrics_errors_and_costs(kept):
    found = kept[0]
    assert found.models["label"].to_list() == ["popularity", "ease", "small"]
    assert found.models["n_seeds"].to_list() == [1, 1, 2]
    popularity, ease, small = found.models.to_dicts()
    alone = macrid.evaluate(macrid.Popularity().fit(split().train), split().test)
    assert popularity["recall@20"] == pytest.approx(alone["recall@20"].mean)
    assert popularity["recall@20_se"] == pytest.approx(alone["recall@20"].se)
    assert popularity["recall@20_se_seeds"] is None
    assert popularity["parameters"] == 50
    assert ease["parameters"] == 2500
    assert small["parameters"] == macrid.MultDAE(n_dims=8).n_parameters(50)
    assert found.best == "ease"


def test_several_seeds_are_averaged_per_user_before_errors_are_taken(kept):
    found = kept[0]
    values = []
    for seed in (98765, 1):
        model = macrid.MultDAE(n_dims=8)
        model.fit(split().train, split().validation, epochs=3, batch_size=40, seed=seed)
        values.append(macrid.evaluate(model, split().test).users["ndcg@100"].to_numpy())
    both = np.mean(values, axis=0)
    small = found.models.row(2, named=True)
    assert small["ndcg@100"] == pytest.approx(both.mean())
    assert small["ndcg@100_se"] == pytest.approx(both.std() / np.sqrt(20))
    assert small["ndcg@100_se_seeds"] == pytest.approx(
        np.std([v.mean() for v in values], ddof=1) / np.sqrt(len(values))
    )
    mine = found.users.filter(label="small")
    assert mine["ndcg@100"].to_list() == pytest.approx(both.tolist())
    assert mine["user_id"].equals(split().test.fold_in.users.ids)
    assert [(cell["seed"], cell["epochs"]) for cell in found.cells[2:]] == [(98765, 3), (1, 3)]
    assert found.cells[2]["metrics"]["ndcg@100"] == pytest.approx(values[0].mean())


def test_the_planted_better_model_is_found_better(kept):
    found = kept[0]
    against = {row["label"]: row for row in found.against_best().to_dicts()}
    assert set(against) == {"popularity", "small"}
    assert against["popularity"]["high"] < 0
    assert against["popularity"]["p_holm"] < 0.01
    row = found.differences.row(0, named=True)  # popularity less ease
    assert (row["first"], row["second"]) == ("popularity", "ease")
    assert against["popularity"]["difference"] == row["difference"]
    turned = found.differences.row(2, named=True)  # ease less small
    assert against["small"]["difference"] == -turned["difference"]
    assert against["small"]["low"] == -turned["high"]
    values = found.users.partition_by("label", as_dict=True)
    again = paired_differences({key[0]: t["ndcg@100"].to_numpy() for key, t in values.items()})
    assert again.equals(found.differences)


def test_equal_models_are_not_told_apart():
    twin = Contender("twin", "popularity")
    row = compare(split(), ["popularity", twin]).differences.row(0, named=True)
    assert (row["low"], row["high"], row["p_holm"]) == (0, 0, 1)


def test_ease_takes_the_ridge_that_is_best_on_validation_and_says_so(kept):
    found, _, told = kept
    ridge = best_ease(split()).settings.regularization
    assert found.cells[1]["settings"] == {"regularization": ridge}
    assert any(
        f"ridge {ridge:g}, the best of 100, 500, 1000 on the validation users" in line
        for line in told
    )
    own = compare(split(), [Contender("mine", "ease", {"regularization": 7.0})])
    assert own.cells[0]["settings"] == {"regularization": 7.0}


def test_progress_names_each_cell_and_its_result(kept):
    told = kept[2]
    assert told[0] == "1 of 4: popularity …"
    assert told[6] == "4 of 4: small, seed 1 …"
    assert told[7].startswith("  ndcg@100 0.")
    assert " s, best epoch " in told[7]


def test_beyond_accuracy_columns_on_request(kept):
    found = kept[0]
    assert found.beyond == ["coverage@20", "novelty@20", "gini@20", "diversity@20", "head@20"]
    assert all(found.models[name].is_between(0, 6).all() for name in found.beyond)
    assert compare(split(), ["popularity"]).beyond == []


def test_what_needs_item_features_says_so_where_there_are_none():
    bare = macrid.read({"user": [u for u in range(12) for _ in range(6)], "item": [*range(6)] * 12})
    found = compare(macrid.hold_out_users(bare, n_users=3), ["popularity"], beyond=True)
    assert found.models["diversity@20"][0] is None
    assert found.remarks() == ["diversity@20 needs a table of item features (--items)"]


def test_json_holds_everything_by_name(kept):
    found = kept[0]
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["seeds"] == [98765, 1]
    assert written["users"] == 20
    assert written["best"] == "ease"
    assert written["data"]["train"] == split().train.fingerprint()
    small = written["models"][2]
    assert set(small["metrics"]["ndcg@100"]) == {"mean", "se", "se_seeds"}
    assert [cell["seed"] for cell in small["cells"]] == [98765, 1]
    assert small["cells"][0]["training"]["epochs"] == 3
    assert small["cells"][0]["settings"]["n_dims"] == 8
    assert len(written["differences"]) == 3
    assert set(written["differences"][0]) == {
        "first", "second", "difference", "low", "high", "p", "p_holm"
    }  # fmt: skip


def test_a_comparison_shows_itself_as_a_table(kept):
    lines = repr(kept[0]).splitlines()
    assert lines[0].split()[:4] == ["model", "ndcg@100", "recall@20", "recall@50"]
    assert lines[3].startswith("small        0.")
    assert " ± " in lines[1]


def test_finished_cells_are_not_run_again_and_give_the_same(kept):
    found, folder, _ = kept
    before = {path: path.stat().st_mtime_ns for path in (folder / "cells").rglob("*")}
    told = []
    again = compare(
        split(), ["popularity", "ease", DAE], seeds=2, folder=folder, beyond=True, tell=told.append
    )
    assert again.to_dict() == found.to_dict()
    assert {path: path.stat().st_mtime_ns for path in (folder / "cells").rglob("*")} == before
    assert sum("finished before" in line for line in told) == 4


def test_a_longer_comparison_starts_from_a_shorter_one(kept):
    folder, told = kept[1], []
    compare(split(), [DAE], seeds=3, folder=folder, beyond=True, tell=told.append)
    assert [line for line in told if line.endswith("…")] == ["3 of 3: small, seed 2 …"]


def test_threads_and_device_do_not_make_another_cell(kept):
    told = []
    same = Contender("small", "multdae", DAE.settings, {**DAE.training, "threads": 1})
    compare(split(), [same], seeds=1, folder=kept[1], beyond=True, tell=told.append)
    assert told[0].endswith("finished before")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"contenders": [Contender("small", "multdae", {"n_dims": 9}, DAE.training)]}, "n_dims"),
        ({"contenders": [Contender("small", "multdae", {"n_dims": 8})]}, "training.epochs"),
        ({"contenders": [Contender("ease", "popularity")]}, "model, settings.regularization"),
        ({"metrics": ["ndcg@5"]}, "metrics"),
        ({"beyond": False}, "beyond"),
        ({"split": macrid.hold_out_users(groups(), n_users=21)}, "train, validation, test"),
    ],
)
def test_a_cell_of_another_comparison_is_refused(kept, changed, words):
    given = {"split": split(), "contenders": [DAE], "beyond": True, **changed}
    with pytest.raises(DataError, match=rf"{words}.* differ; .*--out.*--overwrite"):
        compare(given.pop("split"), given.pop("contenders"), folder=kept[1], seeds=1, **given)


def test_overwriting_replaces_only_what_differs(tmp_path):
    compare(split(), ["popularity", DAE], seeds=1, folder=tmp_path)
    kept = (tmp_path / "cells" / "popularity" / "once" / "cell.json").stat().st_mtime_ns
    other = Contender("small", "multdae", {"n_dims": 5}, DAE.training)
    found = compare(split(), ["popularity", other], seeds=1, folder=tmp_path, overwrite=True)
    assert found.cells[1]["settings"]["n_dims"] == 5
    assert (tmp_path / "cells" / "popularity" / "once" / "cell.json").stat().st_mtime_ns == kept
    compare(split(), [other], seeds=1, folder=tmp_path)


def test_a_model_that_fails_is_a_row_with_the_reason(tmp_path):
    told = []
    found = compare(
        split(), [WILD, "popularity"], seeds=2, folder=tmp_path / "new", tell=told.append
    )
    wild, popularity = found.models.to_dicts()
    assert wild["n_seeds"] == 0
    assert wild["failed"].startswith("2 of 2 failed: the loss of step ")
    assert wild["ndcg@100"] is None
    assert popularity["failed"] is None
    assert found.best == "popularity"
    assert found.differences.is_empty()
    assert found.to_dict()["models"][0]["metrics"]["ndcg@100"]["mean"] is None
    assert "wild: 2 of 2 failed" in repr(found)
    assert any(line.startswith("  failed: the loss") for line in told)
    assert not (tmp_path / "new" / "cells" / "wild").exists()


def test_settings_that_a_model_cannot_follow_are_refused_before_anything_is_trained():
    spectral = Contender("fast", "multdae", DAE.settings, {**DAE.training, "recipe": "fast"})
    said: list[str] = []
    with pytest.raises(SettingsError, match="random weights only"):
        compare(split(), ["popularity", spectral], seeds=1, tell=said.append)
    assert not said


def test_people_of_whom_nothing_is_held_out_are_refused():
    alone = macrid.read({"user": [*range(20)], "item": ["the only one"] * 20})
    with pytest.raises(DataError, match="of the 5 held-out users nothing is held out"):
        compare(hold_out_users(alone, n_users=5), ["popularity"])


def test_what_may_mislead_is_said():
    found = compare(split(), [DAE, "popularity"], seeds=1)
    assert found.remarks() == ["more epochs may do better: the last was the best of small"]
    data = {**found.about["data"], "test_users_without_targets": 3}
    other = dataclasses.replace(found, about={**found.about, "data": data}, cells=[])
    assert other.remarks() == ["test users of whom nothing is held out, and who score 0: 3"]


def test_a_seed_that_fails_is_left_out_and_said():
    users = pl.DataFrame({"user_id": ["a", "b"], "recall@5": [0.5, 1.0]})
    cell = cells.Cell({}, {}, 1.0, 3, 1, 2, 0.5, {}, users)
    found = summarise(
        {"a": {1: cell}},
        models={"a": "multvae"},
        failed={"a": "1 of 2 failed: too large"},
        metrics=["recall@5"],
        about={"seeds": [98765, 1], "users": 2},
    )
    assert found.models.row(0, named=True)["recall@5"] == 0.75
    assert found.remarks() == ["a: 1 of 2 failed: too large"]


def test_without_any_model_left_the_first_reason_is_raised():
    with pytest.raises(TrainingDiverged):
        compare(split(), [WILD], seeds=1)


def test_too_large_a_model_is_a_row_too():
    huge = Contender("huge", "multdae", {"n_dims": 10**10})
    found = compare(split(), [huge, "popularity"], seeds=1)
    assert "a multdae of 50 items with these settings needs about" in found.models["failed"][0]


@pytest.mark.parametrize(
    ("contenders", "options", "error", "sentence"),
    [
        ([], {}, SettingsError, "no model was named"),
        (["easy"], {}, SettingsError, "no model 'easy'; did you mean 'ease'"),
        (["ease", "ease"], {}, SettingsError, "two models are called 'ease'"),
        ([Contender("a/b", "ease")], {}, SettingsError, "'a/b' cannot be the name of a folder"),
        ([Contender("", "ease")], {}, SettingsError, "'' cannot be the name of a folder"),
        ([Contender("..", "ease")], {}, SettingsError, "leading dots"),
        ([Contender("a", "ease", {"ridge": 1})], {}, SettingsError, "no setting 'ridge'"),
        ([Contender("a", "ease", {}, {"epochs": 1})], {}, SettingsError, "takes no epochs"),
        ([Contender("a", "multdae", {}, {"epochs": 0})], {}, SettingsError, "epochs is 0"),
        (["ease"], {"seeds": 0}, ValueError, "seeds is 0"),
        (["multdae"], {"seeds": 10**9}, ValueError, "trained with 1 to 1,000 of them"),
        (["ease"], {"metrics": ["map@5"]}, ValueError, "no metric 'map@5'"),
        (["ease"], {"metrics": []}, ValueError, "no metric was named"),
    ],
)
def test_what_makes_no_comparison_is_refused_before_any_work(
    tmp_path, contenders, options, error, sentence
):
    told = []
    with pytest.raises(error, match=sentence):
        compare(split(), contenders, folder=tmp_path / "new", tell=told.append, **options)
    assert told == []
    assert not (tmp_path / "new").exists()


def test_one_test_user_is_too_few():
    one = macrid.hold_out_users(groups(), n_users=1)
    with pytest.raises(DataError, match="1 test users; standard errors need two"):
        compare(one, ["popularity"])


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match=r"holds something else \('thesis.tex'\)"):
        compare(split(), ["popularity"], folder=tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(ArtifactError, match="cannot write to"):
        compare(split(), ["popularity"], folder=tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"identity": 1}'])
def test_a_damaged_cell_is_named(tmp_path, content):
    compare(split(), ["popularity"], folder=tmp_path)
    (tmp_path / "cells" / "popularity" / "once" / "cell.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"the cell .*once is damaged \(.*; delete it"):
        compare(split(), ["popularity"], folder=tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"seconds": "abc"}, {"settings": None}, {"parameters": None}, {"best_epoch": 1.5}]
)
def test_a_cell_with_values_of_other_kinds_is_damaged(tmp_path, wrong):
    compare(split(), ["popularity"], folder=tmp_path)
    path = tmp_path / "cells" / "popularity" / "once" / "cell.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **wrong}))
    with pytest.raises(ArtifactError, match=rf"damaged \({min(wrong)} is .*; delete it"):
        compare(split(), ["popularity"], folder=tmp_path)


def test_a_cell_without_its_users_is_damaged(tmp_path):
    compare(split(), ["popularity"], folder=tmp_path)
    (tmp_path / "cells" / "popularity" / "once" / "users.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtifactError, match="damaged"):
        compare(split(), ["popularity"], folder=tmp_path)


DAMAGES = {
    "fewer users": lambda users: users.head(2),
    "another order": lambda users: users.reverse(),
    "no users": lambda users: users.drop("user_id"),
    "no metric": lambda users: users.drop("recall@20"),
    "NaN": lambda users: users.with_columns(pl.lit(float("nan")).alias("recall@20")),
    "null": lambda users: users.with_columns(pl.lit(None, pl.Float64).alias("recall@20")),
    "text": lambda users: users.with_columns(pl.col("recall@20").cast(pl.String)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_cell_of_other_users_or_without_numbers_is_damaged(tmp_path, damage):
    compare(split(), ["popularity"], folder=tmp_path)
    path = tmp_path / "cells" / "popularity" / "once" / "users.parquet"
    DAMAGES[damage](pl.read_parquet(path)).write_parquet(path)
    with pytest.raises(ArtifactError, match=r"damaged \(users.parquet is not of these users"):
        compare(split(), ["popularity"], folder=tmp_path)


def test_a_cell_that_cannot_be_written_is_a_sentence(tmp_path):
    cell = cells.Cell({}, {}, 1.0, 3, 1, 1, 0.5, {}, pl.DataFrame({"user_id": ["a"]}))
    (tmp_path / "cells").write_text("a file where a folder should be")
    with pytest.raises(ArtifactError, match=r"cannot write .*once: Not a directory"):
        cells.keep_cell(tmp_path, "ease/once", {}, cell)


def test_what_a_killed_process_left_is_no_cell(tmp_path):
    (tmp_path / "cells" / "popularity" / ".once-1").mkdir(parents=True)
    (tmp_path / "cells" / "popularity" / ".once-1" / "cell.json").write_text("half")
    told = []
    compare(split(), ["popularity"], folder=tmp_path, tell=told.append)
    assert told[0] == "1 of 1: popularity …"
    assert (tmp_path / "cells" / "popularity" / "once" / "cell.json").is_file()


def test_of_writers_of_one_cell_the_last_one_wins_and_it_is_whole(tmp_path):
    def keep(number):
        users = pl.DataFrame({"user_id": ["a"], "recall@5": [float(number)]})
        cell = cells.Cell({}, {}, 1.0, number, None, None, 0.5, {}, users)
        cells.keep_cell(tmp_path, "ease/once", {}, cell)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(64)))
    found = cells.find_cell(tmp_path, "ease/once", {})
    assert found.users["recall@5"][0] == found.parameters
    assert [path.name for path in (tmp_path / "cells" / "ease").iterdir()] == ["once"]
    keep(99)
    assert cells.find_cell(tmp_path, "ease/once", {}).parameters == 99


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused_before_anything_is_trained():
    told = []
    wanted = Contender("small", "multdae", {"n_dims": 8}, {"epochs": 1, "device": "cuda"})
    with pytest.raises(SettingsError, match="device is 'cuda', but torch finds none"):
        compare(split(), ["popularity", wanted], tell=told.append)
    assert not told
