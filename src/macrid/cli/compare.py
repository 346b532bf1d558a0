"""`macrid compare`: models beside each other on one split, and what their differences mean."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from macrid.cli import options as o
from macrid.cli.show import document, note, table
from macrid.errors import MissingExtra, SettingsError

Option = typer.Option


def compare(
    source: Annotated[Path, typer.Argument(help="Event log or pro_sg folder.", show_default=False)],
    models: Annotated[
        str,
        Option(
            help="Comma-separated: names (see macrid models), or TOML files as train --config "
            "takes, each called by its file's name (best.toml by its model); LABEL=NAME and "
            "LABEL=FILE call it otherwise.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, Option(help="Folder for finished cells and the report.")] = Path(
        "comparison"
    ),
    seeds: Annotated[int, Option(help="Trainings of each model: seeds 98765, 1, 2 …")] = 3,
    settings: Annotated[
        list[str] | None,
        Option(
            "--set",
            help="A setting of one model, or of its training, as in --set macridvae.beta=2; "
            "repeatable.",
        ),
    ] = None,
    recipe: Annotated[str | None, Option(help="faithful or fast.", show_default="faithful")] = None,
    epochs: Annotated[
        int | None, Option(help="Most passes over the users.", show_default="of each model")
    ] = None,
    batch_size: Annotated[
        int | None, Option(help="Users per step.", show_default="of each model")
    ] = None,
    learning_rate: Annotated[
        float | None, Option(help="Adam's.", show_default="of each model")
    ] = None,
    patience: Annotated[
        int | None,
        Option(help="Stop after so many epochs without a better one.", show_default="never"),
    ] = None,
    precision: Annotated[str | None, Option(help="32 or bf16.", show_default="32")] = None,
    device: Annotated[
        str | None, Option(help="Where to train: auto, cpu, cuda, mps.", show_default="auto")
    ] = None,
    threads: o.Threads = None,
    metrics: o.Metrics = o.METRICS,
    beyond: Annotated[
        bool,
        Option(
            "--beyond",
            help="Also measure coverage, novelty, Gini, diversity and share of head items of "
            "lists of 20.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace cells in --out of other settings or data.")
    ] = False,
    items: o.ItemTable = None,
    columns: o.Columns = None,
    min_weight: o.MinWeight = None,
    min_user_events: o.MinUserEvents = None,
    min_item_events: o.MinItemEvents = None,
    hold_out: o.HoldOut = None,
    split_seed: o.SplitSeed = None,
    as_json: o.Json = False,
) -> None:
    """Train models on one split, with several seeds, and compare them on the same test users.

    Options of training hold for every model that is trained in epochs, and go before what a TOML
    file says; --set goes before both. The same command goes on where it was stopped: a finished
    cell is not run again.

    Example: macrid compare ratings.csv --models ease,multvae,macridvae --seeds 5 --out compared
    """
    import torch

    from macrid.cli.source import read_split_or_events
    from macrid.evaluation.cells import FOLDER
    from macrid.evaluation.compare import check_request
    from macrid.evaluation.compare import compare as run_all
    from macrid.report.comparison import write_report

    training = o.given(
        recipe=recipe,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        precision=precision,
        device=device,
        threads=threads,
    )
    reading = o.DataSettings.of(
        o.given(
            items=items and str(items),
            columns=o.pairs(columns, "--column"),
            min_weight=min_weight,
            min_user_events=min_user_events,
            min_item_events=min_item_events,
            hold_out=hold_out,
            split_seed=split_seed,
        )
    )
    contenders = _contenders(o.ids([models]), o.pairs(settings, "--set"), training, reading)
    check_request([one.label for one in contenders], seeds)
    names = o.metric_names(metrics)
    if threads:
        torch.set_num_threads(threads)
    _, split = read_split_or_events(source, reading)
    try:
        found = run_all(
            split,
            contenders,
            seeds=seeds,
            metrics=names,
            folder=out,
            beyond=beyond,
            overwrite=overwrite,
            tell=note,
        )
    except KeyboardInterrupt:
        if any(out.glob(f"{FOLDER}/*/[!.]*")):
            note(f"finished cells are kept in {out}; the same command goes on from there")
        raise
    asked = reading.model_dump(exclude_unset=True, exclude={"items"})
    found = replace(found, about={"source": {"data": str(source), **asked}, **found.about})
    try:
        write_report(found, out)
    except MissingExtra as error:
        note(f"there is no comparison.html: {error}")
    note(f"the report is in {out}")
    if as_json:
        document(found.to_dict())
    else:
        _show(found)


def _show(found: Any) -> None:
    """The tables, and what is to be said of them."""
    from macrid.report.comparison import BEYOND, differences_title, table_title

    tables = [(found.table(), table_title(found))]
    if found.beyond:
        tables.append((found.beyond_table(), BEYOND))
    if len(found.differences):
        tables.append((found.differences_table(), differences_title(found)))
    for shown, title in tables:
        table(shown.columns, shown.rows(), title=title)
    for sentence in found.remarks():
        note(sentence)


def _contenders(
    entries: list[str], settings: dict[str, str], training: dict[str, Any], reading: o.DataSettings
) -> list[Any]:
    """Who is compared: names and TOML files, with what the flags say of them."""
    from macrid.evaluation.compare import Contender
    from macrid.models.catalog import model_class

    written = {}
    for entry in entries:
        label, what, config = _named(entry)
        if label in written:
            raise SettingsError(
                f"--models has {label!r} twice; call one of them otherwise, as in other={what}"
            )
        written[label] = config
        _tell_of_data(entry, config.get("data", {}), reading)
        if "seed" in config.get("training", {}):
            note(f"the seed of {entry} is not used: a comparison has seeds of its own (--seeds)")
    given = _by_label(settings, list(written))
    chosen = []
    for label, config in written.items():
        name = config.get("model", "macridvae")
        of_training = _of_training(name)
        own = {n: value for n, value in given[label].items() if n not in of_training}
        how = {n: value for n, value in given[label].items() if n in of_training}
        common = training if model_class(name).in_epochs else {}
        one = Contender(
            label,
            name,
            {**config.get("settings", {}), **own},
            {**config.get("training", {}), **common, **how},
        )
        one.options(0)  # refused now, before anything is read
        chosen.append(one)
    return chosen


def _of_training(model: str) -> set[str]:
    """Which settings are of a model's training; seeds and the machine are of the comparison."""
    from macrid.models.catalog import model_class
    from macrid.training.settings import TrainingSettings

    if not model_class(model).in_epochs:
        return set()
    return {*TrainingSettings.model_fields} - {"seed", "device", "threads"}


