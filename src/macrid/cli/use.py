"""`macrid evaluate`, `recommend` and `similar`: what a saved model is for."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from macrid.cli import options as o
from macrid.cli.show import document, metrics_table, note, table
from macrid.cli.source import read_again, reading_of
from macrid.data.files import replace_file
from macrid.errors import ArtifactError, ControlError, DataError

SHOWN = 200  # rows of a table that somebody might still read
_WRITERS = {".parquet": "write_parquet", ".csv": "write_csv", ".json": "write_json"}


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
    from macrid.evaluation.baselines import measure_baselines
    from macrid.evaluation.protocol import evaluate as measure
    from macrid.models.artifact import load

    names = o.metric_names(metrics)
    if people not in ("test", "validation", "all"):
        raise ValueError(f"--people is {people!r}; it is test, validation or all")
    model = load(folder)
    given = o.given(
        columns=o.pairs(columns, "--column"),
        min_weight=min_weight,
        min_user_events=min_user_events,
        min_item_events=min_item_events,
        hold_out=hold_out,
        split_seed=split_seed,
    )
    if people == "all":
        group, split = _everybody(model, source, given), None
    else:
        split = read_again(model, source, given)
        group = split.test if people == "test" else split.validation
    treatment: Any = without_targets
    measured = measure(model, group, metrics=names, without_targets=treatment).to_dict()
    compared = {}
    if baselines and split:
        compared = measure_baselines(split, names, people=people).metrics
    if as_json:
        document({"model": model.name, "people": people, people: measured, "baselines": compared})
    else:
        metrics_table(model.name, measured, compared, title=f"{people} users")


def _everybody(model: Any, source: Path, given: dict[str, Any]) -> Any:
    """All people of an event log, part of each one's events hidden."""
    from macrid.cli.source import read_events
    from macrid.data.splits import hide_events, is_split_folder

    if is_split_folder(source) or {"hold_out", "split_seed"} & set(given):
        raise DataError(
            "--people all takes an event log as a whole: no pro_sg folder, --hold-out, --split-seed"
        )
    note("everybody in SOURCE is measured, people the model was trained on included")
    return hide_events(read_events(source, reading_of(model, given)).with_catalogue(model.items))


