"""Model folders: what is in them, what is refused, and what is left when saving goes wrong."""

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import polars as pl
import pytest
import safetensors.torch
import torch

import macrid
from macrid.errors import ArtifactError, MacridError
from macrid.models.artifact import check_target
from macrid.models.ease import EASE
from macrid.models.macridvae import MacridVAE
from macrid.models.popularity import Popularity
from planted import fitted, groups, newcomers

FILES = ["README.md", "config.json", "items.parquet", "metrics.json", "model.safetensors"]
MEASURED = {"test": {"ndcg@100": {"mean": 0.25, "se": 0.5, "n": 1_000}}, "note": "ünï"}


@pytest.fixture
def folder(tmp_path):
    """A saved EASE."""
    fitted("ease").save(tmp_path / "model")
    return tmp_path / "model"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def change_config(folder: Path, **values) -> None:
    """Other values in ``config.json``; ``...`` takes one out."""
    config = json.loads((folder / "config.json").read_text()) | values
    config = {key: value for key, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(config))


def forge(folder: Path, name: str, data: bytes) -> None:
    """Another file, with the digest to go with it."""
    (folder / name).write_bytes(data)
    digests = json.loads((folder / "config.json").read_text())["sha256"]
    change_config(folder, sha256={**digests, name: hashlib.sha256(data).hexdigest()})


# What is there


