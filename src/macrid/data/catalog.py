"""The public data sets of the field: where they are, under which terms, and how to get them.

The data belongs to its publishers: nothing of it comes with macrid, and `get` asks for their
licence to be accepted before it fetches anything. A data set ends up in ``<folder>/<name>/``, with
a lone top folder of its archive left out, and stands there whole or not at all. A raw format that
`macrid.read` does not know is rewritten beside itself as ``interactions.parquet``.

A checksum stands here only where the publisher states one; a round size is approximate.
"""

import difflib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from macrid.data.download import Patience, Progress, fetch, published_checksum, unpack
from macrid.errors import DataError, DownloadError


@dataclass(frozen=True)
class PublicDataset:
    """What is known of a public data set before it is fetched.

    Args:
        name: What it is called on the command line.
        title: One line for people: what it holds, and how much.
        url: Official address of the archive; None where no open address exists (see ``notes``).
        size: Bytes of the archive, approximate where the number is round; None where not known.
        checksum: ``"md5:…"`` or ``"sha256:…"`` of the archive as its publisher states it, or None.
        checksum_url: Where the publisher keeps the checksum of an archive that changes over time.
        licence: The terms in our own words, with where to read them.
        source: What `macrid.read` takes, as a path below the folder given to `get`.
        citation: Whom to cite.
        notes: What else one should know; how to get it by hand where there is no address.
    """

    name: str
    title: str
    url: str | None
    size: int | None
    licence: str
    source: str
    citation: str
    checksum: str | None = None
    checksum_url: str | None = None
    notes: str = ""


_GROUPLENS = "https://files.grouplens.org/datasets/movielens"
_HARPER = "Harper and Konstan (2015), The MovieLens Datasets: History and Context, ACM TiiS 5(4)"
_MOVIELENS_TERMS = (
    "research use; cite the paper, do not claim endorsement by the University of Minnesota, do not "
    "redistribute and do not use commercially without permission of GroupLens; terms: "
)
_PRO_SG = "split by its authors: read as it is, its split kept"

