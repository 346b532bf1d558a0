"""Model folders while they are being made: what may be written where, checked before the work."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

from macrid.cli.show import note
from macrid.errors import ArtifactError, DataError
from macrid.models.artifact import check_target
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
    # A checkpoint is weights, Adam's two moments and the best weights; two while one is replaced.
    copies = 9 if model.in_epochs else 1
    needed = copies * 4 * model.n_parameters(n_items) + 2**20
    free = shutil.disk_usage(out).free
    if free < needed:
        raise ArtifactError(
            f"the run would write up to {needed / 2**20:,.0f} MiB and {out} has "
            f"{free / 2**20:,.0f} MiB free; choose another --out, or a smaller model"
        ) from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def leave_clean(out: Path) -> None:
    """After a run that ended early: keep what can be resumed, and nothing else that it made."""
    if (out / CHECKPOINT).is_file():
        note(f"what was trained so far is kept in {out}; go on with the same command and --resume")
        return
    if (out / "config.json").is_file() or not out.is_dir():
        return
    for name in RUN_FILES:
        (out / name).unlink(missing_ok=True)
    if not any(out.iterdir()):
        out.rmdir()


def read_metrics(folder: Path) -> dict[str, Any]:
    """What was measured of a finished run.

    Raises:
        ArtifactError: If that cannot be read.
    """
    try:
        return json.loads((folder / "metrics.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot read {folder / 'metrics.json'}: {error}") from error
