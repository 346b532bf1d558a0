"""Model folders while they are being made: what may be written where, checked before the work."""

import errno
import os
import shutil
from pathlib import Path
from typing import Any, Literal

from macrid.cli.show import note
from macrid.errors import ArtifactError, DataError
from macrid.models.artifact import check_target, load
from macrid.models.recommender import Recommender
from macrid.training.run_files import CHECKPOINT, RUN_FILES


def prepare_folder(
    out: Path, *, resume: bool, overwrite: bool
) -> Literal["new", "unfinished", "finished"]:
    """Make sure that a run may write to its folder, before any work is done.

    Returns:
        Whether the folder is new, holds an unfinished run to go on with, or a finished one.

    Raises:
        DataError: If it holds a model or a run, and nothing was said of that.
        ArtifactError: If it holds something else, or cannot be written.
    """
    content = {path.name for path in out.iterdir()} if out.is_dir() else set()
    finished, unfinished = "config.json" in content, CHECKPOINT in content
    if resume and unfinished:
        return "unfinished"
    if resume and finished:
        return "finished"
    if finished and not overwrite:
        raise DataError(
            f"{out} holds a model already; write to another folder, or replace it with --overwrite"
        )
    if unfinished and not overwrite:
        raise DataError(
            f"{out} holds a run that did not end; add --resume to go on with it, or --overwrite to "
            "start anew"
        )
    check_target(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".probe.{os.getpid()}"
        probe.write_bytes(b"macrid")
        probe.unlink()
        for name in RUN_FILES:  # of the run that is replaced
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"cannot write to {out}: {error.strerror}; choose another --out"
        ) from error
    return "new"


def check_space(out: Path, model: Recommender, n_items: int) -> None:
    """Make sure that the disk holds what the run will write.

    Raises:
        ArtifactError: If it does not.
    """
    # A checkpoint is weights, their average, Adam's two moments and the best weights; two while one
    # is replaced.
    copies = 11 if model.in_epochs else 1
    needed = copies * 4 * model.n_parameters(n_items) + 2**20
    free = shutil.disk_usage(out).free
    if free < needed:
        raise ArtifactError(
            f"the run would write up to {needed / 2**30:,.1f} GiB and the disk of {out} has "
            f"{free / 2**30:,.1f} GiB free; take a smaller model (fewer items or n_dims), or "
            "another --out"
        ) from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def check_same(out: Path, model: Recommender, wanted: dict[str, Any]) -> None:
    """Make sure that a finished run is the one that is asked for again.

    Raises:
        DataError: If it was another model, or was trained or read otherwise.
    """
    done = load(out)
    asked = {"model": model.name, **model.get_params(), **wanted}
    found = {"model": done.name, **done.get_params(), **done.training}
    free = ("device", "threads", "epochs", "patience")  # they do not make it another run
    changed = [name for name in asked if name not in free and asked[name] != found.get(name)]
    if changed:
        raise DataError(
            f"{out} holds a finished run with other {', '.join(changed)}; write to another folder, "
            "or replace it with --overwrite"
        )


def leave_clean(out: Path, made: list[Path], *, tell: bool = True) -> None:
    """After a run that ended early: keep what can be resumed, and nothing else that it made.

    Args:
        out: Its folder.
        made: The folders that were not there before, innermost first.
        tell: Whether to say how to go on.
    """
    if (out / CHECKPOINT).is_file():
        if tell:
            note(
                f"what was trained so far is kept in {out}; go on with the same command and "
                "--resume"
            )
        return
    if out.is_dir() and not (out / "config.json").is_file():
        for name in RUN_FILES:
            (out / name).unlink(missing_ok=True)
    for folder in made:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
