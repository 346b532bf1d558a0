"""A small model with known answers, the service over it, and databases to keep things in."""

from pathlib import Path

import pytest

import macrid
from asking import serving
from steerable import PRICE, steerable


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """The steerable model with a name or two, saved; to be left as it is."""
    path = tmp_path_factory.mktemp("served") / "model"
    model = steerable()
    model.name_concept(1, "bed lamps")
    model.name_dimension(0, PRICE, "cheap", "dear")
    model.save(path)
    return path


@pytest.fixture(scope="session")
def model(folder):
    """What the service loads."""
    return macrid.load(folder)


@pytest.fixture(scope="module")
def client(folder, tmp_path_factory):
    """Of a service with default bounds; tests of a file share its store."""
    with serving(folder, tmp_path_factory.mktemp("store") / "store.sqlite") as client:
        yield client


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
        return
    from sqlalchemy import text

    from macrid.service.storage.engine import open_engine

    cluster = request.getfixturevalue("postgres")
    engine = open_engine(cluster.url)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    yield cluster.url
