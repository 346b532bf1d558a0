"""One training run: checks, reading, training, measuring, saving."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from macrid.cli.folders import check_same, check_space, leave_clean, prepare_folder
from macrid.cli.options import DataSettings
from macrid.cli.show import note
from macrid.cli.source import read_split_or_events
from macrid.data.splits import Split, everyone
from macrid.errors import DataError, SettingsError, TrainingDiverged
from macrid.evaluation.baselines import measure_baselines
from macrid.evaluation.protocol import DEFAULT_METRICS, check_people, evaluate
from macrid.models.artifact import load
from macrid.models.catalog import model_class
from macrid.models.recommender import Recommender
from macrid.training.run_files import discard_checkpoint
from macrid.training.settings import RECIPES, no_options

FEW_STEPS = 300  # at which a recipe that was chosen for about 400 is not to be relied on


@dataclass(frozen=True)
class Run:
    """What was asked for: where from, where to, which model, and how."""

    source: Path
    out: Path
    model: str = "macridvae"
    settings: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    reading: dict[str, Any] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=lambda: [*DEFAULT_METRICS])
    refit: bool = False
    resume: bool = False
    overwrite: bool = False
    baselines: bool = True


def carry_out(run: Run) -> Recommender:
    """Check everything that can be checked, then read, train, measure and save.

    Returns:
        The model, with the content of ``metrics.json`` as its ``metrics``.
    """
    model = model_class(run.model)(**run.settings)
    options: dict[str, Any] = {}
    if model.in_epochs:
        options = model.training_settings(run.training).model_dump()
    else:
        no_options(run.model, run.training)
    reading = DataSettings.of(run.reading)
    wanted = options | {"refit": run.refit, "read": reading.model_dump()}
    made = [folder for folder in (run.out, *run.out.parents) if not folder.exists()]
    if prepare_folder(run.out, resume=run.resume, overwrite=run.overwrite) == "finished":
        check_same(run.out, model, wanted)
        note(f"{run.out} is finished already; nothing to do")
        return load(run.out)
    if options.get("threads"):
        torch.set_num_threads(options["threads"])
    try:
        return _train(run, model, options, wanted)
    except TrainingDiverged:
        discard_checkpoint(run.out)  # resumed, it would diverge again
        leave_clean(run.out, made)
        raise
    except (DataError, SettingsError):  # the same command would be refused again
        leave_clean(run.out, made, tell=False)
        raise
    except BaseException:
        leave_clean(run.out, made)
        raise


def _train(
    run: Run, model: Recommender, options: dict[str, Any], wanted: dict[str, Any]
) -> Recommender:
    """The work itself, after the checks."""
    events, split = read_split_or_events(run.source, DataSettings.of(wanted["read"]))
    for people in (split.validation, split.test):
        check_people(people)  # or the model would be trained, and then not measured
    check_space(run.out, model, split.train.n_items)
    train = split.train
    note(
        f"training on {train.n_users:,} users, {train.n_items:,} items and {len(train):,} events; "
        f"the best epoch is chosen on {len(split.validation):,} other users"
    )
    if chosen := RECIPES[options.get("recipe", "faithful")]:
        shown = ", ".join(f"{name} {options[name]}" for name in chosen)
        note(f"by the {options['recipe']} recipe: {shown}")
        steps = options["epochs"] * -(-train.n_users // options["batch_size"])
        if steps < FEW_STEPS:
            note(
                f"warning: that is {steps:,} steps, for which the recipe was not made; take a "
                "smaller --batch-size or more --epochs, or leave the recipe out"
            )
    loop = {"folder": run.out, "resume": run.resume, "progress": True} if model.in_epochs else {}
    model.fit(split.train, split.validation, **options, **loop)
    measured = _measure(model, split, run)
    if run.refit:
        note("training once more, on everyone")
        again = dict(options)
        if model.in_epochs:
            again |= {"epochs": model.training["best_epoch"], "patience": None, "progress": True}
        model.fit(events or everyone(split), **again)
    model.training |= wanted
    model.metrics = measured
    # Saved before the baselines are measured, which need more memory than some models.
    model.save(run.out)
    if run.baselines:
        note("measuring popularity and EASE beside it (--no-baselines leaves them out)")
        beside = measure_baselines(split, run.metrics)
        model.metrics |= {"baselines": beside.metrics, **beside.notes}
        model.save(run.out)
    discard_checkpoint(run.out)
    return model


def _measure(model: Recommender, split: Split, run: Run) -> dict[str, Any]:
    """What ``metrics.json`` says of the model itself."""
    note(f"measuring on {len(split.test):,} test users")
    return {
        "model": model.name,
        "test": evaluate(model, split.test, metrics=run.metrics).to_dict(),
        "validation": evaluate(model, split.validation, metrics=run.metrics).to_dict(),
        "baselines": {},
        "epochs": model.training.get("epochs_run", 0),
        "best_epoch": model.training.get("best_epoch", 0),
        "seconds": model.training["seconds"],
    }
