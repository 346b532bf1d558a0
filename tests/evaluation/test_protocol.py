"""What `evaluate` measures, beside plain loops, worlds with known answers and published figures."""

import inspect
import math
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import macrid
from macrid.data.interactions import Interactions
from macrid.data.splits import HeldOut, Split
from macrid.data.vocabulary import Vocabulary
from macrid.errors import DataError, MacridError
from macrid.models.ease import EASE
from macrid.models.popularity import Popularity
from planted import fitted, groups, split
from reference.metrics import mean_and_error, ndcg_at, recall_at


def people(shown: dict, hidden: dict, items: list | None = None) -> HeldOut:
    """Held-out users by hand: the same people, what is shown and what is hidden of them."""
    users = Vocabulary(pl.Series(list(shown)))
    catalogue = None if items is None else Vocabulary(pl.Series(items))

    def table(lists: dict) -> Interactions:
        pairs = [(user, item) for user, row in lists.items() for item in row]
        events = pl.DataFrame(pairs, schema=["user_id", "item_id"], orient="row")
        return Interactions.from_events(events, users=users, items=catalogue)

    return HeldOut(table(shown), table(hidden))


def ladder() -> Popularity:
    """Popularity that ranks a, b, c, d, e in this order."""
    log = [(n, item) for n in range(5) for item in "abcde"[: n + 1]]
    return Popularity().fit(macrid.read(pl.DataFrame(log, schema=["user", "item"], orient="row")))


@pytest.fixture(scope="module")
def tied():
    """EASE with small whole numbers as weights, so that many scores tie, and a split for it."""
    parts = macrid.hold_out_users(groups(3, n_users=60, n_items=20), n_users=25)
    model = EASE().fit(parts.train)
    rng = np.random.default_rng(0)
    model.weights = torch.from_numpy(rng.integers(-2, 3, model.weights.shape)).float()
    return model, parts.test


@pytest.mark.parametrize("empty", ["zero", "drop"])
def test_means_errors_and_numbers_of_users_are_those_of_plain_loops(tied, empty):
    model, test = tied
    # Every fourth user is left with nothing held out.
    test = HeldOut(test.fold_in, test.held_out.take_events(test.held_out.rows % 4 > 0))
    lists = [
        [
            table.columns[a:b].tolist()
            for a, b in zip(table.offsets, table.offsets[1:], strict=False)
        ]
        for table in (test.fold_in, test.held_out)
    ]
    scores = model.scores(test.fold_in.histories()).tolist()
    names = ["ndcg@1", "ndcg@7", "ndcg@100", "recall@1", "recall@20", "recall@1000"]
    measured = macrid.evaluate(model, test, metrics=names, without_targets=empty)
    assert list(measured) == names
    for name in names:
        kind, k = name.split("@")
        values = (ndcg_at if kind == "ndcg" else recall_at)(int(k), scores, *lists, empty=empty)
        mean, error = mean_and_error(values)
        assert measured[name].mean == pytest.approx(mean, abs=1e-6)
        assert measured[name].se == pytest.approx(error, abs=1e-6)
        assert measured[name].n == len(values)
        assert measured.users[name].to_list() == pytest.approx(values, abs=1e-6)


def test_the_defaults_are_those_of_the_papers(tied):
    assert list(macrid.evaluate(*tied)) == ["ndcg@100", "recall@20", "recall@50"]


@pytest.mark.parametrize("size", [1, 3, 20, 10_000])
def test_every_batch_size_measures_the_same(tied, size):
    expected = macrid.evaluate(*tied).users
    assert macrid.evaluate(*tied, batch_size=size).users.equals(expected)


@pytest.mark.parametrize("name", ["ease", "macridvae"])
def test_a_model_of_the_planted_world_finds_what_was_hidden(name):
    # 25 items of the group less 10 shown are left, so a list of 20 can hold all that was hidden.
    measured = macrid.evaluate(fitted(name), split().test, metrics=["recall@20"])
    assert measured["recall@20"].mean > 0.95


def test_fold_in_items_are_never_listed():
    shown, hidden = {"u": ["a", "b"]}, {"u": ["c"]}
    measured = macrid.evaluate(ladder(), people(shown, hidden), metrics=["ndcg@1"])
    assert measured["ndcg@1"].mean == 1.0


def test_an_item_both_shown_and_hidden_cannot_be_found():
    both = people({"u": ["a"]}, {"u": ["a", "b"]})
    measured = macrid.evaluate(ladder(), both, metrics=["recall@100"])
    assert measured["recall@100"].mean == 0.5


def test_hidden_items_that_the_model_does_not_know_count_as_missed():
    shown, hidden = {"u": ["a"], "v": ["a"]}, {"u": ["b", "zz"], "v": ["zz"]}
    measured = macrid.evaluate(ladder(), people(shown, hidden), metrics=["recall@100"])
    assert measured.users["recall@100"].to_list() == [0.5, 0.0]


def test_shown_items_that_the_model_does_not_know_are_passed_over():
    shown, hidden = {"u": ["zz", "a"]}, {"u": ["b"]}
    measured = macrid.evaluate(ladder(), people(shown, hidden), metrics=["ndcg@1"])
    assert measured["ndcg@1"].mean == 1.0


def test_the_catalogues_order_does_not_matter():
    shown, hidden = {"u": ["c", "a"]}, {"u": ["b", "e"]}
    backwards = people(shown, hidden, items=list("edcba"))
    there, here = (macrid.evaluate(ladder(), p) for p in (people(shown, hidden), backwards))
    assert there.users.equals(here.users)


