"""A real PostgreSQL for tests, where it is installed."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


class Postgres:
    """A cluster of this run's own, on a socket in a folder of its own."""

    def __init__(self, programs: Path) -> None:
        self.programs, self.folder = programs, Path(tempfile.mkdtemp(prefix="macrid-pg-"))
        self.as_whom = {"user": "postgres"} if os.getuid() == 0 else {}  # it refuses root
        if self.as_whom:
            shutil.chown(self.folder, "postgres")
        self._call(
            "initdb", "-D", self.folder / "data", "-A", "trust", "-U", "macrid", "-E", "UTF8"
        )
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://macrid@/postgres?host={self.folder}"

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses="
        words = ["-D", self.folder / "data", "-l", self.folder / "log", "-o", options, "-w"]
        for left in reversed(range(60)):  # children of one that was killed hold its memory a while
            try:
                self._call("pg_ctl", *words, "start")
                break
            except subprocess.CalledProcessError:
                if not left:
                    raise
                time.sleep(0.5)

    def kill(self) -> None:
        """As a lost machine does: no goodbye to anybody."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self._call("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _call(self, program, *words) -> None:
        command = [str(self.programs / program), *map(str, words)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, check=True, cwd=self.folder, **quiet, **self.as_whom)


@pytest.fixture(scope="session")
def postgres():
    """A real PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    programs = found[-1].parent if found else on_path and Path(on_path).parent
    if not programs:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    cluster = Postgres(programs)
    yield cluster
    cluster.close()
