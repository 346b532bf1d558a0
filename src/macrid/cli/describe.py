"""`macrid concepts` and `explain`: what a model found, and why it scores an item as it does."""

from pathlib import Path
from typing import Annotated, Any

import typer

from macrid.cli import options as o
from macrid.cli.show import document, note, printable, table
from macrid.errors import SettingsError

_BIGGEST = 2  # terms and titles of a table's cell


def concepts(
    folder: o.ModelFolder,
    top: Annotated[int, typer.Option(help="Most typical items of each concept.")] = 8,
    dimensions: Annotated[int, typer.Option(help="Dimensions of each concept.")] = 3,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Give a concept a name and keep it: --name 2=bags; repeatable."),
    ] = None,
    name_dimension: Annotated[
        list[str] | None,
        typer.Option(help="Name a dimension's ends: --name-dimension 2.14=small..large."),
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Show what a model found: its concepts, their typical items and their dimensions.

    A name is drawn from the item features where they say enough, or given by hand; --name 2= takes
    one that was given away again.

    Example: macrid concepts runs/first --name 2=bags --name-dimension 2.14=small..large
    """
    if dimensions < 0:
        raise SettingsError(f"--dimensions is {dimensions}; it is 0 or more")
    model = _described(folder)
    given = [*_names(model, name), *_ends(model, name_dimension)]
    found = model.concepts(top=top)
    if given:
        from macrid.models.artifact import save_names

        save_names(model, folder)
        note(f"kept in {folder / 'names.json'}: {', '.join(given)}")
    if as_json:
        document({"model": model.name, **found.to_dict(dimensions)})
        return
    titles = titles_of(model)
    show_concepts(found, titles)
    for row in found.typical.partition_by("concept", maintain_order=True):
        k = row["concept"][0]
        label = f"{k}: {found.concepts['name'][k]}"
        cells = [(titles[i], p) for i, p in row.select("item_id", "probability").iter_rows()]
        table([f"most typical of concept {printable(label)}", "probability"], cells, title="")
    if dimensions:
        show_dimensions(found.foremost(dimensions), titles)


def explain(
    folder: o.ModelFolder,
    history: Annotated[
        list[str], typer.Option(help="What somebody had: --history a,b,c.", show_default=False)
    ],
    item: Annotated[
        list[str], typer.Option(help="What is to be explained; --item a,b.", show_default=False)
    ],
    as_json: o.Json = False,
) -> None:
    """Say why a model scores items as it does for somebody who had others.

    Past items are left out one by one and the rest is read again, which is exact. A model with
    concepts says which of them the score comes from.

    Example: macrid explain runs/first --history 296,593 --item 50
    """
    from macrid.models.artifact import load

    model = load(folder)
    wanted = o.ids(item, model.items)
    if not wanted:
        raise SettingsError("--item names no item")
    why = model.explain(o.ids(history, model.items), wanted)
    if as_json:
        document({"model": model.name, **why.to_dict()})
    else:
        show_explanation(why, titles_of(model))
        if why.concepts is None:
            note(f"{model.name} has no concepts; what past items carry is all there is to say")


def show_explanation(why: Any, titles: dict[Any, str], n: int = 5) -> None:
    """Sentences and tables, ``n`` rows of each."""
    for row in why.items.iter_rows(named=True):
        item = row["item_id"]
        past = why.history.filter(item_id=item).head(n)
        cells = [(titles[p], c) for p, c in past.select("past_item_id", "change").iter_rows()]
        score = f"of the score of {row['score']:.4f}"
        table(["past item", score], cells, title=printable(row["sentence"]))
        if why.concepts is None:
            continue
        shown = why.concepts.filter(item_id=item).head(n)
        columns = ["concept", "name", "share", "part", "cosine", "weight"]
        table(columns, shown.select(columns).rows(), title="")
        spoke = why.dimensions.filter(item_id=item).head(n)
        columns = ["concept", "dimension", "low", "high", "person", "item", "product"]
        table(columns, spoke.select(columns).rows(), title="")


def _described(folder: Path) -> Any:
    """A model that has concepts, or a word that it has none."""
    from macrid.models.artifact import load
    from macrid.models.described import Described

    model = load(folder)
    if not isinstance(model, Described):
        raise SettingsError(f"{model.name} has no concepts; train macridvae, which has")
    return model


def _names(model: Any, texts: list[str] | None) -> list[str]:
    """Give concepts their names; what was given."""
    for number, name in o.pairs(texts, "--name").items():
        model.name_concept(_number(number, "--name 2=bags"), name or None)
    return texts or []


def _ends(model: Any, texts: list[str] | None) -> list[str]:
    """Give dimensions theirs."""
    for number, ends in o.pairs(texts, "--name-dimension").items():
        form = "--name-dimension 2.14=small..large"
        concept, dot, dimension = number.partition(".")
        low, dots, high = ends.partition("..")
        if not dot or (ends and not dots):
            raise SettingsError(f"{number}={ends} is not of the form {form}")
        named = (low, high) if ends else (None, None)
        model.name_dimension(_number(concept, form), _number(dimension, form), *named)
    return texts or []


def _number(text: str, form: str) -> int:
    """A number of a concept or a dimension."""
    if not text.isdecimal():
        raise SettingsError(f"{text!r} is no number; give it as in {form}")
    return int(text)


def titles_of(model: Any) -> dict[Any, str]:
    """What items are called; with their ids where several are called the same."""
    from macrid.models.explained import called

    return called(model.catalogue)


def show_concepts(found: Any, titles: dict[Any, str]) -> None:
    """A row for each."""
    rows = [
        (
            row["concept"],
            row["name"],
            row["n_items"],
            f"{row['item_share']:.1%}",
            f"{row['event_share']:.1%}",
            f"{row['confidence']:.2f}",
            ", ".join(f"{t['term']} ({t['z']:.0f})" for t in row["terms"][:4]),
            "; ".join(titles[item] for item in row["typical"][:_BIGGEST]),
        )
        for row in found.concepts.iter_rows(named=True)
    ]
    columns = ["concept", "name", "items", "of items", "of events", "sure"]
    title = (
        f"{len(rows)} concepts; the largest has {found.largest_share:.1%} of the items; entropy of "
        f"their shares {found.entropy:.2f} of 1"
    )
    table([*columns, "more often than elsewhere (z)", "such as"], rows, title=title)


def show_dimensions(dimensions: Any, titles: dict[Any, str]) -> None:
    """A row for each."""
    rows = [
        (
            f"{row['concept']}.{row['dimension']}",
            f"{row['low']} ↔ {row['high']}" if row["low"] != row["high"] else row["low"],
            f"{row['variance_share']:.1%}",
            row["feature"],
            "" if row["strength"] is None else f"{row['strength']:+.2f}",
            "; ".join(titles[item] for item in row["low_items"][:_BIGGEST]),
            "; ".join(titles[item] for item in row["high_items"][:_BIGGEST]),
        )
        for row in dimensions.iter_rows(named=True)
    ]
    columns = ["dimension", "ends", "of variance", "goes with", "strength", "low end", "high end"]
    table(columns, rows, title="dimensions: those with a name, or that vary most")
