"""`macrid train`: from an event log to a model folder, with an answer to how good it is."""

from pathlib import Path
from typing import Annotated, Any

import typer

from macrid.cli import options as o
from macrid.cli.show import document, metrics_table, note

Option = typer.Option


def train(
    source: Annotated[Path, typer.Argument(help="Event log or pro_sg folder.", show_default=False)],
    out: Annotated[Path, Option(help="Model folder to write.", show_default=False)],
    model: Annotated[str | None, Option(help="See macrid models.", show_default="macridvae")] = None,
    settings: Annotated[
        list[str] | None,
        Option("--set", help="A setting of the model, as in --set beta=2.0; repeatable."),
    ] = None,
    config: Annotated[
        Path | None, Option(help="TOML: model, and tables settings, training, data.")
    ] = None,
    epochs: Annotated[int | None, Option(help="Most passes over the users.", show_default="200")] = None,
    batch_size: Annotated[int | None, Option(help="Users per step.", show_default="500")] = None,
    learning_rate: Annotated[float | None, Option(help="Adam's.", show_default="0.001")] = None,
    patience: Annotated[
        int | None, Option(help="Stop after so many epochs without a better one.", show_default="never")
    ] = None,
    seed: Annotated[int | None, Option(help="Of weights, order, noise.", show_default="98765")] = None,
    precision: Annotated[str | None, Option(help="32 or bf16.", show_default="32")] = None,
    device: Annotated[str | None, Option(help="auto, cpu, cuda, mps.", show_default="auto")] = None,
    threads: Annotated[
        int | None, Option(help="Processor threads.", show_default="torch's choice")
    ] = None,
    refit: Annotated[
        bool, Option("--refit", help="Then train on everyone for the best number of epochs.")
    ] = False,
    resume: Annotated[bool, Option("--resume", help="Go on with a run that stopped.")] = False,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace what --out holds.")] = False,
    items: o.ItemTable = None,
    columns: o.Columns = None,
    min_weight: o.MinWeight = None,
    min_user_events: o.MinUserEvents = None,
    min_item_events: o.MinItemEvents = None,
    hold_out: o.HoldOut = None,
    split_seed: o.SplitSeed = None,
    metrics: o.Metrics = o.METRICS,
    baselines: o.Baselines = True,
    as_json: o.Json = False,
) -> None:
    """Train a model on an event log, and measure it on people it never saw.

    Example: macrid train ratings.csv --min-weight 4 --out runs/first --patience 20
    """
    written = o.read_config(config)
    training = o.given(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        seed=seed,
        precision=precision,
        device=device,
        threads=threads,
    )
    reading = o.given(
        items=items and str(items),
        columns=o.pairs(columns, "--column"),
        min_weight=min_weight,
        min_user_events=min_user_events,
        min_item_events=min_item_events,
        hold_out=hold_out,
        split_seed=split_seed,
    )
    measured = run_training(
        source,
        out,
        model or written.get("model", "macridvae"),
        settings={**written.get("settings", {}), **o.pairs(settings, "--set")},
        training={**written.get("training", {}), **training},
        reading={**written.get("data", {}), **reading},
        metrics=o.metric_names(metrics),
        flags={"refit": refit, "resume": resume, "overwrite": overwrite, "baselines": baselines},
    )
    if as_json:
        document(measured)
        return
    name = measured["model"]
    metrics_table({name: measured["test"], **measured["baselines"]}, title="test users")
    note(f"the model is in {out}; try: macrid recommend {out} --items {measured['example']}")


def run_training(
    source: Path,
    out: Path,
    name: str,
    *,
    settings: dict[str, Any],
    training: dict[str, Any],
    reading: dict[str, Any],
    metrics: list[str],
    flags: dict[str, bool],
) -> dict[str, Any]:
    """Check everything that can be checked, then read, train, measure and save.

    Returns:
        The content of ``metrics.json``.
    """
    from macrid.cli.folders import check_space, leave_clean, prepare_folder, read_metrics
    from macrid.cli.source import read_split_or_events
    from macrid.data.splits import everyone
    from macrid.models.catalog import model_class
    from macrid.training.settings import TrainingSettings, no_options

    model = model_class(name)(**settings)
    if model.in_epochs:
        training = TrainingSettings.of(training).model_dump()
    else:
        no_options(name, training)
    data_settings = o.DataSettings.of(reading)
    state = prepare_folder(out, resume=flags["resume"], overwrite=flags["overwrite"])
    if state == "finished":
        note(f"{out} is finished already; nothing to do")
        return read_metrics(out)
    try:
        events, split = read_split_or_events(source, data_settings)
        check_space(out, model, split.train.n_items)
        note(f"training on {split.train!r}, choosing by {len(split.validation):,} users")
        looped = {"folder": out, "resume": flags["resume"], "progress": True} if training else {}
        model.fit(split.train, split.validation, **training, **looped)
        measured = _measure(model, split, metrics, baselines=flags["baselines"])
        if flags["refit"]:
            note("training once more, on everyone")
            data = events or everyone(split)
            if training:
                training |= {"epochs": model.training["best_epoch"], "patience": None}
            model.fit(data, **training, **({"progress": True} if training else {}))
        model.metrics = measured
        model.training |= {"refit": flags["refit"], "read": data_settings.model_dump()}
        model.save(out)
    except BaseException:
        leave_clean(out)
        raise
    if training:
        from macrid.training.checkpoint import discard_checkpoint

        discard_checkpoint(out)
    return measured


def _measure(model: Any, split: Any, metrics: list[str], *, baselines: bool) -> dict[str, Any]:
    """What ``metrics.json`` holds."""
    from macrid.evaluation.baselines import measure_baselines
    from macrid.evaluation.protocol import evaluate

    note(f"measuring on {len(split.test):,} test users{', with baselines' if baselines else ''}")
    trained = {
        name: model.training[key]
        for name, key in (("epochs", "epochs_run"), ("best_epoch", "best_epoch"), ("seconds", "seconds"))
        if key in model.training
    }
    return {
        "model": model.name,
        "test": evaluate(model, split.test, metrics=metrics).to_dict(),
        "validation": evaluate(model, split.validation, metrics=metrics).to_dict(),
        "baselines": measure_baselines(split, metrics) if baselines else {},
        **trained,
        "example": ",".join(map(str, model.items.ids.head(3))),
    }
