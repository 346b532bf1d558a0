"""Model folders: JSON, safetensors and Parquet, which people and other programs can open.

``config.json`` (model, settings, versions, data fingerprint, format version, digests of the other
files), ``model.safetensors``, ``items.parquet`` (ids and features in row order), ``metrics.json``,
``README.md`` (a model card), and ``names.json`` where people named concepts. Reading one never runs
code from it. A folder without ``config.json``, or with files that are not the ones it lists, is not
a model. All files are written aside before the first is put in its place, and ``config.json`` comes
last: a full disk costs nothing, and a save that is killed leaves the older model or a folder that
`load` refuses, never a mixture.
"""

import hashlib
import io
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl
import safetensors.torch
from safetensors import SafetensorError

from macrid.control.names import Names
from macrid.data.files import replace_file
from macrid.errors import ArtifactError, MacridError
from macrid.models.catalog import model_class
from macrid.models.described import Described
from macrid.models.recommender import Recommender
from macrid.training.run_files import RUN_FILES

FORMAT = 1
_FILES = ("model.safetensors", "items.parquet")
_CONFIG = {"model": str, "settings": dict, "n_items": int, "training": dict, "sha256": dict}
_DAMAGE = (MacridError, OSError, ValueError, KeyError, TypeError, RecursionError)
_DAMAGE += (SafetensorError, pl.exceptions.PolarsError)
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")


