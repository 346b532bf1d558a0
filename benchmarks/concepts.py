"""Concepts and dials against the truth of the shop; concepts against what real data are called.

    python benchmarks/concepts.py
    python benchmarks/concepts.py --users 4000 --items 1000 --seeds 0 1
    python benchmarks/concepts.py --only learned --sets taobao-7c lastfm-hetrec ml-1m

The shop of a seed is drawn from it, and so is the network that is trained on it with the demo's
defaults. Half of a concept's items choose a dimension and fit a direction; the other half judges.
Real data lie beside the checkout, in shared/data, or where MACRID_DATA says.
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import torch
from scipy.stats import spearmanr

import macrid
from macrid.cli.demo import SETTINGS, TRAINING
from macrid.control.dials import fit_number
from macrid.data.shop import open_shop
from macrid.data.splits import Split
from macrid.evaluation.alignment import align
from macrid.models.macridvae import MacridVAE
from macrid.parts.items import unit

VARIANTS = {
    "clustered": {"prototypes": "clustered"},
    "learned": {"prototypes": "learned"},
    "learned, inner product": {"prototypes": "learned", "similarity": "inner"},
}
RAW = Path(__file__).resolve().parent / ".raw" / "concepts"
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


class Real(NamedTuple):
    """A set of real data: how it is read and split, and what its items are called."""

    reading: dict[str, Any]
    held_out: int
    n_concepts: int
    words: str
    names: Callable[[pl.DataFrame], pl.Series]


def top_tags(items: pl.DataFrame) -> pl.Series:
    """The first tag of each item if it is one of the ten that are most often first."""
    first = items["tags"].list.first()
    often = first.drop_nulls().value_counts(sort=True)["tags"].head(10)
    return first.set(~first.is_in(often.implode()), None)


REAL = {
    "taobao-7c": Real({}, 1000, 7, "seven categories", lambda items: items["category"]),
    "lastfm-hetrec": Real({}, 200, 10, "the ten commonest top tags", top_tags),
    "ml-1m": Real(
        {"min_weight": 4}, 500, 7, "first genres", lambda items: items["genres"].list.first()
    ),
}
NUMBERS = ("size", "price", "darkness")
PEOPLE, LISTED = 1_000, 20
SHIFTS = 0.5, 1.0  # half of the way to the end of a person's range, and all of it
DIALS = f"""Dials of settled concepts, means over seeds. `dimension` and `direction`: rank
correlation with the attribute on the half of a concept's items that neither chose the one nor
fitted the other. `by`: the share of people (test users whose largest concept it is, {PEOPLE:,} at
most) in whose top {LISTED} the attribute's mean rises when the dial is turned up by that shift; the
direction is then the model's own, fitted to all items. A mean that stays counts against it."""


