"""What all tests share: one thread, no surprises between runs, and the real data where it is."""

import os
import signal
from pathlib import Path

import hypothesis
import pytest
import torch

from postgres import postgres  # noqa: F401  a fixture

DATA = Path(__file__).parents[2] / "shared" / "data"

# Tiny tensors on two busy cores can be 20 times slower on two threads.
torch.set_num_threads(1)
# A run in the background of a shell inherits a Ctrl-C that is ignored; some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.pop("COLUMNS", None)  # tables are as wide as they need to be, whatever runs the tests
# The same examples in every run, and no folder of them beside the code.
hypothesis.settings.register_profile(
    "macrid", derandomize=True, deadline=None, database=None, max_examples=25
)
hypothesis.settings.load_profile("macrid")


def pytest_collection_modifyitems(items):
    """Begin with groups, which are long; skip tests of real data where there is none."""
    # Single ones, handed out last, let both processes end together.
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
    if not DATA.is_dir():
        for item in items:
            if item.get_closest_marker("data"):
                item.add_marker(pytest.mark.skip(reason=f"there is no real data at {DATA}"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets, for tests marked ``data``."""
    return DATA
