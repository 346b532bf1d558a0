"""Every format comes out as the table that was put in, and what is damaged is refused in words."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from macrid.data.formats import features_beside, find, read_table
from macrid.errors import DataError

FIELDS = ["user", "item", "rating"]
ROWS = [("u1", "7", "3.5"), ("u1", "8", "4"), ("u2", "7", "1")]
TABLE = pl.DataFrame(ROWS, FIELDS, orient="row")


def text_of(separator=",", end="\n", fields=FIELDS) -> str:
    return "".join(separator.join(line) + end for line in (fields, *ROWS))


@pytest.fixture
def write(tmp_path):
    """Put some content into a file."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", text_of()),
        ("A.CSV", text_of()),
        ("a.csv", text_of(";")),
        ("a.csv", text_of("|")),
        ("a.csv", text_of("\t")),
        ("a.tsv", text_of("\t")),
        ("ratings.csv", text_of()),
        ("a [1]*.csv", text_of()),
        ("a.csv", text_of(end="\r\n")),
        ("a.csv", text_of().rstrip()),
        ("a.csv", "\ufeff" + text_of()),
        ("a.csv", '\ufeff"user","item","rating"\n' + text_of().split("\n", 1)[1]),
        ("a.csv", "\n\n" + text_of(";")),
        ("a.csv", text_of() + "\n\n"),
        ("a.csv", text_of(end="\n\n")),
        ("a.csv", text_of(end="\r\n\r\n")),
        ("a.csv", text_of() + ",,\n,,\n"),
        ("a.csv", "\n".join('"' + line.replace(",", '","') + '"' for line in text_of().split())),
        ("a.inter", text_of("\t", fields=["user:token", "item:token", "rating:float"])),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_delimited_text_is_read_as_text_whatever_its_outer_form(write, name, text, packed):
    content = gzip.compress(text.encode()) if packed else text
    path = write(name + (".gz" if packed else ""), content)
    assert read_table(path).equals(TABLE)
    assert read_table(str(path)).equals(TABLE)


def test_trailing_separators_in_all_lines_make_empty_columns_of_no_consequence(write):
    assert read_table(write("a.csv", text_of(end=",,\n"))).select(FIELDS).equals(TABLE)


def test_quoted_fields_may_hold_separators_quotes_and_line_ends(write):
    values = ["https://a.b/?c=1,2", 'the "best"', "two\nlines", "a;b", " blanks ", "é🎬"]
    quoted = "".join('u,"' + value.replace('"', '""') + '"\n' for value in values)
    assert read_table(write("a.csv", "user,item\n" + quoted))["item"].to_list() == values


def test_words_that_other_readers_take_for_missing_are_ids(write):
    ids = ["NA", "null", "nan", "None", "007", "1e3", "true"]
    assert read_table(write("a.csv", "item\n" + "\n".join(ids)))["item"].to_list() == ids


def test_recbole_sequences_become_lists_and_quotes_in_titles_stay(write):
    text = (
        "item_id:token\ttitle:token\tclass:token_seq\n"
        '1\t"Great Performances" Cats\tDrama Musical\n2\t12" disc\tWar\n'
    )
    assert read_table(write("ml.item", text)).rows() == [
        ("1", '"Great Performances" Cats', ["Drama", "Musical"]),
        ("2", '12" disc', ["War"]),
    ]


