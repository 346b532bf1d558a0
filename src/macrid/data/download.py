"""Fetch one public file over HTTP and unpack it: whole and verified, or not at all.

Nothing half-written ever stands under a final name. Bytes arrive in ``<file>.part``; a small
``<file>.part.json`` beside it remembers which version of the file they belong to, so that the next
attempt goes on where this one stopped, or starts afresh if the server's file has changed since.
Only when the length, the published checksum and the kind of file are right is the part renamed.
"""

import hashlib
import json
import lzma
import os
import re
import shutil
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path, PureWindowsPath
from typing import Any
from urllib import request
from urllib.error import HTTPError
from urllib.parse import urlsplit

from macrid.errors import DownloadError

Progress = Callable[[int, int | None], object]
"""Called with the bytes received so far and the bytes in all (None while they are not known)."""

_BLOCK = 1 << 18
_PASSING = {408, 425, 429}  # with the 5xx: statuses that another attempt may mend

# What a damaged archive raises while it is read. RuntimeError: an encrypted member, or (as
# NotImplementedError) an unknown compression. The last three: a member both file and folder.
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, RuntimeError),
    *(FileExistsError, IsADirectoryError, NotADirectoryError),
)


@dataclass(frozen=True)
class Patience:
    """How long to try before giving up.

    Args:
        retries: Further attempts allowed in a row that bring not one new byte.
        timeout: Seconds without an answer or a byte after which an attempt has failed.
        pause: Seconds before the second attempt; doubled for each further one, up to a minute.
    """

    retries: int = 5
    timeout: float = 30.0
    pause: float = 1.0


def _silent(received: int, total: int | None) -> None:
    """Report to nobody."""


class _Interrupted(Exception):  # noqa: N818
    """A failure that another attempt may mend."""


def fetch(
    url: str,
    target: Path,
    *,
    checksum: str | None = None,
    progress: Progress = _silent,
    patience: Patience | None = None,
) -> Path:
    """Download a zip or tar archive, going on where an interrupted download stopped.

    Args:
        url: An http or https address.
        target: Where the archive shall stand; its folder is made if need be.
        checksum: ``"md5:…"`` or ``"sha256:…"`` as published, or None where none is.
        progress: Called after every block, with (received, total or None).
        patience: Number of retries, timeout and pauses.

    Returns:
        ``target``.

    Raises:
        DownloadError: If the address is not http(s), cannot be reached, does not fit on the disk,
            or what it serves is not the published file or not an archive; such a file is deleted.

    Example:
        >>> fetch("file:///etc/passwd", Path("x.zip"))
        Traceback (most recent call last):
        ...
        macrid.errors.DownloadError: 'file:///etc/passwd' is no http or https address, ...
    """
    part = _part(target)
    _receive(url, part, progress, patience or Patience())
    try:
        _verify(url, part, checksum)
    except DownloadError:
        _discard(part)
        raise
    os.replace(part, target)  # noqa: PTH105  the atomic one of the two
    _discard(part)
    return target


def published_checksum(url: str, scratch: Path, *, patience: Patience | None = None) -> str:
    """Read the checksum that a publisher offers in a small file beside the archive.

    Both common forms are understood, ``MD5 (x.zip) = <digest>`` and ``<digest>  x.zip``.

    Args:
        url: Address of the checksum file.
        scratch: A path that may be used while downloading; nothing is left there.
        patience: Number of retries, timeout and pauses.

    Returns:
        ``"md5:…"`` or ``"sha256:…"``, told apart by their length.

    Raises:
        DownloadError: If the file cannot be had or holds no checksum.

    Example:
        >>> published_checksum("ftp://example.org/x.zip.md5", Path("scratch"))
        Traceback (most recent call last):
        ...
        macrid.errors.DownloadError: 'ftp://example.org/x.zip.md5' is no http or https address, ...
    """
    part = _part(scratch)
    try:
        _receive(url, part, _silent, patience or Patience())
        text = part.read_bytes()[:4096].decode("ascii", "replace")
    finally:
        _discard(part)
    for algorithm, digits in (("sha256", 64), ("md5", 32)):
        if found := re.search(rf"\b[0-9a-fA-F]{{{digits}}}\b", text):
            return f"{algorithm}:{found[0].lower()}"
    raise DownloadError(f"{url} holds no md5 or sha256 but {text[:60]!r}; try again later")