def test_a_folder_holds_files_that_people_can_open(folder):
    model = fitted("ease")
    assert sorted(path.name for path in folder.iterdir()) == FILES
    config = json.loads((folder / "config.json").read_text())
    assert (config["format"], config["model"], config["n_items"]) == (1, "ease", 50)
    assert config["settings"] == {"regularization": 10.0}
    assert config["training"] == model.training
    assert {"macrid", "torch"} <= set(config["versions"])
    weights = safetensors.torch.load_file(folder / "model.safetensors")["weights"]
    assert weights.equal(model.weights)
    items = pl.read_parquet(folder / "items.parquet")
    assert items.equals(model.catalogue)
    for name, digest in config["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_features_survive_with_their_types_lists_and_nulls(folder):
    catalogue = macrid.load(folder).catalogue
    assert catalogue.equals(fitted("ease").catalogue)
    assert catalogue.schema["tags"] == pl.List(pl.String)
    assert catalogue["tags"].null_count() == 17
    assert catalogue["price"].null_count() == 10


@pytest.mark.parametrize("ids", [["11", "7"], ["011", "7"], ["b", "ä"], [11, 7]], ids=str)
def test_ids_survive_with_their_type(tmp_path, ids):
    model = Popularity().fit(macrid.read({"user": [1, 1], "item": ids}))
    model.save(tmp_path)
    assert macrid.load(tmp_path).items == model.items


def test_metrics_and_training_survive(tmp_path):
    model = Popularity().fit(groups())
    model.metrics = MEASURED
    model.save(tmp_path)
    again = macrid.load(tmp_path)
    assert (again.metrics, again.training) == (MEASURED, model.training)
    assert json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8")) == MEASURED


def test_the_model_card_names_settings_data_and_measurements(tmp_path):
    model = EASE(regularization=12.5).fit(groups())
    model.metrics = MEASURED
    model.save(tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# EASE\n")
    for line in (
        "- regularization: 12.5",
        f"- data: {model.training['data']}",
        "| ndcg@100 | 0.2500 | 0.5000 | 1000 |",
        "model = macrid.load(",
    ):
        assert line in card


def test_a_folder_may_be_moved_and_its_card_edited(folder):
    moved = folder.rename(folder.with_name("ünï model"))
    (moved / "README.md").write_text("mine")
    (moved / "metrics.json").unlink()
    again = macrid.load(str(moved))
    assert again.metrics == {}
    assert again.recommend(newcomers()).equals(fitted("ease").recommend(newcomers()))


# Where a model may be saved


def test_new_folders_are_made_with_those_above_them(tmp_path):
    fitted("popularity").save(tmp_path / "a" / "b")
    assert isinstance(macrid.load(tmp_path / "a" / "b"), Popularity)


def test_saving_over_an_older_model_replaces_it_and_leaves_other_files(folder):
    (folder / "notes.txt").write_text("mine")
    fitted("macridvae").save(folder)
    again = macrid.load(folder)
    assert isinstance(again, MacridVAE)
    assert (folder / "notes.txt").read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == [*FILES, "notes.txt"]


@pytest.mark.parametrize(
    "names",
    [
        ["log.csv", "checkpoint.ckpt", "checkpoint.json"],
        [".git", ".DS_Store"],
        ["model.safetensors", "items.parquet", "log.csv"],
    ],
    ids=["a run", "hidden files", "a save that was killed"],
)
def test_folders_of_our_own_are_saved_to(tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("x")
    fitted("popularity").save(tmp_path)
    assert isinstance(macrid.load(tmp_path), Popularity)
    others = set(names) - set(FILES)
    assert {(tmp_path / name).read_text() for name in others} == {"x"}


@pytest.mark.parametrize("name", ["README.md", "items.parquet", "thesis.tex", "src"])
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(ArtifactError, match=f"holds something else .'{name}'.; save to a new"):
        fitted("popularity").save(tmp_path)
    assert content(tmp_path) == {name: b"precious"}


def test_somebody_elses_config_is_left_alone(tmp_path):
    theirs = b'{"architectures": ["BertModel"]}'
    (tmp_path / "config.json").write_bytes(theirs)
    with pytest.raises(ArtifactError, match=r"not a macrid model's .there is no 'format'."):
        fitted("popularity").save(tmp_path)
    assert content(tmp_path) == {"config.json": theirs}


def test_a_model_of_a_newer_format_is_not_overwritten(folder):
    change_config(folder, format=2)
    before = content(folder)
    with pytest.raises(ArtifactError, match="format 2, this macrid reads up to 1"):
        fitted("popularity").save(folder)
    assert content(folder) == before


def test_a_folder_can_be_checked_before_the_work(tmp_path, folder):
    for fine in (tmp_path / "new", folder):
        check_target(fine)
    assert not (tmp_path / "new").exists()
    with pytest.raises(ArtifactError, match="holds something else"):
        check_target(tmp_path)


def test_a_model_that_is_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(MacridError, match="not fitted"):
        EASE().save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("below", [".", "deeper/still"])
def test_a_path_at_or_below_a_file_is_refused(tmp_path, below):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ArtifactError, match=r"cannot write the model to .*: (File|Not a dir)"):
        fitted("popularity").save(tmp_path / "file" / below)
    assert content(tmp_path) == {"file": b"precious"}


# When saving goes wrong


@pytest.fixture
def disk_full():
    """Files end after so many bytes, as on a full disk."""
    resource = pytest.importorskip("resource")  # not on Windows
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


# The safetensors file of popularity has fewer bytes than its items.parquet.
@pytest.mark.parametrize(("name", "size"), [("ease", 500), ("ease", 6_000), ("popularity", 600)])
@pytest.mark.parametrize("older", [False, True], ids=["new", "over an older model"])
def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    tmp_path, disk_full, name, size, older
):
    if older:
        fitted("macridvae").save(tmp_path)
    before = content(tmp_path)
    disk_full(size)
    with pytest.raises(ArtifactError, match=r"cannot write the model to .*: File too large"):
        fitted(name).save(tmp_path)
    assert content(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == len(before)


def test_a_save_that_is_killed_leaves_the_old_model_or_none_and_never_a_mixture(
    tmp_path, monkeypatch
):
    older, newer = (Popularity().fit(groups(seed=seed)) for seed in (0, 1))
    older.metrics, newer.metrics = {"name": "older"}, {"name": "newer"}
    older.save(tmp_path / "model")
    replace, states = Path.replace, []

    def watch(path, target):
        """What a kill right here would leave."""
        states.append(tmp_path / f"killed {len(states)}")
        shutil.copytree(tmp_path / "model", states[-1])
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", watch)
    newer.save(tmp_path / "model")
    monkeypatch.undo()
    outcomes = []
    for state in [*states, tmp_path / "model"]:
        try:
            found = macrid.load(state)
        except ArtifactError:
            outcomes.append("refused")
            newer.save(state)  # it can be saved over
            found = macrid.load(state)
            expected = newer
        else:
            outcomes.append(found.metrics["name"])
            expected = {"older": older, "newer": newer}[outcomes[-1]]
        assert found.counts.equal(expected.counts)
        assert found.catalogue.equals(expected.catalogue)
        assert (found.metrics, found.training) == (expected.metrics, expected.training)
    # Before each of the five files is written aside, and before each is put in its place.
    assert outcomes == ["older"] * 6 + ["refused"] * 4 + ["newer"]


def test_the_litter_of_a_killed_save_is_swept_by_the_next(folder):
    (folder / ".macrid-saving").mkdir()
    (folder / ".macrid-saving" / "model.safetensors").write_text("half")
    fitted("ease").save(folder)
    assert sorted(path.name for path in folder.iterdir()) == FILES


# What is not loaded


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(ArtifactError, match=r"no model folder '.*nowhere'; check the path"):
        macrid.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ArtifactError, match="no model folder"):
        macrid.load(tmp_path / "file")


def test_a_folder_without_a_config_is_no_model(tmp_path):
    with pytest.raises(ArtifactError, match=r"holds no config\.json, so it is no model of macrid"):
        macrid.load(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "items.parquet"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"lacks {name}: No such file"):
        macrid.load(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "items.parquet"])
@pytest.mark.parametrize("left", [0, 1, 100, -1])
def test_a_truncated_file_is_named(folder, name, left):
    (folder / name).write_bytes((folder / name).read_bytes()[:left])
    with pytest.raises(ArtifactError, match=rf"{name} is not the file that was saved .truncated"):
        macrid.load(folder)


@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe", b"[]", b"3", b"null", b"[" * 100_000], ids=range(7)
)
def test_tampered_json_is_refused(folder, name, text):
    (folder / name).write_bytes(text)
    with pytest.raises(ArtifactError, match=r"not a macrid model's|is damaged"):
        macrid.load(folder)


