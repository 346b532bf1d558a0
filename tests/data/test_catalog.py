"""The catalogue against a real server on this machine, and each raw format on tiny files."""

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from dataclasses import asdict, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import polars as pl
import pytest

from macrid.data.catalog import DATASETS, find, get
from macrid.errors import DataError, DownloadError

ACCEPTED = {"accept_licence": True, "progress": False, "retries": 0, "timeout": 5.0}
PRO_SG = {f"alishop-7c/pro_sg/{name}": b"uid,sid\n0,0\n" for name in ("train.csv", "test_tr.csv")}
TRIPLETS = b"b80344d0\tSOAKIMP12A8C130995\t1\nb80344d0\tSOAPDEY12A81C210A9\t5\n"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves what `put` is given."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            asked.append(self.path)

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(shelf)))
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()

    def put(name: str, body: bytes) -> str:
        (shelf / name).write_bytes(body)
        return f"http://127.0.0.1:{http.server_port}/{name}"

    yield SimpleNamespace(put=put, asked=asked)
    http.shutdown()
    thread.join()
    http.server_close()


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def rows(path) -> list[tuple]:
    table = pl.read_parquet(path)
    assert table.columns == ["user_id", "item_id", "weight", "timestamp"]
    assert table.dtypes[2:] == [pl.Float32, pl.Int64]
    return table.rows()


