"""What a model has to beat, measured on the same people."""

import numpy as np
import polars as pl
import pytest

import macrid
from macrid.data.splits import Split
from macrid.evaluation.baselines import RIDGES, measure_baselines
from macrid.models.ease import EASE
from macrid.models.popularity import Popularity
from planted import split


def test_popularity_is_measured_on_the_test_users():
    expected = macrid.evaluate(Popularity().fit(split().train), split().test).to_dict()
    assert measure_baselines(split()).metrics["popularity"] == expected


@pytest.mark.parametrize("people", ["test", "validation"])
def test_ease_has_the_ridge_that_is_best_on_the_validation_users(people):
    metrics = ["ndcg@5", "recall@3"]
    tried = {ridge: EASE(regularization=ridge).fit(split().train) for ridge in RIDGES}
    chosen = {
        ridge: macrid.evaluate(model, split().validation, metrics=["ndcg@100"])["ndcg@100"].mean
        for ridge, model in tried.items()
    }
    best = max(chosen, key=chosen.__getitem__)
    measured = measure_baselines(split(), metrics, people=people)
    expected = macrid.evaluate(tried[best], getattr(split(), people), metrics=metrics).to_dict()
    assert measured.metrics["ease"] == expected
    assert measured.notes == {"ease_regularization": best}


def test_ease_is_skipped_with_the_reason_where_it_would_not_fit_into_memory():
    n_items = 300_000
    log = {"user": np.repeat(range(3), n_items // 3), "item": range(n_items)}
    data = macrid.read(pl.DataFrame(log))
    people = macrid.HeldOut(data, data)
    measured = measure_baselines(Split(data, people, people), ["recall@5"])
    assert measured.metrics["popularity"]["recall@5"]["mean"] == 0
    assert list(measured.metrics) == ["popularity"]
    assert "300,000 items needs about" in measured.notes["ease_skipped"]