def save(model: Recommender, folder: Path) -> None:
    """Write a model folder; an older model in it is replaced, files beside that are left alone.

    Raises:
        ArtifactError: If the folder is taken (see `check_target`), or cannot be written.
    """
    ids = model.items  # refuses a model that is not fitted
    table = io.BytesIO()
    assert model.catalogue is not None
    model.catalogue.write_parquet(table)
    tensors = {name: tensor.contiguous() for name, tensor in model.tensors().items()}
    content = {
        "model.safetensors": safetensors.torch.save(tensors),
        "items.parquet": table.getvalue(),
    }
    config = {
        "format": FORMAT,
        "model": model.name,
        "settings": model.settings.model_dump(),
        "n_items": len(ids),
        "training": model.training,
        "versions": {name: version(name) for name in ("macrid", "torch", "polars")},
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
    }
    content["metrics.json"] = _json(model.metrics)
    content["README.md"] = _card(model).encode()
    content |= _names(model)
    content["config.json"] = _json(config)
    # Always the same name: what a killed save left is overwritten.
    aside = folder / ".macrid-saving"
    try:
        check_target(folder)
        aside.mkdir(parents=True, exist_ok=True)
        for name, data in content.items():
            replace_file(aside / name, data)
        if "names.json" not in content:
            (folder / "names.json").unlink(missing_ok=True)  # an older model's
        for name in content:
            (aside / name).replace(folder / name)
    except OSError as error:
        raise ArtifactError(f"cannot write the model to {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def save_names(model: Described, folder: Path) -> None:
    """Write the names that people gave into the folder of their model, whose other files stay.

    Raises:
        ArtifactError: If the folder holds no model, or cannot be written.
    """
    _config(folder)
    try:
        replace_file(folder / "names.json", _names(model).get("names.json", b"{}\n"))
    except OSError as error:
        raise ArtifactError(f"cannot write the names to {folder}: {error.strerror}") from error


def check_target(folder: Path) -> None:
    """Make sure that a model may be saved to a folder.

    It may be new or empty, or hold a model, a run that is about to be saved, or a save that was
    killed. Hidden files do not count. Anything else could be somebody's own ``README.md``.

    Raises:
        ArtifactError: If it may not.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    found = {name for name in names if not name.startswith(".")} - RUN_FILES
    killed = "model.safetensors" in found and found <= {
        *_FILES,
        "metrics.json",
        "README.md",
        "names.json",
    }
    if "config.json" in found:
        _config(folder)
    elif found and not killed:
        raise ArtifactError(
            f"{folder} holds something else ({min(found)!r}); save to a new or empty folder, or "
            "over an older model"
        )


def load(folder: str | Path) -> Recommender:
    """Read a model folder.

    Raises:
        ArtifactError: If it is missing, foreign, damaged, or of a newer format.
    """
    folder = Path(folder)
    config = _config(folder)
    data = {name: _read(folder, name, config) for name in _FILES}
    try:
        model = model_class(config["model"])(**config["settings"])
        model.catalogue = pl.read_parquet(data["items.parquet"])
        if len(model.items) != config["n_items"]:
            raise ValueError(f"items.parquet has {len(model.items)} items, not {config['n_items']}")
        tensors = safetensors.torch.load(data["model.safetensors"])
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise ValueError("model.safetensors holds numbers that are not finite")
        model.restore(tensors)
        model.metrics = _metrics(folder)
        if isinstance(model, Described):
            _read_names(model, folder / "names.json")
    except _DAMAGE as error:
        raise ArtifactError(f"the model in {folder} is damaged: {_first_line(error)}") from error
    model.training = config["training"]
    return model


def _config(folder: Path) -> dict[str, Any]:
    """The checked ``config.json``."""
    if not folder.is_dir():
        raise ArtifactError(f"there is no model folder {str(folder)!r}; check the path")
    path = folder / "config.json"
    if not path.is_file():
        raise ArtifactError(
            f"{folder} holds no config.json, so it is no model of macrid; a model folder is what "
            "macrid train --out or model.save wrote (an unfinished run is finished by --resume)"
        )
    try:
        config = json.loads(path.read_bytes())
        newer = config["format"] > FORMAT
        for key, kind in _CONFIG.items():
            if not newer and type(config[key]) is not kind:
                raise ValueError(f"its {key} is {config[key]!r}")
    except _DAMAGE as error:
        raise ArtifactError(
            f"{path} is not a macrid model's ({_first_line(error)}); check the path"
        ) from error
    if newer:
        raise ArtifactError(
            f"the model in {folder} has format {config['format']}, this macrid reads up to "
            f"{FORMAT}; update macrid"
        )
    return config


def _metrics(folder: Path) -> dict[str, Any]:
    """What was measured; nothing if nobody kept it."""
    path = folder / "metrics.json"
    metrics = json.loads(path.read_bytes()) if path.is_file() else {}
    if not isinstance(metrics, dict):
        raise ValueError("metrics.json holds no measurements")
    return metrics


def _names(model: Recommender) -> dict[str, bytes]:
    """``names.json``, if people named anything."""
    if not isinstance(model, Described) or model.names == Names():
        return {}
    return {"names.json": model.names.to_json().encode() + b"\n"}


def _read_names(model: Described, path: Path) -> None:
    """The way back; a folder without the file has no names."""
    try:
        if path.is_file():
            model.read_names(path.read_bytes())
    except MacridError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _read(folder: Path, name: str, config: dict[str, Any]) -> bytes:
    """A file's bytes, if they are the ones that were saved."""
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise ArtifactError(f"the model in {folder} lacks {name}: {error.strerror}") from error
    # The length of a safetensors header may begin like a pickle; its JSON follows that length.
    if data.startswith(_PICKLES) and data[8:9] != b"{":
        raise ArtifactError(
            f"{folder / name} is a pickle, which can run code when it is loaded; macrid reads "
            "safetensors only"
        )
    if hashlib.sha256(data).hexdigest() != config["sha256"].get(name):
        raise ArtifactError(
            f"{folder / name} is not the file that was saved (truncated or changed since); copy "
            "the folder again, or train anew"
        )
    return data


def _json(value: Any) -> bytes:
    """JSON for people."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _first_line(error: Exception) -> str:
    """What an exception says, without its appendix."""
    if isinstance(error, KeyError):
        return f"there is no {error}"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _card(model: Recommender) -> str:
    """The model card."""
    card = [f"# {type(model).__name__}", "", "A recommender trained with macrid."]
    card += ["", "## Settings", ""]
    card += [f"- {name}: {value}" for name, value in model.settings.model_dump().items()]
    card += ["", "## Training", ""]
    card += [f"- {name}: {value}" for name, value in model.training.items()]
    test = model.metrics.get("test", {})
    if test:
        card += ["", "## Measured on test users", "", "| metric | mean | standard error | users |"]
        card += ["|---|---|---|---|"]
        card += [f"| {n} | {m['mean']:.4f} | {m['se']:.4f} | {m['n']} |" for n, m in test.items()]
    card += [
        "",
        "## Use",
        "",
        "```python",
        "import macrid",
        'model = macrid.load("this folder")',
        'model.recommend({"me": ["an item id"]}, k=10)',
        "```",
    ]
    return "\n".join(card) + "\n"
