"""Writing files so that nothing is ever half-written: aside first, then renamed."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step, as far as anybody who reads it can tell.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "note.txt"
        >>> replace_file(path, b"whole")
        >>> path.read_text(), len(list(path.parent.iterdir()))
        ('whole', 1)
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