DATASETS: dict[str, PublicDataset] = {
    dataset.name: dataset
    for dataset in (
        PublicDataset(
            name="alishop-7c",
            title="AliShop-7C: clicks on goods of seven categories of an Alibaba shop",
            url="https://jianxinma.github.io/assets/alishop-7c.zip",
            size=None,
            licence=(
                "no licence is stated; released by the authors of MacridVAE with their paper, so "
                "take it as for research only and ask them for anything else; page: "
                "https://jianxinma.github.io/disentangle-recsys.html"
            ),
            source="alishop-7c/pro_sg",
            citation="Ma et al. (2019), Learning Disentangled Representations for Recommendation",
            notes=f"{_PRO_SG}; item_cate.csv holds the category of each item",
        ),
        PublicDataset(
            name="goodbooks-10k",
            title="Goodbooks-10k: 6 million ratings of the 10,000 most rated books",
            url="https://github.com/zygmuntz/goodbooks-10k/releases/download/v1.0/goodbooks-10k.zip",
            size=None,
            licence=(
                "Creative Commons Attribution-ShareAlike 4.0: share and adapt, also commercially, "
                "with attribution and under the same licence; terms: "
                "https://creativecommons.org/licenses/by-sa/4.0/"
            ),
            source="goodbooks-10k/interactions.parquet",
            citation="Zając (2017), Goodbooks-10k: a new dataset for book recommendations, FastML",
            notes="ratings of 1 to 5 without times; books.csv holds titles and authors",
        ),
        PublicDataset(
            name="lastfm-360k",
            title="Last.fm 360K: 17.6 million play counts of artists by 359,347 listeners",
            url="https://zenodo.org/records/6090214/files/lastfm-dataset-360K.tar.gz",
            size=569_202_935,
            checksum="md5:635e6ed3fc873aa4ba33aba0ebce02b1",
            licence=(
                "non-commercial use, distributed by permission of Last.fm; ask Last.fm for any "
                "other use; terms: https://zenodo.org/records/6090214"
            ),
            source="lastfm-360k/interactions.parquet",
            citation="Celma (2010), Music Recommendation and Discovery in the Long Tail, Springer",
            notes="an item is an artist's MusicBrainz id, or the name where there is none",
        ),
        PublicDataset(
            name="ml-100k",
            title="MovieLens 100K: 100,000 ratings of 1,682 films by 943 people (1998)",
            url=f"{_GROUPLENS}/ml-100k.zip",
            size=4_924_029,
            checksum="md5:0e33842e24a9c977be4e0107933c0723",
            licence=f"{_MOVIELENS_TERMS}{_GROUPLENS}/ml-100k-README.txt",
            source="ml-100k/u.data",
            citation=_HARPER,
            notes="not the ML-100k of the MacridVAE paper, which is almost surely ml-latest-small",
        ),
        PublicDataset(
            name="ml-1m",
            title="MovieLens 1M: 1,000,209 ratings of 3,706 films by 6,040 people (2003)",
            url=f"{_GROUPLENS}/ml-1m.zip",
            size=5_900_000,
            checksum="md5:c4d9eecfca2ab87c1945afe126590906",
            licence=f"{_MOVIELENS_TERMS}{_GROUPLENS}/ml-1m-README.txt",
            source="ml-1m/ratings.dat",
            citation=_HARPER,
        ),
        PublicDataset(
            name="ml-20m",
            title="MovieLens 20M: 20,000,263 ratings of 26,744 films by 138,493 people (2015)",
            url=f"{_GROUPLENS}/ml-20m.zip",
            size=198_702_078,
            checksum="md5:cd245b17a1ae2cc31bb14903e1204af3",
            licence=f"{_MOVIELENS_TERMS}{_GROUPLENS}/ml-20m-README.html",
            source="ml-20m/ratings.csv",
            citation=_HARPER,
        ),
        PublicDataset(
            name="ml-latest-small",
            title="MovieLens latest-small: 100,836 ratings of 9,724 films by 610 people (2018)",
            url=f"{_GROUPLENS}/ml-latest-small.zip",
            size=1_000_000,
            checksum_url=f"{_GROUPLENS}/ml-latest-small.zip.md5",
            licence=(
                "research use; cite the paper, do not claim endorsement by the University of "
                "Minnesota; redistribution under the same terms only, commercial use by "
                f"permission of GroupLens; terms: {_GROUPLENS}/ml-latest-small-README.html"
            ),
            source="ml-latest-small/ratings.csv",
            citation=_HARPER,
            notes="GroupLens replaces it now and then (last seen: 2018), so state when you took it",
        ),
        PublicDataset(
            name="msd-taste",
            title="Echo Nest Taste Profile: 48 million play counts of 384,546 songs by 1 million",
            url="http://millionsongdataset.com/sites/default/files/challenge/train_triplets.txt.zip",
            size=500_000_000,
            licence=(
                "terms of the Echo Nest's API: research and publication are welcome, a company "
                "should ask first; terms: "
                "https://github.com/tbertinmahieux/MSongsDB/blob/master/LICENSE"
            ),
            source="msd-taste/interactions.parquet",
            citation="Bertin-Mahieux et al. (2011), The Million Song Dataset, ISMIR",
            notes="page: http://millionsongdataset.com/tasteprofile; no checksum is published",
        ),
        PublicDataset(
            name="netflix",
            title="Netflix Prize: 100,480,507 ratings of 17,770 films by 480,189 people (2006)",
            url=None,
            size=700_000_000,
            licence=(
                "research use only, as its README says: acknowledge Netflix and send it your "
                "publications, do not claim endorsement, do not redistribute, and do not use "
                "commercially without permission"
            ),
            source="netflix/interactions.parquet",
            citation="Bennett and Lanning (2007), The Netflix Prize, KDD Cup and Workshop",
            notes=(
                "Netflix withdrew the data after the contest, so no official address is open and "
                "access is for Netflix to grant (a copy under its name needs an account: "
                "https://www.kaggle.com/datasets/netflix-inc/netflix-prize-data); put the files "
                "mv_*.txt or combined_data_*.txt there by hand and get it again"
            ),
        ),
    )
}
"""Every data set that `get` knows, by name, in the order of the names."""


