"""`macrid doctor` and `macrid models`: what is here."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, get_args, get_origin

import typer

from macrid.cli.options import Json
from macrid.cli.show import document, table

_CORE = ("macrid", "torch", "lightning", "polars", "scipy", "safetensors", "pydantic", "typer")
# extra → what it would add, and the packages that bring it
_EXTRAS = {
    "tune": ("search for hyper-parameters", ("optuna",)),
    "serve": (
        "the REST service",
        ("fastapi", "uvicorn", "sqlalchemy", "alembic", "psycopg", "prometheus-client"),
    ),
    "ui": ("the page with dials", ("nicegui",)),
    "viz": ("figures and projections", ("plotly", "openTSNE")),
    "ray": ("work on many machines", ("ray",)),
    "ann": ("nearest items past a million", ("faiss-cpu",)),
}


def doctor(as_json: Json = False) -> None:
    """Show versions, threads, devices, and which extras are installed.

    Example: macrid doctor --json
    """
    import torch

    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [
            f"cuda: {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())
        ]
    if torch.backends.mps.is_available():
        devices.append("mps")
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: _version(name) for name in _CORE},
        "threads": torch.get_num_threads(),
        "processors": os.cpu_count(),
        "devices": devices,
        "extras": {
            extra: {
                "adds": adds,
                "packages": {name: _version(name) for name in packages},
                "installed": all(_version(name) for name in packages),
                "install": f"pip install 'macrid[{extra}]'",
            }
            for extra, (adds, packages) in _EXTRAS.items()
        },
    }
    if as_json:
        document(facts)
        return
    rows = [("python", f"{facts['python']} on {facts['platform']} ({sys.executable})")]
    rows += [(name, found or "missing") for name, found in facts["versions"].items()]
    rows += [
        ("threads", f"{facts['threads']} of {facts['processors']} processors"),
        ("devices", ", ".join(devices)),
    ]
    table(["", ""], rows)
    table(
        ["extra", "for", ""],
        [
            (extra, known["adds"], "installed" if known["installed"] else known["install"])
            for extra, known in facts["extras"].items()
        ],
    )


def models(as_json: Json = False) -> None:
    """List the models with their settings, defaults, bounds, and the ranges that tune searches.

    Example: macrid models --json
    """
    from macrid.evaluation.search import Search
    from macrid.models.catalog import MODELS

    searched = {
        name: {key: str(known) for key, known in Search.of(name).space.items()}
        for name, model in MODELS.items()
        if model.Settings.model_fields  # else there is nothing to search
    }

    if as_json:
        document(
            {
                name: {
                    "summary": _summary(model),
                    "settings": model.Settings.model_json_schema(),
                    "training_defaults": dict(model.training_defaults),
                    "searched": searched.get(name, {}),
                }
                for name, model in MODELS.items()
            }
        )
        return
    for name, model in MODELS.items():
        fields, space = model.Settings.model_fields, searched.get(name, {})
        rows = [
            (field, str(info.default), _bounds(info), space.pop(field, ""), info.description or "")
            for field, info in fields.items()
        ]
        title = f"{name}: {_summary(model)}"
        if rows:
            table(["setting", "default", "allowed", "tune searches", "meaning"], rows, title=title)
        else:
            table(["no settings"], [], title=title)
        if model.training_defaults:
            said = ", ".join(f"{key} {value}" for key, value in model.training_defaults.items())
            typer.echo(f"trained with {said}")
        if space:
            said = ", ".join(f"{key} {value}" for key, value in space.items())
            typer.echo(f"tune also searches {said}")


def _summary(model: type) -> str:
    """First line of a docstring."""
    return (model.__doc__ or "").strip().splitlines()[0]


def _bounds(info: Any) -> str:
    """What a field allows, in signs."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(bound, name)}"
        for bound in info.metadata
        for name, sign in signs.items()
        if hasattr(bound, name)
    ]
    if get_origin(info.annotation) is Literal:
        found = [" | ".join(map(str, get_args(info.annotation)))]
    return ", ".join(found)


def _version(package: str) -> str | None:
    """The installed version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
