"""`macrid data`: known public sets, and a synthetic shop."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from macrid.cli.options import Json
from macrid.cli.show import command, document, note, table
from macrid.errors import DataError

app = typer.Typer(help="Public data sets, and a synthetic shop.", no_args_is_help=True)


@app.command("list")
def list_sets(as_json: Json = False) -> None:
    """List the public data sets that macrid knows.

    Example: macrid data list --json
    """
    from macrid.data.catalog import DATASETS

    if as_json:
        document([asdict(known) for known in DATASETS.values()])
        return
    rows = [(known.name, _megabytes(known.size), known.title) for known in DATASETS.values()]
    table(["name", "MB", "what it is"], rows)
    note(f"get one with: {command()} data get NAME (shows the licence first)")


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="See macrid data list.")],
    folder: Annotated[Path, typer.Option(help="Where data sets are kept.")] = Path("data"),
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="I have read the licence and accept it.")
    ] = False,
    url: Annotated[str | None, typer.Option(help="A mirror to use instead.")] = None,
    as_json: Json = False,
) -> None:
    """Download a public data set, from where it stopped if it was begun before.

    Example: macrid data get ml-1m --accept-licence
    """
    from macrid.data.catalog import find
    from macrid.data.catalog import get as fetch

    known = find(name)
    note(f"{known.title}\nlicence: {known.licence}")
    path = fetch(name, folder, accept_licence=accept_licence, url=url)
    if as_json:
        document({"name": name, "path": str(path)})
    else:
        note(f"it is in {path}; next: {command()} train {path} --out runs/{name}")


@app.command()
def shop(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("data/shop"),
    users: Annotated[int, typer.Option(help="Number of people.")] = 20_000,
    items: Annotated[int, typer.Option(help="Number of items, 400 or more.")] = 5_000,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the shop in that folder.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Draw a synthetic shop whose factors are known, with the truth beside the clicks.

    Example: macrid data shop --users 2000 --items 500 --out data/shop
    """
    from macrid.data.shop import open_shop

    if (out / "shop.json").exists() and not overwrite:
        raise DataError(
            f"{out} holds a shop already; choose another --out, or replace it with --overwrite"
        )
    drawn = open_shop(users, items, seed)
    path = drawn.write(out)
    counts = {"users": users, "items": items, "events": len(drawn.events)}
    if as_json:
        document({"path": str(path), **counts})
    else:
        note(
            f"{users:,} people, {items:,} items and {len(drawn.events):,} clicks are in {path}; "
            f"next: {command()} train {path} --out runs/shop"
        )


def _megabytes(size: int | None) -> str:
    """A size for people."""
    return "?" if size is None else f"{size / 1e6:,.1f}"
