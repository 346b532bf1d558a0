"""A study of Optuna's: opened or gone on with, never another's; shared by processes, which may die.

Trials are drawn by TPE (Bergstra et al., 2011), all settings together, from a seed and the trial's
number. So a search that was stopped between two trials goes on as it would have. One that was
stopped in a trial counts that one and repeats its settings under the next number; and processes
that share a search see each other's results in an order of chance: what they draw cannot be
repeated.
"""

import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from macrid.errors import DataError, MissingExtra, SearchFailed, SettingsError

try:
    import optuna
    from optuna.distributions import BaseDistribution
    from optuna.exceptions import ExperimentalWarning, OptunaError
    from optuna.samplers import BaseSampler, TPESampler
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial, TrialState
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import SQLAlchemyError
except ImportError as error:
    raise MissingExtra("optuna", "tune") from error

FIRST_UNPRUNED = 5  # trials that end before others are measured by them
HEARTBEAT, GRACE = 60, 600  # seconds between signs of life; without one, a trial is dead
NAMELESS = 60  # seconds after which a trial has said whose it is, or never will
TRIES = 2  # of a trial whose process dies: it may be the trial that kills it
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
_LOCKED = 30  # seconds to wait for another process that makes the tables, or writes to SQLite
_MAKING = (
    *("already exists", "UNIQUE constraint failed", "no such table", "is locked"),  # SQLite
    "duplicate key",  # PostgreSQL
)
_ME = {"host": socket.gethostname(), "pid": os.getpid(), "run": uuid.uuid4().hex}


@contextmanager
def opened(
    url: str | None, name: str, identity: Mapping[str, Any], *, seed: int, warmup: int
) -> Iterator[Study]:
    """A study, made or gone on with.

    Args:
        url: Of an Optuna storage; None keeps it in memory.
        name: Of the study in it.
        identity: What makes its trials comparable: data, model, settings, ranges.
        seed: Of the draws.
        warmup: Epochs after which a trial can be pruned, counted from 1.

    Raises:
        SettingsError: If the storage cannot be opened.
        DataError: If the study in it is another one.
        SearchFailed: If the storage fails on the way.
    """
    pruner = optuna.pruners.MedianPruner(FIRST_UNPRUNED, n_warmup_steps=warmup + 1)
    storage = None if url is None else _storage(url)
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            sampler=_Draws(seed),
            pruner=pruner,
        )
        _check(study, identity)
        yield study
    except (OptunaError, SQLAlchemyError, UnboundLocalError, AssertionError) as error:
        # The last two are what Optuna stumbles into when a storage fails as a trial ends.
        stumbled = isinstance(error, UnboundLocalError | AssertionError)
        cause = error.__context__ if stumbled else error
        if not isinstance(cause, OptunaError | SQLAlchemyError):
            raise
        where = _shown(url) if url else "in memory"
        raise SearchFailed(
            f"the study's storage {where} failed: {_first_line(cause)}; once it is mended, the "
            "same command goes on"
        ) from error
    finally:
        optuna.logging.set_verbosity(before)
        if storage is not None:
            storage.engine.dispose()


def file_url(path: Path) -> str:
    """The address of an SQLite file, whatever signs its name has.

    Example:
        >>> file_url(Path("/50%?/study.db"))
        'sqlite:////50%25%3F/study.db'
    """
    url = URL.create("sqlite", database=str(path.resolve()))
    return url.render_as_string(hide_password=False)


def sign(trial: Trial) -> None:
    """Write on a trial whose it is."""
    trial.set_user_attr("process", _ME)


