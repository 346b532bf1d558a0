"""What a report says of a model: the right numbers, for every model."""

import numpy as np
import polars as pl
import pytest

import macrid
from macrid.errors import DataError, SettingsError
from macrid.evaluation.alignment import align
from macrid.evaluation.disentanglement import item_uncorrelatedness
from macrid.evaluation.protocol import evaluate
from macrid.report import projection
from macrid.report.findings import correlate, describe_items, find, label_of, measure, read_log
from planted import fitted, groups, split

# One worker, as what is shared takes seconds.
pytestmark = pytest.mark.xdist_group("findings")
pytest.importorskip("openTSNE")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A map that need not be beautiful."""
    monkeypatch.setattr(projection, "_EARLY", 5)
    monkeypatch.setattr(projection, "_LATE", 5)


def copied(name, tmp_path):
    """A model that a test may change."""
    fitted(name).save(tmp_path / "model")
    return macrid.load(tmp_path / "model")


class TestAllModels:
    def test_with_concepts_all_is_found(self, tmp_path):
        told, model = [], copied("macridvae", tmp_path)
        group = model.catalogue.select("item_id", group=pl.col("item_id").str.head(1))
        describe_items(model, group)
        found = find(model, split(), label="group", tell=told.append)
        assert found.concepts is not None
        assert found.alignment is not None
        kinds = model.items.ids.str.head(1)
        assert found.alignment == align(model.item_concepts(), kinds)
        assert found.atlas is not None
        assert len(found.atlas.items) == 50
        assert found.people is not None
        assert len(found.people.users) == split().train.n_users
        assert len(found.atlas.users) == 2 * split().train.n_users
        assert found.correlations[0].uncorrelatedness == pytest.approx(
            item_uncorrelatedness(fitted("macridvae")).value
        )
        assert {one.of for one in found.correlations[1:]} == {
            f"people, concept {k}" for k in (0, 1)
        }
        document = found.to_dict()
        assert set(document["accuracy"]) == {"macridvae", "popularity", "ease"}
        assert document["map"] == {"items": 50, "components": 2 * split().train.n_users}
        assert document["label"]["column"] == "group"
        assert len(told) == 4

    def test_without_concepts_there_is_a_map_of_items(self):
        found = find(fitted("multvae"), split(), baselines=False)
        assert found.concepts is found.people is None
        assert not found.strips
        assert found.atlas is not None
        assert len(found.atlas.users) == 0
        assert [one.of for one in found.correlations] == ["items"]
        assert set(found.to_dict()["accuracy"]) == {"multvae"}

    @pytest.mark.parametrize("name", ["ease", "popularity"])
    def test_without_vectors_there_is_accuracy(self, name):
        found = find(fitted(name), split())
        assert found.atlas is None
        assert not found.correlations
        assert found.to_dict()["accuracy"][name]["ndcg@100"]["n"] == 20

    def test_other_data_are_refused(self):
        log = {"user": [u for u in range(9) for _ in range(6)], "item": [*range(6)] * 9}
        with pytest.raises(DataError, match="knows none of the 6 items of these data"):
            find(fitted("ease"), macrid.hold_out_users(macrid.read(log), 2))


class TestAccuracy:
    metrics = ("recall@5",)

    def test_it_is_measured_where_training_did_not(self):
        found = measure(fitted("ease"), split(), self.metrics, baselines=False)
        expected = evaluate(fitted("ease"), split().test, metrics=self.metrics).to_dict()
        assert found.models == {"ease": expected}
        assert found.people[-1] == "measured for this report"
        assert found.people[0].startswith("20 test users, of whom the model had seen nothing")

    def test_what_training_measured_is_repeated(self, tmp_path):
        model = copied("ease", tmp_path)
        kept = {"recall@5": {"mean": 0.5, "se": 0.1, "n": 20}}
        model.metrics = {"test": kept, "baselines": {"popularity": kept}}
        found = measure(model, split(), self.metrics, baselines=True)
        assert found.models == {"ease": kept, "popularity": kept}
        assert found.people[-1] == "measured when it was trained"
        model.training |= {"refit": True, "data": "of everyone"}
        found = measure(model, split(), self.metrics, baselines=True)
        assert found.people[-1] == "before it was trained once more, on everyone"
        other = measure(model, split(), ("recall@7",), baselines=False)
        assert other.models["ease"] != kept

    def test_other_people_are_a_warning(self, tmp_path):
        model = copied("ease", tmp_path)
        model.training["data"] = "other"
        model.metrics = {"test": {"recall@5": {"mean": 0.5, "se": 0.1, "n": 20}}}
        found = measure(model, split(), self.metrics, baselines=False)
        assert found.models["ease"]["recall@5"]["mean"] != 0.5
        assert any("beware: the model was trained on other people" in line for line in found.people)


class TestLabels:
    table = pl.DataFrame(
        {
            "item_id": range(40),
            "train_events": [1] * 40,
            "kind": ["hat", None] * 20,
            "hue": ["red", "blue"] * 20,
            "tags": [["new", "old"], [], ["old"], None] * 10,
            "shelf": [1, 2] * 20,
            "price": [float(i) for i in range(40)],
        }
    )

    def test_a_label_is_text(self):
        assert label_of(self.table, "hue").to_list()[:2] == ["red", "blue"]
        assert label_of(self.table, "tags").to_list()[:4] == ["new", None, "old", None]
        assert label_of(self.table, "shelf").to_list()[:2] == ["1", "2"]

    @pytest.mark.parametrize(
        ("column", "sentence"),
        [
            ("hues", "no column 'hues'; did you mean 'hue'"),
            ("train_events", "no column 'train_events'"),
            ("price", "'price' has 40 different values of type Float64; a label is"),
            ("kind", "'kind' has 1 different values"),
        ],
    )
    def test_what_tells_no_kinds_is_refused(self, column, sentence):
        with pytest.raises(SettingsError, match=sentence):
            label_of(self.table, column)


class TestItems:
    def test_a_table_tells_of_items(self, tmp_path):
        model = copied("ease", tmp_path)
        features = pl.DataFrame({"item_id": ["1-03", "else"], "colour": ["red", "blue"]})
        describe_items(model, features, replace_known=False)
        assert "title" in model.catalogue.columns
        describe_items(model, features)
        assert model.catalogue.columns == ["item_id", "train_events", "colour"]
        assert model.catalogue["item_id"].equals(model.items.ids)
        assert model.catalogue.filter(pl.col("colour") == "red")["item_id"].to_list() == ["1-03"]

    def test_a_model_that_is_not_fitted_has_none(self):
        with pytest.raises(DataError, match="not fitted"):
            describe_items(macrid.EASE(), None)

    def test_a_split_that_knows_more_tells_the_model(self, tmp_path):
        bare = macrid.hold_out_users(macrid.read(groups().to_frame()), n_users=20)
        model = macrid.EASE(regularization=10.0).fit(bare.train)
        assert find(model, split(), baselines=False).titles[0].startswith("Title of ")


def test_a_log_is_read_where_there_is_one(tmp_path):
    assert read_log(None) is read_log(tmp_path) is None
    (tmp_path / "log.csv").write_text("epoch,loss\n1,2.5\n")
    log = read_log(tmp_path)
    assert log is not None
    assert log.rows() == [(1, 2.5)]
    for damaged in ("", "epoch,loss\n", "a,b\n1,2\n"):
        (tmp_path / "log.csv").write_text(damaged)
        assert read_log(tmp_path) is None


def test_correlations_are_pearsons_and_constant_dimensions_have_none():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 4))
    vectors[:, 1] += vectors[:, 0]
    vectors[:, 3] = 2.0
    found = correlate("x", vectors)
    expected = np.corrcoef(vectors[:, :3].T)
    np.fill_diagonal(expected, np.nan)
    np.testing.assert_allclose(found.matrix[:3, :3], expected, atol=1e-12)
    assert np.isnan(found.matrix[3]).all()
    assert found.uncorrelatedness == pytest.approx(1 - np.nanmean(np.abs(expected)))
    assert correlate("x", vectors[:, 3:]).uncorrelatedness is None
    wide = correlate("x", rng.normal(size=(20, 130)) * np.linspace(1, 2, 130))
    assert len(wide.dims) == 100
    assert wide.dims == sorted(wide.dims)
