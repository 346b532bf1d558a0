"""`macrid demo`: the main job before one's eyes, on a shop whose truth is known."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from macrid.cli.describe import show_concepts, show_explanation, titles_of
from macrid.cli.options import Json
from macrid.cli.show import command, document, metrics_table, note, table
from macrid.cli.steer import show_change, show_walk, try_a_dial

# Chosen on validation users of shops with other seeds, so that the demo ends within two minutes.
USERS, ITEMS, SEED = 8_000, 2_000, 0
SETTINGS = {"n_concepts": 7, "n_dims": 64, "beta": 0.5, "prototypes": "clustered"}
TRAINING = {"recipe": "fast", "epochs": 12, "batch_size": 250, "patience": 3}


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the shop and the model.")] = Path(
        "runs/demo"
    ),
    users: Annotated[int, typer.Option(help="People in the shop.")] = USERS,
    items: Annotated[int, typer.Option(help="Items in the shop.")] = ITEMS,
    as_json: Json = False,
) -> None:
    """Draw a shop, learn from its clicks, and show what was found; under two minutes.

    Example: macrid demo
    """
    from macrid.cli.runs import Run, carry_out
    from macrid.data.readers import read
    from macrid.data.shop import open_shop
    from macrid.data.splits import hold_out_users

    note(f"1. a shop: {users:,} people, {items:,} items of seven kinds that the model is not told")
    shop, folder, held_out = out / "shop", out / "model", max(1, users // 10)
    open_shop(users, items, SEED).write(shop)
    note("2. training MacridVAE on its clicks")
    run = Run(
        shop,
        folder,
        settings=SETTINGS,
        training=TRAINING,
        reading={"hold_out": held_out},
        overwrite=True,
    )
    model: Any = carry_out(run)
    measured = model.metrics
    found, described = _concepts(model), model.concepts()
    split = hold_out_users(read(shop, min_user_events=5), held_out)
    person, history, hidden = _somebody(split.test)
    listed = model.recommend({person: history}, 10)
    why = model.explain(history, listed["item_id"][:1])
    tried = try_a_dial(model, history, ["size", "price", "darkness"])
    page = _report(model, split, folder, out / "report.html")
    if as_json:
        shown = {"person": person, "history": history, "recommendations": listed.to_dicts()}
        shown |= {"concepts": described.to_dict(dimensions=3), "explanation": why.to_dict()}
        if tried is not None:
            shown["dial"] = {
                "feature": tried["feature"],
                "walk": tried["walk"].to_dict(),
                "shift": tried["shift"],
                "recommendations": tried["after"].to_dicts(),
            }
        document({**measured, **found, **shown, "folder": str(folder), "report": page})
        return
    metrics_table(
        "macridvae",
        measured["test"],
        measured["baselines"],
        title="3. how good the lists are for people it never saw",
    )
    table(
        found["table"][0],
        found["table"][1],
        title=f"4. concepts found, against the true categories (items; NMI {found['nmi']:.2f})",
    )
    titles = titles_of(model)
    show_concepts(described, titles)
    table(
        ["had"],
        [[titles[item]] for item in history],
        title=f"5. {person}, whom the model never saw; some of what they had was hidden from it",
    )
    table(
        ["rank", "is recommended", ""],
        [
            (rank, titles[item], "hidden, and found" if item in hidden else "")
            for _, item, _, rank in listed.iter_rows()
        ],
        title="",
    )
    note("\n6. why the first of them")
    show_explanation(why, titles, n=3)
    if tried is not None:
        feature = tried["feature"]
        note(f"\n7. from what {person} likes, along {feature}; all else alike")
        show_walk(model, tried["walk"])
        way = "up" if tried["shift"] > 0 else "down"
        note(f"\n8. the list again, with {feature} turned {way} ({feature} of each item)")
        show_change(model, tried["before"], tried["after"], feature)
    if page is not None:
        note(f"\n9. all of this and more on one page; open it in a browser: {page}")
    note(
        f"\nthe model is in {folder}; try next:\n"
        f"   {command()} recommend {folder} --items {','.join(history[:2])}\n"
        f"   {command()} similar {folder} {history[0]}\n"
        f"   {command()} concepts {folder}\n"
        f"   {command()} walk {folder} --item {history[0]} --dimension 0\n"
        f"   {command()} evaluate {folder} {shop} --metrics ndcg@10\n"
        f"   {command()} train YOUR_EVENTS.csv --out runs/mine\n"
        f"and turn the dials yourself, in a browser at http://127.0.0.1:8000 after\n"
        f"   {command()} serve {folder}"
    )


def _concepts(model: Any) -> dict[str, Any]:
    """Items by concept and true category."""
    from macrid.evaluation.alignment import concept_table, normalised_mutual_information

    concepts, categories = model.item_concepts(), model.catalogue["category"]
    counted = concept_table(concepts, categories)
    nmi = normalised_mutual_information(concepts, categories.to_numpy())
    return {"nmi": nmi, "table": (counted.columns, counted.rows())}


def _report(model: Any, split: Any, folder: Path, out: Path) -> str | None:
    """Write the report; None, and a word, without the extra that draws it."""
    from macrid.errors import MissingExtra
    from macrid.report.findings import find
    from macrid.report.model import need_extra, write_model_report

    try:
        need_extra()
    except MissingExtra as error:
        note(f"there is no report: {error}")
        return None
    note("drawing the report (some ten seconds)")
    write_model_report(find(model, split, folder=folder, label="category"), out)
    return str(out)


def _somebody(people: Any) -> tuple[str, list[str], set[str]]:
    """A test user whose history is short enough to read: it, and what was hidden of it."""
    lengths = np.diff(people.fold_in.offsets)
    row = np.array([np.abs(lengths - 10).argmin()])
    shown, hidden = (part.take_users(row).to_frame() for part in (people.fold_in, people.held_out))
    return str(shown["user_id"][0]), shown["item_id"].to_list(), set(hidden["item_id"])
