"""`macrid report` as people meet it."""

import json

import polars as pl
import pytest

import macrid
from macrid.cli.app import run
from macrid.report import model as pages
from macrid.report import projection
from planted import fitted, groups

# One worker, as what is shared takes seconds.
pytestmark = pytest.mark.xdist_group("report command")
pytest.importorskip("openTSNE")
pytest.importorskip("plotly")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A map that need not be beautiful."""
    monkeypatch.setattr(projection, "_EARLY", 5)
    monkeypatch.setattr(projection, "_LATE", 5)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A log, a table of its items, and a model of the log's training users."""
    desk = tmp_path_factory.mktemp("desk")
    events = groups()
    events.to_frame().select("user_id", "item_id").write_csv(desk / "log.csv")
    ids = events.items.ids.to_frame("item_id")
    kinds = ids.with_columns(kind=pl.col("item_id").str.head(1), title=pl.lit("A thing"))
    kinds.write_csv(desk / "items.csv")
    model = fitted("macridvae")
    model.save(desk / "model")
    (desk / "model" / "log.csv").write_text("epoch,loss,seconds\n1,2.5,1.0\n2,2.0,1.0\n")
    return desk


def report(desk, *words):
    data = ["--data", str(desk / "log.csv"), "--hold-out", "20", "--metrics", "ndcg@5"]
    return ["report", str(desk / "model"), *data, *map(str, words)]


def test_a_page_is_written_and_said_to_be(desk, tmp_path, capsys):
    out = tmp_path / "new" / "page.html"
    table = ["--items", desk / "items.csv", "--label", "kind"]
    assert run(report(desk, "--out", out, "--json", *table)) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["report"] == str(out)
    assert set(document["accuracy"]) == {"macridvae", "popularity", "ease"}
    assert document["accuracy"]["ease"]["ndcg@5"]["n"] == 20
    assert document["label"]["n_items"] == 50
    assert "warning" not in captured.err
    assert f"the report is in {out} (" in captured.err
    page = out.read_text(encoding="utf-8")
    assert "2 epochs in 2 seconds" in page
    assert "Concepts against kind" in page
    assert "A thing" in page
    assert run(report(desk, "--out", out)) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--out", "."], "is a folder; name the file"),
        (["--label", "sort"], "the items have no column 'sort'"),
        (["--metrics", "accuracy@5"], "there is no metric 'accuracy@5'"),
        (["--items", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_a_wrong_request_is_refused_in_a_sentence(
    desk, tmp_path, monkeypatch, capsys, words, sentence
):
    monkeypatch.chdir(tmp_path)
    assert run(report(desk, *words)) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.out == ""
    assert not [*tmp_path.iterdir()]


def test_what_does_not_fit_is_refused(desk, tmp_path, capsys):
    out = ["--out", str(tmp_path / "page.html")]
    assert run(["report", str(tmp_path / "none"), "--data", str(desk / "log.csv"), *out]) == 2
    assert "there is no model folder" in capsys.readouterr().err
    other = {"user": [u for u in range(9) for _ in range(6)], "item": [*range(6)] * 9}
    pl.DataFrame(other).write_csv(tmp_path / "other.csv")
    words = ["report", str(desk / "model"), "--data", str(tmp_path / "other.csv"), *out]
    assert run(words) == 2
    assert "the model knows none of the 6 items of these data" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_other_people_are_a_warning_there_and_on_the_page(desk, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert run(report(desk, "--out", out, "--split-seed", "1", "--no-baselines")) == 0
    assert "warning: the training users of this split are not those" in capsys.readouterr().err
    assert "beware: the model was trained on other people" in out.read_text(encoding="utf-8")


def test_without_the_extra_nothing_is_begun(desk, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pages, "find_spec", lambda name: None)
    assert run(report(desk, "--out", tmp_path / "page.html")) == 2
    assert "run: pip install 'macrid[viz]'" in capsys.readouterr().err


def test_the_models_folder_stays_as_it_was(desk, tmp_path):
    before = {path.name: path.read_bytes() for path in (desk / "model").iterdir()}
    words = ["--out", tmp_path / "page.html", "--items", desk / "items.csv", "--no-baselines"]
    assert run(report(desk, *words)) == 0
    assert before == {path.name: path.read_bytes() for path in (desk / "model").iterdir()}
    assert "title" in macrid.load(desk / "model").catalogue.columns
