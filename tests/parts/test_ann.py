"""Lists from indices: nearly the exact ones, never shorter, and an honest word about the rest."""

import logging
import sys

import numpy as np
import pytest
import torch

from macrid.data.histories import Histories
from macrid.errors import MissingExtra
from macrid.parts import ann
from macrid.parts.ann import Neighbours
from macrid.parts.scoring import Scan


def world(*, n_items=400, batch=20, n_concepts=3, n_dims=6, banned=None):
    generator = torch.Generator().manual_seed(3)
    z = torch.nn.functional.normalize(
        torch.randn(batch, n_concepts, n_dims, generator=generator), dim=-1
    )
    vectors = torch.nn.functional.normalize(
        torch.randn(n_items, n_dims, generator=generator), dim=-1
    )
    log_weights = (3 * torch.randn(n_items, n_concepts, generator=generator)).log_softmax(-1)
    rng = np.random.default_rng(0)
    seen = Histories.from_lists(
        [rng.choice(n_items, n, replace=False).tolist() for n in range(batch)]
    )
    return z, Scan(vectors, log_weights, tau=0.1, banned=banned), seen


def test_a_small_catalogue_is_searched_whole():
    z, scan, seen = world()
    found, exact = Neighbours(scan).top(z, 10, seen), scan.top(z, 10, seen)
    assert found.row.equal(exact.row)
    assert found.score.equal(exact.score)


def test_a_large_one_is_searched_in_cells_and_its_recall_told(monkeypatch, caplog):
    monkeypatch.setattr(ann, "_FEW", 0)
    z, scan, seen = world(n_items=6_000, n_dims=3)
    neighbours = Neighbours(scan)
    with caplog.at_level(logging.INFO, "macrid"):
        found = neighbours.top(z, 10, seen)
        neighbours.top(z, 10, seen)
    exact = scan.top(z, 10, seen)
    share = np.mean([np.isin(a, b).mean() for a, b in zip(exact.row, found.row, strict=True)])
    assert 0.8 < share <= 1
    assert neighbours.recall == pytest.approx(share, abs=1e-6)
    assert caplog.messages == [f"ann finds {share:.4f} of the exact top 10 of 20 people"]
    common = found.row == exact.row
    assert found.score[common].equal(exact.score[common])


def test_lists_are_as_long_as_they_can_be(monkeypatch):
    """However little an index finds."""
    monkeypatch.setattr(ann, "_FEW", 0)
    monkeypatch.setattr(ann, "_PROBED", 0.0)
    z, scan, seen = world(n_items=3_000)
    found = Neighbours(scan).top(z, 500, seen)
    assert found.score.isfinite().all()
    owner = torch.arange(len(z))[:, None].expand_as(found.row)
    had = torch.isin(seen.users * 3_000 + seen.items, owner * 3_000 + found.row)
    assert not had.any()


def test_what_is_banned_is_not_found():
    banned = torch.arange(400) % 3 > 0
    z, scan, _ = world(banned=banned)
    assert not banned[Neighbours(scan).top(z, 20).row].any()


def test_each_item_in_one_concept():
    z, scan, _ = world()
    one_hot = torch.nn.functional.one_hot(scan.log_weights.argmax(1), 3).float().log()
    alone = Scan(scan.vectors, one_hot, tau=0.1)
    assert Neighbours(alone).top(z, 10).row.equal(alone.top(z, 10).row)


def test_a_concept_without_items_has_no_index():
    z, scan, _ = world()
    log_weights = torch.tensor([0.0, -torch.inf, -torch.inf]).expand(400, 3)
    neighbours = Neighbours(Scan(scan.vectors, log_weights))
    assert len(neighbours.indices) == 1
    assert neighbours.top(z[:0], 5).row.shape == (0, 5)


def test_without_faiss_the_line_that_installs_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(
        MissingExtra, match=r"faiss is not installed; run: pip install 'macrid\[ann"
    ):
        Neighbours(world()[1])