def main() -> None:
    """Read the options; measure what is not there yet; write after each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3, 4])
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=[*VARIANTS])
    parser.add_argument("--sets", nargs="+", choices=REAL, help="these in place of the shop")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--raw", type=Path, default=RAW, help="what was measured")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    sizes = f"{given.users:,} people and {given.items:,} items"
    for variant in given.only:
        for seed in given.seeds:
            if not given.sets:
                measure = partial(on_the_shop, given, seed, variant)
                keep(given, f"shop {sizes} {seed} {variant}", measure)
            for name in given.sets or ():
                keep(given, f"{name} {seed} {variant}", partial(on_real_data, name, seed, variant))


def keep(given: argparse.Namespace, name: str, measure: Callable[[], dict]) -> None:
    """Measure unless that was done, and write the page of all there is."""
    place = given.raw / f"{name}.json"
    given.raw.mkdir(parents=True, exist_ok=True)
    if not place.is_file():
        place.write_text(json.dumps(measure(), indent=1), encoding="utf-8")
    found = [json.loads(path.read_text()) for path in sorted(given.raw.glob("*.json"))]
    given.out.write_text(page(found), encoding="utf-8")


def on_the_shop(given: argparse.Namespace, seed: int, variant: str) -> dict[str, Any]:
    """One model of one shop; of settled concepts the dials too."""
    split = shop(given.users, given.items, seed)
    model = fitted(split, variant, {**TRAINING, "seed": seed}, SETTINGS)
    world = f"Shops of {given.users:,} people and {given.items:,} items, the demo's defaults"
    found = {"seed": seed, **measured(model, split, variant, model.catalogue["category"])}
    dials = [{"seed": seed, **row} for row in turned(model, split)] if "clust" in variant else []
    return {"world": world, "found": found, "dials": dials}


def on_real_data(name: str, seed: int, variant: str) -> dict[str, Any]:
    """One model of a set whose items are called something."""
    real = REAL[name]
    source = Path(os.environ.get("MACRID_DATA", DATA)) / name / "interactions.parquet"
    events = macrid.read(source, min_user_events=5, **real.reading)
    split = macrid.hold_out_users(events, real.held_out)
    training = {"recipe": "fast", "seed": seed}
    model = fitted(split, variant, training, {"n_concepts": real.n_concepts})
    names = real.names(model.catalogue)
    row = {"seed": seed, "named items": len(names.drop_nulls())}
    row |= measured(model, split, variant, names)
    world = f"{name}, recipe fast: {real.n_concepts} concepts, {real.words}"
    return {"world": world, "found": row, "dials": []}


def shop(n_users: int, n_items: int, seed: int) -> Split:
    """As the demo holds people of it out."""
    with tempfile.TemporaryDirectory() as home:
        events = macrid.read(
            open_shop(n_users, n_items, seed).write(Path(home) / "shop"), min_user_events=5
        )
    return macrid.hold_out_users(events, max(1, n_users // 10))


def fitted(split: Split, variant: str, training: dict, settings: dict) -> MacridVAE:
    """A model of one variant."""
    model = MacridVAE(**{**settings, **VARIANTS[variant]})
    return model.fit(split.train, split.validation, **training)


def measured(model: MacridVAE, split: Split, variant: str, labels: pl.Series) -> dict[str, Any]:
    """What came of it, and how it agrees with what items are called."""
    concepts, network = model.item_concepts(), model.network
    vectors, prototypes = network.decoder.vectors(), network.concepts.weight
    known = align(concepts, labels, vectors.detach().numpy(), prototypes.detach().numpy())
    row: dict[str, Any] = {"prototypes": variant}
    row |= {"NMI": known.nmi, "ARI": known.ari, "purity": known.purity, "score": known.score}
    row["largest concept"] = np.bincount(concepts).max() / len(concepts)
    for name, people in (("validation", split.validation), ("test", split.test)):
        row[f"{name} NDCG@100"] = macrid.evaluate(model, people, metrics=["ndcg@100"])[
            "ndcg@100"
        ].mean
    return row | {"best epoch": model.training["best_epoch"], "seconds": model.training["seconds"]}


def turned(model: MacridVAE, split: Split) -> Iterator[dict[str, Any]]:
    """Each number of each category, in the concept that has most of the category's items."""
    catalogue, concepts = model.catalogue, model.item_concepts()
    vectors = unit(model.network.decoder.items.weight.detach()).numpy()
    categories, people = catalogue["category"].to_numpy(), split.test.fold_in
    mainly = model.encode(people).confidence.argmax(1)
    for category in np.unique(categories):
        k = int(np.bincount(concepts[categories == category]).argmax())
        who = people.take_users(np.flatnonzero(mainly == k)[:PEOPLE])
        goods = catalogue.filter(category=category)
        for number in NUMBERS:
            truth = catalogue[number].cast(pl.Float64).fill_null(np.nan).to_numpy()
            own = (categories == category) & (concepts == k) & np.isfinite(truth)
            if not own.any():
                continue
            axis, agreements = judged(vectors[own], truth[own])
            dials = {"dimension": ({"dimension": axis[0]}, axis[1])}
            dials["direction"] = ({"feature": number}, 1.0)
            row = {"category": category, "attribute": number, "items": int(own.sum())}
            row |= {"people": who.n_users, **agreements}
            values = goods.select("item_id", value=number)
            before = means(model, who, values, {})
            for name, (dial, sign) in dials.items():
                for shift in SHIFTS:
                    asked = {"concept": k, **dial, "shift": sign * shift}
                    after = means(model, who, values, {"dials": [asked]})
                    both = before.join(after, on="user_id", suffix="_after")
                    row[f"{name} by {shift}"] = (both["value_after"] > both["value"]).mean()
            yield row


def judged(vectors: np.ndarray, truth: np.ndarray) -> tuple[tuple[int, float], dict[str, float]]:
    """The dimension of half of the items, with its sign; what it and a direction say of others."""
    learn, judge = np.array_split(np.random.default_rng(0).permutation(len(truth)), 2)
    agreements = spearmanr(vectors[learn], truth[learn]).statistic[-1, :-1]
    best = int(np.abs(agreements).argmax())
    sign = float(np.sign(agreements[best]))
    direction = fit_number(vectors[learn], truth[learn]).direction
    along = {"dimension": sign * vectors[:, best], "direction": vectors @ direction}
    return (best, sign), {
        name: float(spearmanr(places[judge], truth[judge]).statistic)
        for name, places in along.items()
    }


def means(model: MacridVAE, people: Any, values: pl.DataFrame, controls: dict) -> pl.DataFrame:
    """Of each person's list, the mean of an attribute over the items that have it."""
    lists = model.recommend(people, LISTED, controls=controls).join(values, on="item_id")
    return lists.group_by("user_id", maintain_order=True).agg(pl.col("value").mean())


def page(found: list[dict[str, Any]]) -> str:
    """What was measured so far, in Markdown."""
    text = [
        "# Concepts and dials",
        "Written by `benchmarks/concepts.py` on a processor that others used too "
        f"({platform.machine()}, torch {torch.__version__}). Seeds are of shop and network alike.",
    ]
    for world in dict.fromkeys(part["world"] for part in found):
        parts = [part for part in found if part["world"] == world]
        models = pl.DataFrame([part["found"] for part in parts])
        text += [f"## {world}", markdown(models)]
        if "seed" in models.columns:
            text += ["Means over seeds:", markdown(mean(models, "prototypes"))]
        if dials := [row for part in parts for row in part["dials"]]:
            table = pl.DataFrame(dials)
            text += [DIALS, markdown(mean(table, "category", "attribute"))]
            text += ["Means over attributes:", markdown(mean(table, "seed"))]
    return "\n\n".join(text) + "\n"


def mean(table: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Of all numbers, for each group."""
    numbers = pl.selectors.numeric() - pl.selectors.by_name("seed", require_all=False)
    return table.group_by(by, maintain_order=True).agg(pl.len().alias("n"), numbers.mean())


def markdown(table: pl.DataFrame) -> str:
    """Three digits; whole numbers as they are."""
    rows = [[f"{x:.3f}" if isinstance(x, float) else str(x) for x in row] for row in table.rows()]
    lines = [table.columns, ["---"] * table.width, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
