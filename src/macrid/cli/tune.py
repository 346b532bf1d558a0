"""`macrid tune`: the best settings of a model, as a file that `macrid train` takes."""

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from macrid.cli import options as o
from macrid.cli.show import command, document, metrics_table, note, table
from macrid.errors import MissingExtra

Option = typer.Option


def tune(
    source: Annotated[Path, typer.Argument(help="Event log or pro_sg folder.", show_default=False)],
    model: Annotated[str, Option(help="See macrid models.")] = "macridvae",
    trials: Annotated[int, Option(help="Trials to end, those of earlier starts included.")] = 20,
    out: Annotated[
        Path | None, Option(help="Folder to keep the search in.", show_default="tune-MODEL")
    ] = None,
    storage: Annotated[
        str | None,
        Option(
            help="Optuna storage for processes to share, as postgresql://user:password@host/name "
            r"(needs pip install 'psycopg\[binary]').",
            show_default="OUT/study.db",
        ),
    ] = None,
    study: Annotated[
        str | None, Option(help="Name of the study in the storage.", show_default="MODEL")
    ] = None,
    settings: Annotated[
        list[str] | None,
        Option("--set", help="Fix a setting, as in --set n_dims=50; repeatable."),
    ] = None,
    search: Annotated[
        list[str] | None,
        Option(help="Search NAME=LOW..HIGH or NAME=a,b,c, as in --search beta=1..4; repeatable."),
    ] = None,
    recipe: Annotated[
        str | None, Option(help="faithful or fast, see train.", show_default="faithful")
    ] = None,
    epochs: Annotated[
        int | None, Option(help="Most passes over the users in a trial.", show_default="200")
    ] = None,
    patience: Annotated[
        int | None,
        Option(help="End a trial after so many epochs without a better one.", show_default="never"),
    ] = None,
    seed: Annotated[
        int | None, Option(help="Of trainings and of what is drawn.", show_default="98765")
    ] = None,
    precision: Annotated[str | None, Option(help="32 or bf16.", show_default="32")] = None,
    device: Annotated[
        str | None, Option(help="Where to train: auto, cpu, cuda, mps.", show_default="auto")
    ] = None,
    threads: o.Threads = None,
    timeout: Annotated[
        float | None,
        Option(help="Minutes after which no further trial begins.", show_default="none"),
    ] = None,
    items: o.ItemTable = None,
    columns: o.Columns = None,
    min_weight: o.MinWeight = None,
    min_user_events: o.MinUserEvents = None,
    min_item_events: o.MinItemEvents = None,
    hold_out: o.HoldOut = None,
    split_seed: o.SplitSeed = None,
    metrics: o.Metrics = o.METRICS,
    test: Annotated[
        bool,
        Option("--test/--no-test", help="Measure the best on the test users, once, at the end."),
    ] = True,
    as_json: o.Json = False,
) -> None:
    r"""Search a model's settings by their NDCG@100 on the validation users (macrid\[tune]).

    It can be stopped, even killed, and goes on with the same command. Processes that are given the
    same folder or --storage share the work; all but one with --no-test.

    Example: macrid tune ratings.csv --model macridvae --trials 50 --epochs 50 --search beta=1..4
    """
    import torch

    from macrid.cli.source import read_split_or_events
    from macrid.evaluation.search import Search
    from macrid.evaluation.tune import check_request, tune
    from macrid.evaluation.tune_folder import BEST
    from macrid.models.catalog import model_class

    names = o.metric_names(metrics)
    training = o.given(
        recipe=recipe,
        epochs=epochs,
        patience=patience,
        seed=seed,
        precision=precision,
        device=device,
        threads=threads if model_class(model).in_epochs else None,  # of any model, see below
    )
    wanted = Search.of(model, o.pairs(settings, "--set") | training, o.pairs(search, "--search"))
    check_request(wanted, trials=trials, minutes=timeout, storage=storage, study=study)
    given = o.given(
        items=items and str(items),
        columns=o.pairs(columns, "--column"),
        min_weight=min_weight,
        min_user_events=min_user_events,
        min_item_events=min_item_events,
        hold_out=hold_out,
        split_seed=split_seed,
    )
    if threads:
        torch.set_num_threads(threads)
    _, split = read_split_or_events(source, o.DataSettings.of(given))
    out = out or Path(f"tune-{model}")
    for name, known in wanted.space.items():
        note(f"searching {name} in {known}")
    try:
        tuned = tune(
            wanted,
            split,
            trials=trials,
            folder=out,
            storage=storage,
            study=study,
            minutes=timeout,
            test=test,
            metrics=names,
            source=source,
            reading=given,
            tell=note,
        )
    except KeyboardInterrupt:
        if out.is_dir():
            note(f"what was found so far is kept in {out}; the same command goes on with it")
        raise
    page = _page(tuned, out)
    if as_json:
        document(tuned.to_dict())
        return
    _show(tuned)
    note(
        f"the settings are in {out / BEST}{page}; train by them: {command()} train "
        f"{quote(str(source))} --config {quote(str(out / BEST))} --out DIR"
    )


def _page(tuned: Any, out: Path) -> str:
    """The report beside the rest, where there is what it is drawn with; where it is, in words."""
    from macrid.report.search import PAGE, write_page

    try:
        write_page(tuned, out)
    except MissingExtra as missing:
        note(f"no {PAGE} was written: {missing}")
        return ""
    return f", how it went in {out / PAGE}"


def _show(tuned: Any) -> None:
    """Settings and measures as tables."""
    chosen = tuned.settings | tuned.training
    rows = [(name, str(chosen[name]), str(known)) for name, known in tuned.search.space.items()]
    table(["setting", "best", "searched"], rows, title=f"the best of the trials, {tuned.best}")
    beside = {} if tuned.defaults is None else {"defaults": tuned.defaults}
    metrics_table(tuned.search.model, tuned.validation, beside, title="validation users")
    if tuned.test is not None:
        beside = {"popularity": tuned.popularity}
        metrics_table(tuned.search.model, tuned.test, beside, title="test users")
