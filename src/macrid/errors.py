"""What can go wrong, said in sentences: what was given, what is allowed, what to do.

    MacridError
    ├── DataError               the events, items or histories handed in cannot be used
    │   └── UnknownItem         an item the model was not trained on (also a LookupError)
    ├── SettingsError           a misspelt or out-of-range setting (also a ValueError)
    ├── ControlError            a walk, dial or control that cannot be had (also a ValueError)
    ├── ArtifactError           a model folder that is missing, damaged, foreign or too new
    ├── DownloadError           a public data set that could not be fetched or verified
    ├── TrainingDiverged        a loss that is NaN or infinite; carries the step
    ├── TooLarge                work that would not fit into memory; carries the estimate
    ├── SearchFailed            a search of settings none of whose trials was completed
    └── MissingExtra            an optional dependency; names the line that installs it

    MacridWarning               something was left out or replaced; also a UserWarning

A wrong argument to a function is a plain ``ValueError``. Messages are lower case without a full
stop, so that the command line can print them after ``error:``.
"""


class MacridError(Exception):
    """Base of every error that macrid raises on purpose."""


class MacridWarning(UserWarning):
    """What a caller should know although the work went on."""


class DataError(MacridError):
    """Events, items or histories that cannot be used as they are."""


class UnknownItem(DataError, LookupError):  # noqa: N818  a lookup that failed, as in the glossary
    """An item that the vocabulary does not hold."""


class SettingsError(MacridError, ValueError):
    """A setting that does not exist, or whose value is out of its bounds."""


class ControlError(MacridError, ValueError):
    """A walk, a dial or a control that the model, or anybody, cannot follow."""


class ArtifactError(MacridError):
    """A model folder that cannot be loaded or written."""


class DownloadError(MacridError):
    """A public data set that could not be fetched whole, or is not what was published."""


class TrainingDiverged(MacridError):  # noqa: N818
    """The loss became NaN or infinite.

    Args:
        step: Number of the optimiser step, counted from 0, whose loss was not finite.
        last_loss: The last finite loss, in nats per user; NaN when there was none.
    """

    def __init__(self, step: int, last_loss: float) -> None:
        self.step = step
        self.last_loss = last_loss
        super().__init__(
            f"the loss of step {step} is not finite (the last finite one was {last_loss:.4g}); "
            "try a smaller learning rate, a larger tau, or full precision"
        )


class TooLarge(MacridError):  # noqa: N818
    """Work that would not fit into this machine's memory.

    Args:
        message: What was asked and what would do instead.
        needed: Estimated bytes.
        available: Bytes that are free.
    """

    def __init__(self, message: str, *, needed: int, available: int) -> None:
        self.needed = needed
        self.available = available
        super().__init__(message)


class SearchFailed(MacridError):  # noqa: N818
    """A search of settings none of whose trials was completed."""


class MissingExtra(MacridError, ImportError):  # noqa: N818
    """An optional dependency that is not installed.

    Args:
        package: The package that was wanted.
        extra: The extra of macrid that brings it.
    """

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(f"{package} is not installed; run: pip install 'macrid[{extra}]'")
