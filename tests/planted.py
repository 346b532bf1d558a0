"""Worlds with known answers: people of a group want the items of their group, and nothing else.

Item ``"1-07"`` is the eighth of group 1, so that the right answer can be read off a list. One model
of each kind is fitted on the same world, once for all tests, which must leave it as it is.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
import polars as pl
import pytest

import macrid
from macrid.data.interactions import Interactions
from macrid.data.splits import Split
from macrid.models.catalog import MODELS
from macrid.models.recommender import Recommender

SMALL = {
    "macridvae": (
        {"n_dims": 8, "n_concepts": 2},
        {"epochs": 10, "batch_size": 20, "learning_rate": 0.04},
    ),
    "multvae": (
        {"hidden": [32], "n_dims": 8},
        {"epochs": 10, "batch_size": 20, "learning_rate": 0.03},
    ),
    "multdae": ({"n_dims": 16}, {"epochs": 10, "batch_size": 20, "learning_rate": 0.03}),
    "vamp": (
        {"hidden": 32, "n_dims": 8, "n_pseudo": 20},
        {"epochs": 6, "batch_size": 20, "learning_rate": 0.02},
    ),
    "hvamp": (
        {"hidden": 32, "n_dims": 8, "n_pseudo": 20},
        {"epochs": 6, "batch_size": 20, "learning_rate": 0.02},
    ),
    "recvae": (
        {"hidden": 32, "n_layers": 3, "n_dims": 8},
        {"epochs": 3, "batch_size": 20, "learning_rate": 0.02},
    ),
    "ease": ({"regularization": 10.0}, {}),
    "popularity": ({}, {}),
}


def groups(
    n_groups: int = 2, *, n_users: int = 100, n_items: int = 25, n_events: int = 12, seed: int = 0
) -> Interactions:
    """A world of ``n_users`` people and ``n_items`` items in each group, rows in random order.

    Item features hold a list column and nulls.
    """
    rng = np.random.default_rng(seed)
    pairs = [
        (f"{group}/{person}", item)
        for group in range(n_groups)
        for person in range(n_users)
        for item in wants(group, n_events, rng, n_items=n_items)
    ]
    order = rng.permutation(len(pairs))
    events = pl.DataFrame([pairs[i] for i in order], schema=["user_id", "item_id"], orient="row")
    ids = [f"{group}-{number:02d}" for group in range(n_groups) for number in range(n_items)]
    items = pl.DataFrame({"item_id": ids, "title": [f"Title of {item}" for item in ids]})
    items = items.with_columns(
        tags=pl.Series([None if n % 3 == 0 else ["new", "ünï"][: n % 3] for n in range(len(ids))]),
        price=pl.Series([None if n % 5 == 0 else n / 2 for n in range(len(ids))]),
    )
    return macrid.read(events, items=items)


def wants(group: int, n_events: int, rng: np.random.Generator, *, n_items: int = 25) -> list[str]:
    """A history that somebody of a group could have."""
    numbers = rng.choice(n_items, n_events, replace=False)
    return [f"{group}-{number:02d}" for number in numbers]


def newcomers(n_users: int = 40, n_groups: int = 2, *, seed: int = 1) -> dict[str, list[str]]:
    """Histories of people whom no model has seen; user ``"new1-3"`` is of group 1."""
    rng = np.random.default_rng(seed)
    return {f"new{n % n_groups}-{n}": wants(n % n_groups, 8, rng) for n in range(n_users)}


def share_in_the_right_group(lists: pl.DataFrame) -> float:
    """The part of all places that hold an item of the newcomer's own group."""
    mine = lists["user_id"].str.strip_prefix("new").str.split("-").list.first()
    return float((mine == lists["item_id"].str.split("-").list.first()).mean())


@cache
def split() -> Split:
    """The world of two groups, 20 people of it held out for validation and 20 for testing."""
    return macrid.hold_out_users(groups(), n_users=20)


def by_worker(names: Iterable[str]) -> list:
    """Parameters: models by name, all tests of one on one worker, where it is fitted once."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names]


@cache
def fitted(name: str) -> Recommender:
    """A model of the catalogue that knows the world of two groups."""
    settings, training = SMALL[name]
    return MODELS[name](**settings).fit(split().train, **training)
