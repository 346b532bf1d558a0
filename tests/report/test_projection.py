"""The map: near stays near, the same every time, and no more on it than can be seen."""

import sys

import numpy as np
import polars as pl
import pytest
import torch

from macrid.errors import MissingExtra
from macrid.models.described import Posteriors
from macrid.report import projection
from macrid.report.projection import draw_map, neighbours, project

pytest.importorskip("openTSNE")


def blobs(n=60, n_dims=8, seed=0):
    """Three groups, far from each other."""
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 0.1, (3 * n, n_dims))
    points[np.arange(3 * n), np.repeat(range(3), n)] += 1
    return points.astype(np.float32)


def people(n, n_dims=8):
    """Each person is sure of concept 2 most, then of 0, and hardly of 1."""
    mean = np.zeros((n, 3, n_dims), np.float32)
    mean[:, range(3), range(3)] = 1
    confidence = np.tile(np.float32([0.3, 0.1, 0.6]), (n, 1))
    ids = pl.Series([f"u{i}" for i in range(n)])
    return Posteriors(ids, mean, np.zeros_like(mean), confidence)


def test_groups_stay_together_and_the_same_map_comes_again(monkeypatch):
    monkeypatch.setattr(projection, "_EARLY", 30)
    monkeypatch.setattr(projection, "_LATE", 30)
    points = blobs(n=20)
    places = project(points)
    nearest = neighbours(places, 1)[0][:, 0]
    assert (nearest // 20 == np.arange(60) // 20).all()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert np.array_equal(places, project(points))
    finally:
        torch.set_num_threads(threads)


def test_neighbours_are_exact_across_blocks(monkeypatch):
    monkeypatch.setattr(projection, "_BLOCK", 7)
    points = np.random.default_rng(1).normal(size=(40, 3))
    rows, far = neighbours(points, 5)
    between = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(between, np.inf)
    assert np.array_equal(rows, between.argsort(1)[:, :5])
    assert far == pytest.approx(np.sort(between, 1)[:, :5], abs=1e-3)


def test_a_map_has_the_two_components_that_people_are_surest_of(monkeypatch):
    monkeypatch.setattr(projection, "ITEMS", 100)
    monkeypatch.setattr(projection, "_EARLY", 5)
    monkeypatch.setattr(projection, "_LATE", 5)
    atlas = draw_map(blobs(), people(4), 99)
    assert atlas is not None
    assert atlas.concepts.tolist() == [2, 0] * 4
    assert atlas.users.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert (len(atlas.items), atlas.n_items, atlas.n_users) == (100, 180, 99)
    assert np.array_equal(atlas.items, np.unique(atlas.items))
    assert atlas.item_places.shape == (100, 2)
    assert np.isfinite(atlas.user_places).all()


def test_one_dimension_is_enough_and_few_points_are_no_map(monkeypatch):
    monkeypatch.setattr(projection, "_EARLY", 5)
    monkeypatch.setattr(projection, "_LATE", 5)
    assert np.isfinite(project(np.arange(12.0)[:, None])).all()
    assert draw_map(blobs()[:9]) is None


def test_without_opentsne_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    with pytest.raises(MissingExtra, match=r"openTSNE .* pip install 'macrid\[viz\]'"):
        project(blobs())
