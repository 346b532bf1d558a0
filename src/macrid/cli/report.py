"""`macrid report`: a trained model as one page that works offline."""

import time
from pathlib import Path
from typing import Annotated

import typer

from macrid.cli import options as o
from macrid.cli.show import document, note


def report(
    folder: o.ModelFolder,
    data: Annotated[Path, typer.Option(help="What it was trained on: event log or pro_sg folder.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("report.html"),
    label: Annotated[
        str | None,
        typer.Option(help="A column of the item table, such as category, to colour the map by."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page.")] = False,
    metrics: o.Metrics = o.METRICS,
    baselines: o.Baselines = True,
    items: o.ItemTable = None,
    columns: o.Columns = None,
    min_weight: o.MinWeight = None,
    min_user_events: o.MinUserEvents = None,
    min_item_events: o.MinItemEvents = None,
    hold_out: o.HoldOut = None,
    split_seed: o.SplitSeed = None,
    as_json: o.Json = False,
) -> None:
    """Write a page about a model: how good it is, its concepts, a map, walks, correlations.

    One file, which needs no network. The data are read and split as they were for training, unless
    told otherwise; what is known of the items is taken from the model, or from --items.

    Example: macrid report runs/first --data ratings.csv --out report.html
    """
    from macrid.cli.source import read_again
    from macrid.data.readers import check_related, read_features
    from macrid.models.artifact import load
    from macrid.report.findings import describe_items, find
    from macrid.report.model import check_out, need_extra, write_model_report

    started = time.perf_counter()
    names = o.metric_names(metrics)
    check_out(out, overwrite=overwrite)
    need_extra()
    model = load(folder)
    given = o.given(
        columns=o.pairs(columns, "--column"),
        min_weight=min_weight,
        min_user_events=min_user_events,
        min_item_events=min_item_events,
        hold_out=hold_out,
        split_seed=split_seed,
    )
    split = read_again(model, data, given)
    if items is not None:
        features = read_features(items)
        check_related(model.items.ids, features["item_id"])
        describe_items(model, features)
    found = find(
        model, split, folder=folder, label=label, metrics=names, baselines=baselines, tell=note
    )
    write_model_report(found, out, {"model folder": str(folder), "data": str(data), **given})
    seconds = time.perf_counter() - started
    note(f"the report is in {out} ({out.stat().st_size / 2**20:.1f} MB, {seconds:.0f} seconds)")
    if as_json:
        document({"report": str(out), "seconds": round(seconds, 1), **found.to_dict()})
