"""Lists for any number of people: made part by part, kept as one frame or as a folder of files.

Only people's histories are in memory as a whole. A list is the same whatever the size of a part.
"""

import glob
import hashlib
import io
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from macrid.data.files import replace_file
from macrid.data.histories import Histories
from macrid.errors import ArtifactError
from macrid.models.people import slice_histories
from macrid.parts.ranking import Ranker, TopRows, mask_rows, top_rows

BATCH_SIZE = 256  # people ranked at a time
PART_SIZE = 10_000  # people in a file
_LOG = logging.getLogger("macrid")
_DIGITS = 12  # of an identity, in the name of a hidden folder


@dataclass(frozen=True, eq=False)
class ScoreRanker:
    """The ranker of any model that scores all items for a batch of people.

    Args:
        scores: From histories to (batch, item).
        banned: True for items that no list may hold.
    """

    scores: Callable[[Histories], Tensor]
    banned: Tensor | None = None

    def top(self, histories: Histories, k: int, *, keep_seen: bool = False) -> TopRows:
        """See `Ranker`."""
        scores = self.scores(histories).cpu()
        if self.banned is not None:
            scores[:, self.banned] = -torch.inf
        if not keep_seen:
            mask_rows(scores, histories)
        return top_rows(scores, k)


@dataclass(frozen=True, eq=False)
class Lists:
    """People's lists, made when they are asked for; iterating gives a frame for each part.

    Args:
        items: Ids of the items, in row order.
        users: Ids of the people.
        people: Their histories.
        ranker: Finds the best items.
        popular: One list, for whoever has no history; None if everybody has one.
        k: Length of each list.
        keep_seen: Whether a person's own items may be listed.
        origin: Gives bytes of what else decides the lists: the model, its settings and its bans.
        part_size: People in a part.

    Example:
        >>> from macrid.data.readers import read
        >>> from macrid.models.popularity import Popularity
        >>> model = Popularity().fit(read({"user": [0, 1, 1], "item": ["a", "a", "b"]}))
        >>> lists = model.recommend_parts({"me": ["a"], "you": ["b"]}, part_size=1)
        >>> [part["item_id"].to_list() for part in lists]
        [['b'], ['a']]
    """

    items: pl.Series
    users: pl.Series
    people: Histories
    ranker: Ranker
    popular: TopRows | None
    k: int
    keep_seen: bool
    origin: Callable[[], Iterator[bytes]]
    part_size: int = PART_SIZE

    def __len__(self) -> int:
        """The number of parts."""
        return max(1, -(-len(self.users) // self.part_size))

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return map(self.part, range(len(self)))

    def part(self, number: int) -> pl.DataFrame:
        """The lists of one part, counted from 0: ``user_id, item_id, score, rank``."""
        end = min((number + 1) * self.part_size, len(self.users))
        rows = np.arange(number * self.part_size, end)
        if not len(rows):
            nobody = TopRows(torch.empty(0, 0, dtype=torch.long), torch.empty(0, 0))
            return list_frame(nobody, self.users[:0], self.items)
        frames = []
        for start in range(0, len(rows), BATCH_SIZE):
            some = rows[start : start + BATCH_SIZE]
            top = self._top(slice_histories(self.people, some))
            frames.append(list_frame(top, self.users[some], self.items))
        return pl.concat(frames)

    def write(self, folder: str | Path, done: Callable[[int], None] | None = None) -> None:
        """Write ``part-00000.parquet`` and so on into a folder that appears when all are there.

        Until then they lie in a hidden folder beside it. A run that was killed goes on from there
        if it is started again with the same model, people and wishes; others have hidden folders of
        their own, which are removed when the lists are there.

        Args:
            folder: New or empty.
            done: Called with the number of people whose lists are written, after each part.

        Raises:
            ArtifactError: If `check_folder` refuses the folder, or it cannot be written.
        """
        folder = Path(folder)
        check_folder(folder)
        identity = self._identity()
        aside = _aside(folder, identity[:_DIGITS].decode())
        parts = aside / "parts"
        try:
            if parts.is_dir() and _read(aside / "lists.sha256") == identity:
                there = len(list(parts.glob("part-*.parquet")))
                _LOG.info("going on: %d of %d parts are there already", there, len(self))
            else:
                shutil.rmtree(aside, ignore_errors=True)
                parts.mkdir(parents=True)
                replace_file(aside / "lists.sha256", identity)
            for number in range(len(self)):
                path = parts / f"part-{number:05d}.parquet"
                if not path.exists():
                    content = io.BytesIO()
                    self.part(number).write_parquet(content)
                    replace_file(path, content.getvalue())
                if done is not None:
                    done(min((number + 1) * self.part_size, len(self.users)))
            for torn in parts.glob(".part-*"):  # a run was killed while it wrote
                torn.unlink()
            parts.replace(folder)
        except OSError as error:
            raise ArtifactError(f"cannot write lists to {folder}: {error.strerror}") from error
        anybodys = _aside(Path(glob.escape(folder.name)), "[0-9a-f]" * _DIGITS)
        for left in folder.parent.glob(anybodys.name):
            shutil.rmtree(left, ignore_errors=True)

    def _top(self, batch: Histories) -> TopRows:
        """The lists of a batch; popular items for people without a history."""
        top = self.ranker.top(batch, self.k, keep_seen=self.keep_seen)
        if self.popular is None:
            return TopRows(top.row.cpu(), top.score.cpu())
        empty = (batch.lengths == 0)[:, None]
        return TopRows(
            torch.where(empty, self.popular.row, top.row.cpu()),
            torch.where(empty, self.popular.score, top.score.cpu()),
        )

    def _identity(self) -> bytes:
        """A digest of all that decides what the files hold."""
        wishes = (type(self.ranker).__name__, self.k, self.keep_seen, self.part_size)
        digest = hashlib.sha256(repr(wishes).encode())
        for ids in (self.users, self.items):
            digest.update(ids.hash(seed=0).to_numpy().tobytes())
        for rows in (self.people.items, self.people.offsets):
            digest.update(rows.numpy().tobytes())
        for part in self.origin():
            digest.update(part)
        return digest.hexdigest().encode()


def list_frame(top: TopRows, ids: pl.Series, items: pl.Series) -> pl.DataFrame:
    """Lists as ids; places that could not be filled are left out.

    Args:
        top: One list for each id.
        ids: Whose lists they are.
        items: Ids of the items, in row order.
    """
    length = top.row.shape[1]
    filled = np.flatnonzero(top.score.isfinite().numpy())
    return pl.DataFrame(  # a series is indexed in a fifth of the time that its `gather` takes
        {
            "user_id": ids[filled // length],
            "item_id": items[top.row.flatten().numpy()[filled]],
            "score": pl.Series(top.score.flatten().numpy()[filled]),
            "rank": pl.Series(filled % length + 1),
        }
    )


def check_folder(folder: Path) -> None:
    """Make sure that lists may be written to a folder: it is new or empty, and can be replaced.

    Raises:
        ArtifactError: If it is not.
    """
    if not folder.name or folder.is_symlink() or os.path.ismount(folder):
        raise ArtifactError(
            f"cannot write lists to {folder}: it is a link, a mount or the folder you are in, "
            "which cannot be replaced in one step; name a new folder inside it"
        )
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        what = "lists already" if (folder / "part-00000.parquet").is_file() else "something else"
        raise ArtifactError(
            f"cannot write lists to {folder}: it holds {what}; name a new or empty folder, or "
            "remove that one first"
        )
    if not folder.parent.is_dir():
        raise ArtifactError(
            f"cannot write lists to {folder}: there is no folder {folder.parent} to make it in"
        )


def _aside(folder: Path, digits: str) -> Path:
    """Where lists lie until they are all there: a place for each identity, by its first digits."""
    return folder.with_name(f".{folder.name}.{digits}.unfinished")


def _read(path: Path) -> bytes | None:
    """A file's bytes, if there is one."""
    return path.read_bytes() if path.is_file() else None
