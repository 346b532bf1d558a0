"""How a service runs: what it serves, where it keeps things, and what it puts up with."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from macrid.training.settings import Settings

_ORIGIN = re.compile(r"\*|https?://[^/\s]+")


class ServeSettings(Settings):
    """Of one service; all its processes have the same.

    Example:
        >>> ServeSettings(folder="runs/demo/model").store_url
        'sqlite:///runs/demo/model.sqlite'
    """

    folder: Annotated[Path, Field(description="the model folder")]
    store: Annotated[str | None, Field(description="URL of the database of events")] = None
    history_query: Annotated[
        str | None, Field(description="SQL that reads a person's items, newest first")
    ] = None
    history_url: Annotated[
        str | None, Field(description="URL of the database that history_query asks")
    ] = None
    key_file: Annotated[Path | None, Field(description="a file with an API key in each line")] = (
        None
    )
    rate_limit: Annotated[
        float | None, Field(gt=0, description="requests per second and key, in each process")
    ] = None
    origins: Annotated[
        tuple[str, ...], Field(description="other sites whose pages may ask (CORS)")
    ] = ()
    workers: Annotated[int, Field(ge=1, le=256, description="processes")] = 1
    threads: Annotated[
        int | None, Field(ge=1, le=1024, description="torch threads of each process")
    ] = None
    max_body: Annotated[int, Field(ge=1024, description="bytes of a request's body")] = 1 << 20
    queue: Annotated[int, Field(ge=1, description="requests that may wait for their turn")] = 256
    timeout: Annotated[
        float, Field(gt=0, le=3600, description="seconds until a request is given up")
    ] = 30.0
    idle: Annotated[
        int, Field(ge=1, le=3600, description="seconds that a connection may send no request")
    ] = 15

    page_port: Annotated[
        int | None, Field(ge=1, le=65535, description="where the page is, for whoever opens /")
    ] = None

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin, as https://shop.example or * are")
        return origins

    @property
    def store_url(self) -> str:
        """Of the database of events: by default an SQLite file beside the model."""
        if self.store is not None:
            return self.store
        return f"sqlite:///{self.folder.with_name(self.folder.name + '.sqlite')}"

    @property
    def map_path(self) -> Path:
        """Where the map is kept: beside the store if that is a file, else beside the model.

        Example:
            >>> str(ServeSettings(folder="runs/demo/model", store="sqlite:///kept.db").map_path)
            'kept.db.map.npz'
        """
        prefix = "sqlite:///"
        beside = self.folder
        if self.store is not None and self.store.startswith(prefix):
            beside = Path(self.store.removeprefix(prefix))
        return beside.with_name(beside.name + ".map.npz")

    @property
    def torch_threads(self) -> int:
        """Of each process, so that all together leave one processor to read and write."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        return self.threads or max(1, ((cores or 1) - 1) // self.workers)
