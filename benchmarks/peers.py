"""Build the peers' own virtual environment from peers.txt: RecBole, implicit, matplotlib.

    python benchmarks/peers.py

It lies in benchmarks/.peers (git-ignored). RecBole 1.2.1 needs numpy 1 and pandas 2, macrid's own
environment has neither. The list is whole and is installed without dependencies, so that nothing
else comes along; PyTorch is asked for first, and a build with CUDA is refused.
"""

import hashlib
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER, WANTED = HERE / ".peers", HERE / "peers.txt"
PYTHON, READY = FOLDER / "bin" / "python", FOLDER / ".ready"


class PeerError(Exception):
    """Somebody cannot be measured here; the message says why."""


def build() -> Path:
    """The environment's Python, built first if it is not there or its list has changed.

    Raises:
        PeerError: If pip cannot install something.
    """
    digest = hashlib.sha256(WANTED.read_bytes()).hexdigest()
    if READY.is_file() and READY.read_text() == digest:
        return PYTHON
    venv.create(FOLDER, with_pip=True, clear=True)
    sys.path.insert(0, str(HERE.parent / "scripts"))
    import setup

    python = str(PYTHON)
    try:
        setup.pip(python, "install", "--quiet", setup.PIP)
        setup.refuse_cuda(python)
        setup.pip(python, "install", "--quiet", "--no-deps", "--requirement", str(WANTED))
    except SystemExit as stopped:
        reason = stopped.code if isinstance(stopped.code, str) else "pip failed, see above"
        raise PeerError(f"the peers' environment cannot be built: {reason}") from stopped
    READY.write_text(digest)
    return PYTHON


if __name__ == "__main__":
    try:
        print(build())
    except PeerError as problem:
        sys.exit(str(problem))