@pytest.mark.parametrize(
    ("name", "line", "fields"),
    [
        ("ratings.dat", "1::7::5::978300760", ["user_id", "item_id", "rating", "timestamp"]),
        ("u.data", "1\t7\t5\t978300760", ["user_id", "item_id", "rating", "timestamp"]),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_older_movielens_ratings_have_no_header(write, name, line, fields, packed, end):
    content = (line + end).encode()
    path = write(name + ".gz", gzip.compress(content)) if packed else write(name, content)
    expected = pl.DataFrame([("1", "7", "5", "978300760")], fields, orient="row")
    assert read_table(path).equals(expected)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_titles_are_read_in_latin_1_and_in_utf_8(write, encoding):
    # \x85 is the ellipsis of Windows, and to str.splitlines the end of a line.
    lines = "1::Ådalen '31 (1931)::Drama|War\n2::Après\x85 (2000)::Comedy\n"
    assert read_table(write("movies.dat", lines.encode(encoding))).rows() == [
        ("1", "Ådalen '31 (1931)", "Drama|War"),
        ("2", "Après\x85 (2000)", "Comedy"),
    ]


def test_the_genre_flags_of_ml_100k_become_lists(write):
    flags = {0: [], 1: [5, 14], 2: [0], 3: [18]}
    lines = [
        "|".join([str(n), f"Film {n}", "01-Jan-1995", "", "http://x", *flags_of(on)])
        for n, on in flags.items()
    ]
    table = read_table(write("u.item", "\n".join(lines).encode("latin-1")))
    assert table.columns == ["item_id", "title", "release_date", "genres"]
    assert table["genres"].to_list() == [[], ["Comedy", "Romance"], ["unknown"], ["Western"]]


def flags_of(on: list[int]) -> list[str]:
    return ["1" if place in on else "0" for place in range(19)]


def test_parquet_comes_back_as_it_is(tmp_path):
    frame = pl.DataFrame({"user": [1], "item": ["a"], "genres": [["x", "y"]]})
    for name in ("a.parquet", "A.PQ", "odd [1].parquet"):
        frame.write_parquet(tmp_path / name)
        assert read_table(tmp_path / name).equals(frame)


def test_a_folder_of_parquet_files_is_one_table_in_order_of_their_names(tmp_path):
    folder = tmp_path / "events [2026]"
    for name, rows in (("b/part-0", TABLE[2:]), ("a-1", TABLE[1:2]), ("a-0", TABLE[:1])):
        path = folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows.write_parquet(path)
    pl.DataFrame({"item": ["not an event"]}).write_parquet(folder / "items.parquet")
    (folder / "_SUCCESS").touch()
    assert read_table(folder).equals(TABLE)


@pytest.mark.parametrize("name", ["ratings.dat", "u.data", "ratings.csv"])
def test_an_unpacked_movielens_folder_is_read_from_its_ratings(write, name):
    separator = {"ratings.dat": "::", "u.data": "\t", "ratings.csv": ","}[name]
    header = "userId,movieId,rating,timestamp\n" if name == "ratings.csv" else ""
    path = write(f"ml/{name}", header + separator.join("1759"))
    write("ml/README", "about")
    assert read_table(path.parent).rows() == [("1", "7", "5", "9")]


def test_the_home_folder_is_found(write, tmp_path, monkeypatch):
    write("a.csv", text_of())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find("~/a.csv") == tmp_path / "a.csv"
    assert read_table("~/a.csv").equals(TABLE)


class SpeaksArrow:
    """What a duckdb relation is to us."""

    def __arrow_c_stream__(self, requested_schema=None):
        return TABLE.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    "frame",
    [
        TABLE,
        TABLE.lazy(),
        TABLE.to_pandas(),
        TABLE.to_pandas().astype(object),
        TABLE.to_pandas().astype("string"),
        TABLE.to_arrow(),
        TABLE.to_arrow().to_reader(),
        TABLE.to_dict(as_series=False),
        SpeaksArrow(),
    ],
)
def test_frames_of_every_library_are_the_same_table(frame):
    assert read_table(frame).equals(TABLE)


MATRIX = np.array([[0, 2.5, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    "form",
    [sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix, sparse.csr_array, sparse.coo_array],
)
def test_sparse_matrices_give_their_entries(form, tmp_path):
    expected = {(0, 1, 2.5), (1, 0, 1.0)}
    assert set(read_table(form(MATRIX)).rows()) == expected
    sparse.save_npz(tmp_path / "a.npz", form(MATRIX))
    assert set(read_table(tmp_path / "a.npz").rows()) == expected


def test_a_zero_that_a_sparse_matrix_stores_is_no_event():
    matrix = sparse.csr_matrix(MATRIX)
    matrix.data[matrix.data < 2] = 0
    assert read_table(matrix).rows() == [(0, 1, 2.5)]
    assert matrix.nnz == 2


# What is refused.


@pytest.mark.parametrize("source", ["nowhere.csv", "", Path("no/where"), "a\0b", "https://a.b/c"])
def test_a_path_that_leads_nowhere_is_named(source):
    with pytest.raises(DataError, match=r"there is no file or folder .* check the path"):
        read_table(source)


def test_text_that_cannot_be_a_path_is_refused():
    for source in ("user,item\n" * 1000, "~nobody-of-that-name/a.csv"):
        with pytest.raises(DataError, match="is not a path"):
            read_table(source)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.parquet", "a.npz", "u.data", "a.inter"])
def test_an_empty_file_is_said_to_be_empty(write, name):
    with pytest.raises(DataError, match="is empty"):
        read_table(write(name, ""))


@pytest.mark.parametrize(
    "content", [b"\n\r\n", b"  \n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)]
)
def test_a_file_of_blanks_is_said_to_be_empty(write, content):
    name = "a.csv.gz" if content.startswith(b"\x1f\x8b") else "a.csv"
    with pytest.raises(DataError, match="is empty"):
        read_table(write(name, content))


@pytest.mark.parametrize("name", ["a.txt", "a.json", "noname", "a.xlsx", "a.csv.zip", "a.pkl"])
def test_files_of_no_known_kind_are_told_the_known_ones(write, name):
    with pytest.raises(DataError, match=r"no known kind; known are \.csv.*pro_sg"):
        read_table(write(name, text_of()))


@pytest.mark.parametrize("content", [bytes(range(256)), text_of().encode("utf-16"), b"PK\3\4\0"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.inter", "u.data"])
def test_a_binary_file_with_a_text_file_s_name_is_found_out(write, name, content):
    with pytest.raises(DataError, match="looks binary"):
        read_table(write(name, content))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("user,item\nu,café\n".encode("latin-1"), "utf-8"),
        ("usér,item\nu,i\n".encode("latin-1"), "utf-8"),
        (bytes(range(128, 256)), "utf-8"),
        (b"user,item\nu,i\n\nu,i,extra\n", "line 4 has 3 fields, the header 2"),
        (b"user,item\nu,i,\n", "line 2 has 3 fields, the header 2"),
        (b'user,item\n"u,i\nv,j\n', "could not parse"),
        (b'user,item\nu,12" disc\n', "malformed"),
    ],
)
def test_broken_text_is_refused_with_what_is_wrong_and_what_is_expected(write, text, found):
    path = write("a.csv", text)
    with pytest.raises(DataError, match=f"cannot read {path}: .*{found}.*header.*quotes.*iconv"):
        read_table(path)


def test_a_column_name_that_stands_twice_is_named(write):
    with pytest.raises(DataError, match="has the column 'item' twice"):
        read_table(write("a.csv", "user,item,item\n1,2,3\n"))
    with pytest.raises(DataError, match=r"cannot read .*user_id"):
        read_table(write("a.inter", "user_id:token\tuser_id:float\n1\t2\n"))


@pytest.mark.parametrize(
    ("name", "text", "row"),
    [
        ("ratings.dat", "1::2::3::4\n1::2::3\n", 2),
        ("u.data", "1\t2\t3\t4\n\n1\t2\t3\t4\n", 2),
        ("u.data", "1,2,3,4\n", 1),
        ("movies.dat", "1::title\n", 1),
        ("u.item", "1|title\n", 1),
    ],
)
def test_a_line_with_too_few_fields_is_shown(write, name, text, row):
    with pytest.raises(DataError, match=rf"line {row} of .*{name} is '.*'; \d+ fields .*item_id"):
        read_table(write(name, text))


@pytest.mark.parametrize("name", ["a.parquet", "a.csv.gz", "u.data.gz"])
def test_text_in_a_packed_file_s_clothes_is_refused(write, name):
    with pytest.raises(DataError, match="cannot read"):
        read_table(write(name, text_of()))


@pytest.mark.parametrize("left", [0.3, 0.9, 0.999])
def test_truncated_files_are_refused(write, tmp_path, left):
    pl.DataFrame({"user": range(5_000), "item": range(5_000)}).write_parquet(tmp_path / "a.parquet")
    sparse.save_npz(tmp_path / "a.npz", sparse.eye_array(100, format="csr"))
    write("a.csv.gz", gzip.compress((text_of() * 1_000).encode()))
    for name in ("a.parquet", "a.npz", "a.csv.gz"):
        whole = (tmp_path / name).read_bytes()
        with pytest.raises(DataError, match=r"cannot read|not a scipy sparse matrix"):
            read_table(write(name, whole[: int(left * len(whole))]))


@pytest.mark.parametrize("name", ["a.parquet", "a.npz"])
def test_files_damaged_in_the_middle_are_refused(write, tmp_path, name):
    pl.DataFrame({"user": range(5_000), "item": range(5_000)}).write_parquet(tmp_path / "a.parquet")
    sparse.save_npz(tmp_path / "a.npz", sparse.eye_array(100, format="csr"))
    whole = (tmp_path / name).read_bytes()
    with pytest.raises(DataError):
        read_table(write(name, whole[:60] + b"x" * 200 + whole[260:]))


def test_parquet_files_that_do_not_belong_together_are_refused(tmp_path):
    TABLE.write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"other": [1]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="cannot be read as one table"):
        read_table(tmp_path)


def test_a_folder_without_anything_to_read_says_what_it_looked_for(write):
    path = write("folder/notes.txt", "nothing")
    with pytest.raises(DataError, match=r"holds no Parquet files.*ratings\.csv.*pro_sg"):
        read_table(path.parent)


def test_a_pickle_is_never_opened(write):
    for name in ("a.npz", "b.npz"):
        with pytest.raises(DataError, match="not a scipy sparse matrix"):
            read_table(write(name, pickle.dumps(Bomb())))


class Bomb:
    """Fails the test if it is ever unpickled."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": np.ones(3)},
        {"format": np.array(b"odd")},
        {"format": np.array([{}], dtype=object)},
        {"format": np.array(b"csr"), "shape": np.array([2, 2])},
    ],
)
def test_an_npz_of_something_else_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=r"not a scipy sparse matrix \(scipy\.sparse\.save_npz\)"):
        read_table(tmp_path / "a.npz")


def test_an_npz_whose_columns_lie_outside_it_is_refused(tmp_path):
    sparse.save_npz(tmp_path / "a.npz", sparse.eye_array(3, format="csr"))
    arrays = dict(np.load(tmp_path / "a.npz"))
    np.savez(tmp_path / "a.npz", **arrays | {"indices": np.array([0, 1, 99])})
    with pytest.raises(DataError, match="not a scipy sparse matrix"):
        read_table(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1, 2, 3]], columns=["user", "item", "item"]),
        pd.DataFrame({"user": ["a", 1], "item": [1, 2]}),
        pd.Series([1, 2]),
        pa.table([[1], [2], [3]], names=["user", "item", "item"]),
        {"user": [1, 2], "item": [1, 2, 3]},
        {"user": [1, "a"]},
        pl.LazyFrame({"user": [1]}).select("item"),
        pl.scan_csv("nowhere.csv"),
    ],
)
def test_a_frame_that_is_no_table_is_refused(frame):
    with pytest.raises(DataError, match=r"cannot read the frame: .* one type and a name"):
        read_table(frame)


@pytest.mark.parametrize("source", [None, 3, [("u", "i")], [{"user": 1}], np.eye(2), {1, 2}])
def test_what_is_neither_path_nor_frame_is_told_what_would_do(source):
    with pytest.raises(DataError, match=rf"from a {type(source).__name__}; give a path, a frame"):
        read_table(source)


def test_item_features_lie_beside_events_only_where_they_are_known_to_belong(tmp_path):
    items = pl.DataFrame({"item_id": [1]})
    items.write_parquet(tmp_path / "items.parquet")
    for name in ("interactions.parquet", "other.parquet"):
        TABLE.write_parquet(tmp_path / name)
    assert items.equals(features_beside(tmp_path, lambda table: table))
    assert items.equals(features_beside(tmp_path / "interactions.parquet", lambda table: table))
    assert features_beside(tmp_path / "other.parquet", lambda table: table) is None
    assert features_beside(TABLE, lambda table: table) is None
    (tmp_path / "items.parquet").unlink()
    assert features_beside(tmp_path, lambda table: table) is None


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a", "ml.inter", "u.data"])
def test_only_the_columns_that_are_chosen_are_read(write, name):
    texts = {
        "a.csv": text_of(),
        "a.csv.gz": gzip.compress(text_of().encode()),
        "ml.inter": text_of("\t", fields=["user:token", "item:token", "rating:float"]),
        "u.data": text_of("\t").split("\n", 1)[1].replace("\n", "\t0\n"),
    }
    if name in texts:
        path = write(name, texts[name])
    else:
        path = write(f"{name}/0.parquet", "") if name == "a" else write(name, "")
        TABLE.write_parquet(path)
        path = path.parent if name == "a" else path
    fields = ["user_id", "item_id"] if name == "u.data" else ["user", "item"]

    def last_first(names: list[str]) -> list[str]:
        assert names[:2] == fields
        return [names[2], names[0]]

    assert read_table(path, last_first).rows() == TABLE.select("rating", "user").rows()


@pytest.mark.parametrize("frame", [TABLE, TABLE.lazy(), TABLE.to_pandas()])
def test_a_chosen_column_can_be_taken_away_without_touching_the_source(frame):
    read_table(frame, lambda names: names[:1]).drop_in_place("user")
    assert read_table(frame).equals(TABLE)
