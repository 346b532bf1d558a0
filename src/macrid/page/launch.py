"""The page's process, as `macrid serve` starts and ends it; knows nothing of NiceGUI itself."""

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

KEY = "MACRID_PAGE_KEY"  # the variable by which the page is given the service's key
_PATIENCE = 5.0  # seconds that the page has to end


def installed() -> bool:
    """Whether there is what the page needs."""
    return all(importlib.util.find_spec(name) for name in ("nicegui", "httpx"))


@contextmanager
def running(address: str, listening: socket.socket, keys: Sequence[str] = ()) -> Iterator[None]:
    """The page beside a service, for as long as this lasts.

    Args:
        address: Of the service.
        listening: Where the page is to be found.
        keys: Of which the service wants one, if there are any.
    """
    environment = {**os.environ, **({KEY: keys[0]} if keys else {})}
    environment.pop("MACRID_API_KEYS", None)  # one is enough
    number = listening.fileno()
    process = subprocess.Popen(
        [sys.executable, "-m", "macrid.page", "--api", address, "--fd", str(number)],
        stdin=subprocess.PIPE,
        env=environment,
        pass_fds=(number,),
        start_new_session=True,  # Ctrl-C is told to the service, which then ends the page
    )
    listening.close()
    try:
        yield
    finally:
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
