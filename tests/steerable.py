"""A model whose answers are known: its weights are set by hand, so that nothing has to be trained.

Concepts are the first axes. An item of concept k is its axis, plus ``price`` along `PRICE`, plus
``hue`` along `HUE`, plus noise; a person's point in a concept is the direction of the sum of their
items in it. Item ``"1-07"`` is the eighth of concept 1.
"""

import numpy as np
import polars as pl
import torch

import macrid
from macrid.models.macridvae import MacridVAE
from macrid.parts.items import unit

N_CONCEPTS, N_DIMS, PRICE, HUE = 3, 8, 4, 6


def steerable(n_items=40, *, n_concepts=N_CONCEPTS, seed=0, noise=0.15, **settings) -> MacridVAE:
    """The model; ``n_items`` in each concept."""
    random = np.random.default_rng(seed)
    concept = np.repeat(np.arange(n_concepts), n_items)
    price, hue = random.uniform(-1, 1, (2, len(concept)))
    vectors = random.normal(0, noise, (len(concept), N_DIMS))
    vectors[:, :n_concepts] = np.eye(n_concepts)[concept]
    vectors[:, PRICE] += 0.5 * price
    vectors[:, HUE] += 0.5 * hue
    ids = [f"{k}-{number:02d}" for k in range(n_concepts) for number in range(n_items)]
    items = pl.DataFrame({"item_id": ids, "title": [f"Title {item}" for item in ids]})
    items = items.with_columns(
        price=pl.when(pl.int_range(pl.len()) % 9 == 8).then(None).otherwise(pl.Series(price)),
        luck=pl.Series(random.uniform(size=len(ids))),
        hue=pl.when(pl.Series(hue) > 0).then(pl.lit("Red")).otherwise(pl.lit("blue")),
        kind=pl.Series([("bags", "lamps", "tents")[k] for k in concept]),
    )
    n_events = random.integers(1, 30, len(ids))  # item i is had by as many people
    users = np.concatenate([np.arange(n) for n in n_events])
    events = pl.DataFrame({"user": users, "item": np.repeat(ids, n_events)})
    sizes = {"n_concepts": n_concepts, "n_dims": N_DIMS, **settings}
    model = MacridVAE(**sizes).fit(macrid.read(events, items=items), epochs=1)
    network = model.network
    encoder = network.latent.encoder
    with torch.no_grad():
        network.decoder.items.weight.copy_(torch.from_numpy(vectors))
        network.concepts.weight.copy_(torch.eye(n_concepts, N_DIMS))
        encoder.context.copy_(0.01 * network.decoder.items())
        encoder.bias.zero_()
        encoder.head.weight.copy_(torch.eye(2 * N_DIMS, N_DIMS))
        encoder.head.bias.zero_()
    return model


def vectors_of(model) -> np.ndarray:
    """Unit vectors of its items."""
    return unit(model.network.decoder.items.weight.detach()).numpy()
