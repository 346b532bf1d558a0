"""Who may ask, and how often: API keys compared in constant time, a bucket of tokens for each."""

import hashlib
import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path

from macrid.errors import SettingsError
from macrid.service.problems import Refused

VARIABLE = "MACRID_API_KEYS"  # several, with commas between
SHORTEST = 16  # letters of a key that nobody guesses
_REMEMBERED = 10_000  # clients whose buckets are kept


class Keys:
    """The keys that are accepted; without any, everybody is.

    Args:
        keys: As text.

    Raises:
        SettingsError: If one is too short.

    Example:
        >>> keys = Keys(["correct horse battery"])
        >>> keys.client({b"x-api-key": b"correct horse battery"}) != ""
        True
    """

    def __init__(self, keys: list[str]) -> None:
        if any(len(key) < SHORTEST for key in keys):
            raise SettingsError(f"an API key is shorter than {SHORTEST} letters; take a longer one")
        self.digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    @classmethod
    def read(cls, path: Path | None) -> "Keys":
        """Those that `read_keys` finds.

        Raises:
            SettingsError: If the file cannot be read or holds none, or a key is too short.
        """
        return cls(read_keys(path))

    def client(self, headers: Mapping[bytes, bytes]) -> str:
        """Whose key a request has; nobody's if none is needed.

        Raises:
            Refused: If it has none, or a wrong one.
        """
        if not self.digests:
            return ""
        given = headers.get(b"x-api-key") or headers.get(b"authorization", b"")[len(b"Bearer ") :]
        digest = hashlib.sha256(given).digest()
        # All are compared, so that the time tells nothing.
        if not sum(hmac.compare_digest(digest, known) for known in self.digests):
            raise Refused(
                401,
                "the API key is missing or wrong; send it as 'Authorization: Bearer KEY' or as "
                "'X-API-Key: KEY'",
                WWW_Authenticate="Bearer",
            )
        return digest.hex()[:16]


def read_keys(path: Path | None) -> list[str]:
    """Keys from the variable ``MACRID_API_KEYS``, and from a file with one in each line.

    Raises:
        SettingsError: If the file cannot be read or holds none: nobody means to serve everyone
            who names a file of keys.
    """
    found = [key.strip() for key in os.environ.get(VARIABLE, "").split(",")]
    if path is not None:
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"cannot read the API keys in {path}: {error}") from error
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            raise SettingsError(f"{path} holds no API key; write one in each line")
        found += lines
    return [key for key in found if key]


class Buckets:
    """So many requests in a second for each client, a second's worth of them at once.

    Args:
        rate: Requests per second; None for any number.
        clock: Seconds.

    Example:
        >>> buckets = Buckets(1, clock=lambda: 0.0)
        >>> buckets.take("ada")
        >>> buckets.take("ada")
        Traceback (most recent call last):
        macrid.service.problems.Refused: more than 1 requests per second; try again in a second
    """

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.clock = rate, clock
        self.tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many, when

    def take(self, client: str) -> None:
        """Count a request.

        Raises:
            Refused: If it is one too many.
        """
        if self.rate is None:
            return
        most, now = max(self.rate, 1.0), self.clock()
        left, before = self.tokens.pop(client, (most, now))
        left = min(most, left + (now - before) * self.rate)
        self.tokens[client] = (left - (left >= 1), now)
        if len(self.tokens) > _REMEMBERED:
            self.tokens.popitem(last=False)
        if left < 1:
            raise Refused(
                429,
                f"more than {self.rate:g} requests per second; try again in a second",
                Retry_After=str(max(1, round((1 - left) / self.rate))),
            )
