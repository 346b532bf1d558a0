"""Many people's lists: the same in parts, in files, after a kill."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from macrid.data.histories import Histories
from macrid.errors import ArtifactError, SettingsError
from macrid.models.lists import ScoreRanker, check_folder
from macrid.parts.ranking import mask_rows, top_rows
from planted import SMALL, by_worker, fitted, newcomers

KILLED = """
import os, sys
import macrid
from planted import newcomers
done = []
def stop(people):
    done.append(people)
    if len(done) == 3 and "faiss" not in sys.modules:  # which nobody has asked for
        os.kill(os.getpid(), 9)
macrid.load(sys.argv[1]).recommend_parts(newcomers(), part_size=7).write(sys.argv[2], stop)
"""


@pytest.fixture(params=by_worker(SMALL))
def model(request):
    return fitted(request.param)


def people_of(model) -> Histories:
    return Histories.from_lists(
        [model.items.numbers(items).tolist() for items in newcomers().values()]
    )


@pytest.mark.parametrize("keep_seen", [False, True])
@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("k", [1, 10, 70])
def test_a_ranker_gives_the_lists_of_all_scores(model, k, precision, keep_seen):
    people, banned = people_of(model), torch.arange(50) % 7 == 0
    top = model.ranker(banned, precision=precision).top(people, k, keep_seen=keep_seen)
    scores = model.scores(people)
    scores[:, banned] = -torch.inf
    if not keep_seen:
        mask_rows(scores, people)
    expected = top_rows(scores, k)
    torch.testing.assert_close(top.score, expected.score, rtol=1e-5, atol=1e-5)
    listed = expected.score.isfinite()
    # Rounding may exchange neighbours, and nobody else.
    torch.testing.assert_close(scores.gather(1, top.row)[listed], expected.score[listed])
    for mine, finite in zip(top.row, listed, strict=True):
        assert len(set(mine[finite].tolist())) == int(finite.sum())


def test_precision_changes_no_list(model):
    lists = model.recommend(newcomers(), k=20)
    assert model.recommend(newcomers(), k=20, precision="bf16").equals(lists)


@pytest.mark.parametrize("size", [1, 7, 40, 1_000])
def test_parts_are_the_lists_of_recommend(model, size):
    lists = model.recommend_parts(newcomers(), 5, part_size=size)
    parts = list(lists)
    assert len(parts) == len(lists) == -(-40 // size)
    together, apart = model.recommend(newcomers(), 5), pl.concat(parts)
    assert apart.drop("score").equals(together.drop("score"))
    # A layer's product of one row is not rounded like one of many.
    assert apart["score"].to_numpy() == pytest.approx(together["score"].to_numpy(), abs=1e-5)


def test_parts_take_what_recommend_takes():
    wishes = {"exclude": ["0-01"], "items": ["0-01", "0-02", "1-03"], "include_seen": True}
    model = fitted("ease")
    (only,) = model.recommend_parts(newcomers(), 5, **wishes)
    assert only.equals(model.recommend(newcomers(), 5, **wishes))
    with pytest.raises(TypeError, match="wish"):
        model.recommend_parts(newcomers(), wish=1)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"part_size": 0}, "part_size is 0; a part holds 1 person or more"),
        ({"precision": "16"}, "precision is '16'; it is '32' or 'bf16'"),
        ({"k": 0}, "k is 0; a list holds 1 item or more"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(wishes, words):
    with pytest.raises(ValueError, match=words):
        fitted("ease").recommend_parts(newcomers(), **wishes)


@pytest.mark.parametrize("name", ["ease", "popularity"])
def test_models_without_item_vectors_have_nothing_to_index(name):
    with pytest.raises(SettingsError, match=f"{name} has no item vectors to search; leave ann out"):
        fitted(name).recommend(newcomers(), ann=True)


def test_a_small_catalogue_has_the_same_lists_from_an_index():
    model = fitted("macridvae")
    assert model.recommend(newcomers(), ann=True).equals(model.recommend(newcomers()))


def test_nobody_bans_anything_from_a_ranker_of_scores():
    ranker = ScoreRanker(lambda people: torch.arange(4.0).repeat(len(people), 1))
    assert ranker.top(Histories.from_lists([[3]]), 4).row.tolist() == [[2, 1, 0, 3]]


# Folders


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_holds_the_parts_and_nothing_else(model, tmp_path):
    told = []
    lists = model.recommend_parts(newcomers(), 5, part_size=15)
    lists.write(tmp_path / "lists", told.append)
    assert files(tmp_path) == ["lists"]
    assert files(tmp_path / "lists") == [f"part-0000{n}.parquet" for n in range(3)]
    assert pl.read_parquet(tmp_path / "lists").equals(model.recommend(newcomers(), 5))
    assert told == [15, 30, 40]


def test_nobodys_lists_are_one_empty_file(tmp_path):
    fitted("ease").recommend_parts({}).write(tmp_path)
    assert pl.read_parquet(tmp_path).columns == ["user_id", "item_id", "score", "rank"]


@pytest.mark.parametrize("what", ["file", "full", "orphan"])
def test_what_is_there_already_is_left_alone(tmp_path, what):
    target = tmp_path / "no" / "lists" if what == "orphan" else tmp_path / "lists"
    if what == "file":
        target.write_text("mine")
    if what == "full":
        target.mkdir()
        (target / "thesis.tex").write_text("years of work")
    before = files(tmp_path)
    said = "there is no folder .*no to make it in" if what == "orphan" else "holds something else"
    for refuse in (check_folder, fitted("ease").recommend_parts(newcomers()).write):
        with pytest.raises(ArtifactError, match=said):
            refuse(target)
    assert files(tmp_path) == before


@pytest.mark.parametrize("what", ["here", "link", "dangling", "mount"])
def test_a_folder_that_cannot_be_replaced_is_refused_before_anything_is_made(
    tmp_path, monkeypatch, what
):
    monkeypatch.chdir(tmp_path)
    target = Path({"here": ".", "mount": "/dev"}.get(what, "link"))
    if what in ("link", "dangling"):
        empty = tmp_path / "empty"
        target.symlink_to(empty)
    if what == "link":
        empty.mkdir()
    before = files(tmp_path)
    for refuse in (check_folder, fitted("ease").recommend_parts(newcomers()).write):
        with pytest.raises(ArtifactError, match="a link, a mount or the folder you are in"):
            refuse(target)
    assert files(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ArtifactError, match=r"cannot write lists to .* Permission denied"):
        fitted("ease").recommend_parts(newcomers()).write(tmp_path / "lists")


def test_a_name_too_long_is_said(tmp_path):
    with pytest.raises(ArtifactError, match=r"cannot write lists to .*: File name too long"):
        fitted("ease").recommend_parts(newcomers()).write(tmp_path / ("x" * 250))


@pytest.fixture(scope="module")
def left_over(tmp_path_factory):
    """What a killed run left beside its model."""
    place = tmp_path_factory.mktemp("killed")
    fitted("macridvae").save(place / "model")
    words = [sys.executable, "-c", KILLED, str(place / "model"), str(place / "lists")]
    killed = subprocess.run(words, env=_with_tests(), check=False)
    assert killed.returncode == -signal.SIGKILL
    return place


@pytest.mark.xdist_group("macridvae")
def test_a_killed_run_is_no_finished_one_and_goes_on(tmp_path, left_over, caplog):
    model, target = fitted("macridvae"), tmp_path / "lists"
    shutil.copytree(left_over, tmp_path, dirs_exist_ok=True)
    assert not target.exists()
    (done,) = tmp_path.glob(".lists.*.unfinished/parts")
    assert len(files(done)) == 3
    first = done / "part-00000.parquet"
    os.utime(first, (1, 1))
    (done / ".part-00003.parquet.99").write_bytes(b"half a par")  # killed while it wrote
    with caplog.at_level("INFO", "macrid"):
        model.recommend_parts(newcomers(), part_size=7).write(target)
    assert caplog.messages == ["going on: 3 of 6 parts are there already"]
    assert files(tmp_path) == ["lists", "model"]
    assert files(target) == [f"part-0000{n}.parquet" for n in range(6)]
    assert (target / "part-00000.parquet").stat().st_mtime == 1
    assert pl.read_parquet(target).equals(model.recommend(newcomers()))


@pytest.mark.xdist_group("macridvae")  # one process is killed for all of them
@pytest.mark.parametrize(
    "change", ["k", "people", "bans", "model", "part_size", "ann", "assignment", "tau"]
)
def test_what_a_killed_run_of_other_lists_left_is_not_used(tmp_path, left_over, change):
    model, target = fitted("macridvae"), tmp_path / "lists"
    shutil.copytree(left_over, tmp_path, dirs_exist_ok=True)
    (done,) = tmp_path.glob(".lists.*.unfinished/parts")
    for part in done.iterdir():
        part.write_bytes(b"of no use")
    people = newcomers(seed=9) if change == "people" else newcomers()
    model = fitted("popularity") if change == "model" else model
    settings = {"assignment": {"assignment": "mode"}, "tau": {"tau": 0.2}}
    model = _with_settings(model, **settings.get(change, {}))
    k = 3 if change == "k" else 10
    exclude = ["0-05"] if change == "bans" else []
    size = 8 if change == "part_size" else 7
    wishes = {"exclude": exclude, "ann": change == "ann"}
    model.recommend_parts(people, k, part_size=size, **wishes).write(target)
    assert pl.read_parquet(target).equals(model.recommend(people, k, **wishes))
    assert files(tmp_path) == ["lists", "model"]


def test_two_who_write_to_one_folder_do_not_mix_their_lists(tmp_path):
    model, target, told = fitted("ease"), tmp_path / "lists", []
    other_folder = tmp_path / f".lists.b.{'0' * 12}.unfinished"  # of a target named lists.b
    other_folder.mkdir()

    def stop(people):
        raise KeyboardInterrupt

    def let_another_begin(people):
        told.append(people)
        if len(told) == 1:
            with pytest.raises(KeyboardInterrupt):
                fitted("popularity").recommend_parts(newcomers(), part_size=7).write(target, stop)

    model.recommend_parts(newcomers(), part_size=7).write(target, let_another_begin)
    assert pl.read_parquet(target).equals(model.recommend(newcomers()))
    assert files(tmp_path) == [other_folder.name, "lists"]


def test_lists_are_made_when_they_are_asked_for():
    """A part at a time, so that memory does not grow with the number of lists."""
    model, ranked = fitted("popularity"), []

    def scores(people):
        ranked.append(len(people))
        return model.scores(people)

    people = {n: ["0-00"] for n in range(2_000)}
    lists = replace(model.recommend_parts(people, 4, part_size=300), ranker=ScoreRanker(scores))
    parts = iter(lists)
    assert ranked == []
    assert next(parts)["user_id"].to_list() == np.repeat(np.arange(300), 4).tolist()
    assert sum(ranked) == 300


def _with_settings(model, **settings):
    """The same weights, read with other settings."""
    changed = type(model)(**{**model.get_params(), **settings})
    changed.catalogue = model.catalogue
    changed.restore(model.tensors())
    return changed


def _with_tests() -> dict[str, str]:
    """The environment, with the tests' own modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