def _named(entry: str) -> tuple[str, str, dict[str, Any]]:
    """What an entry is called, the name or TOML file that it is, and what that says."""
    label, equals, what = map(str.strip, entry.partition("="))
    if not equals or Path(entry).is_file():
        label, what = "", entry
    if not what.endswith(".toml"):
        return label or what, what, {"model": what}
    config = o.read_config(Path(what))
    stem = Path(what).stem  # macrid tune calls all of its files best.toml
    tuned = f"{config.get('model', 'macridvae')}-tuned"
    return label or (tuned if stem == "best" else stem), what, config


def _by_label(settings: dict[str, str], labels: list[str]) -> dict[str, dict[str, str]]:
    """What ``--set LABEL.NAME=VALUE`` says, by label.

    Raises:
        SettingsError: If one names no model, or none that is compared.
    """
    given: dict[str, dict[str, str]] = {label: {} for label in labels}
    for key, value in settings.items():
        label, dot, name = key.rpartition(".")
        if not dot:
            raise SettingsError(
                f"--set {key}={value} does not say of which model; write --set MODEL.{key}={value}"
            )
        if label not in given:
            raise SettingsError(
                f"--set {key}={value} is of {label!r}, which is not compared; compared are "
                f"{', '.join(labels)}"
            )
        given[label][name] = value
    return given


def _tell_of_data(entry: str, data: dict[str, Any], reading: o.DataSettings) -> None:
    """A word if a TOML file was written for data that were read otherwise."""
    wanted, actual = o.DataSettings.of(data).model_dump(), reading.model_dump()
    changed = [name for name in data if name != "items" and wanted[name] != actual[name]]
    if changed:
        note(
            f"warning: {entry} has other {', '.join(changed)}; all models are compared on one "
            "split, which the options of this command describe"
        )
