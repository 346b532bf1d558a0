"""The folder of a search: whose it is, and what an earlier start wrote into it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from macrid.data.files import replace_file
from macrid.errors import ArtifactError

STUDY, BEST, TRIALS, RESULT = "study.db", "best.toml", "trials.csv", "result.json"


def prepare(folder: Path, model: str, study: str) -> None:
    """Make a folder, or take that of an earlier start; refuse to write over other things.

    Raises:
        ArtifactError: If it holds something else or another search, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    except OSError as error:
        raise ArtifactError(f"cannot write to {folder}: {error.strerror}") from error
    if names and not names & {STUDY, TRIALS, RESULT}:
        raise ArtifactError(
            f"{folder} holds something else ({min(names)!r}); search in a new or empty folder, or "
            "in that of an earlier search"
        )
    before = read_result(folder)
    found = before.get("model", model), before.get("study", study)
    if found != (model, study):
        raise ArtifactError(
            f"{folder} holds the search of {found[0]} in the study {found[1]!r}, which would be "
            f"replaced; search {model} in the study {study!r} in another folder (--out)"
        )


def read_result(folder: Path) -> dict[str, Any]:
    """What an earlier start wrote; nothing if that is damaged, or there is none."""
    try:
        found = json.loads((folder / RESULT).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Replace what an earlier start wrote."""
    text = json.dumps(result, ensure_ascii=False, indent=2)
    replace_file(folder / RESULT, f"{text}\n".encode())