def lay(folder, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_the_catalogue_is_sorted_and_holds_the_sets_of_the_field():
    wanted = "alishop-7c goodbooks-10k lastfm-360k ml-100k ml-1m ml-20m ml-latest-small msd-taste"
    assert list(DATASETS) == [*wanted.split(), "netflix"]


@pytest.mark.parametrize("name", DATASETS)
def test_each_entry_is_complete_and_can_be_printed_as_json(name):
    dataset = DATASETS[name]
    assert dataset.name == name
    assert dataset.source.startswith(f"{name}/")
    assert dataset.title
    assert dataset.citation
    assert len(dataset.licence) > 60
    if dataset.url is None:
        assert "by hand" in dataset.notes
    else:
        assert dataset.url.endswith((".zip", ".tar.gz"))
        assert "http" in dataset.licence  # where the terms are to be read
    if dataset.checksum is not None:
        algorithm, _, digest = dataset.checksum.partition(":")
        assert len(bytes.fromhex(digest)) == hashlib.new(algorithm).digest_size
    assert json.loads(json.dumps(asdict(dataset)))["name"] == name


@pytest.mark.parametrize(("given", "near"), [("ml1m", "ml-1m"), ("LASTFM", "lastfm-360k")])
def test_a_misspelt_name_is_answered_with_the_nearest_and_all(given, near):
    with pytest.raises(DataError, match=f"no data set '{given}'; did you mean '{near}'.*netflix"):
        find(given)


def test_a_name_like_no_other_is_answered_with_all():
    with pytest.raises(DataError, match="no data set 'zzz'; known are alishop-7c, goodbooks"):
        get("zzz", "nowhere")


def test_nothing_is_fetched_before_the_licence_is_accepted(server, tmp_path):
    url = server.put("a.zip", zipped(PRO_SG))
    with pytest.raises(DataError, match=r"not accepted: no licence is stated.*--accept-licence"):
        get("alishop-7c", tmp_path / "data", url=url)
    assert server.asked == []
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("top", ["", "alishop-7c/", "data/alishop-7c/"])
def test_a_set_lands_in_its_own_folder_whatever_the_top_of_its_archive(server, tmp_path, top):
    files = {name.replace("alishop-7c/", top): body for name, body in PRO_SG.items()}
    url = server.put("a.zip", zipped(files))
    found = get("alishop-7c", tmp_path / "data", url=url, **ACCEPTED)
    assert found == tmp_path / "data" / "alishop-7c" / "pro_sg"
    assert names(found) == ["test_tr.csv", "train.csv"]
    assert names(tmp_path / "data") == ["alishop-7c"]
    assert names(found.parent) == ["pro_sg"]


def test_a_set_that_is_there_is_returned_at_once(server, tmp_path):
    url = server.put("a.zip", zipped(PRO_SG))
    first = get("alishop-7c", tmp_path, url=url, **ACCEPTED)
    assert get("alishop-7c", tmp_path, url="http://127.0.0.1:9/gone") == first
    assert len(server.asked) == 1


def test_an_empty_folder_of_that_name_is_filled(server, tmp_path):
    (tmp_path / "alishop-7c").mkdir()
    url = server.put("a.zip", zipped(PRO_SG))
    assert get("alishop-7c", tmp_path, url=url, **ACCEPTED).is_dir()


def test_a_folder_with_something_else_is_not_touched(server, tmp_path):
    lay(tmp_path, {"ml-1m/thesis.txt": "precious"})
    with pytest.raises(DataError, match=r"holds no ratings\.dat .*; move away"):
        get("ml-1m", tmp_path, url="http://127.0.0.1:9/", **ACCEPTED)
    assert names(tmp_path / "ml-1m") == ["thesis.txt"]


def test_the_checksum_of_the_catalogue_holds_for_mirrors_too(server, tmp_path):
    url = server.put("ml-1m.zip", zipped({"ml-1m/ratings.dat": b"1::2::5::978300760\n"}))
    with pytest.raises(DownloadError, match="the published one is c4d9eecfca2ab87c"):
        get("ml-1m", tmp_path / "data", url=url, **ACCEPTED)
    assert names(tmp_path / "data") == []


@pytest.fixture
def latest(server, monkeypatch):
    """ml-latest-small, its archive and its checksum file on this machine."""
    body = zipped({"ml-latest-small/ratings.csv": b"userId,movieId,rating,timestamp\n1,2,5,0\n"})
    entry = replace(
        DATASETS["ml-latest-small"],
        url=server.put("ml-latest-small.zip", body),
        checksum_url=server.put("sum", f"MD5 (x.zip) = {hashlib.md5(body).hexdigest()}".encode()),
    )
    monkeypatch.setitem(DATASETS, entry.name, entry)
    return entry


def test_a_checksum_published_beside_the_file_is_fetched_and_held_to(latest, server, tmp_path):
    assert get(latest.name, tmp_path, **ACCEPTED) == tmp_path / "ml-latest-small" / "ratings.csv"
    assert server.asked == ["/sum", "/ml-latest-small.zip"]


def test_a_file_unlike_its_published_checksum_is_refused(latest, server, tmp_path):
    server.put("sum", b"0" * 32)
    with pytest.raises(DownloadError, match="published one is 00000000"):
        get(latest.name, tmp_path / "data", **ACCEPTED)
    assert names(tmp_path / "data") == []


def test_a_mirror_is_not_held_to_a_checksum_beside_the_official_file(latest, server, tmp_path):
    mirror = server.put("mirror.zip", zipped({"ratings.csv": b"userId,movieId\n1,2\n"}))
    assert get(latest.name, tmp_path, url=mirror, **ACCEPTED).is_file()
    assert server.asked == ["/mirror.zip"]


def test_an_archive_without_the_file_it_should_hold_is_a_wrong_file(server, tmp_path):
    url = server.put("a.zip", zipped({"holiday.jpg": b"sun"}))
    with pytest.raises(DownloadError, match=r"a\.zip is a wrong file: .* holds no pro_sg"):
        get("alishop-7c", tmp_path / "data", url=url, **ACCEPTED)
    assert names(tmp_path / "data") == []


def test_an_unsafe_archive_leaves_nothing(server, tmp_path):
    url = server.put("a.zip", zipped(PRO_SG | {"../../out.txt": b"evil"}))
    with pytest.raises(DownloadError, match=r"unsafe .*out\.txt"):
        get("alishop-7c", tmp_path / "data", url=url, **ACCEPTED)
    assert names(tmp_path / "data") == []
    assert not list(tmp_path.rglob("out.txt"))


def test_a_full_disk_keeps_the_archive_and_the_next_call_unpacks_it(server, tmp_path, monkeypatch):
    url = server.put("a.zip", zipped(PRO_SG | {"alishop-7c/large": bytes(5_000)}))
    with monkeypatch.context() as patch:
        size = (tmp_path / "shelf" / "a.zip").stat().st_size
        free = iter([size, 1_000, 1_000, 1_000])
        patch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=next(free)))
        with pytest.raises(DownloadError, match=r"large needs 5,000 bytes but .* has 1,000 free"):
            get("alishop-7c", tmp_path / "data", url=url, **ACCEPTED)
    assert names(tmp_path / "data") == ["alishop-7c.archive"]
    assert get("alishop-7c", tmp_path / "data", url=url, **ACCEPTED).is_dir()
    assert len(server.asked) == 1
    assert names(tmp_path / "data") == ["alishop-7c"]


def test_a_refused_download_is_not_turned_into_a_set(tmp_path, server):
    url = server.put("a.zip", b"<html>log in</html>")
    with pytest.raises(DownloadError, match=r"wrong file: not a whole zip"):
        get("alishop-7c", tmp_path / "data", url=url, **ACCEPTED)
    with pytest.raises(DownloadError, match="answered 404"):
        get("alishop-7c", tmp_path / "data", url=url + "x", **ACCEPTED)
    assert names(tmp_path / "data") == []


