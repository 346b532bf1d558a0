"""How each file format becomes a table of named columns; what the columns mean is not decided here.

Text files are read as text throughout: whether an id is a number is decided for a whole column at
once, so that nothing is lost to a guess on its first rows.
"""

import codecs
import csv
import gzip
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import Any

import polars as pl

from macrid.errors import DataError

_MOVIELENS = {
    "ratings.dat": ("::", ["user_id", "item_id", "rating", "timestamp"]),
    "movies.dat": ("::", ["item_id", "title", "genres"]),
    "u.data": ("\t", ["user_id", "item_id", "rating", "timestamp"]),
}
# ML-100k's u.item keeps one 0/1 column per genre, in the order of its u.genre file.
_ML_100K_GENRES = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|"
    "Film-Noir|Horror|Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
)
# What a folder is read from, first match first.
_FOLDER_FILES = ("interactions.parquet", "ratings.dat", "u.data", "ratings.csv")
_HEAD = 65_536
# Some damaged Parquet files make polars panic.
_DAMAGED = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    EOFError,
    zlib.error,
)


Choose = Callable[[list[str]], list[str]]


def read_table(source: Any, choose: Choose = list) -> pl.DataFrame:
    """Any source as a new frame with the columns it came with.

    Args:
        source: A path or a frame.
        choose: Given the names of the columns, those that are wanted. By default all.

    Raises:
        DataError: If it is missing, empty, damaged, or of no known kind.
    """
    if isinstance(source, str | Path):
        return _read_path(find(source), choose)
    try:
        frame = _to_frame(source)
        wanted = choose(frame.collect_schema().names())
        return frame.lazy().select(wanted).collect()
    except (pl.exceptions.PolarsError, OSError, TypeError, ValueError) as error:
        raise DataError(
            f"cannot read the frame: {_first_line(error)}; every column needs one type and a name "
            "of its own"
        ) from error


def _to_frame(source: Any) -> pl.DataFrame | pl.LazyFrame:
    """Any object that is a table."""
    if isinstance(source, pl.LazyFrame | pl.DataFrame):
        return source
    if hasattr(source, "tocoo"):
        return _from_sparse(source)
    if hasattr(source, "__arrow_c_stream__") or isinstance(source, dict):
        return pl.DataFrame(source)
    raise DataError(
        f"cannot read events from a {type(source).__name__}; give a path, a frame (polars, pandas, "
        "pyarrow, duckdb), or a scipy sparse matrix"
    )


def find(path: str | Path) -> Path:
    """A path that exists, with ``~`` expanded.

    Raises:
        DataError: If nothing is there.
    """
    try:
        found = Path(path).expanduser()
        exists = path != "" and found.exists()
    except (OSError, RuntimeError) as error:  # a name too long, a home that nobody has
        raise DataError(f"{str(path)[:200]!r} is not a path: {_first_line(error)}") from error
    if not exists:
        raise DataError(f"there is no file or folder {str(path)!r}; check the path")
    return found


