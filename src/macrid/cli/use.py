"""`macrid evaluate`, `recommend` and `similar`: what a saved model is for."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from macrid.cli import options as o
from macrid.cli.show import document, metrics_table, note, table
from macrid.errors import ArtifactError, DataError


def evaluate(
    folder: o.ModelFolder,
    source: Annotated[Path, typer.Argument(help="Event log or pro_sg folder.", show_default=False)],
    people: Annotated[
        str,
        typer.Option(help="test or validation users of the split; or all: everybody in SOURCE."),
    ] = "test",
    metrics: o.Metrics = o.METRICS,
    without_targets: Annotated[
        str, typer.Option(help="Users with nothing held out: zero or drop.")
    ] = "zero",
    items: o.ItemTable = None,
    columns: o.Columns = None,
    min_weight: o.MinWeight = None,
    min_user_events: o.MinUserEvents = None,
    min_item_events: o.MinItemEvents = None,
    hold_out: o.HoldOut = None,
    split_seed: o.SplitSeed = None,
    baselines: o.Baselines = True,
    as_json: o.Json = False,
) -> None:
    """Measure a saved model on held-out users, beside popularity and EASE.

    The event log is read and split as it was for training, unless told otherwise, so that its test
    users are the ones the model never saw.

    Example: macrid evaluate runs/first ratings.csv --metrics ndcg@10,recall@10
    """
    from macrid.cli.source import read_events, read_split_or_events
    from macrid.data.splits import hide_events, is_split_folder
    from macrid.evaluation.baselines import measure_baselines
    from macrid.evaluation.protocol import evaluate as measure
    from macrid.models.artifact import load

    names = o.metric_names(metrics)
    if people not in ("test", "validation", "all"):
        raise ValueError(f"--people is {people!r}; it is test, validation or all")
    if without_targets not in ("zero", "drop"):
        raise ValueError(f"--without-targets is {without_targets!r}; it is zero or drop")
    model = load(folder)
    given = o.given(
        items=items and str(items),
        columns=o.pairs(columns, "--column"),
        min_weight=min_weight,
        min_user_events=min_user_events,
        min_item_events=min_item_events,
        hold_out=hold_out,
        split_seed=split_seed,
    )
    settings = o.DataSettings.of({**model.training.get("read", {}), **given})
    if people == "all":
        if is_split_folder(source):
            raise DataError(f"{source} is split already; use --people test or validation")
        group = hide_events(read_events(source, settings).with_catalogue(model.items))
        compared = {}
    else:
        if model.training.get("refit"):
            note("warning: this model was refitted on everyone, these users included")
        _, split = read_split_or_events(source, settings)
        if not model.training.get("refit") and split.train.fingerprint() != model.training.get(
            "data"
        ):
            note("warning: the training users of this split are not those the model was trained on")
        group = split.test if people == "test" else split.validation
        compared = measure_baselines(split, names, people=people) if baselines else {}
    treatment: Any = without_targets
    measured = measure(model, group, metrics=names, without_targets=treatment).to_dict()
    if as_json:
        document({"model": model.name, "people": people, people: measured, "baselines": compared})
    else:
        metrics_table(model.name, measured, compared, title=f"{people} users")


def recommend(
    folder: o.ModelFolder,
    histories: Annotated[
        Path | None,
        typer.Argument(help="Who had what: any event log, or JSON {user: [item, …]}."),
    ] = None,
    items: Annotated[
        list[str] | None, typer.Option(help="One person's history instead: --items a,b,c.")
    ] = None,
    k: o.K = 10,
    only: Annotated[
        list[str] | None, typer.Option(help="List only these items: --only a,b,c.")
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Never list these items.")] = None,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="List what people have had, too.")
    ] = False,
    on_unknown: Annotated[
        str, typer.Option(help="Items the model does not know: warn, ignore or raise.")
    ] = "warn",
    columns: o.Columns = None,
    out: Annotated[
        Path | None, typer.Option(help="Write to a .parquet, .csv or .json file.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Recommend items to people, known to the model or not.

    Example: macrid recommend runs/first --items 296,593 -k 5
    """
    from macrid.models.artifact import load

    if (histories is None) == (items is None):
        raise ValueError("give either a file of histories or --items a,b,c")
    model = load(folder)
    lists = model.recommend(
        {"me": o.ids(items)} if histories is None else _histories(histories, columns),
        k,
        items=o.ids(only) if only else None,
        exclude=o.ids(exclude),
        include_seen=include_seen,
        on_unknown=on_unknown,
    )
    _deliver(lists, model, out, as_json=as_json, key="recommendations")


def similar(
    folder: o.ModelFolder,
    items: Annotated[list[str], typer.Argument(help="Whose neighbours are wanted.")],
    k: o.K = 10,
    out: Annotated[
        Path | None, typer.Option(help="Write to a .parquet, .csv or .json file.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """List the items that the model holds nearest to some.

    Example: macrid similar runs/first 296 -k 5
    """
    from macrid.models.artifact import load

    model = load(folder)
    _deliver(model.similar_items(items, k), model, out, as_json=as_json, key="similar")


def _histories(path: Path, columns: list[str] | None) -> Any:
    """Histories from a file."""
    from macrid.data.readers import read

    if path.suffix.lower() != ".json":
        return read(path, columns=o.pairs(columns, "--column"))
    try:
        people = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(people, dict) or not all(isinstance(v, list) for v in people.values()):
        raise DataError(f'{path} does not hold {{"user": ["item", …], …}}')
    return people


def _deliver(
    lists: Any,
    model: Any,
    out: Path | None,
    *,
    as_json: bool,
    key: Literal["recommendations", "similar"],
) -> None:
    """To a file, as JSON, or as a table with titles."""
    if out is not None:
        _write(lists, out)
        note(f"wrote {len(lists):,} rows to {out}")
    if as_json:
        document({"model": model.name, key: lists.to_dicts()})
    elif out is None:
        shown = lists
        if "title" in model.catalogue.columns:
            shown = lists.join(
                model.catalogue.select("item_id", "title"),
                on="item_id",
                how="left",
                maintain_order="left",
            )
        table(shown.columns, shown.rows())


def _write(lists: Any, out: Path) -> None:
    """A frame to a file, in one step."""
    import io

    from macrid.data.files import replace_file

    writers = {".parquet": "write_parquet", ".csv": "write_csv", ".json": "write_json"}
    if out.suffix.lower() not in writers:
        raise ValueError(f"{out} has no ending among {', '.join(writers)}")
    content = io.BytesIO()
    getattr(lists, writers[out.suffix.lower()])(content)
    try:
        replace_file(out, content.getvalue())
    except OSError as error:
        raise ArtifactError(f"cannot write {out}: {error.strerror}") from error
