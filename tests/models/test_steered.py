"""Walks, dials and controlled lists of a model whose answers were planted."""

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
import torch

import macrid
from macrid.control.controls import Controls
from macrid.control.rerank import compare_lists
from macrid.data.histories import Histories
from macrid.errors import ControlError, SettingsError, UnknownItem
from planted import fitted
from steerable import HUE, N_DIMS, PRICE, steerable, vectors_of

SHIFTS = np.linspace(-1, 1, 9).tolist()


@cache
def model():
    return steerable()


@cache
def catalogue():
    return model().catalogue.with_columns(
        concept=pl.col("item_id").str.head(1).cast(pl.Int64),
        **{"true": pl.Series(vectors_of(model())[:, PRICE])},
    )


def people(n=20, concepts=(0, 1, 2), seed=0):
    """Histories with items of some concepts."""
    random = np.random.default_rng(seed)
    return {
        f"p{p}": [f"{k}-{i:02d}" for k in concepts for i in random.choice(40, 3, replace=False)]
        for p in range(n)
    }


def dial(shift=None, concept=0, value=None, **which):
    which = which or {"dimension": PRICE}
    return {"dials": [{"concept": concept, "shift": shift, "value": value, **which}]}


def listed(controls, k=20, **wishes):
    return (
        model().recommend(people(), k, controls=controls, **wishes).join(catalogue(), on="item_id")
    )


