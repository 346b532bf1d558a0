"""Against a real local server that cuts off, lies, changes its mind and serves rubbish."""

import hashlib
import io
import random
import re
import stat
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from macrid.data.download import Patience, fetch, published_checksum, unpack
from macrid.errors import DownloadError

QUICK = Patience(retries=3, timeout=5.0, pause=0.0)
ONCE = Patience(retries=0, timeout=5.0, pause=0.0)
TWO, WEAK = {"ETag": '"two"'}, {"ETag": 'W/"weak"'}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


BODY = zipped({"set/u.data": random.Random(0).randbytes(90_000)})
OTHER = zipped({"set/u.data": random.Random(1).randbytes(90_000)})


def md5(body: bytes) -> str:
    return f"md5:{hashlib.md5(body).hexdigest()}"


class Reply:
    """One answer of the server; by default an honest one, with ranges."""

    def __init__(self, body=BODY, *, cut=None, length=None, status=200, ranges=True, headers=None):
        self.body, self.cut, self.length, self.status = body, cut, length, status
        self.ranges, self.headers = ranges, {"ETag": '"one"'} | (headers or {})

    def answer(self, handler) -> None:
        start, status, body = 0, self.status, self.body
        wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        known = handler.headers.get("If-Range", self.headers["ETag"])
        if self.ranges and wanted and known in self.headers.values():
            start, status = int(wanted[1]), 206
            if start >= len(body):
                status, body = 416, b""
        handler.send_response(status)
        if status == 206:
            told = f"bytes {start}-{len(body) - 1}/{len(body)}"
            handler.send_header("Content-Range", told)
        if status == 416:
            handler.send_header("Content-Range", f"bytes */{len(self.body)}")
        if self.length is not False:
            handler.send_header("Content-Length", self.length or len(body) - start)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body[start : self.cut])