def recommend(
    folder: o.ModelFolder,
    histories: Annotated[
        Path | None,
        typer.Argument(help="Who had what: any event log, or JSON {user: [item, …]}."),
    ] = None,
    items: Annotated[
        list[str] | None, typer.Option(help="One person's history instead: --items a,b,c.")
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(help="Or a person that macrid steer --save kept; with -k and --controls."),
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
    precision: Annotated[
        str, typer.Option(help="32 or bf16: the same lists, faster on some processors.")
    ] = "32",
    ann: Annotated[
        bool,
        typer.Option(
            "--ann",
            help="Search an index (macrid\\[ann]): faster above a million items, may miss some.",
        ),
    ] = False,
    controls: Annotated[
        Path | None,
        typer.Option(help="A JSON file with what else is asked of the lists (as in macrid steer)."),
    ] = None,
    columns: o.Columns = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write to a .parquet, .csv or .json file, or to a folder of Parquet."),
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Recommend items to people, known to the model or not.

    A folder is written part by part, so that millions of lists need no memory. It appears when all
    parts are there; a run that was killed goes on if it is started again.

    Example: macrid recommend runs/first --items 296,593 -k 5
    """
    from macrid.control.controls import Controls
    from macrid.models.artifact import load

    if [histories, items, profile].count(None) != 2:
        raise ValueError("give either a file of histories, --items a,b,c or --profile FILE")
    if only is not None and not o.ids(only):
        raise ValueError("--only names no item")
    _check_output(out, folder_too=profile is None)
    asked = None if controls is None else Controls.read(controls)
    model = load(folder)
    if profile is not None:
        if only or exclude or include_seen or ann:
            raise ValueError("--profile goes with -k, --controls, --out and --json only")
        lists = _of_profile(model, profile, k, asked)
        _deliver(lists, model, out, as_json=as_json, key="recommendations")
        return
    people = {"me": o.ids(items, model.items)} if items else _histories(histories, columns)
    wishes: dict[str, Any] = {
        "items": o.ids(only, model.items) if only else None,
        "exclude": o.ids(exclude, model.items),
        "include_seen": include_seen,
        "on_unknown": on_unknown,
        "precision": precision,
        "ann": ann,
        "controls": asked,
    }
    with _told():
        if out is not None and not out.suffix:
            _stream(model.recommend_parts(people, k, **wishes), out)
            if as_json:
                document({"model": model.name, "folder": str(out)})
        else:
            lists = model.recommend(people, k, **wishes)
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

    _check_output(out)
    model = load(folder)
    _deliver(
        model.similar_items(o.ids(items, model.items), k),
        model,
        out,
        as_json=as_json,
        key="similar",
    )


def _of_profile(model: Any, path: Path, k: int, controls: Any) -> Any:
    """The list of somebody who was kept."""
    from macrid.models.profiles import Profile, Profiled

    if not isinstance(model, Profiled):
        raise ControlError(f"{model.name} has no concepts, and so no profiles; train macridvae")
    return model.recommend_profile(Profile.read(path), k, controls=controls)


def _histories(path: Any, columns: list[str] | None) -> Any:
    """Histories from a file."""
    from macrid.data.readers import read

    if path.suffix.lower() != ".json":
        return read(path, columns=o.pairs(columns, "--column")) if columns else path
    try:
        people = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    lists = people.values() if isinstance(people, dict) else [None]
    if not all(isinstance(v, list) and all(isinstance(i, str | int) for i in v) for v in lists):
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
        shown = lists.head(SHOWN)
        if len(lists) > SHOWN:
            note(
                f"the first {SHOWN} of {len(lists):,} rows; --out FILE or --json gives all of them"
            )
        if "title" in model.catalogue.columns:
            shown = shown.join(
                model.catalogue.select("item_id", "title"),
                on="item_id",
                how="left",
                maintain_order="left",
            )
        table(shown.columns, shown.rows())


@contextmanager
def _told() -> Iterator[None]:
    """With what macrid has to tell on stderr."""
    log, handler = logging.getLogger("macrid"), logging.StreamHandler(sys.stderr)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _stream(lists: Any, out: Path) -> None:
    """To a folder: with a bar on a terminal, with a line now and then elsewhere."""
    total = len(lists.users)
    if sys.stderr.isatty():
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("people"), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=total)
            lists.write(out, lambda people: bar.update(task, completed=people))
    else:
        tenths = set()  # that have been told

        def tell(people: int) -> None:
            tenth = 10 * people // max(total, 1)
            if tenth not in tenths:
                note(f"{people:,} of {total:,} people")
            tenths.add(tenth)

        lists.write(out, tell)
    note(f"wrote the lists of {total:,} people to {out}")


def _check_output(out: Path | None, *, folder_too: bool = False) -> None:
    """Refuse what cannot be written, before there is anything to write."""
    if out is None:
        return
    if folder_too and not out.suffix:
        from macrid.models.lists import check_folder

        check_folder(out)
        return
    if out.suffix.lower() not in _WRITERS:
        folder = ", or none for a folder" if folder_too else ""
        raise ValueError(f"{out} has no ending among {', '.join(_WRITERS)}{folder}")
    if not out.parent.is_dir() or out.is_dir():
        raise ArtifactError(f"cannot write {out}: its folder must exist, and it must be a file")


def _write(lists: Any, out: Path) -> None:
    """A frame to a file, in one step."""
    content = io.BytesIO()
    getattr(lists, _WRITERS[out.suffix.lower()])(content)
    try:
        replace_file(out, content.getvalue())
    except OSError as error:
        raise ArtifactError(f"cannot write {out}: {error.strerror}") from error