def unpack(archive: Path, folder: Path) -> None:
    r"""Write the files of a zip or tar archive into a new folder, and nowhere else.

    Only plain files and folders with names inside ``folder`` are accepted: an absolute name, one
    with ``..``, a link or a device means that the archive is not what it claims to be. An archive
    that is refused or damaged is deleted, so that the next download starts afresh.

    Args:
        archive: A zip or tar file, whatever its name.
        folder: Made here. It is left half-filled by an error: give a scratch folder and rename it.

    Raises:
        DownloadError: If the archive is damaged, unsafe, or larger than the free disk space.

    Example:
        >>> import tempfile
        >>> home = Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(home / "tiny.zip", "w") as tiny:
        ...     tiny.writestr("tiny/u.data", "1\t2\t5\t0")
        >>> unpack(home / "tiny.zip", home / "new")
        >>> (home / "new" / "tiny" / "u.data").read_text()
        '1\t2\t5\t0'
    """
    folder.mkdir(parents=True)
    try:
        for member in _members(archive):
            path = PureWindowsPath(member.name)  # knows both slashes, and drives
            if not member.plain or path.anchor or ".." in path.parts:
                raise tarfile.TarError(
                    f"it holds {member.name!r}, a link or a path outside its folder"
                )
            destination = folder.joinpath(*path.parts)
            if member.folder:
                destination.mkdir(parents=True, exist_ok=True)
            elif path.parts[0] != "__MACOSX":
                _want_space(member.size, folder, member.name)
                destination.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, destination.open("wb") as file:
                    shutil.copyfileobj(source, file, _BLOCK)
    except _DAMAGE as error:
        archive.unlink()
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise DownloadError(
            f"the archive {archive.name} is damaged or unsafe ({why}); "
            "it was deleted, so download it again or from another address"
        ) from error


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    folder: bool
    plain: bool
    open: Callable[[], Any]  # zipfile and tarfile share no type of stream


def _members(archive: Path) -> Iterator[_Member]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)  # 0 when not written on Unix
                plain = kind in {0, stat.S_IFREG, stat.S_IFDIR}
                opener = partial(zipped.open, info)
                yield _Member(info.filename, info.file_size, info.is_dir(), plain, opener)
    else:
        with tarfile.open(archive) as tarred:
            for info in tarred:
                plain = info.isreg() or info.isdir()
                opener = partial(tarred.extractfile, info)
                yield _Member(info.name, info.size, info.isdir(), plain, opener)


def _receive(url: str, part: Path, report: Progress, patience: Patience) -> None:
    """Bring every byte of ``url`` into ``part``, in as many attempts as patience allows."""
    if urlsplit(url).scheme not in {"http", "https"}:
        raise DownloadError(
            f"{url!r} is no http or https address, and nothing else is fetched; "
            "unpack a local file by hand"
        )
    part.parent.mkdir(parents=True, exist_ok=True)
    failures, best = 0, _size(part)
    while True:
        try:
            return _attempt(url, part, report, patience.timeout)
        except _Interrupted as error:
            failures = failures + 1 if _size(part) <= best else 1
            best = max(best, _size(part))
            if failures > patience.retries:
                raise DownloadError(
                    f"{url} could not be fetched after {failures} attempts: {error}; "
                    f"{_size(part):,} bytes are kept, so run it again to go on from there"
                ) from error
            time.sleep(min(patience.pause * 2 ** (failures - 1), 60))