class TestLists:
    def test_empty_controls_change_nothing_to_the_bit(self):
        plain = model().recommend(people(), 20)
        assert plain.equals(model().recommend(people(), 20, controls={}))
        rows = [model().items.numbers(items).tolist() for items in people().values()]
        histories = Histories.from_lists(rows)
        network, steered = model().network.ranker(), model().ranker()
        assert type(network) is not type(steered)
        assert network.top(histories, 20).score.equal(steered.top(histories, 20).score)

    def test_shifts_of_zero_and_weights_of_one_change_nothing_to_the_bit(self):
        plain = model().recommend(people(), 20)
        for controls in (
            dial(0),
            dial(0, feature="price"),
            {"concepts": {0: 1, 2: 1}},
            {"diversity": 0, "popularity": 0},
        ):
            assert plain.equals(model().recommend(people(), 20, controls=controls))

    @pytest.mark.parametrize("settings", [{}, {"assignment": "mode"}, {"similarity": "inner"}])
    def test_a_muted_concept_leaves_none_of_its_items(self, settings):
        mine = steerable(**settings)
        lists = mine.recommend(
            {**people(), "nobody": []}, 99, controls={"concepts": {1: 0}}, on_unknown="ignore"
        )
        assert not lists["item_id"].str.starts_with("1-").any()
        assert lists["item_id"].str.starts_with("0-").any()
        assert lists["score"].is_finite().all()

    def test_the_more_a_concept_weighs_the_more_of_its_items_there_are(self):
        counts = [
            (listed({"concepts": {"bags": weight}})["concept"] == 0).sum()
            for weight in (0, 0.01, 0.3, 1, 3, 100)
        ]
        assert counts == sorted(counts)
        assert counts[0] == 0
        assert counts[-1] > counts[3]

    def test_a_weight_multiplies_chances(self):
        def scores(controls):
            found = model().recommend(people(1), 999, controls=controls).sort("item_id")
            return found["score"].to_numpy()

        vectors, network = torch.from_numpy(vectors_of(model())), model().network
        rows = model().items.numbers(next(iter(people(1).values())))
        weights = torch.tensor([2.0, 1.0, 1.0])
        log_weights = network.concepts().detach()
        z = network.latent(Histories.from_lists([rows.tolist()]), log_weights).z.detach()
        logits = ((z / 0.1 @ vectors.T).squeeze(0).T + log_weights + weights.log()).logsumexp(1)
        mine = np.delete(logits.numpy(), rows)
        ids = np.delete(np.array(model().items.ids.to_list()), rows)
        assert np.allclose(scores({"concepts": {0: 2}}), mine[np.argsort(ids)], atol=1e-5)

    @pytest.mark.parametrize("which", [{"dimension": PRICE}, {"feature": "price"}])
    def test_the_mean_value_of_the_best_items_rises_with_the_shift(self, which):
        muted = {"concepts": {1: 0, 2: 0}}
        direction = model().dial(0, **which).direction
        values = pl.Series("value", vectors_of(model()) @ direction)
        means = []
        for shift in SHIFTS:
            lists = listed(dial(shift, **which) | muted, 10)
            lists = lists.join(model().catalogue.select("item_id", values), on="item_id")
            means.append(
                lists.group_by("user_id", maintain_order=True).agg(pl.mean("value"))["value"]
            )
        steps = np.diff(np.stack(means), axis=0)
        assert (steps >= -1e-3).all()
        assert (np.stack(means)[-1] - np.stack(means)[0] > 0.1).all()

    def test_turning_a_dial_brings_the_feature_and_leaves_other_concepts_in_their_order(self):
        up, down = (listed(dial(shift, feature="price"), 60) for shift in (1, -1))
        price = [
            lists.filter(concept=0).group_by("user_id").head(10)["price"].mean()
            for lists in (down, up)
        ]
        assert price[1] - price[0] > 0.3
        others = [lists.filter(concept=1).select("user_id", "item_id") for lists in (down, up)]
        plain = listed({}, 60).filter(concept=1).select("user_id", "item_id")
        for mine in others:
            both = plain.join(mine, on=["user_id", "item_id"], maintain_order="left")
            again = mine.join(plain, on=["user_id", "item_id"], maintain_order="left")
            assert both.equals(again)

    def test_a_term_is_a_dial_too(self):
        up, down = (listed(dial(shift, feature="red"), 60) for shift in (1, -1))
        share = [
            (lists.filter(concept=0).group_by("user_id").head(10)["hue"] == "Red").mean()
            for lists in (down, up)
        ]
        assert share[1] - share[0] > 0.2

    def test_boosts_multiply_chances_and_blocks_ban(self):
        plain = model().recommend(people(), 999)
        lists = model().recommend(people(), 999, controls={"boost": {"1-05": 4}, "block": ["1-06"]})
        assert "1-06" not in lists["item_id"]
        both = plain.join(lists, on=["user_id", "item_id"])
        gained = both["score_right"] - both["score"]
        boosted = both["item_id"] == "1-05"
        assert np.allclose(gained.filter(boosted), np.log(4), atol=1e-5)
        assert np.allclose(gained.filter(~boosted), 0, atol=1e-6)

    def test_popular_items_lose_by_the_exponent(self):
        plain = model().recommend(people(), 999)
        lists = model().recommend(people(), 999, controls={"popularity": 0.5})
        both = plain.join(lists, on=["user_id", "item_id"]).join(catalogue(), on="item_id")
        loss = both["score"] - both["score_right"]
        assert np.allclose(loss, 0.5 * np.log(both["train_events"] + 1.0), atol=1e-5)

    def test_lists_of_changed_chances_are_exact(self):
        wild = {"boost": {"1-05": 1e6, "2-01": 1e-20}, "popularity": 4.0, "concepts": {0: 1e-4}}
        whole = model().recommend(people(), 999, controls=wild)
        assert (whole.group_by("user_id").len()["len"] == 111).all()
        for precision in ("32", "bf16"):
            lists = model().recommend(people(), 10, controls=wild, precision=precision)
            best = whole.filter(pl.col("rank") <= 10)
            assert lists.equals(best)

    def test_varied_lists_are_less_alike(self):
        def alike(diversity):
            lists = model().recommend(people(), 10, controls={"diversity": diversity})
            rows = model().items.numbers(lists["item_id"]).reshape(-1, 10)
            chosen = vectors_of(model())[rows]
            return float((chosen @ chosen.swapaxes(1, 2)).mean())

        found = [alike(diversity) for diversity in (0, 0.3, 0.6, 1)]
        assert found == sorted(found, reverse=True)
        assert found[0] - found[-1] > 0.1

    def test_lists_have_no_item_twice_none_seen_and_ranks_from_one(self):
        controls = {"diversity": 0.5, "popularity": 1, "concepts": {0: 0.5}, **dial(0.7)}
        lists = model().recommend(people(), 15, controls=controls)
        assert not lists.select("user_id", "item_id").is_duplicated().any()
        assert lists["rank"].to_list() == list(range(1, 16)) * 20
        for user, items in people().items():
            assert not set(items) & set(lists.filter(user_id=user)["item_id"])

    def test_parts_and_frames_are_the_same_lists(self, tmp_path):
        controls = Controls.of(dial(1) | {"diversity": 0.2})
        whole = model().recommend(people(), 5, controls=controls)
        parts = model().recommend_parts(people(), 5, part_size=7, controls=controls)
        assert pl.concat(list(parts)).equals(whole)
        parts.write(tmp_path / "lists")
        assert pl.read_parquet(tmp_path / "lists").equals(whole)

    def test_other_controls_are_other_lists_to_go_on_from(self):
        one, other = (
            model().recommend_parts(people(), 5, controls=controls)._identity()
            for controls in ({}, {"diversity": 0.1})
        )
        assert one != other

    def test_an_index_follows_too(self):
        pytest.importorskip("faiss")
        controls = dial(1) | {"concepts": {1: 0}}
        exact = model().recommend(people(), 5, controls=controls)
        found = model().recommend(people(), 5, controls=controls, ann=True)
        assert len(exact.join(found, on=["user_id", "item_id"])) > 0.95 * len(exact)

    @pytest.mark.parametrize(
        ("controls", "words"),
        [
            ({"concepts": {"hats": 2}}, "there is no concept 'hats'; .*known: bags"),
            ({"concepts": {7: 2}}, "there is no concept 7; the model's 3 are numbered 0 to 2"),
            ({"concepts": {0: 0, 1: 0, 2: 0}}, "all concepts are weighed at 0"),
            (dial(1, dimension=8), "there is no dimension 8; the model's 8 are numbered 0 to 7"),
            (
                dial(1, dimension="huge"),
                "no dimension of bags has an end 'huge', and no item .*known: ",
            ),
            (dial(1, feature="prise"), "no feature 'prise'; did you mean 'price'"),
            (dial(1, feature="luck"), r"'luck' is no dial of bags: .* and 0\.50 is the least"),
            (dial(1, feature="lamps"), "'lamps' is no dial of bags: 0 of the concept's 40"),
            ({"diversity": 3}, "diversity is 3"),
        ],
    )
    def test_what_cannot_be_followed_is_refused_in_words(self, controls, words):
        with pytest.raises((ControlError, SettingsError), match=words):
            model().recommend(people(), controls=controls)

    def test_unknown_items_are_refused(self):
        for controls in ({"boost": {"zz": 2}}, {"block": ["zz"]}):
            with pytest.raises(UnknownItem, match="'zz' is not in the model's 120 items"):
                model().recommend(people(), controls=controls)

    def test_a_concept_without_items_has_no_dials(self):
        mine = steerable()
        with torch.no_grad():
            mine.network.concepts.weight[2].neg_()
        with pytest.raises(ControlError, match="concept 2 has no items, and so no dials"):
            mine.recommend(people(), controls=dial(1, concept=2))
        with pytest.raises(ControlError, match="concept 2 has no other item to walk to"):
            mine.walk("0-00", 2, PRICE)


