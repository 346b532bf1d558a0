"""Options that several commands share, and how files and flags become settings."""

import difflib
import tomllib
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import Field

from macrid.errors import DataError, SettingsError
from macrid.training.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
K = Annotated[int, typer.Option("-k", "--k", help="Length of each list.")]
ModelFolder = Annotated[Path, typer.Argument(help="A model folder.", show_default=False)]
Metrics = Annotated[str, typer.Option(help="Comma-separated ndcg@k and recall@k, any k.")]
Baselines = Annotated[
    bool, typer.Option("--baselines/--no-baselines", help="Measure popularity and EASE too.")
]
Threads = Annotated[
    int | None,
    typer.Option(help="Processor threads.", show_default="torch's choice", min=1, max=1024),
]
ItemTable = Annotated[
    Path | None, typer.Option("--items", help="A table with one row per item: titles, genres …")
]
MinWeight = Annotated[float | None, typer.Option(help="Smallest weight that counts, such as 4.")]
MinUserEvents = Annotated[
    int | None, typer.Option(help="Drop users with fewer events.", show_default="5")
]
MinItemEvents = Annotated[
    int | None, typer.Option(help="Drop items with fewer users.", show_default="1")
]
HoldOut = Annotated[
    int | None,
    typer.Option(help="Users in each of validation and test.", show_default="a tenth of all"),
]
SplitSeed = Annotated[
    int | None, typer.Option(help="Seed of the split.", show_default="98765, as published")
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--column", help="Name a column, as in --column user_id=customer; repeatable."),
]
METRICS = "ndcg@100,recall@20,recall@50"


class DataSettings(Settings):
    """How an event log is read and split."""

    items: Annotated[str | None, Field(description="path of the item table")] = None
    columns: Annotated[
        dict[str, str], Field(default_factory=dict, description="meaning → column name")
    ]
    min_weight: Annotated[float | None, Field(description="smallest weight that counts")] = None
    min_user_events: Annotated[int, Field(ge=1, description="fewest events of a user")] = 5
    min_item_events: Annotated[int, Field(ge=1, description="fewest users of an item")] = 1
    hold_out: Annotated[
        int | None, Field(ge=1, description="users in each of validation and test")
    ] = None
    split_seed: Annotated[int, Field(ge=0, lt=2**32, description="seed of the split")] = 98765


def pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """``name=value`` texts as a mapping.

    Raises:
        SettingsError: If one has no ``=``, or a name comes twice.
    """
    split = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise SettingsError(f"{option} {text!r} is not of the form name=value")
        if (name := name.strip()) in split:
            raise SettingsError(f"{option} names {name} twice; leave one out")
        split[name] = value.strip()
    return split


def given(**flags: Any) -> dict[str, Any]:
    """Only the flags that were given."""
    return {name: value for name, value in flags.items() if value not in (None, {}, [])}


def read_config(path: Path | None) -> dict[str, Any]:
    """A run's TOML: ``model`` and the tables ``settings``, ``training``, ``data``.

    Raises:
        SettingsError: If it cannot be read or has other entries.
    """
    if path is None:
        return {}
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error
    known = {"model": str, "settings": Mapping, "training": Mapping, "data": Mapping}
    for name, value in config.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise SettingsError(f"{path} has the entry {name!r}; {hint}known: {', '.join(known)}")
        if not isinstance(value, known[name]):
            raise SettingsError(f"{name} in {path} is {value!r}; a table or, for model, a name")
    return config


def ids(texts: Sequence[str] | None, known: Container[str] = ()) -> list[str]:
    """Comma-separated ids, from any number of options; an id with a comma in it, alone in one.

    Args:
        texts: What the options said.
        known: Ids that are taken whole if a text is one of them.
    """
    parts = [[text] if text in known else text.split(",") for text in texts or ()]
    return [part.strip() for text in parts for part in text if part.strip()]


def need_split_as_it_is(source: Path, settings: DataSettings) -> None:
    """Refuse filters for a folder that is split already.

    Raises:
        DataError: If any was given.
    """
    changed = settings.model_dump(exclude_defaults=True, exclude={"items"})
    if changed:
        raise DataError(
            f"{source} is already split and is used as it is; {', '.join(changed)} cannot be "
            "changed: leave it out, or read the event log it was made from"
        )


def metric_names(text: str) -> list[str]:
    """Comma-separated metrics, checked before any work is done.

    Raises:
        ValueError: If one is not known.
    """
    from macrid.evaluation.protocol import parse_metric

    names = ids([text])
    for name in names:
        parse_metric(name)
    if not names:
        raise SettingsError("no metric was named; known are ndcg@k and recall@k")
    return names
