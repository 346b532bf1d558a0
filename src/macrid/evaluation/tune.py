"""Search of a model's settings: trials on the validation users, and one look at the test users.

A trial is a training; its value the NDCG@100 of its best epoch on the validation users. The first
has the defaults, or what is nearest. Those that fall behind the others' median at the same epoch
are pruned; one that diverges or does not fit into memory fails, and the search goes on.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from macrid.data.files import replace_file
from macrid.data.splits import Split
from macrid.errors import SearchFailed, SettingsError, TooLarge, TrainingDiverged
from macrid.evaluation.interrupt import Interrupts
from macrid.evaluation.protocol import DEFAULT_METRICS, check_people, evaluate
from macrid.evaluation.search import MACHINE, Search
from macrid.evaluation.study import (
    DONE,
    FrozenTrial,
    Study,
    Trial,
    TrialState,
    bury,
    file_url,
    opened,
    optuna,
    sign,
)
from macrid.evaluation.trials import (
    KILLED,
    as_drawn,
    best_trial,
    draw,
    importance,
    outcome,
    reached,
    seconds,
    trial_table,
    values,
)
from macrid.evaluation.tune_folder import BEST, STUDY, TRIALS, prepare, read_result, write_result
from macrid.models.catalog import model_class
from macrid.models.popularity import Popularity

MONITOR = "ndcg@100"
# What ends a trial and not the search.
_FAILURES = (SettingsError, TrainingDiverged, TooLarge, MemoryError, torch.OutOfMemoryError)
WARMUP = 5  # a trial is not pruned in a fifth of its epochs: who learns slowly may end best
STOPPED = "stopped"  # the reason of a trial that somebody ended


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a search found.

    Args:
        search: What was searched.
        study: Name of the study.
        best: Number of the best trial, from 0.
        settings: Of the model in that trial, fixed ones included; all others are defaults.
        training: Of its training, likewise.
        validation: What it reached, as `Evaluation.to_dict`.
        defaults: What the first trial reached; None if it failed or a range excludes a default.
        trials: A row per trial: ``number, state`` (complete, pruned or failed), ``value`` (NDCG@100
            on the validation users; of a pruned trial its best so far), ``seconds, reason`` (of a
            failure) and a column per setting searched.
        importance: Share of each setting in what makes a trial one of the best (PED-ANOVA, Watanabe
            et al., 2023), sorted; empty when too few trials ended.
        test: Metrics of the best settings on the test users; None when they were left alone.
        popularity: The same of popularity.
        data: Where the events are from and how they were read, as far as it was said.
    """

    search: Search
    study: str
    best: int
    settings: dict[str, Any]
    training: dict[str, Any]
    validation: dict[str, dict[str, Any]]
    defaults: dict[str, dict[str, Any]] | None
    trials: pl.DataFrame
    importance: dict[str, float]
    test: dict[str, dict[str, Any]] | None = None
    popularity: dict[str, dict[str, Any]] | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As ``result.json`` has it."""
        states = self.trials["state"].to_list()
        interrupted = sum(reason in {STOPPED, KILLED} for reason in self.trials["reason"])
        return {
            "model": self.search.model,
            "data": self.data,
            "study": self.study,
            "best_trial": self.best,
            "settings": self.settings,
            "training": self.training,
            "validation": self.validation,
            "validation_of_defaults": self.defaults,
            "test": self.test,
            "baselines": {} if self.popularity is None else {"popularity": self.popularity},
            "trials": states.count("complete") + states.count("pruned"),
            "pruned": states.count("pruned"),
            "failed": states.count("failed") - interrupted,
            "interrupted": interrupted,
            "seconds": round(self.trials["seconds"].sum(), 3),
            "importance": self.importance,
            "space": {name: str(known) for name, known in self.search.space.items()},
        }


def tune(  # noqa: PLR0913  what, on whom, how long, where to
    search: Search | str,
    split: Split,
    *,
    trials: int = 20,
    folder: str | Path | None = None,
    storage: str | None = None,
    study: str | None = None,
    minutes: float | None = None,
    test: bool = True,
    metrics: Sequence[str] = DEFAULT_METRICS,
    source: str | Path | None = None,
    reading: Mapping[str, Any] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Tuned:
    """Look for the settings with the best NDCG@100 on the validation users.

    Args:
        search: What to search, see `Search.of`; or a model's name, for all that is declared.
        split: Trials train on ``split.train`` and are measured on ``split.validation``;
            ``split.test`` is touched once, at the end.
        trials: How many are to end, pruned ones included and failed ones not, in all processes and
            all starts together.
        folder: Where ``study.db``, ``best.toml``, ``trials.csv`` and ``result.json`` are kept, so
            that a search that was stopped goes on; None keeps nothing.
        storage: Address of an Optuna storage in place of ``study.db``, for processes to share.
        study: Name of the study in it; by default the model's.
        minutes: After which no further trial begins.
        test: Train the best settings once more and measure them on the test users.
        metrics: What to measure then, as for `evaluate`.
        source: Where the events are from, to be said beside what was found.
        reading: How the events were read, for the table ``data`` of ``best.toml``.
        tell: Called with each line of progress.

    Raises:
        ValueError: If ``trials``, ``minutes``, ``storage`` or ``study`` is out of bounds or empty.
        SearchFailed: If not one trial was completed.
        DataError: If the study in the storage is another one, or nothing of the users is held out.
        SettingsError: If the storage cannot be opened, or the device is not there.
        ArtifactError: If the folder holds something else or another search, or cannot be written.

    Example:
        >>> from macrid.data.readers import read
        >>> from macrid.data.splits import hold_out_users
        >>> log = {"user": [u for u in range(9) for _ in range(6)], "item": [*range(6)] * 9}
        >>> tuned = tune("ease", hold_out_users(read(log), n_users=2), trials=3)
        >>> tuned.trials.columns
        ['number', 'state', 'value', 'seconds', 'reason', 'regularization']
    """
    search = Search.of(search) if isinstance(search, str) else search
    check_request(search, trials=trials, minutes=minutes, storage=storage, study=study)
    for people in (split.validation, *[split.test] * test):
        check_people(people)
    name = study or search.model
    everything = search.everything()
    place = None if folder is None else Path(folder)
    if place is not None:
        prepare(place, search.model, name)
        storage = storage or file_url(place / STUDY)
    warmup = max(1, everything.get("epochs", 1) // WARMUP)
    seed = everything.get("seed", 98765)
    with opened(storage, name, _identity(search, split), seed=seed, warmup=warmup) as opened_study:
        if place is not None and not read_result(place):  # whose folder it is from here on
            write_result(place, {"model": search.model, "study": name})
        work = _Work(search, split, opened_study, place, source, dict(reading or {}), tell)
        work.run(trials, time.monotonic() + 60 * (minutes or float("inf")))
        tuned = work.found()
    if place is not None:
        tuned = _recalled(tuned, place)
    if test and set(tuned.test or ()) != set(metrics):
        tell(f"training by trial {tuned.best} once more, to measure it on the test users")
        tuned = _tested(tuned, split, metrics)
    if place is not None:
        write_result(place, tuned.to_dict())
    return tuned


def check_request(
    search: Search, *, trials: int, minutes: float | None, storage: str | None, study: str | None
) -> None:
    """Refuse what `tune` would, before data are read.

    Raises:
        ValueError: If there are to be no trials or no time, or a name is empty.
        SettingsError: If the device is not there.
    """
    if trials < 1:
        raise ValueError(f"trials is {trials}; 1 or more have to end")
    if minutes is not None and not minutes > 0:
        raise ValueError(f"the timeout is {minutes:g} minutes; it is above 0")
    if "" in (storage, study):
        raise ValueError("storage or study is '' (a variable not set?); name it, or leave it out")
    if device := search.everything().get("device"):
        from macrid.training.fit import accelerator  # Lightning takes seconds to import

        accelerator(device)


@dataclass
class _Work:
    """A search under way."""

    search: Search
    split: Split
    study: Study
    folder: Path | None
    source: str | Path | None
    reading: dict[str, Any]
    tell: Callable[[str], None]

    def run(self, wanted: int, deadline: float) -> None:
        """Trials until enough have ended, or it is too late for another, or all fail."""
        self.study.enqueue_trial(as_drawn(self.search, self.search.start()), skip_if_exists=True)

        def told(study: Study, trial: FrozenTrial) -> None:
            self.keep()
            self.tell(self.progress(trial, wanted, deadline))

        while (left := wanted - self.count(*DONE)) > 0 and time.monotonic() < deadline:
            bury(self.study)
            if len(self.failures()) >= wanted:
                break
            if self.count(TrialState.RUNNING) >= left:  # other processes are at the last ones
                time.sleep(1)
                continue
            # One at a time, so that the count is right however many processes share the study.
            with Interrupts() as self.interrupts:  # a transaction cut short would stay locked
                self.study.optimize(
                    self.value, n_trials=1, catch=_FAILURES, callbacks=[told], gc_after_trial=True
                )
        self.keep()  # what other processes found

    def value(self, trial: Trial) -> float:
        """Train with what is drawn; NDCG@100 of the best epoch."""
        sign(trial)
        tried = {name: draw(trial, name, known) for name, known in self.search.space.items()}

        def watch(row: Mapping[str, int | float]) -> None:
            with Interrupts():
                trial.report(row[MONITOR], int(row["epoch"]))
                if trial.should_prune():
                    raise optuna.TrialPruned

        try:
            model, options = self.search.build(tried)
            watching = {"watch": watch} if model.in_epochs else {}
            with self.interrupts.let_through():
                model.fit(self.split.train, self.split.validation, **options, **watching)
                measured = evaluate(model, self.split.validation, metrics=[MONITOR])
        except optuna.exceptions.OptunaError:  # pruned, or nothing can be written down
            raise
        except Exception as error:
            trial.set_user_attr("reason", str(error) or type(error).__name__)
            raise
        except KeyboardInterrupt:
            trial.set_user_attr("reason", STOPPED)
            self.study.enqueue_trial(trial.params)
            raise
        trial.set_user_attr("validation", measured.to_dict())
        return measured[MONITOR].mean

    def keep(self) -> None:
        """Write down what is known."""
        if self.folder is None:
            return
        table = trial_table(self.search, self.study)
        replace_file(self.folder / TRIALS, table.write_csv().encode())
        if best := best_trial(self.study):
            toml = self.search.toml(values(self.search, best), self.reading)
            replace_file(self.folder / BEST, f"# {self.effort(best)}\n{toml}".encode())

    def effort(self, best: FrozenTrial) -> str:
        """What the best was chosen from, and by what."""
        done = self.study.get_trials(deepcopy=False, states=DONE)
        minutes = sum(seconds(trial) or 0.0 for trial in done) / 60
        return (
            f"The best of {len(done)} trials ({self.count(TrialState.PRUNED)} pruned, "
            f"{minutes:.1f} minutes): {MONITOR} {reached(best):.4f} on the validation users"
            f"{f' of {self.source}' if self.source else ''}"
        )

    def progress(self, trial: FrozenTrial, wanted: int, deadline: float) -> str:
        """A line on a trial that ended, and on the search."""
        done = self.study.get_trials(deepcopy=False, states=DONE)
        said = [f"trial {trial.number}: {outcome(trial)}"]
        if best := best_trial(self.study):
            said.append(f"best {reached(best):.4f} (trial {best.number})")
        said.append(f"{len(done)} of {wanted} done")
        if done and (left := wanted - len(done)) > 0:
            mean = sum(seconds(trial) or 0.0 for trial in done) / len(done)
            minutes = min(left * mean, deadline - time.monotonic()) / 60
            said.append(f"about {max(0.0, minutes):.1f} minutes left")
        return "; ".join(said)

    def found(self) -> Tuned:
        """What is known now.

        Raises:
            SearchFailed: If that is nothing.
        """
        best, failures = best_trial(self.study), self.failures()
        if best is None and failures:
            raise SearchFailed(
                f"none of the trials was completed and {len(failures)} failed, the last one: "
                f"{failures[-1].user_attrs['reason']} (--search NAME=LOW..HIGH narrows a range, "
                "--set NAME=VALUE fixes a setting)"
            )
        if best is None:
            raise SearchFailed("no trial was completed in that time; give it more")
        settings, training = self.search.parts(values(self.search, best))
        start = as_drawn(self.search, self.search.start())
        complete = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        first = [trial for trial in complete if trial.params == start]
        honest = self.search.starts_with_defaults()
        return Tuned(
            self.search,
            self.study.study_name,
            best.number,
            settings,
            training,
            best.user_attrs["validation"],
            first[0].user_attrs["validation"] if first and honest else None,
            trial_table(self.search, self.study),
            importance(self.study),
            data={**({"data": str(self.source)} if self.source else {}), **self.reading},
        )

    def count(self, *states: TrialState) -> int:
        """How many trials are in some states."""
        return len(self.study.get_trials(deepcopy=False, states=states))

    def failures(self) -> list[FrozenTrial]:
        """Trials that failed of themselves, and were not stopped or killed."""
        failed = self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        return [t for t in failed if t.user_attrs.get("reason", STOPPED) != STOPPED]


def _identity(search: Search, split: Split) -> dict[str, Any]:
    """What must not change while a study grows, as JSON knows it."""
    people = split.validation
    everything = {name: v for name, v in search.everything().items() if name not in MACHINE}
    found = {
        "model": search.model,
        **everything,
        **{name: str(known) for name, known in search.space.items()},
        "training users": split.train.fingerprint(),
        "validation users": [people.fold_in.fingerprint(), people.held_out.fingerprint()],
    }
    return json.loads(json.dumps(found))


def _recalled(tuned: Tuned, folder: Path) -> Tuned:
    """With what an earlier start, or another process, measured of the same settings."""
    before, found = read_result(folder), json.loads(json.dumps(tuned.to_dict()))
    same = ("study", "best_trial", "settings", "training", "validation", "space")
    try:
        if any(before[name] != found[name] for name in same):
            return tuned
        return replace(tuned, test=before["test"], popularity=before["baselines"]["popularity"])
    except (KeyError, TypeError):  # none that is whole
        return tuned


def _tested(tuned: Tuned, split: Split, metrics: Sequence[str]) -> Tuned:
    """With what the best settings, and popularity, reach on the test users."""
    model = model_class(tuned.search.model)(**tuned.settings)
    model.fit(split.train, split.validation, **tuned.training)
    popularity = Popularity().fit(split.train)
    measured, beside = (evaluate(m, split.test, metrics=metrics) for m in (model, popularity))
    return replace(tuned, test=measured.to_dict(), popularity=beside.to_dict())