@pytest.mark.parametrize(
    ("name", "follows"),
    [("multvae", ("boost", "diversity", "popularity")), ("ease", ()), ("popularity", ())],
)
def test_models_without_concepts_follow_what_needs_none(name, follows):
    other, who = fitted(name), {"me": ["0-00", "0-01", "1-03"]}
    asked = {"boost": {"0-07": 1e5}, "diversity": 0.3, "popularity": 0.5}
    plain = other.recommend(who)
    blocked = other.recommend(who, controls={"block": ["0-02"]})
    assert (
        blocked["item_id"].to_list() == other.recommend(who, exclude=["0-02"])["item_id"].to_list()
    )
    for control, value in asked.items():
        if control in follows:
            assert not other.recommend(who, controls={control: value}).equals(plain)
        else:
            with pytest.raises(
                ControlError, match=f"{name} cannot follow {control}; it follows block"
            ):
                other.recommend(who, controls={control: value})
    with pytest.raises(ControlError, match=f"{name} cannot follow concepts"):
        other.recommend(who, controls={"concepts": {0: 2}})


class TestWalk:
    def test_from_an_item_price_rises_and_all_else_stays(self):
        walk = model().walk("0-03", dimension=PRICE, steps=6)
        frame = walk.frame.join(catalogue(), on="item_id", maintain_order="left")
        assert walk.concept == 0
        assert walk.stable
        assert frame["rank"].to_list() == [1, 2, 3, 4, 5, 6]
        assert (frame["concept"] == 0).all()
        assert "0-03" not in frame["item_id"]
        assert frame["value"].is_sorted()
        assert np.allclose(frame["value"], frame["true"])
        assert ((frame["low"] <= frame["value"]) & (frame["value"] <= frame["high"])).all()
        assert frame["price"].drop_nulls()[-1] - frame["price"].drop_nulls()[0] > 1
        spread = np.ptp(vectors_of(model())[model().items.numbers(frame["item_id"])], axis=0)
        assert spread[PRICE] > 0.5 > spread[HUE]

    def test_from_a_person_in_the_concept_with_most_of_the_history(self):
        history = ["1-01", "1-02", "1-03", "0-05"]
        for start in (history, {"me": history}):
            walk = model().walk(start, dimension=PRICE)
            assert walk.concept == 1
            assert len(walk.items) == 8
        assert model().walk(history, "bags", PRICE).concept == 0
        said = model().encode({"me": history}).mean[0, 1, PRICE]
        assert model().walk(history, dimension=PRICE).start == pytest.approx(float(said))

    def test_along_a_fitted_direction(self):
        walk = model().walk("2-10", feature="price")
        assert walk.dial == "price"
        prices = walk.frame["price"].to_numpy()
        known = prices[np.isfinite(prices)]
        assert known[-1] - known[0] > 0.8
        ranks = np.corrcoef(np.arange(len(known)), known)[0, 1]
        assert ranks > 0.8

    def test_a_document_holds_it_all(self):
        walk = model().walk("0-03", dimension=PRICE)
        told = walk.to_dict()
        assert told["items"] == walk.frame.to_dicts()
        assert len(told["cuts"]) == len(told["items"]) + 1
        assert told["range"] == [told["cuts"][0], told["cuts"][-1]]

    def test_the_range_is_that_in_which_the_prototype_stays_the_nearest(self):
        # Towards the axis of concept 1 a bag becomes a lamp before it is like the last bag.
        mine = steerable()
        with torch.no_grad():
            mine.network.decoder.items.weight[:40, 1] += torch.linspace(-0.9, 0.9, 40)
            mine.network.decoder.items.weight[20] = torch.eye(N_DIMS)[[0, PRICE]].sum(0)
            mine.network.decoder.items.weight[20, 0] = 0.5
        walk = mine.walk("0-20", dimension=1)
        start = mine.network.decoder.items()[20].detach()
        high = walk.steps.cuts[-1]
        for value, nearest in ((high - 1e-3, 0), (high + 1e-3, 1)):
            moved = start.clone()
            moved[1] = value
            assert moved[:3].argmax() == nearest

    @pytest.mark.parametrize(
        ("start", "words"),
        [
            ([], "history is empty, so nothing is known"),
            ({"a": ["0-00"], "b": ["0-01"]}, "one person's history is wanted, not those of 2"),
        ],
    )
    def test_without_a_start_there_is_no_walk(self, start, words):
        with pytest.raises(ControlError, match=words):
            model().walk(start, dimension=PRICE)

    def test_a_feature_that_is_called_like_a_column_is_shown_beside_it(self):
        walk = model().walk("0-03", dimension=PRICE)
        items = walk.items.with_columns(rank=pl.lit("gold"), value=pl.lit(7))
        frame = replace(walk, items=items).frame
        assert frame["rank"].to_list() == [*range(1, len(frame) + 1)]
        assert frame["item_rank"].unique().to_list() == ["gold"]
        assert frame["item_value"].unique().to_list() == [7]

    def test_ids_of_numpy_are_ids(self):
        users, items = np.divmod(np.arange(120), 4)
        events = macrid.read({"user": users, "item": (3 * users + items) % 11})
        mine = macrid.MacridVAE(n_concepts=1, n_dims=4).fit(events, epochs=1)
        assert mine.explain([1, 2], np.int64(3)).items["item_id"].to_list() == [3]
        assert mine.walk(np.int64(3), 0, 1).frame.equals(mine.walk(3, 0, 1).frame)

    def test_unknown_starts_are_refused(self):
        for start in ("zz", ["0-00", "zz"]):
            with pytest.raises(UnknownItem, match="'zz' is not in"):
                model().walk(start, dimension=PRICE)

    def test_either_a_dimension_or_a_feature_is_needed(self):
        with pytest.raises(ControlError, match="either a dimension or a feature"):
            model().walk("0-03")


