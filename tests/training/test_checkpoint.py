"""Interrupted runs: resumed to the bit, or refused in a sentence."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import torch

import planted
from macrid.data.splits import HeldOut
from macrid.errors import DataError, SettingsError
from macrid.models.macridvae import MacridVAE
from macrid.training.checkpoint import KeepBest
from macrid.training.run_files import discard_checkpoint

OPTIONS = {"batch_size": 40, "learning_rate": 0.1, "seed": 4, "threads": 1}
SIZES = {"n_dims": 4, "n_concepts": 2}


def fit(folder, *, settings=None, train=None, validation=None, **options):
    split = planted.split()
    model = MacridVAE(**SIZES | (settings or {}))
    return model.fit(
        train or split.train, validation or split.validation, folder=folder, **OPTIONS | options
    )


def weights(model):
    return torch.cat([tensor.flatten() for tensor in model.tensors().values()])


def log_without_seconds(folder):
    lines = (folder / "log.csv").read_text().splitlines()
    return [line.rpartition(",")[0] for line in lines]


def assert_same_run(one, other, folder, other_folder):
    assert torch.equal(weights(one), weights(other))
    assert log_without_seconds(folder) == log_without_seconds(other_folder)
    timing = {"seconds"}
    assert {k: v for k, v in one.training.items() if k not in timing} == {
        k: v for k, v in other.training.items() if k not in timing
    }


@pytest.mark.parametrize(("done", "patience"), [(1, None), (2, 3), (4, None)])
def test_a_run_taken_up_again_is_one_that_was_never_interrupted(tmp_path, done, patience):
    fit(tmp_path / "two", epochs=done, patience=patience)
    resumed = fit(tmp_path / "two", epochs=5, patience=patience, resume=True)
    at_once = fit(tmp_path / "one", epochs=5, patience=patience)
    assert_same_run(resumed, at_once, tmp_path / "two", tmp_path / "one")


def test_a_fast_run_taken_up_again_is_one_that_was_never_interrupted(tmp_path):
    """Rate, moments, average and best epoch: killed after epoch 2 of 5, that many are left."""
    recipe = {"recipe": "fast", "epochs": 5}
    at_once = fit(tmp_path / "one", **recipe)
    stop_after(2, tmp_path / "two", **recipe)
    resumed = fit(tmp_path / "two", resume=True, **recipe)
    assert_same_run(resumed, at_once, tmp_path / "two", tmp_path / "one")
    files = ["checkpoint.ckpt", "checkpoint.json", "log.csv"]
    assert sorted(file.name for file in (tmp_path / "two").iterdir()) == files


def stop_after(done, folder, **options):
    """A run that is interrupted when its log has so many rows."""
    whole = KeepBest.on_train_epoch_end

    def interrupted(self, *args):
        whole(self, *args)
        if len(self.rows) == done:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KeepBest, "on_train_epoch_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(folder, **options)
    assert len(log_without_seconds(folder)) == done + 1


def test_a_run_whose_rate_falls_by_its_epochs_is_another_with_more_of_them(tmp_path):
    fit(tmp_path, epochs=1, schedule="cosine")
    with pytest.raises(DataError, match="was started with other epochs"):
        fit(tmp_path, epochs=2, schedule="cosine", resume=True)


def test_resuming_changes_nothing_for_one_who_has_nothing_to_resume(tmp_path):
    assert torch.equal(
        weights(fit(tmp_path / "new", epochs=1, resume=True)), weights(fit(None, epochs=1))
    )


def test_a_finished_run_is_not_trained_further(tmp_path):
    first = fit(tmp_path, epochs=2)
    before = (tmp_path / "log.csv").read_bytes()
    again = fit(tmp_path, epochs=2, resume=True)
    assert torch.equal(weights(first), weights(again))
    assert (tmp_path / "log.csv").read_bytes() == before
    assert again.training == first.training


def test_a_run_that_ended_by_patience_is_not_trained_further(tmp_path):
    first = fit(tmp_path, epochs=60, patience=2)
    assert first.training["epochs_run"] < 60
    before = (tmp_path / "log.csv").read_bytes()
    again = fit(tmp_path, epochs=60, patience=2, resume=True)
    assert torch.equal(weights(first), weights(again))
    assert (tmp_path / "log.csv").read_bytes() == before
    assert again.training == first.training


def test_more_patience_lets_it_go_on(tmp_path):
    first = fit(tmp_path, epochs=60, patience=2)
    more = fit(tmp_path, epochs=first.training["epochs_run"] + 1, patience=50, resume=True)
    assert more.training["epochs_run"] == first.training["epochs_run"] + 1


def test_a_kill_between_log_and_checkpoint_costs_an_epoch_but_no_row(tmp_path):
    folder = tmp_path / "killed"
    fit(folder, epochs=2)
    older = (folder / "checkpoint.ckpt").read_bytes()
    fit(folder, epochs=3, resume=True)
    (folder / "checkpoint.ckpt").write_bytes(older)
    (folder / ".checkpoint.ckpt.new").write_bytes(older[:100])
    resumed = fit(folder, epochs=4, resume=True)
    assert_same_run(resumed, fit(tmp_path / "one", epochs=4), folder, tmp_path / "one")
    assert not (folder / ".checkpoint.ckpt.new").exists()


# Refusals


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of two epochs; to be copied, not changed."""
    folder = tmp_path_factory.mktemp("run")
    fit(folder, epochs=2)
    return folder


