"""`macrid sweep`: whether dimensions come apart as beta rises, from many trainings."""

from pathlib import Path
from typing import Annotated

import typer

from macrid.cli import options as o
from macrid.cli.show import document, note, table
from macrid.errors import MissingExtra, SettingsError

Option = typer.Option


def sweep(
    source: Annotated[Path, typer.Argument(help="Event log or pro_sg folder.", show_default=False)],
    settings: Annotated[int, Option(help="Random pairs of beta and prior_std.")] = 60,
    out: Annotated[Path, Option(help="Folder for finished trainings and the figure.")] = Path(
        "sweep"
    ),
    concepts: Annotated[
        str, Option(help="Numbers of concepts, each trained with every pair, as in 7,1.")
    ] = "7",
    total_dims: Annotated[
        int | None,
        Option(help="Dimensions of all concepts together.", show_default="n_dims of each concept"),
    ] = None,
    beta: Annotated[str, Option(help="LOW..HIGH to draw from, by the logarithm.")] = "0.05..5",
    prior_std: Annotated[
        str, Option(help="LOW..HIGH to draw from, by the logarithm.")
    ] = "0.025..0.25",
    fixed: Annotated[
        list[str] | None,
        Option("--set", help="Another setting of MacridVAE, as in --set n_dims=50; repeatable."),
    ] = None,
    recipe: Annotated[
        str | None, Option(help="faithful or fast, see train.", show_default="faithful")
    ] = None,
    epochs: Annotated[int | None, Option(help="Passes over the users.", show_default="200")] = None,
    batch_size: Annotated[int | None, Option(help="Users per step.", show_default="500")] = None,
    learning_rate: Annotated[float | None, Option(help="Adam's.", show_default="0.001")] = None,
    seed: Annotated[
        int | None, Option(help="Of trainings and of what is drawn.", show_default="98765")
    ] = None,
    precision: Annotated[str | None, Option(help="32 or bf16.", show_default="32")] = None,
    device: Annotated[
        str | None, Option(help="Where to train: auto, cpu, cuda, mps.", show_default="auto")
    ] = None,
    threads: o.Threads = None,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace trainings in --out of other settings or data.")
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
    """Train MacridVAE with random settings; recall against uncorrelatedness (Figure 4).

    The same command goes on where it was stopped, and with more --settings adds to what is there.

    Example: macrid sweep ratings.csv --settings 60 --concepts 7,1 --epochs 60 --out swept
    """
    import torch

    from macrid.cli.source import read_split_or_events
    from macrid.data.splits import PUBLISHED_SEED
    from macrid.evaluation.plan import Plan
    from macrid.evaluation.sweep import sweep as run_all
    from macrid.report.sweep import conditions, correlation_table, title, write_sweep

    training = o.given(
        recipe=recipe,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        precision=precision,
        device=device,
        threads=threads,
    )
    plan = Plan(
        settings,
        _numbers(concepts),
        total_dims,
        beta,
        prior_std,
        o.pairs(fixed, "--set") | training,
        PUBLISHED_SEED if seed is None else seed,
    )
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
    try:
        found = run_all(split, plan, folder=out, overwrite=overwrite, tell=note)
    except KeyboardInterrupt:
        note(f"finished trainings are kept in {out}; the same command goes on from there")
        raise
    try:
        write_sweep(found, out)
    except MissingExtra as error:
        note(f"there is no sweep.html: {error}")
    note(f"the table and the figure are in {out}")
    if as_json:
        document(found.to_dict())
        return
    shown = correlation_table(found)
    table(shown.columns, shown.rows(), title=title(found))
    for sentence in conditions(found):
        note(sentence)


def _numbers(text: str) -> list[int]:
    """Comma-separated whole numbers.

    Raises:
        SettingsError: If one is none.
    """
    try:
        return [int(part) for part in o.ids([text])]
    except ValueError:
        raise SettingsError(
            f"--concepts {text!r} is not a list of whole numbers, such as 7,1"
        ) from None
