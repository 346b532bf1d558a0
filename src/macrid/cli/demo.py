"""`macrid demo`: the main job in front of one's eyes, on a shop whose truth is known."""

from pathlib import Path
from typing import Annotated, Any

import typer

from macrid.cli.options import Json
from macrid.cli.show import document, metrics_table, note, table

# Chosen on validation users of shops with other seeds, so that the demo ends within two minutes.
USERS, ITEMS, SEED, HELD_OUT = 8_000, 2_000, 0, 800
SETTINGS = {"n_concepts": 7, "n_dims": 64, "beta": 0.5}
TRAINING = {"epochs": 30, "batch_size": 250, "learning_rate": 3e-3, "patience": 5}


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the shop and the model.")] = Path("runs/demo"),
    users: Annotated[int, typer.Option(help="People in the shop.")] = USERS,
    items: Annotated[int, typer.Option(help="Items in the shop.")] = ITEMS,
    as_json: Json = False,
) -> None:
    """Draw a shop, learn from its clicks, and show what was found; under two minutes.

    Example: macrid demo
    """
    from macrid.cli.train import run_training
    from macrid.data.shop import open_shop
    from macrid.models.artifact import load

    note(f"1. a shop: {users:,} people, {items:,} items in seven categories that the model never sees")
    shop = open_shop(users, items, SEED)
    shop.write(out / "shop")
    note(f"   {len(shop.events):,} clicks are in {out / 'shop'}\n2. training MacridVAE")
    measured = run_training(
        out / "shop",
        out / "model",
        "macridvae",
        settings=SETTINGS,
        training=TRAINING,
        reading={"hold_out": min(HELD_OUT, users // 10)},
        metrics=["ndcg@100", "recall@20", "recall@50"],
        flags={"refit": False, "resume": False, "overwrite": True, "baselines": True},
    )
    model = load(out / "model")
    found = _concepts(model)
    person, history = _somebody(shop.events, model)
    listed = model.recommend({person: history}, 10)
    if as_json:
        document({**measured, **found, "person": person, "history": history,
                  "recommendations": listed.to_dicts(), "folder": str(out)})
        return
    metrics_table({"macridvae": measured["test"], **measured["baselines"]},
                  title="3. how good the lists are for people it never saw")
    print()
    table(found["table"][0], found["table"][1],
          title=f"4. concepts found, against the true categories (items; NMI {found['nmi']:.2f})")
    print()
    titles = dict(model.catalogue.select("item_id", "title").iter_rows())
    table([f"5. {person} had"], [[titles[item]] for item in history[:12]])
    print()
    table(["rank", "and is recommended", "score"],
          [(r, titles[i], s) for _, i, s, r in listed.iter_rows()])
    note(
        f"\n6. the model is in {out / 'model'}; try next:\n"
        f"   macrid recommend {out / 'model'} --items {','.join(history[:2])}\n"
        f"   macrid similar {out / 'model'} {history[0]}\n"
        f"   macrid evaluate {out / 'model'} {out / 'shop'} --metrics ndcg@10\n"
        "   macrid train YOUR_EVENTS.csv --out runs/mine"
    )


def _concepts(model: Any) -> dict[str, Any]:
    """Items by concept and true category."""
    from macrid.evaluation.alignment import concept_table, normalised_mutual_information

    concepts, categories = model.item_concepts(), model.catalogue["category"]
    counted = concept_table(concepts, categories)
    nmi = normalised_mutual_information(concepts, categories.to_numpy())
    return {"nmi": nmi, "table": (counted.columns, counted.rows())}


def _somebody(events: Any, model: Any) -> tuple[str, list[str]]:
    """A person with a history short enough to read, and the items of it that the model knows."""
    import polars as pl

    counts = events.group_by("user_id", maintain_order=True).len()
    person = counts.filter(pl.col("len").is_between(8, 12))["user_id"][0]
    history = events.filter(pl.col("user_id") == person)["item_id"].to_list()
    return person, [item for item in history if item in model.items]
