"""`macrid train`: from an event log to a model folder, with an answer to how good it is."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from macrid.cli import options as o
from macrid.cli.show import command, document, metrics_table, note

Option = typer.Option


def train(
    source: Annotated[Path, typer.Argument(help="Event log or pro_sg folder.", show_default=False)],
    out: Annotated[Path, Option(help="Model folder to write.", show_default=False)],
    model: Annotated[
        str | None, Option(help="See macrid models.", show_default="macridvae")
    ] = None,
    settings: Annotated[
        list[str] | None,
        Option("--set", help="A setting of the model, as in --set beta=2.0; repeatable."),
    ] = None,
    softmax: Annotated[
        str | None,
        Option(
            help="Compare with every item (full), or sampled:N a step for large catalogues.",
            show_default="full",
        ),
    ] = None,
    assignment_sampling: Annotated[
        str | None,
        Option(
            help="Items' concepts in training: soft, straight-through or none.",
            show_default="soft",
        ),
    ] = None,
    config: Annotated[
        Path | None, Option(help="TOML: model, and tables settings, training, data.")
    ] = None,
    recipe: Annotated[
        str | None,
        Option(
            help="faithful, or fast: as good in a fifth of the epochs.",
            show_default="faithful",
        ),
    ] = None,
    epochs: Annotated[
        int | None, Option(help="Most passes over the users.", show_default="the model's")
    ] = None,
    batch_size: Annotated[
        int | None, Option(help="Users per step.", show_default="the model's")
    ] = None,
    learning_rate: Annotated[
        float | None, Option(help="Adam's.", show_default="the model's")
    ] = None,
    patience: Annotated[
        int | None,
        Option(help="Stop after so many epochs without a better one.", show_default="never"),
    ] = None,
    seed: Annotated[
        int | None, Option(help="Of weights, order, noise.", show_default="98765")
    ] = None,
    precision: Annotated[str | None, Option(help="32 or bf16.", show_default="32")] = None,
    device: Annotated[
        str | None, Option(help="Where to train: auto, cpu, cuda, mps.", show_default="auto")
    ] = None,
    threads: o.Threads = None,
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
    from macrid.cli.runs import Run, carry_out

    written = o.read_config(config)
    chosen = o.given(softmax=softmax, assignment_sampling=assignment_sampling)
    training = o.given(
        recipe=recipe,
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
    run = Run(
        source,
        out,
        model or written.get("model", "macridvae"),
        settings={**written.get("settings", {}), **o.pairs(settings, "--set"), **chosen},
        training={**written.get("training", {}), **training},
        reading={**written.get("data", {}), **reading},
        metrics=o.metric_names(metrics),
        refit=refit,
        resume=resume,
        overwrite=overwrite,
        baselines=baselines,
    )
    trained = carry_out(run)
    measured = trained.metrics
    if as_json:
        document(measured)
        return
    metrics_table(measured["model"], measured["test"], measured["baselines"], title="test users")
    example = next((str(item) for item in trained.items.ids if "," not in str(item)), "ID")[:100]
    note(f"the model is in {out}; try: {command()} recommend {out} --items {quote(example)}")
