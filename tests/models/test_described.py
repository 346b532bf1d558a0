"""What a model says of itself and of people, on weights whose meaning is planted."""

import json
import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
import torch

import macrid
import planted
from macrid.control.naming import UNNAMED
from macrid.data.histories import Histories
from macrid.errors import (
    ArtifactError,
    DataError,
    MacridError,
    MacridWarning,
    SettingsError,
    TooLarge,
    UnknownItem,
)
from macrid.models.explained import _leading
from macrid.models.macridvae import MacridVAE

KINDS = ["bag", "lamp", "shoe"]
N_EACH = 40


def sold(*, shuffled=False):
    """Items of three kinds, of growing size within each; their features may be somebody else's."""
    n = 3 * N_EACH
    order = np.random.default_rng(0).permutation(n) if shuffled else np.arange(n)
    size = np.tile(np.linspace(0, 1, N_EACH), 3)
    ids = [f"{kind}-{i:02d}" for kind in KINDS for i in range(N_EACH)]
    return pl.DataFrame(
        {
            "item_id": ids,
            "title": [f"Title of {ids[row]}" for row in order],
            "kind": np.repeat(KINDS, N_EACH)[order],
            "size": size[order],
        }
    )


def model_of(*, shuffled=False, **settings):
    """Concepts that are the kinds, and a dimension 3 that is the size."""
    rng, items = np.random.default_rng(1), sold(shuffled=shuffled)
    events = [
        (user, f"{KINDS[user % 3]}-{i:02d}")
        for user in range(90)
        for i in rng.choice(N_EACH, 8, replace=False)
    ]
    events += [(90 + i, item) for i, item in enumerate(items["item_id"])]  # each at least once
    clicks = pl.DataFrame(events, schema=["user", "item"], orient="row")
    sizes = {"n_concepts": 3, "n_dims": 6, **settings}
    data = macrid.read(clicks, items=items)
    model = MacridVAE(**sizes).fit(data, epochs=1, batch_size=60)
    place = {item: row for row, item in enumerate(items["item_id"])}
    rows = np.array([place[item] for item in model.items.ids])
    vectors = torch.zeros(len(rows), sizes["n_dims"])
    vectors[torch.arange(len(rows)), torch.from_numpy(rows // N_EACH)] = 1
    vectors[:, 3] = torch.from_numpy(np.linspace(-0.5, 0.5, N_EACH)[rows % N_EACH])
    torch.manual_seed(0)
    with torch.no_grad():
        model.network.decoder.items.weight.copy_(vectors)
        model.network.concepts.weight.copy_(torch.eye(*model.network.concepts.weight.shape))
        for weight in model.network.latent.parameters():
            torch.nn.init.normal_(weight, std=0.5)
    return model


@cache
def model():
    """One that tests must leave as it is."""
    return model_of()


def someone():
    return ["bag-03", "bag-17", "lamp-30", "shoe-08"]


# Concepts


def test_concepts_that_are_kinds_are_found_and_named():
    found = model().concepts(top=4)
    assert found.concepts["name"].to_list() == KINDS
    assert found.concepts["n_items"].to_list() == [N_EACH] * 3
    assert found.entropy == pytest.approx(1)
    assert found.largest_share == pytest.approx(1 / 3)
    assert found.assignments["concept"].to_list() == model().item_concepts().tolist()
    for k, kind in enumerate(KINDS):
        assert all(item.startswith(kind) for item in found.concepts["typical"][k])
        assert len(found.concepts["typical"][k]) == 4


def test_the_dimension_that_is_the_size_is_named_after_it_and_no_other():
    table = model().concepts().dimensions
    named = table.filter(pl.col("low") != UNNAMED).select("concept", "dimension", "low", "high")
    assert named.rows() == [(k, 3, "low size", "high size") for k in range(3)]
    of_size = table.filter(dimension=3)
    assert of_size["strength"].to_list() == pytest.approx([1, 1, 1])
    assert of_size["low_items"][0][0] == "bag-00"
    assert of_size["high_items"][2][0] == "shoe-39"


def test_shuffled_features_name_nothing():
    found = model_of(shuffled=True).concepts()
    assert set(found.concepts["name"]) == {UNNAMED}
    assert set(found.dimensions["low"]) == {UNNAMED}
    assert found.dimensions["feature"].null_count() == 0


def test_a_model_without_features_has_concepts_without_names():
    clicks = pl.DataFrame({"user": [0, 0, 1, 1], "item": ["a", "b", "b", "c"]})
    plain = MacridVAE(n_concepts=2, n_dims=4).fit(macrid.read(clicks), epochs=1)
    found = plain.concepts()
    assert set(found.concepts["name"]) == {UNNAMED}
    assert found.dimensions["feature"].null_count() == 8
    assert "title" not in found.typical.columns


def test_a_concept_without_items_is_said_to_have_none():
    collapsed = model_of(n_concepts=4)
    with torch.no_grad():
        collapsed.network.concepts.weight[3] = torch.tensor([0, 0, 0, 0, 0, 1.0])
    row = collapsed.concepts().concepts.row(3, named=True)
    assert (row["n_items"], row["name"], row["typical"], row["confidence"]) == (0, UNNAMED, [], 0)


@pytest.mark.parametrize("settings", [{"similarity": "inner"}, {"assignment": "mode"}])
def test_other_settings_have_concepts_and_reasons_too(settings):
    other = model_of(**settings)
    assert other.concepts().concepts["name"].to_list() == KINDS
    why = other.explain(someone(), ["bag-04", "shoe-20"])
    sums = why.concepts.group_by("item_id", maintain_order=True).agg(pl.col("part").sum())
    np.testing.assert_allclose(sums["part"], why.items["score"])
    assert why.concepts["part"].is_finite().all()


def test_no_items_asked_for_is_refused():
    with pytest.raises(ValueError, match="top is 0; list 1 item"):
        model().concepts(top=0)


def test_a_model_that_is_not_fitted_says_so():
    for ask in (
        MacridVAE().concepts,
        lambda: MacridVAE().encode({}),
        lambda: MacridVAE().name_concept(0, "bags"),
        lambda: MacridVAE().explain(["a"], "b"),
    ):
        with pytest.raises(MacridError, match="is not fitted"):
            ask()


# Names by hand


def test_names_survive_saving_and_loading_and_leave_the_rest_alone(tmp_path):
    named = model_of()
    named.save(tmp_path / "plain")
    assert not (tmp_path / "plain" / "names.json").exists()
    named.name_concept(2, "footwear")
    named.name_dimension(2, 3, "small", "large")
    named.save(tmp_path / "named")
    again = macrid.load(tmp_path / "named")
    assert again.names == named.names
    assert again.concepts().concepts["name"].to_list() == ["bag", "lamp", "footwear"]
    ends = (
        again.concepts().dimensions.filter(concept=2, dimension=3).select("low", "high", "feature")
    )
    assert ends.rows() == [("small", "large", "size")]
    assert macrid.load(tmp_path / "plain").concepts().concepts["name"].to_list() == KINDS


def test_names_taken_away_are_drawn_again():
    named = model_of()
    named.name_concept(2, "footwear")
    named.name_dimension(2, 3, "small", "large")
    named.name_concept(2, None)
    named.name_dimension(2, 3, None, None)
    assert named.concepts().concepts["name"].to_list() == KINDS
    with pytest.raises(SettingsError, match="dimensions is"):
        named.name_dimension(2, 3, "small", None)


def test_a_model_without_names_saved_over_one_with_names_has_none(tmp_path):
    named = model_of()
    named.name_concept(0, "sacks")
    named.save(tmp_path)
    model().save(tmp_path)
    assert macrid.load(tmp_path).names.concepts == {}


def test_a_save_that_was_killed_may_be_saved_over_names_and_all(tmp_path):
    named = model_of()
    named.name_concept(0, "sacks")
    named.save(tmp_path)
    (tmp_path / "config.json").unlink()
    named.save(tmp_path)
    assert macrid.load(tmp_path).names.concepts == {0: "sacks"}


@pytest.mark.parametrize("content", ["[]", '{"concepts": {"3": "x"}}', '{"names": 1}', "{"])
def test_names_that_are_not_the_models_are_damage(tmp_path, content):
    model().save(tmp_path)
    (tmp_path / "names.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"is damaged: names\.json"):
        macrid.load(tmp_path)


def test_names_are_refused_for_what_is_not_there():
    with pytest.raises(SettingsError, match="no concept 3; the model's 3 are numbered 0 to 2"):
        model().name_concept(3, "x")
    with pytest.raises(SettingsError, match="no concept -1"):
        model().name_dimension(-1, 0, "x", "y")
    with pytest.raises(SettingsError, match="no dimension 6; the model's 6"):
        model().name_dimension(0, 6, "x", "y")


def test_names_are_gone_when_a_model_is_fitted_anew():
    named = model_of()
    named.concepts()
    named.name_concept(0, "sacks")
    named.fit(planted.split().train, epochs=1)
    assert named.names.concepts == {}
    assert set(named.concepts().assignments["item_id"]) == set(named.items.ids)


# People


def test_people_are_what_the_network_reads():
    people = {"a": someone(), "b": ["lamp-01"], "c": [f"shoe-{i:02d}" for i in range(30)]}
    found = model().encode(people)
    rows = [model().items.numbers(items).tolist() for items in people.values()]
    z = model().network.latent(Histories.from_lists(rows), model().network.concepts()).z
    np.testing.assert_allclose(found.mean, z.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.mean, axis=2), 1, rtol=1e-5)
    assert found.users.to_list() == ["a", "b", "c"]


def test_the_log_variance_is_the_posteriors_own():
    said = model().network.latent.encoder(
        Histories.from_lists([[0, 1]]), model().network.concepts()
    )
    ids = model().items.ids[:2].to_list()
    scale = np.log(model().settings.prior_std ** 2)
    expected = said.log_var.detach().numpy() + scale
    np.testing.assert_allclose(model().encode({"me": ids}).log_var, expected, rtol=1e-5)


def test_confidence_is_how_much_of_a_history_each_concept_has():
    found = model().encode({"bags": ["bag-01", "bag-02"], "both": ["bag-20", "lamp-20"]})
    weights = model().network.concepts().exp().detach()
    rows = torch.from_numpy(model().items.numbers(["bag-20", "lamp-20"]))
    np.testing.assert_allclose(found.confidence[1], weights[rows].mean(0), rtol=1e-5)
    assert found.confidence[0, 0] > 0.9
    np.testing.assert_allclose(found.confidence.sum(1), 1, rtol=1e-6)


def test_people_in_blocks_are_people_one_by_one(monkeypatch):
    people = {str(n): someone()[n % 4 :] for n in range(7)}
    whole = model().encode(people)
    monkeypatch.setattr("macrid.models.described.BATCH_SIZE", 3)
    blocks = model().encode(people)
    np.testing.assert_allclose(whole.mean, blocks.mean, atol=1e-6)
    np.testing.assert_allclose(whole.confidence, blocks.confidence, atol=1e-6)


def test_people_become_a_frame_of_a_row_per_concept():
    frame = model().encode({"a": someone(), "b": ["lamp-01"]}).to_frame()
    assert frame["user_id"].to_list() == ["a"] * 3 + ["b"] * 3
    assert frame["concept"].to_list() == [0, 1, 2] * 2
    assert frame["mean"].dtype == frame["log_var"].dtype == pl.Array(pl.Float32, 6)
    nobody = model().encode({}).to_frame()
    assert nobody.schema == {**frame.schema, "user_id": nobody.schema["user_id"]}
    assert len(nobody) == 0


def test_somebody_without_a_known_item_is_warned_of_and_has_no_confidence():
    with pytest.warns(MacridWarning) as told:
        found = model().encode({"nobody": ["car"]})
    assert "1 of 1 events" in str(told[0].message)
    assert (
        "1 of 1 people have no item that the model knows; what is said of them means nothing"
        in str(told[1].message)
    )
    assert found.confidence.tolist() == [[0, 0, 0]]
    assert np.isfinite(found.mean).all()
    with pytest.raises(UnknownItem, match="'car' is not in the model's 120 items"):
        model().encode({"nobody": ["car"]}, on_unknown="raise")


def test_more_people_than_memory_are_refused(monkeypatch):
    fitted = model()  # its training needs more than that
    monkeypatch.setattr("macrid.training.memory.available_bytes", lambda: 100)
    with pytest.raises(TooLarge, match=r"what is known of 1 people .* encode fewer at a time"):
        fitted.encode({"me": someone()})


# Reasons


def test_shares_sum_and_the_score_is_the_lists_own():
    listed = model().recommend({"me": someone()}, k=5)
    why = model().explain(someone(), listed["item_id"])
    np.testing.assert_allclose(why.items["score"], listed["score"], rtol=1e-5)
    sums = why.concepts.group_by("item_id", maintain_order=True).agg(pl.col("share", "part").sum())
    np.testing.assert_allclose(sums["share"], 1)
    np.testing.assert_allclose(sums["part"], why.items["score"])
    cosines = why.dimensions.group_by("item_id", "concept", maintain_order=True).agg(
        pl.col("product").sum()
    )
    both = why.concepts.join(cosines, on=["item_id", "concept"])
    np.testing.assert_allclose(both["product"], both["cosine"], atol=1e-12)
    assert len(both) == 15


def test_what_counts_most_comes_first():
    why = model().explain(someone(), ["bag-04", "shoe-20"])
    for item in ("bag-04", "shoe-20"):
        shares = why.concepts.filter(item_id=item)
        assert shares["share"].is_sorted(descending=True)
        dimensions = why.dimensions.filter(item_id=item).join(
            shares, on="concept", maintain_order="left"
        )
        counts = dimensions["share"] * dimensions["product"].abs()
        assert counts.is_sorted(descending=True)
        assert why.history.filter(item_id=item)["change"].is_sorted(descending=True)
    assert why.concepts.filter(item_id="shoe-20")["name"][0] == "shoe"


def test_scores_in_blocks_of_people_are_scores(monkeypatch):
    history = planted.newcomers()["new1-3"]
    whole = planted.fitted("ease").explain(history, ["1-07", "0-07"])
    monkeypatch.setattr("macrid.models.explained._SCORES", 150)
    blocks = planted.fitted("ease").explain(history, ["1-07", "0-07"])
    np.testing.assert_allclose(blocks.items["score"], whole.items["score"], rtol=1e-5)
    changes = [why.history.sort("item_id", "past_item_id")["change"] for why in (blocks, whole)]
    np.testing.assert_allclose(*changes, atol=1e-6)


def test_models_without_concepts_have_past_items_alone():
    why = planted.fitted("ease").explain(planted.newcomers()["new1-3"], "1-07")
    assert why.concepts is None
    assert why.dimensions is None
    assert why.to_dict()["concepts"] is None
    assert str(why).startswith("Title of 1-07 is carried by Title of 1-")


def test_a_sentence_names_the_end_at_which_person_and_item_are():
    """Of the dimension that adds most; what takes away is not told of, however much it is."""
    why = model().explain(someone(), "shoe-20")
    first = why.dimensions.row(0, named=True)
    rows = [
        {**first, "low": "pale", "high": "dark", "item": 0.9, "product": -0.8},
        {**first, "low": "small", "high": "large", "item": -0.5, "product": 0.3},
        {**first, "low": "flat", "high": "high", "item": 0.4, "product": 0.2},
    ]
    for told, ends in ((rows, ("small", "large")), (rows[2:], ("high", "flat")), (rows[:1], None)):
        found = replace(why, dimensions=pl.DataFrame(told))
        assert _leading(found, "shoe-20", model().naming())[1] == ends


def test_a_sentence_speaks_in_titles_and_names():
    (sentence,) = str(model().explain(someone(), "shoe-20")).splitlines()
    assert sentence.startswith("Title of shoe-20 scores as shoe (")
    assert "Title of" in sentence.split(". ")[1]


def test_the_document_is_json():
    document = model().explain(someone(), ["bag-04", "bag-05"]).to_dict(dimensions=2)
    assert len(document["dimensions"]) == 4
    assert len(json.loads(json.dumps(document, allow_nan=False))["history"]) == 8


def test_a_history_may_have_a_name_but_is_of_one_person():
    named = model().explain({"me": someone()}, "bag-04")
    assert named.history.equals(model().explain(someone(), "bag-04").history)
    with pytest.raises(DataError, match="the history is of 2 people; explain one at a time"):
        model().explain({"me": someone(), "you": ["bag-01"]}, "bag-04")


def test_an_item_asked_for_twice_is_explained_once_and_none_is_nothing():
    assert len(model().explain(someone(), ["bag-04", "bag-04"]).items) == 1
    nothing = model().explain(someone(), [])
    assert (len(nothing.items), len(nothing.history), str(nothing)) == (0, 0, "")


def test_an_item_had_twice_counts_once_and_a_lone_one_is_all():
    twice = model().explain(["bag-03", "bag-03"], "bag-04")
    assert len(twice.history) == 1
    assert np.isfinite(twice.history["change"][0])


def test_what_cannot_be_explained_is_refused_in_words():
    with pytest.raises(UnknownItem, match="'car' is not in the model's 120 items"):
        model().explain(someone(), "car")
    with pytest.raises(DataError, match="the history holds no item that the model knows"):
        model().explain([], "bag-01")
    with (
        pytest.warns(MacridWarning, match="1 of 1 events"),
        pytest.raises(DataError, match="the history holds no item that the model knows"),
    ):
        model().explain(["car"], "bag-01")
    with pytest.raises(ValueError, match="'bag-01' is one id where a list is expected"):
        model().explain("bag-01", "bag-02")


def test_unknown_items_of_a_history_are_left_out_or_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        some = model().explain([*someone(), "car"], "bag-04", on_unknown="ignore")
    assert some.history.equals(model().explain(someone(), "bag-04").history)
    with pytest.raises(UnknownItem, match="'car'"):
        model().explain([*someone(), "car"], "bag-04", on_unknown="raise")