class TestDials:
    def test_the_fitted_ones_are_those_that_were_planted(self):
        found = model().dials()
        assert set(found["feature"]) == {"price", "red", "blue"}
        assert found["concept"].to_list() == [k for k in range(3) for _ in range(3)]
        assert (found["strength"] >= 0.5).all()
        assert found.filter(feature="price")["r2"].min() > 0.5
        assert model().dials("lamps")["concept"].unique().to_list() == [1]

    def test_a_direction_lies_along_the_planted_axis(self):
        assert model().dial(0, feature="price").direction[PRICE] > 0.9
        assert model().dial(0, feature="Red").direction[HUE] > 0.9

    def test_an_axis_goes_by_its_number_or_by_the_name_of_an_end(self):
        mine = steerable()
        mine.name_dimension(1, PRICE, "cheap", "dear")
        for called in (PRICE, str(PRICE), "dear", "Cheap"):
            assert mine.dial(1, called).dimension == PRICE
        assert mine.aspect("4") == {"dimension": 4}
        assert mine.aspect("price") == {"feature": "price"}
        assert mine.aspect("dear") == {"dimension": "dear"}
        assert len(mine.dial(1, "dear").direction) == N_DIMS

    def test_an_axis_rises_towards_the_end_that_it_is_named_by(self):
        mine = steerable()
        mine.name_dimension(0, PRICE, "cheap", "dear")
        cheap, dear, upwards = (mine.dial(0, called) for called in ("Cheap", "dear", PRICE))
        assert (dear.direction == upwards.direction).all()
        assert (cheap.direction == -upwards.direction).all()
        assert (cheap.name, dear.name) == (f"{PRICE} towards Cheap", f"{PRICE} towards dear")
        turn = {"concept": 0, "shift": 1}
        lists = [
            mine.recommend(people(3), 5, controls={"dials": [turn | dial]})
            for dial in ({"dimension": "cheap"}, {"dimension": PRICE, "shift": -1})
        ]
        assert lists[0].equals(lists[1])

    def test_what_is_no_dial_is_told_with_what_there_is(self):
        words = r"has an end 'prise', and no item such a feature; .*price.*, or 0 to"
        with pytest.raises(ControlError, match=words):
            model().dial(0, "prise")

    def test_a_dial_is_turned_once(self):
        mine = steerable()
        mine.name_dimension(0, PRICE, "cheap", "dear")
        for twice in ((PRICE, "cheap"), ("dear", str(PRICE))):
            turns = [{"concept": 0, "dimension": d, "shift": 0.5} for d in twice]
            with pytest.raises(ControlError, match="2 turns are asked of 1 different dials"):
                mine.recommend(people(1), 5, controls={"dials": turns})
        turns = [{"concept": 0, "feature": f, "value": 0.5} for f in ("Red", "red")]
        with pytest.raises(ControlError, match="turn each once"):
            mine.recommend(people(1), 5, controls={"dials": turns})

    def test_what_chance_could_do_is_no_dial(self, monkeypatch):
        """Of few items, an agreement of one half means nothing."""
        few = steerable(22)
        strength = few.dial(0, feature="price").fit.strength
        monkeypatch.setattr("macrid.models.steered.z_threshold", lambda tried: 0.99 * 22**0.5)
        few.dial(0, dimension=PRICE)
        with pytest.raises(ControlError, match=f"by {strength:.2f} only, and 1.0. is the least"):
            few.dial(0, feature="price")

    @pytest.mark.parametrize("text", ["--1", "+-1", "9" * 5000])
    def test_what_only_looks_like_a_number_is_none(self, text):
        with pytest.raises(ControlError, match="there is no concept"):
            model().dial(text, 0)

    def test_a_tiny_weight_is_none_of_0(self):
        lists = model().recommend(people(1), 120, controls={"concepts": {0: 1e-50}})
        assert len(lists) == 120 - 9
        assert lists["score"].is_finite().all()

    def test_items_of_any_length_are_turned_alike(self):
        """By inner products a list depends on lengths, what a dial is does not."""
        ranges = []
        for scale in (1.0, 0.2):
            mine = steerable(similarity="inner")
            with torch.no_grad():
                mine.network.decoder.items.weight.mul_(scale)
            walk = mine.walk("0-03", 0, PRICE, steps=5)
            ranges.append([walk.start, *walk.steps.cuts[[0, -1]]])
            known = mine.profile(people(1)["p0"])
            assert mine.edit(known, dial(0.5)).points != known.points
        assert ranges[0] == pytest.approx(ranges[1], abs=1e-5)

    def test_a_concept_is_weighed_once(self):
        mine = steerable()
        mine.name_concept(1, "bed lamps")
        with pytest.raises(ControlError, match="weighed twice among 1, bed lamps"):
            mine.recommend(people(1), 5, controls={"concepts": {1: 2, "bed lamps": 0.5}})

    def test_a_model_fitted_anew_has_new_dials(self):
        mine = steerable()
        first = mine.dial(0, feature="price")
        assert mine.dial(0, feature="price") is first
        mine.catalogue = mine.catalogue.clone()
        assert mine.dial(0, feature="price") is not first


def test_what_changed_is_told():
    before = model().recommend(people(2), 5)
    after = model().recommend(people(2), 5, controls={"block": before["item_id"][:1]})
    changes = compare_lists(before, after)
    assert before["item_id"][0] in changes.filter(change="left")["item_id"]
    assert len(changes.filter(change="came")) == len(changes.filter(change="left"))