def bury(study: Study) -> None:
    """Fail the trials whose processes died on this machine, and queue their settings again.

    Those that died elsewhere fail without a sign of life for ten minutes (Optuna's heartbeat).
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _dead(trial):
            with suppress(ValueError, OptunaError):  # another process was faster
                study.tell(trial.number, state=TrialState.FAIL)
                retry(study, trial)


def retry(study: Study, trial: FrozenTrial) -> None:
    """Queue the settings of a trial whose process died, unless they did so before."""
    tries = trial.user_attrs.get("tries", 1)
    settings = trial.params or trial.system_attrs.get("fixed_params")
    if settings and tries < TRIES:
        study.enqueue_trial(settings, user_attrs={"tries": tries + 1})


class _Draws(BaseSampler):
    """TPE, seeded anew for each trial: one seed would give each process, and each start, the same.

    Args:
        seed: To which the trial's number is added.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.tpe = seed, TPESampler(seed=seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Take the trial's own generator."""
        (seed,) = np.random.SeedSequence([self.seed, trial.number]).generate_state(1)
        self.tpe = TPESampler(seed=int(seed), multivariate=True, constant_liar=True)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What is drawn together."""
        return self.tpe.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Settings drawn together."""
        return self.tpe.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A setting drawn alone, before there is anything to learn from."""
        return self.tpe.sample_independent(study, trial, param_name, param_distribution)


def _storage(url: str) -> optuna.storages.RDBStorage:
    """Where a study is kept."""
    lite = url.startswith("sqlite")
    deadline = time.monotonic() + _LOCKED
    while True:
        try:
            with catch_warnings():
                simplefilter("ignore", ExperimentalWarning)
                return optuna.storages.RDBStorage(
                    url,
                    engine_kwargs={"connect_args": {"timeout": _LOCKED}} if lite else None,
                    heartbeat_interval=HEARTBEAT,
                    grace_period=GRACE,
                    heartbeat_stale_trial_callback=retry,
                )
        except (ImportError, KeyError, ValueError, RuntimeError, SQLAlchemyError) as error:
            # Another process may be making the same tables at this moment.
            if time.monotonic() < deadline and any(word in str(error) for word in _MAKING):
                time.sleep(0.1)
                continue
            raise SettingsError(
                f"cannot open the storage {_shown(url)}: {_cause(error, url)}"
            ) from None


def _shown(url: str) -> str:
    """An address without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (SQLAlchemyError, ValueError):
        return "of that address"


def _cause(error: Exception, url: str) -> str:
    """What is wrong with a storage, and what to do."""
    if isinstance(error, ImportError):
        if url.startswith(("postgresql:", "postgresql+psycopg:")):
            return "PostgreSQL's driver is not installed; run: pip install 'psycopg[binary]'"
        missing = getattr(error.__cause__, "name", None) or "which that names"
        return f"the database's driver, {missing}, is not installed; install it with pip"
    like = "postgresql://user:password@host/database"
    lite = url.startswith("sqlite")
    hint = "move a damaged file away to begin anew" if lite else f"an address is like {like}"
    return f"{_first_line(error)}; {hint}"


def _check(study: Study, identity: Mapping[str, Any]) -> None:
    """Refuse a study whose trials cannot be compared with those to come."""
    begun = bool(study.get_trials(deepcopy=False))
    found = study.user_attrs.get("identity")  # read after the trials, as it is written before them
    if found is None and not begun:
        study.set_user_attr("identity", dict(identity))
        return
    if found is None:
        raise DataError(
            f"the study {study.study_name!r} was not made by macrid tune; name another (--study)"
        )
    changed = sorted(key for key in found | identity if found.get(key) != identity.get(key))
    if changed:
        had = [f"{key} {found[key]}" for key in changed if len(str(found.get(key, "." * 50))) < 50]
        said = f" (it had {', '.join(had)})" if had else ""
        raise DataError(
            f"the study {study.study_name!r} was begun with other {', '.join(changed)}{said}; go "
            "on with it by the same data and settings, or begin another (--study or --out)"
        )


def _dead(trial: FrozenTrial) -> bool:
    """Whether a trial that seems to run belongs to a process of this machine that is gone."""
    process = trial.user_attrs.get("process")
    if process is None:
        started = trial.datetime_start
        return started is not None and time.time() - started.timestamp() > NAMELESS
    if process["host"] != _ME["host"] or process["run"] == _ME["run"]:
        return False
    return process["pid"] == _ME["pid"] or not _alive(process["pid"])


def _alive(pid: int) -> bool:
    """Whether there is a process of some number; where one cannot ask, there may be."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _first_line(error: Exception) -> str:
    """What a database said, without what it was asked."""
    return str(error.__cause__ or error).splitlines()[0]
