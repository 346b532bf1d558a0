"""What can go wrong with a store."""

from macrid.errors import MacridError


class StoreError(MacridError):
    """A database that cannot be used, now or at all."""


class KeyReused(MacridError):  # noqa: N818
    """An idempotency key that came with another request before."""


def first_line(error: BaseException) -> str:
    r"""What an exception says, without its appendix.

    Example:
        >>> first_line(OSError("no\nroom"))
        'no'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
