"""The steerable model, served in this process and, for a browser, by `macrid serve`."""

from pathlib import Path

import pytest

from asking import serving
from steerable import PRICE, steerable


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """A model with names, which has dials of both kinds; to be left as it is."""
    path = tmp_path_factory.mktemp("shown") / "model"
    model = steerable()
    model.name_concept(1, "bed <lamps>")
    model.name_dimension(0, PRICE, "cheap", "dear")
    model.save(path)
    return path


@pytest.fixture(scope="module")
def client(folder, tmp_path_factory):
    """Of a service over it."""
    with serving(folder, tmp_path_factory.mktemp("store") / "store.sqlite") as client:
        yield client
