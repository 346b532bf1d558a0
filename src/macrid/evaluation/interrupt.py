"""Ctrl-C that waits: what is being written is written to its end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupts:
    """While it is entered, Ctrl-C is remembered, and raised on leaving or inside `let_through`.

    In another thread than the main one, where Ctrl-C does not arrive, it does nothing.

    Example:
        >>> with Interrupts() as interrupts:
        ...     pass  # writing
        ...     with interrupts.let_through():
        ...         pass  # computing
    """

    def __enter__(self) -> "Interrupts":
        self.pressed = False
        self.here = threading.current_thread() is threading.main_thread()
        if self.here:
            self.before = signal.signal(signal.SIGINT, self._remember) or signal.SIG_DFL
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if self.here:
            signal.signal(signal.SIGINT, self.before)
        if self.pressed and kind is None:
            raise KeyboardInterrupt

    def _remember(self, *_: Any) -> None:
        self.pressed = True

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """As if it were not entered."""
        if self.pressed:
            raise KeyboardInterrupt
        if self.here:
            signal.signal(signal.SIGINT, self.before)
        try:
            yield
        finally:
            if self.here:
                signal.signal(signal.SIGINT, self._remember)