def test_progress_can_be_a_function(server, tmp_path):
    body, seen = zipped(PRO_SG), []
    url = server.put("a.zip", body)
    get("alishop-7c", tmp_path, url=url, accept_licence=True, progress=lambda *n: seen.append(n))
    assert seen[-1] == (len(body), len(body))


def test_progress_is_drawn_on_stderr_only(server, tmp_path, capsys):
    url = server.put("a.zip", zipped(PRO_SG))
    get("alishop-7c", tmp_path, url=url, **ACCEPTED | {"progress": True})
    out, err = capsys.readouterr()
    assert out == ""
    assert "alishop-7c" in err


def test_taste_profile_triplets_become_interactions(server, tmp_path):
    url = server.put("t.zip", zipped({"train_triplets.txt": TRIPLETS}))
    found = get("msd-taste", tmp_path, url=url, **ACCEPTED)
    assert found.name == "interactions.parquet"
    assert rows(found) == [
        ("b80344d0", "SOAKIMP12A8C130995", 1.0, None),
        ("b80344d0", "SOAPDEY12A81C210A9", 5.0, None),
    ]


def test_lastfm_plays_become_interactions_by_artist_id_or_else_name(server, tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "lastfm-360k", replace(DATASETS["lastfm-360k"], checksum=None))
    lines = ('00aa\t3bd73256-3905\tbetty "blow" torch\t2137', "00aa\t\tsigur rós\t7", "00ab\t\t\t9")
    text = "\n".join(lines).encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        name = "lastfm-dataset-360K/usersha1-artmbid-artname-plays.tsv"
        info = tarfile.TarInfo(name)
        info.size = len(text)
        archive.addfile(info, io.BytesIO(text))
    url = server.put("l.tar.gz", buffer.getvalue())
    found = get("lastfm-360k", tmp_path, url=url, **ACCEPTED)
    assert rows(found) == [
        ("00aa", "3bd73256-3905", 2137.0, None),
        ("00aa", "sigur rós", 7.0, None),
    ]
    assert names(found.parent) == ["interactions.parquet", name.partition("/")[2]]


def test_goodbooks_ratings_become_interactions(server, tmp_path):
    files = {
        "ratings.csv": b"user_id,book_id,rating\n1,258,5\n2,4081,4\n",
        "books.csv": b"book_id\n",
    }
    found = get("goodbooks-10k", tmp_path, url=server.put("g.zip", zipped(files)), **ACCEPTED)
    assert rows(found) == [(1, 258, 5.0, None), (2, 4081, 4.0, None)]
    assert "books.csv" in names(found.parent)


def test_netflix_has_no_open_address_and_says_whom_to_ask(tmp_path):
    with pytest.raises(DownloadError, match=r"'netflix' cannot be fetched.*withdrew.*by hand"):
        get("netflix", tmp_path, **ACCEPTED)


@pytest.mark.parametrize(
    "files",
    [
        {
            "training_set/mv_0000001.txt": "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n",
            "training_set/mv_0000010.txt": "10:\n1952305,4,1999-12-31\n",
        },
        {
            "combined_data_1.txt": "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n",
            "combined_data_2.txt": "9:\n10:\n1952305,4,1999-12-31\n",
        },
    ],
)
def test_netflix_files_laid_there_by_hand_become_interactions(tmp_path, files):
    lay(tmp_path / "netflix", files)
    with pytest.raises(DataError, match="licence of 'netflix' is not accepted"):
        get("netflix", tmp_path)
    assert rows(get("netflix", tmp_path, **ACCEPTED)) == [
        (1488844, 1, 3.0, 1125964800),
        (822109, 1, 5.0, 1115942400),
        (1952305, 10, 4.0, 946598400),
    ]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("netflix", {"mv_1.txt": "1:\n1488844,three,2005-09-06\n"}),
        ("msd-taste", {"train_triplets.txt": "a\tb\tmany\n"}),
        ("goodbooks-10k", {"ratings.csv": "who,what\n1,2\n"}),
    ],
)
def test_raw_files_in_another_format_are_said_so_and_leave_nothing(tmp_path, name, files):
    lay(tmp_path / name, files)
    with pytest.raises(DataError, match=f"not in the published format of {name}: "):
        get(name, tmp_path, **ACCEPTED)
    assert names(tmp_path / name) == list(files)
