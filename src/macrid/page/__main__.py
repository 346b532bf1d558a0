"""`python -m macrid.page`: the page as a process of its own, beside a service.

It is started by `macrid serve`, which hands it a socket, a key (`MACRID_PAGE_KEY`) and the reading
end of a pipe as standard input. When that ends, whoever started it is gone, and so it goes too.
"""

import argparse
import asyncio
import logging
import os
import socket
import sys

from macrid.page.launch import KEY


def main() -> None:
    """Serve the page until the service ends."""
    from uvicorn import Config, Server

    from macrid.page.app import create_page

    parser = argparse.ArgumentParser(prog="python -m macrid.page")
    parser.add_argument("--api", required=True, help="address of the service")
    parser.add_argument("--fd", type=int, required=True, help="number of the listening socket")
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d page: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    app = create_page(given.api, os.environ.pop(KEY, None))
    config = Config(app, log_config=None, access_log=False, server_header=False, lifespan="on")
    config.timeout_graceful_shutdown = 1  # visitors' connections are open as long as they look
    server = Server(config)
    listening = socket.socket(fileno=given.fd)

    async def run() -> None:
        asyncio.get_running_loop().run_in_executor(None, _wait_for_the_end, server)
        await server.serve([listening])

    asyncio.run(run())


def _wait_for_the_end(server: object) -> None:
    """Of standard input."""
    sys.stdin.buffer.read()
    server.should_exit = True  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