class Server:
    """Gives its replies in turn, the last one for ever, and remembers what it was asked."""

    def __init__(self):
        self.replies, self.ranges, self.released = [Reply()], [], threading.Event()

        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.ranges.append(self.headers.get("Range"))
                turn = min(len(server.ranges), len(server.replies)) - 1
                server.replies[turn].answer(self)

            def log_message(self, format, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/set.zip"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.released.set()
    server.http.shutdown()
    thread.join()
    server.http.server_close()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new" / "set.zip"


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_honest_server_is_fetched_whole_and_nothing_else_is_left(server, target):
    assert fetch(server.url, target, checksum=md5(BODY), patience=ONCE).read_bytes() == BODY
    assert names(target.parent) == ["set.zip"]


def test_progress_ends_at_the_whole_length(server, target):
    seen = []
    fetch(server.url, target, progress=lambda *told: seen.append(told), patience=ONCE)
    assert seen[-1] == (len(BODY), len(BODY))
    assert seen == sorted(seen)


def test_a_connection_cut_in_the_middle_goes_on_from_there(server, target):
    server.replies = [Reply(cut=30_000), Reply(cut=70_000), Reply()]
    assert fetch(server.url, target, patience=QUICK).read_bytes() == BODY
    assert server.ranges == [None, "bytes=30000-", "bytes=70000-"]


def test_attempts_that_bring_something_are_not_counted(server, target):
    server.replies = [Reply(cut=n * 10_000) for n in range(1, 9)] + [Reply()]
    assert fetch(server.url, target, patience=Patience(1, 5.0, 0.0)).read_bytes() == BODY


def test_an_interrupted_download_leaves_its_part_and_the_next_call_resumes(server, target):
    server.replies = [Reply(cut=30_000), Reply()]
    with pytest.raises(DownloadError, match=r"announced 90,\d+ bytes and sent 30,000.*are kept"):
        fetch(server.url, target, patience=ONCE)
    assert names(target.parent) == ["set.zip.part", "set.zip.part.json"]
    assert (target.parent / "set.zip.part").read_bytes() == BODY[:30_000]
    assert fetch(server.url, target, patience=ONCE).read_bytes() == BODY
    assert server.ranges == [None, "bytes=30000-"]
    assert names(target.parent) == ["set.zip"]


def test_a_file_that_changed_on_the_server_is_restarted_not_glued(server, target):
    server.replies = [Reply(cut=30_000), Reply(OTHER, headers=TWO)]
    assert fetch(server.url, target, patience=QUICK).read_bytes() == OTHER
    assert server.ranges == [None, "bytes=30000-"]  # answered with 200 and the whole new file


def test_a_server_that_ignores_if_range_is_restarted_not_glued(server, target):
    class Careless(Reply):
        def answer(self, handler):
            del handler.headers["If-Range"]
            super().answer(handler)

    server.replies = [Reply(cut=30_000), Careless(OTHER, headers=TWO)]
    assert fetch(server.url, target, patience=QUICK).read_bytes() == OTHER
    assert server.ranges == [None, "bytes=30000-", None]


def test_a_server_that_continues_elsewhere_is_restarted(server, target):
    class Astray(Reply):
        def answer(self, handler):
            handler.headers.replace_header("Range", "bytes=20000-")
            super().answer(handler)

    server.replies = [Reply(cut=30_000), Astray(), Reply()]
    assert fetch(server.url, target, patience=QUICK).read_bytes() == BODY
    assert server.ranges == [None, "bytes=30000-", None]


def test_a_server_that_ignores_ranges_is_restarted(server, target):
    server.replies = [Reply(cut=30_000), Reply(ranges=False)]
    assert fetch(server.url, target, patience=QUICK).read_bytes() == BODY


def test_bytes_of_an_unnamed_version_are_not_built_upon(server, target):
    server.replies = [Reply(cut=30_000, headers=WEAK), Reply()]
    assert fetch(server.url, target, patience=QUICK).read_bytes() == BODY
    assert server.ranges == [None, None]


def test_a_date_serves_where_the_tag_is_weak(server, target):
    dated = WEAK | {"Last-Modified": "Mon, 01 Jan 2018 00:00:00 GMT"}
    server.replies = [Reply(cut=30_000, headers=dated), Reply(headers=dated)]
    assert fetch(server.url, target, patience=QUICK).read_bytes() == BODY
    assert server.ranges == [None, "bytes=30000-"]


def test_a_part_of_another_address_or_without_its_note_is_not_built_upon(server, target):
    server.replies = [Reply(cut=30_000), Reply(cut=40_000), Reply()]
    for change in ("elsewhere", "damaged"):
        with pytest.raises(DownloadError):
            fetch(server.url, target, patience=ONCE)
        note = target.parent / "set.zip.part.json"
        note.write_text('["http://else.where/", "\\"one\\""]' if change == "elsewhere" else "5")
    assert fetch(server.url, target, patience=ONCE).read_bytes() == BODY
    assert server.ranges == [None, None, None]


def test_a_part_that_is_whole_already_is_only_checked_and_renamed(server, target):
    server.replies = [Reply(length=len(BODY) + 9), Reply()]  # announces more than there is
    assert fetch(server.url, target, patience=QUICK).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={len(BODY)}-"]  # answered 416: */length


def test_a_part_longer_than_the_file_is_restarted(server, target):
    server.replies = [Reply(BODY + b"longer", length=len(BODY) + 9), Reply()]
    assert fetch(server.url, target, patience=QUICK).read_bytes() == BODY
    assert server.ranges[-1] is None


def test_a_server_that_always_announces_too_much_is_given_up(server, target):
    server.replies = [Reply(length=len(BODY) + 9, ranges=False)]
    with pytest.raises(DownloadError, match=r"after 3 attempts.*announced .* and sent"):
        fetch(server.url, target, patience=Patience(2, 5.0, 0.0))
    assert not target.exists()


def test_a_server_that_announces_too_little_has_served_a_wrong_file(server, target):
    server.replies = [Reply(length=50_000)]
    with pytest.raises(DownloadError, match=r"wrong file: not a whole zip .* 50,000 bytes"):
        fetch(server.url, target, patience=ONCE)
    assert names(target.parent) == []


def test_a_server_without_any_length_is_believed_when_the_archive_is_whole(server, target):
    server.replies = [Reply(length=False)]
    assert fetch(server.url, target, checksum=md5(BODY), patience=ONCE).read_bytes() == BODY


def test_another_file_than_the_published_one_is_deleted_and_both_digests_are_told(server, target):
    server.replies = [Reply(OTHER)]
    told = f"its md5 is {md5(OTHER)[4:]} and the published one is {md5(BODY)[4:]}.*deleted"
    with pytest.raises(DownloadError, match=told):
        fetch(server.url, target, checksum=md5(BODY), patience=QUICK)
    assert names(target.parent) == []
    assert len(server.ranges) == 1


def test_sha256_is_verified_too(server, target):
    good = f"sha256:{hashlib.sha256(BODY).hexdigest().upper()}"
    assert fetch(server.url, target, checksum=good, patience=ONCE) == target
    with pytest.raises(DownloadError, match="its sha256 is"):
        fetch(server.url, target, checksum="sha256:" + 64 * "0", patience=ONCE)


@pytest.mark.parametrize("page", [b"<html>please log in</html>", b"", b"\x1f\x8b\x08broken"])
def test_a_page_in_place_of_an_archive_is_a_wrong_file(server, target, page):
    server.replies = [Reply(page)]
    with pytest.raises(DownloadError, match=r"wrong file: .* begins with .*deleted.* browser"):
        fetch(server.url, target, patience=ONCE)
    assert names(target.parent) == []


def test_busy_twice_then_well_is_well(server, target):
    server.replies = [Reply(b"", status=503), Reply(b"", status=429), Reply()]
    assert fetch(server.url, target, patience=QUICK).read_bytes() == BODY
    assert len(server.ranges) == 3


def test_pauses_double_up_to_a_minute(server, target, monkeypatch):
    server.replies = [Reply(b"", status=500)]
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    with pytest.raises(DownloadError, match="after 6 attempts: the server answered 500"):
        fetch(server.url, target, patience=Patience(retries=5, pause=5.0))
    assert pauses == [5, 10, 20, 40, 60]


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_final(server, target, status):
    server.replies = [Reply(b"", status=status)]
    with pytest.raises(DownloadError, match=f"answered {status}.*publisher's page"):
        fetch(server.url, target, patience=QUICK)
    assert len(server.ranges) == 1
    assert not target.exists()


def test_silence_is_an_interruption(server, target):
    class Silent(Reply):
        def answer(self, handler):
            server.released.wait(5)

    server.replies = [Silent()]
    with pytest.raises(DownloadError, match=r"after 1 attempts: .*timed out"):
        fetch(server.url, target, patience=Patience(0, 0.1, 0.0))


def test_nobody_listening_is_an_interruption(server, target):
    with pytest.raises(DownloadError, match="after 2 attempts"):
        fetch("http://127.0.0.1:9/x.zip", target, patience=Patience(1, 1.0, 0.0))


def test_a_redirection_is_followed_but_never_to_a_file(server, target, tmp_path):
    (tmp_path / "secret").write_bytes(BODY)
    server.replies = [Reply(b"", status=302, headers={"Location": "/there.zip"}), Reply()]
    assert fetch(server.url, target, patience=ONCE).read_bytes() == BODY
    target.unlink()
    location = {"Location": f"file://{tmp_path}/secret"}
    server.replies = [Reply(b"", status=302, headers=location)]
    with pytest.raises(DownloadError, match="302"):
        fetch(server.url, target, patience=ONCE)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y.zip", "set.zip", ""])
def test_other_addresses_than_http_are_refused(target, url):
    with pytest.raises(DownloadError, match="no http or https address"):
        fetch(url, target)
    assert not target.parent.exists()


def test_a_file_larger_than_the_disk_is_refused_beforehand(server, target):
    server.replies = [Reply(length=1 << 60)]
    with pytest.raises(DownloadError, match=r"needs 1,152,9.* bytes but .* free; free some space"):
        fetch(server.url, target, patience=QUICK)
    assert not (target.parent / "set.zip.part").exists()


@pytest.mark.parametrize("text", ["MD5 (x.zip) = {0}\n", "{0}  x.zip\n"])
@pytest.mark.parametrize(("name", "digits"), [("md5", 32), ("sha256", 64)])
def test_published_checksums_are_read_in_both_forms(server, target, text, name, digits):
    server.replies = [Reply(text.format("aB" * (digits // 2)).encode())]
    told = published_checksum(server.url, target, patience=ONCE)
    assert told == f"{name}:{'ab' * (digits // 2)}"
    assert names(target.parent) == []


def test_a_checksum_file_without_a_checksum_is_said_so(server, target):
    server.replies = [Reply(b"<html>gone</html>")]
    with pytest.raises(DownloadError, match=r"holds no md5 or sha256 but '<html>gone"):
        published_checksum(server.url, target, patience=ONCE)


def test_archives_of_both_kinds_unpack_to_the_same_files(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"x/": b"", "x/y.txt": b"hi", "__MACOSX/._y": b"no"}))
    (tmp_path / "a.tar").write_bytes(tarred((tarfile.TarInfo("x/y.txt"), b"hi")))
    for kind in ("zip", "tar"):
        unpack(tmp_path / f"a.{kind}", tmp_path / kind)
        assert (tmp_path / kind / "x" / "y.txt").read_bytes() == b"hi"
        assert names(tmp_path / kind) == ["x"]


def linked(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def special(kind: bytes) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.linkname = kind, "/etc/passwd"
    return tarred((info, b""))


@pytest.mark.parametrize(
    "body",
    [
        *(zipped({name: b"evil"}) for name in ("../out.txt", "a/../../out.txt", "/tmp/out.txt")),
        *(zipped({name: b"evil"}) for name in ("..\\out.txt", "C:\\out.txt", "C:out.txt")),
        tarred((tarfile.TarInfo("../out.txt"), b"evil")),
        tarred((tarfile.TarInfo("/tmp/out.txt"), b"evil")),
        linked("x"),
        *(special(kind) for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)),
    ],
    ids=range(12),  # an archive's own bytes hold the time it was made
)
def test_a_member_that_reaches_outside_is_refused_and_the_archive_deleted(tmp_path, body):
    archive = tmp_path / "home" / "evil.zip"
    archive.parent.mkdir()
    archive.write_bytes(body)
    with pytest.raises(DownloadError, match=r"unsafe \(it holds .* outside its folder\).*deleted"):
        unpack(archive, tmp_path / "home" / "new")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "body",
    [
        BODY.replace(BODY[40:80], bytes(40)),
        tarred((tarfile.TarInfo("x"), random.Random(2).randbytes(9_000)))[:-2_000],
        zipped({"a": b"file", "a/b": b"folder"}),
        b"no archive at all",
    ],
    ids=["zip", "tar", "a file in a folder's place", "none"],  # bytes hold the time of day
)
def test_a_damaged_archive_is_deleted(tmp_path, body):
    (tmp_path / "a.zip").write_bytes(body)
    with pytest.raises(DownloadError, match=r"a\.zip is damaged .*download it again"):
        unpack(tmp_path / "a.zip", tmp_path / "new")
    assert not (tmp_path / "a.zip").exists()


def test_an_archive_larger_than_the_disk_is_refused_and_kept(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(BODY)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(DownloadError, match=r"u\.data needs 90,000 bytes but .* has 10 free"):
        unpack(tmp_path / "a.zip", tmp_path / "new")
    assert (tmp_path / "a.zip").exists()
