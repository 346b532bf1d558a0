"""Build the virtual environment from pinned versions; needs Python 3.11 or later, and nothing else.

PyTorch is the one dependency that comes in several builds. On Linux the one on the public registry
brings gigabytes of CUDA packages, so without ``--torch cuda`` this stops with a sentence before
such a download; where pip is offered a CPU build (an index, a folder of wheels), that is taken.
"""

import argparse
import json
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP = "pip==26.3"


def main() -> None:
    """Create, upgrade pip, look at torch, install."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", default=".venv")
    parser.add_argument("--torch", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    if sys.version_info < (3, 11):
        sys.exit(
            f"macrid needs Python 3.11 or later, and this is {sys.version.split()[0]}; "
            "name another one: make PYTHON=python3.12 …"
        )
    folder = Path(arguments.venv)
    if not (folder / "bin" / "python").exists():
        venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    pip(python, "install", "--quiet", PIP)
    if arguments.torch == "cpu":
        refuse_cuda(python)
    pip(
        python,
        "install",
        "--quiet",
        "--constraint",
        str(ROOT / "constraints.txt"),
        "--editable",
        f"{ROOT}[dev]",
    )


def refuse_cuda(python: str) -> None:
    """Stop if installing torch would bring CUDA packages along; to find out, none is fetched."""
    wanted = pinned("torch")
    report = pip(
        python,
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--report",
        "-",
        wanted,
        capture=True,
    )
    found = [entry["metadata"]["name"].lower() for entry in json.loads(report)["install"]]
    heavy = [name for name in found if name.startswith(("nvidia", "cuda", "triton"))]
    if heavy:
        sys.exit(
            f"{wanted} would bring {len(heavy)} CUDA packages (several gigabytes). Point pip at "
            "PyTorch's CPU builds (PIP_EXTRA_INDEX_URL, see the README), or ask for the GPU build: "
            "make setup TORCH=cuda"
        )


def pinned(package: str) -> str:
    """The line of the constraints for a package."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


def pip(python: str, *arguments: str, capture: bool = False) -> str:
    """Run pip; its errors are shown as they are."""
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    output = subprocess.PIPE if capture else None
    done = subprocess.run(command, stdout=output, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout or ""


if __name__ == "__main__":
    main()