@pytest.fixture
def folder(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run")


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"settings": {"n_dims": 5}}, "n_dims"),
        ({"settings": {"beta": 0.3}}, "beta"),
        ({"seed": 5}, "seed"),
        ({"batch_size": 30}, "batch_size"),
        ({"precision": "bf16"}, "precision"),
        ({"settings": {"tau": 0.2}, "learning_rate": 0.2}, "learning_rate, tau"),
    ],
)
def test_resuming_with_other_settings_is_refused_by_their_names(folder, changed, name):
    with pytest.raises(DataError, match=f"was started with other {name}; resume it with the same"):
        fit(folder, epochs=3, resume=True, **changed)


def test_a_refusal_to_resume_says_what_the_run_had(folder):
    with pytest.raises(DataError, match=r"same data and settings \(it had beta 0.2, seed 4\)"):
        fit(folder, epochs=3, resume=True, seed=5, settings={"beta": 0.3})


def test_resuming_with_other_data_is_refused(folder):
    train = planted.split().train
    fewer = train.take_users(np.arange(train.n_users - 1))
    with pytest.raises(DataError, match="was started with other data"):
        fit(folder, epochs=3, resume=True, train=fewer)


def test_resuming_with_other_validation_users_is_refused(folder):
    with pytest.raises(DataError, match="was started with other validation"):
        fit(folder, epochs=3, resume=True, validation=planted.split().test)
    people = planted.split().validation
    swapped = HeldOut(people.held_out, people.fold_in)
    with pytest.raises(DataError, match="was started with other validation"):
        fit(folder, epochs=3, resume=True, validation=swapped)


def test_a_refused_run_is_left_as_it_was(run, folder):
    with pytest.raises(DataError):
        fit(folder, epochs=3, resume=True, seed=5)
    for file in run.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()


def test_resuming_to_fewer_epochs_than_were_done_is_refused(folder):
    with pytest.raises(SettingsError, match=r"epochs is 1, but the run in .* has done 2 already"):
        fit(folder, epochs=1, resume=True)


def truncate(folder):
    file = folder / "checkpoint.ckpt"
    file.write_bytes(file.read_bytes()[:-1000])


def empty(folder):
    (folder / "checkpoint.ckpt").write_bytes(b"")


def flip_a_bit(folder):
    file = folder / "checkpoint.ckpt"
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as members:
        largest = max(members.infolist(), key=lambda member: member.file_size)
    content[largest.header_offset + largest.file_size // 2 + 100] ^= 1
    file.write_bytes(content)


def replace_by_text(folder):
    (folder / "checkpoint.ckpt").write_text("nothing of the kind")


def lose_the_note(folder):
    (folder / "checkpoint.json").unlink()


def damage_the_note(folder):
    (folder / "checkpoint.json").write_text('{"seed": 4')


DAMAGES = [truncate, empty, flip_a_bit, replace_by_text, lose_the_note, damage_the_note]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_a_sentence(folder, damage):
    damage(folder)
    with pytest.raises(
        DataError, match=r"the checkpoint in .* is damaged.*start anew without resume"
    ):
        fit(folder, epochs=3, resume=True)


@pytest.mark.parametrize("damage", DAMAGES)
def test_starting_anew_does_not_mind_a_damaged_checkpoint(folder, damage):
    damage(folder)
    assert torch.equal(weights(fit(folder, epochs=1)), weights(fit(None, epochs=1)))
    assert len(log_without_seconds(folder)) == 2  # header and one epoch, nothing of the old run


class RunsCode:
    """What a hostile file would hold."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('the checkpoint ran code')",))


def test_a_checkpoint_that_would_run_code_is_refused_without_running_it(folder):
    torch.save({"state_dict": RunsCode()}, folder / "checkpoint.ckpt")
    with pytest.raises(DataError, match="more than numbers and text"):
        fit(folder, epochs=3, resume=True)


# The files


def test_the_note_says_in_json_what_the_run_was(run):
    note = json.loads((run / "checkpoint.json").read_text())
    assert note["model"] == "macridvae"
    assert note["data"] == planted.split().train.fingerprint()
    assert (note["n_dims"], note["seed"], note["batch_size"]) == (4, 4, 40)
    assert "epochs" not in note


def test_what_only_an_unfinished_run_needs_can_be_discarded(folder):
    (folder / ".checkpoint.ckpt.new").write_bytes(b"left by a killed process")
    discard_checkpoint(folder)
    assert [file.name for file in folder.iterdir()] == ["log.csv"]
    discard_checkpoint(folder)


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert KeepBest("ndcg@100", None, None).resume_from({}, resume=True) is None
    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_made_with_its_parents(tmp_path):
    assert KeepBest(None, tmp_path / "a" / "b", None).resume_from({}, resume=True) is None
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["checkpoint.json"]