class Bomb:
    """Would leave a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5, "torch"])
def test_pickles_are_refused_unread(folder, tmp_path, protocol):
    if protocol == "torch":
        torch.save({"weights": Bomb(tmp_path / "boom")}, tmp_path / "bomb")
        bomb = (tmp_path / "bomb").read_bytes()
    else:
        bomb = pickle.dumps({"weights": Bomb(tmp_path / "boom")}, protocol)
    forge(folder, "model.safetensors", bomb)
    with pytest.raises(ArtifactError, match=r"model\.safetensors is a pickle, which can run code"):
        macrid.load(folder)
    assert not (tmp_path / "boom").exists()


def test_a_header_whose_length_looks_like_a_pickle_is_read(folder):
    """0x0480 bytes long, so that the file begins as pickles of protocol 4 do."""
    data = (folder / "model.safetensors").read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = data[8:end].ljust(0x0480)
    forge(folder, "model.safetensors", len(header).to_bytes(8, "little") + header + data[end:])
    assert (folder / "model.safetensors").read_bytes().startswith(b"\x80\x04")
    macrid.load(folder)


def test_a_pickle_of_the_oldest_kind_is_refused_unread(folder, tmp_path):
    forge(folder, "model.safetensors", pickle.dumps(Bomb(tmp_path / "boom"), 0))
    with pytest.raises(ArtifactError, match="is damaged"):
        macrid.load(folder)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"other": torch.zeros(50, 50)},
        {"weights": torch.zeros(50, 49)},
        {"weights": torch.zeros(50)},
        {"weights": torch.full((50, 50), torch.nan)},
    ],
    ids=["none", "other", "smaller", "flat", "not finite"],
)
def test_weights_that_do_not_fit_are_refused(folder, tensors):
    forge(folder, "model.safetensors", safetensors.torch.save(tensors))
    with pytest.raises(
        ArtifactError, match=r"is damaged: (there is no 'wei|the weigh|.*not finite)"
    ):
        macrid.load(folder)


def test_weights_of_other_sizes_than_the_settings_are_refused(tmp_path):
    fitted("macridvae").save(tmp_path)
    change_config(tmp_path, settings={"n_dims": 9, "n_concepts": 2})
    with pytest.raises(ArtifactError, match=r"is damaged: the weights have shapes .* ask for"):
        macrid.load(tmp_path)


def test_items_that_do_not_fit_are_refused(folder):
    catalogue = fitted("ease").catalogue
    for strange, words in (
        (catalogue.head(49), "has 49 items, not 50"),
        (catalogue.drop("item_id"), "item_id"),
        (catalogue.with_columns(item_id=pl.lit("same")), "'same' appears twice"),
    ):
        strange.write_parquet(folder / "strange")
        forge(folder, "items.parquet", (folder / "strange").read_bytes())
        with pytest.raises(ArtifactError, match=f"is damaged: .*{words}"):
            macrid.load(folder)
    forge(folder, "items.parquet", b"PAR1 and nonsense")
    with pytest.raises(ArtifactError, match="is damaged"):
        macrid.load(folder)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"format": 2}, "has format 2, this macrid reads up to 1; update macrid"),
        ({"format": 2, "settings": ..., "sha256": "new"}, "has format 2"),
        ({"format": "1"}, "not a macrid model's"),
        ({"format": ...}, "not a macrid model's .there is no 'format'"),
        ({"n_items": "50"}, "its n_items is '50'"),
        ({"n_items": 49}, "has 50 items, not 49"),
        ({"settings": [1]}, r"its settings is \[1\]"),
        ({"training": None}, "its training is None"),
        ({"sha256": "abc"}, "its sha256 is 'abc'"),
        ({"sha256": {}}, "is not the file that was saved"),
        ({"model": ["ease"]}, "its model is"),
        ({"model": "eas"}, "no model 'eas'; did you mean 'ease'"),
        ({"settings": {"regularisation": 3}}, "did you mean 'regularization'"),
        ({"settings": {"regularization": -3}}, "regularization is -3, but should be greater than"),
        ({"settings": {"self": 3}}, "is damaged"),
    ],
    ids=str,
)
def test_a_config_that_does_not_fit_is_refused(folder, values, words):
    change_config(folder, **values)
    with pytest.raises(ArtifactError, match=words):
        macrid.load(folder)


def test_a_folder_of_another_library_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert", "torch_dtype": "float32"}')
    (tmp_path / "model.safetensors").write_bytes(safetensors.torch.save({"a": torch.zeros(1)}))
    with pytest.raises(ArtifactError, match=r"not a macrid model's .*; check the path"):
        macrid.load(tmp_path)


def test_files_of_two_models_do_not_make_one(folder, tmp_path):
    EASE(regularization=99).fit(groups(seed=5)).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", folder)
    with pytest.raises(ArtifactError, match="is not the file that was saved"):
        macrid.load(folder)
