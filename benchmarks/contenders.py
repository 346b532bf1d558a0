"""Who is measured, and how one measurement is taken: each in a process of its own, one at a time.

A measurement that cannot be taken is an answer too: ``{"problem": sentence}``.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import peers

HERE = Path(__file__).resolve().parent
SIZES = {"n_concepts": 7, "n_dims": 100, "batch_size": 500}


@dataclass(frozen=True)
class Contender:
    """A row of the tables."""

    name: str
    script: str = "ours.py"
    job: dict[str, Any] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether macrid's own Python runs it."""
        return self.script == "ours.py"


def macrid(name: str = "macrid", **job: Any) -> Contender:
    """One of ours; ``training``, ``settings`` and ``recommend`` are options of those names."""
    return Contender(name, job=job)


ONE_HOT = {"assignment_sampling": "straight-through"}
BF16 = {"precision": "bf16"}
RECBOLE = Contender("RecBole MacridVAE", "recbole_peer.py", {"model": "MacridVAE"})
MULTIVAE = Contender("RecBole MultiVAE (its defaults)", "recbole_peer.py", {"model": "MultiVAE"})
ALS = Contender("implicit ALS", "implicit_peer.py")
TRAINED = [
    macrid(),
    RECBOLE,
    macrid("macrid, bf16", training=BF16),
    macrid("macrid, one-hot", settings=ONE_HOT),
    macrid("macrid, one-hot, bf16", settings=ONE_HOT, training=BF16),
    MULTIVAE,
]
SCORED = [
    macrid(),
    RECBOLE,
    macrid("macrid, bf16", recommend=BF16),
    macrid("macrid, mode", settings={"assignment": "mode"}),
    macrid("macrid, mode, bf16", settings={"assignment": "mode"}, recommend=BF16),
    MULTIVAE,
    ALS,
]


@dataclass(frozen=True)
class Bench:
    """Where and how everything is measured.

    Args:
        folder: Where the peers' copies of the data go; temporary.
        threads: Of everybody.
        source: Folder that holds the ``macrid`` to measure; None takes the installed one.
        timeout: Seconds that one process may take.
    """

    folder: Path
    threads: int = 2
    source: Path | None = None
    timeout: float = 3600.0

    def measure(self, who: Contender, what: str, data: str, **job: Any) -> dict[str, Any]:
        """What a process finds out, or why it could not."""
        wanted = {**SIZES, "threads": self.threads, "what": what, "data": data}
        wanted |= {"folder": str(self.folder)} | who.job | job
        try:
            python = sys.executable if who.is_ours else str(peers.build())
            if not who.is_ours:
                self._export(data)
            printed = self._run([python, str(HERE / who.script), json.dumps(wanted)])
            return json.loads(printed.strip().splitlines()[-1])
        except peers.PeerError as problem:
            return {"problem": str(problem)}

    def run(self, script: str, *arguments: str) -> Any:
        """The JSON that a script prints, run by macrid's Python."""
        try:
            return json.loads(self._run([sys.executable, str(HERE / script), *arguments]))
        except peers.PeerError as problem:
            return {"problem": str(problem)}

    def _export(self, data: str) -> None:
        """The data as the peers read it, made when first asked for."""
        if not (self.folder / data).exists():
            self._run([sys.executable, str(HERE / "sources.py"), data, str(self.folder)])

    def _run(self, command: list[str]) -> str:
        """What a process prints.

        Raises:
            PeerError: If it fails; the last line of its errors says why.
        """
        threads = str(self.threads)
        # Implicit has threads of its own and asks for a BLAS that has none.
        blas = "1" if "implicit_peer.py" in command[1] else threads
        environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        environment |= {"OPENBLAS_NUM_THREADS": blas, "PYTHONDONTWRITEBYTECODE": "1"}
        if self.source:
            environment["PYTHONPATH"] = str(self.source.resolve())
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,  # RecBole leaves logs and checkpoints where it is run
                env=environment,
                capture_output=True,
                text=True,
                timeout=self.timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise peers.PeerError(f"not done after {self.timeout:,.0f} s") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["without a word"]
            reason = lines[-1].split("macrid.errors.")[-1]
            raise peers.PeerError(f"stopped with status {done.returncode}: {reason}")
        return done.stdout


@contextmanager
def bench(**options: Any) -> Iterator[Bench]:
    """A bench with a temporary folder."""
    with TemporaryDirectory(prefix="macrid-bench-") as folder:
        yield Bench(Path(folder), **options)
