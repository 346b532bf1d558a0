r"""Lists of a mixture from an index per concept (faiss): faster above a million items, not exact.

An item's log-assignment is one more dimension of its vector, and 1 the same of a person's, so that
the inner product is :math:`z_{uk} \cdot h_i + \log c_{ik}`: an index per concept finds the items
that the concept says most about. They are candidates, and are ranked by their exact logits.
"""

import logging
import math
from importlib import import_module
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from macrid.data.histories import Histories
from macrid.errors import MissingExtra
from macrid.parts.ranking import TopRows
from macrid.parts.scoring import Scan

_SHARE = 0.1  # of an item that a concept must have to index it; its own concept always does
_FEW = 10_000  # items of an index that are all looked at
_PROBED = 1 / 16  # of an index's cells are looked at
_TRAINING = 64  # items per cell that cells are made from
_SAMPLE = 100  # people whose lists are compared with the exact ones
_LARGE = 100_000  # items from which an index may be worth its while
_LOG = logging.getLogger("macrid")


class Neighbours:
    """The interface of `Scan`, answered from indices.

    Lists that come out too short are made exactly. How many of the exact lists' items are found, on
    a sample of the people first asked about, goes to the log ``macrid``.

    Args:
        exact: The catalogue.

    Raises:
        MissingExtra: If faiss is not installed.

    Example:
        >>> neighbours = Neighbours(Scan(torch.eye(3), torch.zeros(3, 1)))
        >>> neighbours.top(torch.tensor([[[0.5, 2.0, 0.5]]]), k=2).row.tolist()
        [[1, 0]]
    """

    recall: float | None = None  # of the sample, once somebody has asked

    def __init__(self, exact: Scan) -> None:
        self.exact = exact
        if len(exact.rows) < _LARGE:
            _LOG.info("%d items are searched faster without an index", len(exact.rows))
        self.members, self.indices = [], []
        own = exact.log_weights.argmax(1)
        for concept, log_weights in enumerate(exact.log_weights.T):
            mine = (log_weights >= math.log(_SHARE)) | (own == concept)
            members = mine.nonzero().flatten()
            if len(members):
                wide = torch.cat([exact.vectors[members], log_weights[members, None]], dim=1)
                self.members.append((concept, members))
                self.indices.append(_index(wide))

    @torch.no_grad()
    def top(
        self, z: Float[Tensor, "batch concept dim"], k: int, seen: Histories | None = None
    ) -> TopRows:
        """See `Scan.top`."""
        if self.recall is None and len(z):
            self.recall = 1.0  # no sample of the sample
            self.recall = self._recall(z[:_SAMPLE], k, None if seen is None else _first(seen))
        top = self._found(z, k, seen)
        # Whoever is left short by the index: nobody gets less than there is.
        short = top.score.isneginf().any(1).nonzero().flatten()
        if len(short):
            exact = self.exact.top(z[short], k, None if seen is None else _some(seen, short))
            top.row[short], top.score[short] = exact.row, exact.score
        return top

    def _recall(self, z: Tensor, k: int, seen: Histories | None) -> float:
        """Share of the exact lists that is found."""
        found, exact = self.top(z, k, seen).row, self.exact.top(z, k, seen)
        hit = (found[:, :, None] == exact.row[:, None]).any(1) & exact.score.isfinite()
        recall = float(hit.sum() / exact.score.isfinite().sum().clamp_min(1))
        _LOG.info("ann finds %.4f of the exact top %d of %d people", recall, k, len(z))
        return recall

    def _found(self, z: Tensor, k: int, seen: Histories | None) -> TopRows:
        """The best of what the indices find."""
        longest = 0 if seen is None else int(seen.lengths.max()) if len(seen) else 0
        wanted = max(100, 4 * k) + longest
        queries = torch.cat([z / self.exact.tau, z.new_ones(*z.shape[:2], 1)], dim=2).cpu()
        places = [torch.full((len(z), 1), -1)]
        for (concept, members), index in zip(self.members, self.indices, strict=True):
            _, found = index.search(queries[:, concept].contiguous().numpy(), wanted)
            found = torch.from_numpy(found)
            places.append(torch.where(found < 0, -1, members.cpu()[found.clamp_min(0)]))
        return self.exact.best(z, torch.cat(places, dim=1).to(z.device), k, seen)


def _index(vectors: Float[Tensor, "item wide"]) -> Any:
    """An index for inner products."""
    try:
        faiss: Any = import_module("faiss")
    except ImportError as error:
        raise MissingExtra("faiss", "ann") from error
    n_items, width = vectors.shape
    table = vectors.float().cpu().contiguous().numpy()
    if n_items <= _FEW:
        index = faiss.IndexFlatIP(width)
    else:
        n_cells = int(4 * math.sqrt(n_items))
        index = faiss.index_factory(width, f"IVF{n_cells},Flat", faiss.METRIC_INNER_PRODUCT)
        index.nprobe = max(1, int(n_cells * _PROBED))
        index.cp.max_points_per_centroid = _TRAINING
        index.train(table)
    index.add(table)
    return index


def _first(people: Histories) -> Histories:
    """The first people of a batch."""
    offsets = people.offsets[: _SAMPLE + 1]
    return Histories(people.items[: offsets[-1]], offsets)


def _some(people: Histories, rows: Tensor) -> Histories:
    """Some people of a batch, in ascending order."""
    mine = torch.isin(people.users, rows)
    offsets = torch.cat([people.offsets[:1], people.lengths[rows].cumsum(0)])
    return Histories(people.items[mine], offsets)
