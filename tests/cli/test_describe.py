"""`macrid concepts` and `explain` as people meet them."""

import json

import numpy as np
import polars as pl
import pytest

import macrid
from macrid.cli.app import run
from planted import fitted

# One worker, as what is shared takes seconds.
pytestmark = pytest.mark.xdist_group("describe commands")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model of three kinds of items whose categories its table tells."""
    rng = np.random.default_rng(0)
    events = [
        (user, f"{'abc'[user % 3]}{i}")
        for user in range(90)
        for i in rng.choice(20, 8, replace=False)
    ]
    items = pl.DataFrame({"item": [f"{kind}{i}" for kind in "abc" for i in range(20)]})
    items = items.with_columns(
        title=pl.lit("Thing ") + pl.col("item"), kind=pl.col("item").str.head(1)
    )
    clicks = macrid.read(pl.DataFrame(events, schema=["user", "item"], orient="row"), items=items)
    model = macrid.MacridVAE(n_concepts=3, n_dims=8)
    model.fit(clicks, epochs=5, batch_size=15, learning_rate=0.05)
    folder = tmp_path_factory.mktemp("models") / "model"
    model.save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy that a test may change."""
    macrid.load(saved).save(tmp_path / "model")
    return tmp_path / "model"


def said(words, capsys):
    """What a command that must succeed writes to stdout, and to stderr."""
    assert run([str(word) for word in words]) == 0
    captured = capsys.readouterr()
    return captured.out, captured.err


def refused(words, capsys):
    """The sentence of a command that must fail."""
    assert run([str(word) for word in words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    return captured.err


def test_concepts_are_shown_to_people(saved, capsys):
    out, _ = said(["concepts", saved, "--top", "2", "--dimensions", "1"], capsys)
    assert "3 concepts; the largest has" in out
    assert "Thing a" in out
    assert "dimensions: those with a name, or that vary most" in out
    out, _ = said(["concepts", saved, "--dimensions", "0"], capsys)
    assert "dimensions" not in out


def test_concepts_are_given_to_machines(saved, capsys):
    document = json.loads(
        said(["concepts", saved, "--json", "--top", "2", "--dimensions", "3"], capsys)[0]
    )
    assert document["model"] == "macridvae"
    assert sum(row["n_items"] for row in document["concepts"]) == 60
    assert len(document["dimensions"]) == 9
    assert max(row["rank"] for row in document["typical"]) == 2


def test_names_given_on_the_command_line_are_kept(folder, capsys):
    words = ["--name", "2=bags", "--name", "0=hats", "--name-dimension", "2.7=small..large"]
    out, err = said(["concepts", folder, *words], capsys)
    assert "2: bags" in out
    assert "small ↔ large" in out
    assert "kept in" in err
    kept = json.loads((folder / "names.json").read_text())
    assert kept == {
        "concepts": {"2": "bags", "0": "hats"},
        "dimensions": {"2": {"7": ["small", "large"]}},
    }
    out, err = said(["concepts", folder, "--name", "2=purses"], capsys)
    assert "2: purses" in out
    assert "0: hats" in out
    document = json.loads(said(["concepts", folder, "--json"], capsys)[0])
    assert document["concepts"][2]["name"] == "purses"
    said(["concepts", folder, "--name", "2=", "--name-dimension", "2.7="], capsys)
    assert json.loads((folder / "names.json").read_text()) == {
        "concepts": {"0": "hats"},
        "dimensions": {},
    }


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--name", "bags"], "'bags' is not of the form name=value"),
        (["--name", "two=bags"], "'two' is no number; give it as in --name 2=bags"),
        (["--name", "3=bags"], "there is no concept 3; the model's 3 are numbered 0 to 2"),
        (["--name", "0=7"], "is no name"),
        (["--name-dimension", "2=small..large"], "not of the form --name-dimension 2.14="),
        (["--name-dimension", "2.1=small"], "not of the form --name-dimension 2.14="),
        (["--name-dimension", "2.x=small..large"], "'x' is no number"),
        (["--name-dimension", "2.8=small..large"], "there is no dimension 8"),
        (["--dimensions", "-1"], "--dimensions is -1"),
        (["--top", "0"], "top is 0"),
    ],
)
def test_what_cannot_be_named_or_shown_is_refused(folder, capsys, words, complaint):
    assert complaint in refused(["concepts", folder, *words], capsys)
    assert not (folder / "names.json").exists()


def test_a_model_without_concepts_says_so(tmp_path, capsys):
    fitted("ease").save(tmp_path)
    assert "ease has no concepts" in refused(["concepts", tmp_path], capsys)
    out, err = said(["explain", tmp_path, "--history", "1-01,1-02", "--item", "1-07"], capsys)
    assert "Title of 1-07 is carried by" in " ".join(out.split())
    assert "ease has no concepts; what past items carry is all there is to say" in err


def test_an_explanation_is_shown_to_people(saved, capsys):
    words = ["explain", saved, "--history", "a1,a2,b3", "--item", "a4", "--item", "b5"]
    out, err = said(words, capsys)
    for word in ("Thing a4 scores as", "Thing b5 scores as", "of the score of", "share", "product"):
        assert word in out
    assert err == ""


def test_an_explanation_is_given_to_machines(saved, capsys):
    words = ["explain", saved, "--history", "a1,a2,b3", "--item", "a4", "--json"]
    document = json.loads(said(words, capsys)[0])
    (item,) = document["items"]
    assert sum(row["part"] for row in document["concepts"]) == pytest.approx(item["score"])
    assert sum(row["share"] for row in document["concepts"]) == pytest.approx(1)
    assert {row["past_item_id"] for row in document["history"]} == {"a1", "a2", "b3"}


@pytest.mark.parametrize(
    ("history", "item", "complaint"),
    [
        ("a1", "car", "'car' is not in the model's 60 items"),
        ("a1", ",", "--item names no item"),
        (",", "a1", "the history holds no item that the model knows"),
    ],
)
def test_what_cannot_be_explained_is_refused(saved, capsys, history, item, complaint):
    assert complaint in refused(["explain", saved, "--history", history, "--item", item], capsys)


def test_unknown_items_of_a_history_are_warned_of(saved, capsys):
    _, err = said(["explain", saved, "--history", "a1,car", "--item", "a4"], capsys)
    assert "warning: 1 of 2 events" in err


def test_a_folder_that_cannot_be_written_is_no_traceback(folder, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("macrid.models.artifact.replace_file", full)
    assert run(["concepts", str(folder), "--name", "2=bags"]) == 1
    assert "cannot write the names to" in capsys.readouterr().err