def find(name: str) -> PublicDataset:
    """The data set of that name.

    Raises:
        DataError: If there is none; the sentence holds the nearest name, and all of them.

    Example:
        >>> find("ml-1m").source
        'ml-1m/ratings.dat'
        >>> find("ml1m")
        Traceback (most recent call last):
        ...
        macrid.errors.DataError: there is no data set 'ml1m'; did you mean 'ml-1m'? known are ...
    """
    if name in DATASETS:
        return DATASETS[name]
    near = difflib.get_close_matches(name.lower(), DATASETS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise DataError(f"there is no data set {name!r}; {hint}known are {', '.join(DATASETS)}")


def get(
    name: str,
    folder: str | os.PathLike[str],
    *,
    accept_licence: bool = False,
    progress: bool | Progress = True,
    url: str | None = None,
    retries: int = 5,
    timeout: float = 30.0,
) -> Path:
    """Fetch a public data set, unless it is there already.

    Args:
        name: One of `DATASETS`.
        folder: The data set is put into its sub-folder called ``name``. A raw file laid there by
            hand (Netflix) is rewritten for `macrid.read` without fetching anything.
        accept_licence: Whether you accept the publisher's terms, ``find(name).licence``.
        progress: True draws a bar on stderr; a function is called with the bytes received and the
            bytes in all (None while they are not known).
        url: A mirror to use instead of the official address. It is held to the checksum in the
            catalogue, not to one that is published beside the official file.
        retries: Further attempts allowed in a row that bring nothing.
        timeout: Seconds of silence after which an attempt has failed.

    Returns:
        What `macrid.read` takes.

    Raises:
        DataError: If there is no such data set, its licence is not accepted, or ``folder`` holds
            something else under that name.
        DownloadError: If it has no open address, could not be fetched whole, or is not what was
            published. Bytes that can be built upon are kept for the next call.

    Example:
        >>> get("ml-1m", "data")
        Traceback (most recent call last):
        ...
        macrid.errors.DataError: the licence of 'ml-1m' is not accepted: research use; cite ...
    """
    dataset = find(name)
    home, source = Path(folder) / name, Path(folder) / dataset.source
    if source.exists():
        return source
    if not accept_licence:
        raise DataError(
            f"the licence of {name!r} is not accepted: {dataset.licence}; "
            "if you accept it, pass --accept-licence (in Python: accept_licence=True)"
        )
    if home.is_dir() and any(home.iterdir()):
        _finish(dataset, home)
        return source
    address = url or dataset.url
    if address is None:
        raise DownloadError(f"{name!r} cannot be fetched into {home}: {dataset.notes}")

    archive, patience = home.with_name(f"{name}.archive"), Patience(retries, timeout)
    if not archive.exists():  # it does when an earlier call ran out of disk while unpacking
        checksum = dataset.checksum
        if dataset.checksum_url and url is None:
            checksum = published_checksum(dataset.checksum_url, archive, patience=patience)
        with _reporting(progress, name) as report:
            fetch(address, archive, checksum=checksum, progress=report, patience=patience)
    try:
        _install(dataset, archive, home)
    except DataError as error:  # the publisher's fault here, not the caller's
        archive.unlink()
        raise DownloadError(f"{address} is a wrong file: {error}") from error
    archive.unlink()
    return source


def _install(dataset: PublicDataset, archive: Path, home: Path) -> None:
    """Unpack and rewrite in a scratch folder, which becomes ``home`` when all is done."""
    scratch = home.with_name(f".{home.name}.unpacking")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        unpack(archive, scratch)
        inside = _without_top_folder(scratch, keep=Path(dataset.source).parts[1])
        _finish(dataset, inside)
        if home.exists():
            home.rmdir()
        inside.rename(home)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _without_top_folder(folder: Path, keep: str) -> Path:
    """The folder in which the content of an archive starts."""
    while True:
        entries = list(folder.iterdir())
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].name == keep:
            return folder
        folder = entries[0]