def _attempt(url: str, part: Path, report: Progress, timeout: float) -> None:
    have, version = _resumable(url, part)
    with _network(url):
        response = _ask(url, have, version, timeout)
    with response:
        if response.status == 416:
            if response.headers.get("Content-Range") == f"bytes */{have}":
                return  # nothing is missing: an earlier run ended between the last byte and here
            raise _changed(part)
        resumed = response.status == 206
        if resumed:
            total = _continued(response.headers, have, version, part)
        else:  # the whole file: a first attempt, a changed file, or a server without ranges
            length = response.headers.get("Content-Length", "")
            have, total = 0, int(length) if length.isdecimal() else None
        _want_space((total or have) - have, part.parent, url)
        with part.open("ab" if resumed else "wb") as file:
            if not resumed:  # only now, when no byte of another version is left in the part
                _note(part).write_text(json.dumps([url, _version(response.headers)]))
            for block in _blocks(url, response, None if total is None else total - have):
                have += file.write(block)
                report(have, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and have < total:
        raise _Interrupted(f"the server announced {total:,} bytes and sent {have:,}")


def _ask(url: str, have: int, version: str, timeout: float) -> Any:
    headers = {"User-Agent": "macrid", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        return _opener().open(request.Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code == 416:
            return error  # an answer like any other, and a response by its class
        raise


def _blocks(url: str, response: Any, left: int | None) -> Iterator[bytes]:
    while left is None or left > 0:
        with _network(url):
            block = response.read1(_BLOCK if left is None else min(_BLOCK, left))
        if not block:
            return
        left = None if left is None else left - len(block)
        yield block


def _continued(headers: Any, have: int, version: str, part: Path) -> int | None:
    """Total length told by a 206, once it is sure that its bytes belong behind ours."""
    told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
    if told is None or int(told[1]) != have or _version(headers) not in {"", version}:
        raise _changed(part)  # some servers honour Range but not If-Range: never glue
    return None if told[2] == "*" else int(told[2])


def _changed(part: Path) -> _Interrupted:
    _discard(part)
    return _Interrupted("the file changed on the server")


@contextmanager
def _network(url: str) -> Iterator[None]:
    """Sort what can go wrong on the way into what may pass and what will not."""
    try:
        yield
    except HTTPError as error:
        error.close()
        if error.code >= 500 or error.code in _PASSING:
            raise _Interrupted(f"the server answered {error.code} {error.reason}") from error
        raise DownloadError(
            f"{url} answered {error.code} {error.reason}; the file may have moved, "
            "so look on the publisher's page and pass the new address"
        ) from error
    except (HTTPException, OSError) as error:
        raise _Interrupted(str(error) or type(error).__name__) from error


def _opener() -> request.OpenerDirector:
    """An opener of http and https alone: a redirection to file: or ftp: is refused too."""
    opener = request.OpenerDirector()
    kinds = ("Proxy", "Unknown", "HTTP", "HTTPS", "HTTPDefaultError", "HTTPRedirect")
    for handler in (*(f"{kind}Handler" for kind in kinds), "HTTPErrorProcessor"):
        opener.add_handler(getattr(request, handler)())
    return opener


def _version(headers: Any) -> str:
    """What tells this version of the file from another; weak tags may not be used for ranges."""
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _resumable(url: str, part: Path) -> tuple[int, str]:
    """Bytes that can be built upon and their version; 0 when it is not known what they are."""
    try:
        known, version = json.loads(_note(part).read_text())
    except (OSError, ValueError, TypeError):
        return 0, ""
    return (_size(part), version) if known == url and version else (0, "")


def _verify(url: str, part: Path, checksum: str | None) -> None:
    if checksum is not None:
        algorithm, _, expected = checksum.partition(":")
        digest = partial(hashlib.new, algorithm, usedforsecurity=False)
        with part.open("rb") as file:
            actual = hashlib.file_digest(file, digest).hexdigest()
        if actual != expected.lower():
            raise DownloadError(
                f"{url} is not the published file: its {algorithm} is {actual} and the published "
                f"one is {expected}; it was deleted, so try again later or from another address"
            )
    if not _is_archive(part):
        with part.open("rb") as file:
            start = file.read(40)
        raise DownloadError(
            f"{url} is a wrong file: not a whole zip or tar archive, it has {_size(part):,} bytes "
            f"and begins with {start!r}; it was deleted, so look at that address in a browser"
        )


def _is_archive(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)
    except _DAMAGE:  # is_tarfile answers only for archives that are whole
        return False


def _want_space(size: int, folder: Path, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DownloadError(
            f"{what} needs {size:,} bytes but {folder} has {free:,} free; "
            "free some space or choose a folder on another disk"
        )


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)
