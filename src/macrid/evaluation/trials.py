"""Trials of a study: what is drawn in them, what came of them, which settings mattered."""

import json
from collections.abc import Mapping
from typing import Any
from warnings import catch_warnings, simplefilter

import polars as pl

from macrid.evaluation.search import Search
from macrid.evaluation.study import DONE, FrozenTrial, Study, Trial, TrialState, optuna
from macrid.training.settings import OneOf, Range, Real, Whole

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
KILLED = "its process was killed"  # the reason of a trial that could not give one
_FEWEST = 5  # trials to tell from what matters
_TOP = 5  # trials at least that are the best ones, in that


def draw(trial: Trial, name: str, known: Range) -> Any:
    """A value for a setting, as its range has it."""
    match known:
        case Real():
            drawn = trial.suggest_float(name, known.low, known.high, log=known.log, step=known.step)
        case Whole():
            drawn = trial.suggest_int(name, known.low, known.high, log=known.log)
        case OneOf():
            drawn = trial.suggest_categorical(name, [label(choice) for choice in known.choices])
    return _value(known, drawn)


def values(search: Search, trial: FrozenTrial) -> dict[str, Any]:
    """What a trial trained with, of what is searched."""
    return {name: _value(search.space[name], drawn) for name, drawn in trial.params.items()}


def as_drawn(search: Search, tried: Mapping[str, Any]) -> dict[str, Any]:
    """Values as Optuna draws them: a 0 that has no logarithm as what stands for it."""
    return {
        name: label(tried[name]) if isinstance(known, OneOf) else max(tried[name], known.low)
        for name, known in search.space.items()
    }


def label(value: Any) -> Any:
    """A value, or the text of one that a database has no column for.

    Example:
        >>> label(0.5), label((600, 200))
        (0.5, '[600, 200]')
    """
    return value if isinstance(value, str | int | float) else json.dumps(value)


def best_trial(study: Study) -> FrozenTrial | None:
    """The best that was completed, the first of equals; None if there is none."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(complete, key=reached, default=None)


def reached(trial: FrozenTrial) -> float:
    """The value of a trial: of a pruned one, the best before it was."""
    if trial.state == TrialState.PRUNED:
        return max(trial.intermediate_values.values())
    return float("nan") if trial.value is None else trial.value


def seconds(trial: FrozenTrial) -> float | None:
    """How long it took; None where it was killed, and nobody knows when."""
    known = trial.state in DONE or "reason" in trial.user_attrs
    return trial.duration.total_seconds() if known and trial.duration is not None else None


def reason(trial: FrozenTrial) -> str:
    """Why a trial failed."""
    return trial.user_attrs.get("reason", KILLED)


def outcome(trial: FrozenTrial) -> str:
    """What came of a trial, in words."""
    if trial.state == TrialState.FAIL:
        return f"failed: {reason(trial)}"
    cut = f", pruned after epoch {trial.last_step}" if trial.state == TrialState.PRUNED else ""
    return f"{reached(trial):.4f}{cut}"


def trial_table(search: Search, study: Study) -> pl.DataFrame:
    """A row per trial that ended: ``number, state, value, seconds, reason`` and what was tried."""
    rows = [
        {
            "number": trial.number,
            "state": STATES[trial.state],
            "value": None if trial.state == TrialState.FAIL else reached(trial),
            "seconds": seconds(trial),
            "reason": reason(trial) if trial.state == TrialState.FAIL else None,
            **{name: label(value) for name, value in values(search, trial).items()},
        }
        for trial in study.get_trials(deepcopy=False, states=tuple(STATES))
    ]
    kinds = {
        "number": pl.Int64, "state": pl.String, "value": pl.Float64, "seconds": pl.Float64,
        "reason": pl.String,
    }  # fmt: skip
    kinds |= {name: _kind(known) for name, known in search.space.items()}
    return pl.DataFrame(rows, schema=kinds, strict=False)


def importance(study: Study) -> dict[str, float]:
    """Share of each setting in what sets the best trials apart, sorted; nothing from too few."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    n_trials = len(complete)
    if n_trials < _FEWEST or len({trial.value for trial in complete}) == 1:
        return {}
    quantile = min(0.5, max(0.1, _TOP / n_trials))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
    with catch_warnings():  # few trials are what it warns of
        simplefilter("ignore")
        return optuna.importance.get_param_importances(study, evaluator=evaluator)


def _value(known: Range, drawn: Any) -> Any:
    """What a drawn value stands for."""
    if isinstance(known, OneOf):
        return {label(choice): choice for choice in known.choices}[drawn]
    return known.nearest(drawn)


def _kind(known: Range) -> Any:
    """What a column of values holds."""
    if not isinstance(known, OneOf):
        return pl.Float64 if isinstance(known, Real) else pl.Int64
    kinds = {type(label(choice)) for choice in known.choices}
    columns = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64}
    return columns.get(kinds.pop(), pl.String) if len(kinds) == 1 else pl.String