def features_beside(
    source: Any, parse: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame | None:
    """The ``items.parquet`` that lies beside a file or in a folder of events, if one does."""
    if not isinstance(source, str | Path):
        return None
    path = find(source)
    folder = path if path.is_dir() else path.parent
    known = path.is_dir() or path.name == "interactions.parquet"
    items = folder / "items.parquet"
    return parse(read_table(items)) if known and items.is_file() else None


def _read_path(path: Path, choose: Choose) -> pl.DataFrame:
    """One file or folder."""
    if path.is_dir():
        return _read_folder(path, choose)
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; an event log with users and items is expected")
    name = path.name.lower().removesuffix(".gz")
    try:
        if name.endswith((".parquet", ".pq")):
            return _collect(pl.scan_parquet(path, hive_partitioning=False, glob=False), choose)
        if name.endswith(".npz"):
            return _collect(_read_npz(path).lazy(), choose)
        if (
            name in _MOVIELENS
            or name == "u.item"
            or name.endswith((".csv", ".tsv", ".inter", ".item"))
        ):
            return _read_text(path, name, choose)
    except _DAMAGED as error:
        raise DataError(f"cannot read {path}: {_first_line(error)}") from error
    raise DataError(
        f"{path} is of no known kind; known are .csv, .tsv, .parquet, .inter, .npz, ratings.dat, "
        "u.data, a folder of Parquet files and a pro_sg folder"
    )


def _collect(table: pl.LazyFrame, choose: Choose) -> pl.DataFrame:
    """The columns that are wanted; the others are never in memory as a whole."""
    wanted = choose(table.collect_schema().names())
    return table.select(wanted).collect(engine="streaming")


def _read_folder(folder: Path, choose: Choose) -> pl.DataFrame:
    """An unpacked public set, or a folder of Parquet files that are one table."""
    for name in _FOLDER_FILES:
        if (folder / name).is_file():
            return _read_path(folder / name, choose)
    files = sorted(path for path in folder.rglob("*.parquet") if path.name != "items.parquet")
    if not files:
        raise DataError(
            f"the folder {folder} holds no Parquet files, none of {', '.join(_FOLDER_FILES)}, and "
            "is not a pro_sg folder"
        )
    try:
        return _collect(pl.scan_parquet(files, glob=False), choose)
    except _DAMAGED as error:
        raise DataError(
            f"the Parquet files in {folder} cannot be read as one table: {_first_line(error)}"
        ) from error


def _read_text(path: Path, name: str, choose: Choose) -> pl.DataFrame:
    """A delimited file; every column as text."""
    with _open(path) as file:
        head = file.read(_HEAD)
    if b"\0" in head:
        kind = name.rsplit(".", 1)[-1]
        raise DataError(f"{path} looks binary (or UTF-16), not like {kind} text in UTF-8")
    if name == "u.item":
        return _collect(_read_u_item(path).lazy(), choose)
    if name in _MOVIELENS:
        separator, columns = _MOVIELENS[name]
        return _collect(_read_headless(path, separator, columns).lazy(), choose)
    recbole = name.endswith((".inter", ".item"))
    lines = head.removeprefix(codecs.BOM_UTF8).splitlines()
    header = next((line for line in lines if line.strip()), None)
    if header is None:
        raise DataError(f"{path} is empty; an event log with users and items is expected")
    separator = b"\t" if recbole or name.endswith(".tsv") else _separator(header)
    return _read_csv(path, header, separator.decode(), choose, recbole=recbole)


def _read_csv(
    path: Path, header: bytes, separator: str, choose: Choose, *, recbole: bool
) -> pl.DataFrame:
    """CSV as text, without blank lines; what is broken is refused."""
    columns: list[str] = []
    try:
        columns = next(csv.reader([header.decode()], delimiter=separator))
        if twice := {column for column in columns if column and columns.count(column) > 1}:
            raise DataError(
                f"{path} has the column {min(twice)!r} twice; every column needs a name of its own"
            )
        # RecBole writes fields as they are: a quote is part of a title there.
        quote = None if recbole else '"'
        table = pl.scan_csv(
            path, separator=separator, quote_char=quote, infer_schema=False, glob=False
        )
        table = table.filter(~pl.all_horizontal(pl.all().is_null()))
        return _collect(_recbole(table) if recbole else table, choose)
    except (pl.exceptions.ComputeError, UnicodeDecodeError) as error:
        found = _too_long(path, len(columns), separator, quoted=not recbole)
        raise DataError(
            f"cannot read {path}: {found or _first_line(error)}; every line needs the fields of "
            f"the header, fields with {separator!r} or quotes in them need quotes around them, and "
            "the text needs to be UTF-8 (such as from: iconv -f latin1 -t utf-8)"
        ) from error


def _too_long(path: Path, n_fields: int, separator: str, *, quoted: bool) -> str:
    """Where the first line is that has more fields than the header; nothing if there is none."""
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    with _open(path) as file, suppress(csv.Error):
        text = TextIOWrapper(file, errors="replace", newline="")
        rows = csv.reader(text, delimiter=separator, quoting=quoting)
        for row in rows:  # until the first; only of a file that could not be read
            if len(row) > n_fields > 0:
                return f"line {rows.line_num} has {len(row)} fields, the header {n_fields}"
    return ""


def _recbole(table: pl.LazyFrame) -> pl.LazyFrame:
    """RecBole's fields under their plain names, sequences as lists."""
    names = table.collect_schema().names()
    sequences = [name for name in names if name.endswith("_seq")]
    table = table.with_columns(pl.col(sequences).str.split(" ")) if sequences else table
    return table.rename({name: name.split(":")[0] for name in names})


def _open(path: Path) -> BufferedReader | gzip.GzipFile:
    """A file's bytes, unpacked."""
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


def _separator(header: bytes) -> bytes:
    """Which of the usual separators the header uses most."""
    return max((b",", b";", b"\t", b"|"), key=header.count)


def _read_headless(path: Path, separator: str, columns: list[str]) -> pl.DataFrame:
    """MovieLens's older files: no header, some in Latin-1, and separators of two characters."""
    with _open(path) as file:
        content = file.read()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    # Not splitlines, to which the ellipsis of Windows is the end of a line.
    whole = pl.Series("line", [text.replace("\r\n", "\n").removesuffix("\n")])
    lines = whole.str.split("\n").explode()
    fields = lines.str.split_exact(separator, len(columns) - 1).struct.rename_fields(columns)
    table = fields.struct.unnest()
    short = table[columns[-1]].is_null()
    if short.any():
        row = short.arg_true()[0]
        raise DataError(
            f"line {row + 1:,} of {path} is {lines[row]!r}; {len(columns)} fields "
            f"({', '.join(columns)}) with {separator!r} between them are expected"
        )
    return table


def _read_u_item(path: Path) -> pl.DataFrame:
    """ML-100k's item table: id, title, dates and address, then a flag per genre."""
    flags = _ML_100K_GENRES.split("|")
    about = ["item_id", "title", "release_date", "video_release_date", "address"]
    table = _read_headless(path, "|", about + flags)
    genres = [pl.when(pl.col(name) == "1").then(pl.lit(name)) for name in flags]
    return table.select(*about[:3], genres=pl.concat_list(genres).list.drop_nulls())


def _read_npz(path: Path) -> pl.DataFrame:
    """A scipy sparse matrix: rows are users, columns items, their numbers the ids."""
    from scipy.sparse import load_npz

    try:
        with path.open("rb") as file:
            return _from_sparse(load_npz(file))
    except (ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is not a scipy sparse matrix (scipy.sparse.save_npz): {_first_line(error)}"
        ) from error


def _from_sparse(matrix: Any) -> pl.DataFrame:
    """The entries of a users × items matrix; a stored zero is none."""
    entries = matrix.tocoo()
    stored = entries.data != 0
    columns = {"user_id": entries.row, "item_id": entries.col, "weight": entries.data}
    return pl.DataFrame({name: values[stored] for name, values in columns.items()})


def _first_line(error: Exception) -> str:
    """What an exception says, without its appendix."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
