"""The same list for everybody, less what each person had."""

import polars as pl
import pytest
import torch

import macrid
from macrid.errors import MacridError, SettingsError
from macrid.models.popularity import Popularity
from planted import fitted, split

# a: 3 people, b: 1, c: 2, d: 1; rows in the order a, b, c, d.
LOG = pl.DataFrame(
    [(1, "a"), (1, "b"), (2, "c"), (2, "a"), (3, "a"), (3, "c"), (3, "d")],
    schema=["user", "item"],
    orient="row",
)


def test_items_are_ranked_by_how_many_people_had_them_ties_by_row():
    lists = Popularity().fit(macrid.read(LOG)).recommend({"me": ["d"]}, include_seen=True)
    assert lists["item_id"].to_list() == ["a", "c", "b", "d"]
    assert lists["score"].to_list() == [3, 2, 1, 1]


def test_repeated_events_of_a_person_count_once():
    again = pl.concat([LOG, pl.DataFrame({"user": [1] * 9, "item": ["b"] * 9})])
    model = Popularity().fit(macrid.read(again))
    assert model.counts.tolist() == [3, 1, 2, 1]


def test_everybody_gets_the_same_scores():
    model, test = fitted("popularity"), split().test.fold_in
    scores = model.scores(test.histories())
    assert scores.shape == (20, test.n_items)
    assert scores.equal(torch.from_numpy(split().train.item_counts()).float().expand(20, -1))


def test_it_has_as_many_parameters_as_items():
    assert Popularity().n_parameters(50) == fitted("popularity").counts.numel() == 50


def test_it_knows_no_similar_items():
    with pytest.raises(MacridError, match="popularity knows no similar items; use another model"):
        fitted("popularity").similar_items(["0-01"])


def test_it_has_no_settings_and_takes_no_options():
    with pytest.raises(SettingsError, match="no setting 'regularization'"):
        Popularity(regularization=1)
    with pytest.raises(SettingsError, match="popularity is not trained in epochs and takes no eps"):
        Popularity().fit(macrid.read(LOG), eps=3)


def test_counts_for_another_catalogue_are_refused():
    model = Popularity().fit(macrid.read(LOG))
    with pytest.raises(ValueError, match="not one count for each item"):
        model.restore({"counts": torch.zeros(5)})