def _finish(dataset: PublicDataset, home: Path) -> None:
    """Make sure that ``home`` holds what `macrid.read` takes: rewrite raw files where need be."""
    target = home / Path(dataset.source).relative_to(dataset.name)
    patterns, rewrite = _RAW.get(dataset.name, ((target.name,), None))
    files = [file for pattern in patterns for file in sorted(home.rglob(pattern))]
    if not files or (rewrite is None and not target.exists()):
        raise DataError(
            f"{home} holds no {' or '.join(patterns)} where it should be; "
            "move away what is there, or choose another folder"
        )
    if rewrite is None:
        return
    part = target.with_name(f"{target.name}.part")
    try:
        table = rewrite(files)
        times = pl.col("timestamp") if "timestamp" in table.collect_schema() else pl.lit(None)
        columns = ("user_id", "item_id", pl.col("weight").cast(pl.Float32))
        table.select(*columns, times.cast(pl.Int64).alias("timestamp")).sink_parquet(part)
    except pl.exceptions.PolarsError as error:
        part.unlink(missing_ok=True)
        raise DataError(
            f"{files[0]} is not in the published format of {dataset.name}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    part.replace(target)


def _msd_taste(files: list[Path]) -> pl.LazyFrame:
    schema = {"user_id": pl.String, "item_id": pl.String, "weight": pl.Int64}
    return pl.scan_csv(files, separator="\t", has_header=False, quote_char=None, schema=schema)


def _lastfm_360k(files: list[Path]) -> pl.LazyFrame:
    names = ("user_id", "artist_id", "artist_name")
    schema = dict.fromkeys(names, pl.String) | {"weight": pl.Int64}
    table = pl.scan_csv(files, separator="\t", has_header=False, quote_char=None, schema=schema)
    return table.with_columns(item_id=pl.coalesce("artist_id", "artist_name")).drop_nulls("item_id")


def _goodbooks_10k(files: list[Path]) -> pl.LazyFrame:
    return pl.scan_csv(files).rename({"book_id": "item_id", "rating": "weight"})


def _netflix(files: list[Path]) -> pl.LazyFrame:
    """Lines ``1:`` open a film; the lines ``user,rating,date`` below it are its ratings."""
    # Read as lines, because a first line with fewer fields is where polars' versions differ.
    lines = pl.scan_csv(
        files, separator="\t", has_header=False, quote_char=None, schema={"line": pl.String}
    )
    line, opens = pl.col("line"), pl.col("line").str.ends_with(":")
    film = pl.when(opens).then(line.str.strip_suffix(":")).forward_fill()
    fields = line.str.split_exact(",", 2).struct
    return (
        lines.with_columns(item_id=film.cast(pl.Int64))
        .filter(~opens)
        .select(
            fields[0].cast(pl.Int64).alias("user_id"),
            "item_id",
            fields[1].cast(pl.Float32).alias("weight"),
            fields[2].str.to_date("%Y-%m-%d").cast(pl.Datetime).dt.epoch("s").alias("timestamp"),
        )
    )


_RAW: dict[str, tuple[tuple[str, ...], Callable[[list[Path]], pl.LazyFrame]]] = {
    "goodbooks-10k": (("ratings.csv",), _goodbooks_10k),
    "lastfm-360k": (("usersha1-artmbid-artname-plays.tsv",), _lastfm_360k),
    "msd-taste": (("train_triplets.txt",), _msd_taste),
    "netflix": (("mv_*.txt", "combined_data_*.txt"), _netflix),
}


@contextmanager
def _reporting(progress: bool | Progress, label: str) -> Iterator[Progress]:
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield lambda received, total: None
    else:
        from rich import progress as bars
        from rich.console import Console

        with bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.DownloadColumn(),
            bars.TransferSpeedColumn(),
            bars.TimeRemainingColumn(),
            console=Console(stderr=True),
        ) as drawn:
            task = drawn.add_task(label, total=None)
            yield lambda received, total: drawn.update(task, completed=received, total=total)