def test_users_without_targets_score_0_or_are_left_out():
    shown = {"u": ["a"], "v": ["a"], "w": ["a"]}
    some = people(shown, {"u": ["b"], "w": ["e"]})
    zero = macrid.evaluate(ladder(), some, metrics=["recall@1"])
    assert zero.users.rows() == [("u", 1.0), ("v", 0.0), ("w", 0.0)]
    assert (zero["recall@1"].mean, zero["recall@1"].n) == (pytest.approx(1 / 3), 3)
    # Values 1, 0, 0: the population deviation is sqrt(2) / 3.
    assert zero["recall@1"].se == pytest.approx(math.sqrt(2) / 3 / math.sqrt(3))
    drop = macrid.evaluate(ladder(), some, metrics=["recall@1"], without_targets="drop")
    assert drop.users.rows() == [("u", 1.0), ("w", 0.0)]
    assert (drop["recall@1"].mean, drop["recall@1"].se) == (0.5, pytest.approx(0.5 / math.sqrt(2)))


def test_the_values_of_every_user_stand_in_the_order_of_the_split():
    measured = macrid.evaluate(fitted("popularity"), split().test)
    assert measured.users["user_id"].equals(split().test.fold_in.users.ids)
    assert measured.users.columns == ["user_id", "ndcg@100", "recall@20", "recall@50"]


def test_an_evaluation_is_a_mapping_of_its_metrics():
    measured = macrid.evaluate(ladder(), people({"u": ["a"]}, {"u": ["b"]}), metrics=["ndcg@1"])
    assert len(measured) == 1
    assert "ndcg@1" in measured
    assert "user_id" not in measured
    assert "recall@5" not in measured
    assert measured.get("recall@5") is None
    with pytest.raises(KeyError, match="recall@5"):
        measured["recall@5"]
    assert measured.to_dict() == {"ndcg@1": {"mean": 1.0, "se": 0.0, "n": 1}}
    assert repr(measured) == "ndcg@1  1.0000 ± 0.0000  (n = 1)"


def test_a_metric_named_twice_is_measured_once():
    someone = people({"u": ["a"]}, {"u": ["b"]})
    measured = macrid.evaluate(ladder(), someone, metrics=["ndcg@1", "recall@1", "ndcg@1"])
    assert list(measured) == ["ndcg@1", "recall@1"]


@pytest.mark.parametrize("name", ["map@10", "ndcg", "ndcg@0", "ndcg@-1", "recall@x", "ndcg@²", ""])
def test_an_unknown_metric_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match=r"no metric '.*'; known are ndcg@k and recall@k"):
        macrid.evaluate(ladder(), people({"u": ["a"]}, {"u": ["b"]}), metrics=[name])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"metrics": []}, r"metrics are \[\].* expected are one metric or more"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"without_targets": "nan"}, "without_targets is 'nan'.*'zero' or 'drop'"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(wrong, words):
    unchecked = inspect.unwrap(macrid.evaluate)  # in the tests, types are checked before
    with pytest.raises(ValueError, match=words):
        unchecked(ladder(), people({"u": ["a"]}, {"u": ["b"]}), **wrong)


def test_nobody_to_evaluate_on_is_refused():
    nobody = people({"u": ["a"]}, {"u": ["b"]})
    nobody = HeldOut(*(t.take_users(np.array([], int)) for t in (nobody.fold_in, nobody.held_out)))
    with pytest.raises(DataError, match="no held-out users"):
        macrid.evaluate(ladder(), nobody)


def test_people_of_whom_nothing_is_held_out_are_refused():
    nothing = people({"u": ["a"]}, {"u": ["a"]})
    nothing = HeldOut(nothing.fold_in, nothing.held_out.take_events(np.array([False])))
    for choice in ("drop", "zero"):
        with pytest.raises(DataError, match="of the 1 held-out users nothing is held out"):
            macrid.evaluate(ladder(), nothing, without_targets=choice)


def test_a_model_that_is_not_fitted_is_refused():
    with pytest.raises(MacridError, match="Popularity is not fitted"):
        macrid.evaluate(Popularity(), people({"u": ["a"]}, {"u": ["b"]}))


PUBLISHED = [  # docs: models.md, 10.1b
    ("ml-1m", Popularity(), (0.2147, 0.1649, 0.2385)),
    ("ml-1m", EASE(regularization=500), (0.4207, 0.3574, 0.4788)),
    ("ml-latest-small", Popularity(), (0.1844, 0.1641, 0.2455)),
    ("ml-latest-small", EASE(regularization=100), (0.3344, 0.3272, 0.4491)),
]


@cache
def published(folder: Path) -> Split:
    """A published split, read once."""
    return macrid.read_split(folder)


@pytest.mark.data
@pytest.mark.xdist_group("published figures")
@pytest.mark.parametrize(("name", "model", "expected"), PUBLISHED)
def test_baselines_reach_their_known_figures_on_real_data(data_dir, name, model, expected):
    parts = published(data_dir / name / "pro_sg")
    measured = macrid.evaluate(model.fit(parts.train), parts.test)
    # Equal counts were ranked by chance in the known figures.
    assert [m.mean for m in measured.values()] == pytest.approx(expected, abs=5e-4)


def test_people_whose_events_are_not_hidden_are_refused():
    with pytest.raises(
        DataError, match=r"people is Interactions; it is a HeldOut, such as split\.test"
    ):
        macrid.evaluate(fitted("popularity"), split().train)


def test_people_of_an_unknown_world_are_refused():
    strangers = macrid.read({"user": [1, 1, 2], "item": [7, 8, 7]})
    with pytest.raises(DataError, match="knows none of the 2 items"):
        macrid.evaluate(fitted("popularity"), HeldOut(strangers, strangers))


def test_one_metric_may_be_named_alone():
    one = macrid.evaluate(fitted("popularity"), split().test, metrics="recall@5")
    assert list(one) == ["recall@5"]
