"""What a training run keeps in its folder; apart, so that nobody imports Lightning for a name."""

from pathlib import Path

LOG = "log.csv"
CHECKPOINT = "checkpoint.ckpt"  # the state after the last whole epoch, best weights included
IDENTITY = "checkpoint.json"  # whose checkpoint it is
ASIDE = ".checkpoint.ckpt.new"  # always the same name: what a killed run left is overwritten
RUN_FILES = {LOG, CHECKPOINT, IDENTITY, ASIDE}


def discard_checkpoint(folder: Path) -> None:
    """Remove what only an unfinished run needs; for when its model has been saved."""
    for name in RUN_FILES - {LOG}:
        (folder / name).unlink(missing_ok=True)
