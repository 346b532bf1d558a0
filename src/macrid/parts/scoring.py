r"""Exact lists of a mixture over concepts, and the logits of all items where somebody wants them.

A person has a vector per concept, an item one vector; with :math:`a_{uki} = z_{uk} \cdot h_i`, the
item's logit is :math:`\log \sum_k c_{ik} \exp a_{uki}`. A list needs the logits of a few items, so
the catalogue is only scanned: block by block, in whatever precision is fast, for a number that
orders items nearly as the logit does. What comes within the scan's error of a place on the list is
a candidate, and candidates alone get logits, in double precision. So neither the size of a block or
batch nor the precision of the scan decides who is on a list.

What is scanned for is one of three numbers. Usually it is :math:`\sum_k c_{ik} \exp a_{uki}`. Where
the exponential could overflow it is :math:`\max_k (\log c_{ik} + a_{uki})`, below the logit by
:math:`\log K` at most. Where each item belongs to one concept, that concept's :math:`a_{uki}` is
the logit itself: items are put in the order of their concepts, and each meets one product, not K.

Log-assignments are dimensions like any other: a person's vector for concept ``k`` has a 1 in
dimension ``k`` of theirs, so that no pass over the products is needed to add them.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from macrid.data.histories import Histories
from macrid.parts.ranking import TopRows, best_rows
from macrid.parts.shortlist import Candidates, Shortlist

_WIDTH = 4096  # items between two looks at who may be listed
_TILE, _LEAST = 1 << 19, 128  # products made at a time, to stay in the processor's caches; items
_DENSE = 1 << 24  # numbers that may be held in double precision
_SAFE = 40.0  # exp(±40) is far inside the range of float32
_NEVER = -150.0  # stands for log 0 where an infinity times 0 would be NaN


def mixture_logits(
    z: Float[Tensor, "batch concept dim"],
    vectors: Float[Tensor, "item dim"],
    log_weights: Float[Tensor, "item concept"],
    block: int = 256,
) -> Float[Tensor, "batch item"]:
    """Each item's logit for each person, summed over the concepts block by block.

    Example:
        >>> z, vectors = torch.zeros(1, 2, 3), torch.ones(4, 3)
        >>> mixture_logits(z, vectors, torch.full((4, 2), 0.5).log()).tolist()
        [[0.0, 0.0, 0.0, 0.0]]
    """
    logits = z.new_empty(len(z), len(vectors))
    for start in range(0, len(vectors), block):
        rows = slice(start, start + block)
        joint = z @ vectors[rows].T + log_weights[rows].T
        logits[:, rows] = joint.logsumexp(1)
    return logits


class Scan:
    """A catalogue made ready for exact lists; made once, used for any number of people.

    Args:
        vectors: Item vectors.
        log_weights: Log-assignments of items to concepts.
        tau: Temperature that people's points are divided by.
        banned: True for items that no list may hold; they cost nothing.
        dtype: What products are made in. ``torch.bfloat16`` is faster where the processor has it,
            and leads to more candidates and the same lists.

    Shape:
        - vectors: ``(item, dim)``
        - log_weights: ``(item, concept)``

    Example:
        >>> scan = Scan(torch.eye(3), torch.zeros(3, 1))
        >>> scan.top(torch.tensor([[[0.5, 2.0, 0.5]]]), k=2).row.tolist()
        [[1, 0]]
    """

    def __init__(
        self,
        vectors: Float[Tensor, "item dim"],
        log_weights: Float[Tensor, "item concept"],
        *,
        tau: float = 1.0,
        banned: Bool[Tensor, " item"] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        n_items, self.n_concepts = log_weights.shape
        self.tau = tau
        allowed = torch.ones(n_items, dtype=torch.bool) if banned is None else ~banned
        rows = allowed.to(vectors.device).nonzero().flatten()
        concept = log_weights[rows].argmax(1)
        # Who belongs to one concept wholly has a log-assignment of 0 to it, and of -inf to the
        # others: beside a soft one of nearly 1, which rounds to 0, theirs are finite and may count.
        whole = bool((log_weights[rows, concept] == 0).all())
        self.alone = whole and int(log_weights[rows].isfinite().sum()) == len(rows)
        if self.alone:
            rows = rows[concept.argsort(stable=True)]
        as_it_is = len(rows) == n_items and not self.alone
        self.vectors = vectors if as_it_is else vectors[rows]
        self.log_weights = log_weights if as_it_is else log_weights[rows]
        self.fast, self.rows, self.n_items = self._table(dtype), rows, n_items
        self.place = rows.new_full((n_items,), -1)  # of a row in the scan
        self.place[rows] = torch.arange(len(rows), device=rows.device)
        self.longest = float(self.vectors.norm(dim=1).amax()) if len(rows) else 0.0
        # Log-assignments of items whose chances are changed do not sum to 1.
        lifted = self.log_weights.logsumexp(1).abs()
        self.lift = float(lifted.amax()) if len(rows) else 0.0
        # Ranges of items and the concepts that they meet.
        self.parts = [(0, len(rows), slice(None))]
        if self.alone:
            ends = concept.bincount(minlength=self.n_concepts).cumsum(0).tolist()
            slices = [slice(k, k + 1) for k in range(self.n_concepts)]
            self.parts = list(zip([0, *ends[:-1]], ends, slices, strict=True))

    def _table(self, dtype: torch.dtype) -> Float[Tensor, "item wide"]:
        """What people's vectors are multiplied with: items, and their log-assignments beside them.

        A rounded log-assignment is followed by what rounding took from it.
        """
        if self.alone:
            return self.vectors.to(dtype)
        log_weights = self.log_weights.float().clamp_min(_NEVER)
        rounded = log_weights.to(dtype)
        parts = [self.vectors.to(dtype), rounded]
        if dtype is not torch.float32:
            parts.append((log_weights - rounded.float()).to(dtype))
        return torch.cat(parts, dim=1)

    @torch.no_grad()
    def top(
        self, z: Float[Tensor, "batch concept dim"], k: int, seen: Histories | None = None
    ) -> TopRows:
        """The ``k`` items of highest logit for each person, ties broken by the lower row.

        Args:
            z: People's points.
            k: Length of each list, cut at the number of items.
            seen: What a person's own list may not hold.
        """
        k, z = min(k, self.n_items), z / self.tau
        mine = self._places(seen)
        with torch.autocast(z.device.type, enabled=False):
            found = self._candidates(z, k, mine)
            top = self._best_of(z, found.column, k)
            crowded = found.crowded.nonzero().flatten()
            at_once = max(1, _DENSE // max(1, len(self.rows)))
            for users in crowded.split(at_once) if len(crowded) else ():
                among_all = self._best_of_all(z[users], k, users, mine)
                top.row[users], top.score[users] = among_all.row, among_all.score
        return top

    @torch.no_grad()
    def best(
        self,
        z: Float[Tensor, "batch concept dim"],
        place: Int[Tensor, "batch candidate"],
        k: int,
        seen: Histories | None = None,
    ) -> TopRows:
        """The best of given candidates, as `top` ranks them.

        Args:
            z: People's points.
            place: Rows of ``vectors``, some perhaps twice; ``-1`` for none.
            k: Length of each list, cut at the number of items.
            seen: What a person's own list may not hold.
        """
        place = place.sort(dim=1).values
        again = torch.zeros_like(place, dtype=torch.bool)
        again[:, 1:] = place[:, 1:] == place[:, :-1]
        owner, had = self._places(seen)
        pairs = torch.arange(len(z), device=z.device)[:, None] * len(self.vectors) + place
        again |= torch.isin(pairs, owner * len(self.vectors) + had)
        return self._best_of(z / self.tau, place.masked_fill(again, -1), min(k, self.n_items))

    def _places(self, seen: Histories | None) -> tuple[Tensor, Tensor]:
        """Who had what, as rows of ``vectors`` in ascending order."""
        if seen is None:
            return self.rows[:0], self.rows[:0]
        place = self.place[seen.items]
        order = place.argsort()
        order = order[place[order] >= 0]
        return seen.users[order], place[order]

    def _candidates(self, z: Tensor, k: int, mine: tuple[Tensor, Tensor]) -> Candidates:
        """Who may be on the lists, by a scan of the catalogue."""
        # Of |z·h|, and of what is added to it for all concepts of an item.
        reach = float(z.norm(dim=-1).amax()) * self.longest + self.lift if len(z) else 0.0
        summed = not self.alone and reach <= _SAFE
        slack = self._slack(reach) + (0 if summed or self.alone else math.log(self.n_concepts))
        shortlist = Shortlist(len(z), k, slack=slack, exponential=summed, device=z.device)
        people = self._people(z, summed=summed)
        owner, place = mine
        width = max(_WIDTH, shortlist.lanes, _TILE // max(1, people[..., 0].numel()))
        space = _Space(people[: 1 if self.alone else None], width)
        for start, end, concepts in self.parts:
            edges = torch.arange(start, end + width, width, device=place.device).clamp(max=end)
            cuts = torch.searchsorted(place, edges).tolist()
            for number, left in enumerate(range(start, end, width)):
                block = slice(left, min(left + width, end))
                scores = self._scores(people[concepts], block, space, summed=summed)
                cut = slice(*cuts[number : number + 2])
                scores[owner[cut], place[cut] - left] = -torch.inf
                shortlist.add(scores, left)
        return shortlist.candidates()

    def _people(self, z: Tensor, *, summed: bool) -> Float[Tensor, "concept batch wide"]:
        """What items are multiplied with, concept by concept."""
        n_more = self.fast.shape[1] - z.shape[2]  # dimensions, as many for each concept
        which = torch.eye(self.n_concepts, device=z.device) * summed
        which = which.repeat(1, n_more // self.n_concepts)[:, None].expand(-1, len(z), -1)
        return torch.cat([z.transpose(0, 1), which], dim=2).to(self.fast.dtype)

    def _scores(self, people: Tensor, block: slice, space: "_Space", *, summed: bool) -> Tensor:
        """What a block of items is scanned for, (person, item)."""
        scores = space.scores[:, : block.stop - block.start]
        if self.alone and people.dtype is torch.float32:
            return torch.mm(people[0], self.fast[block].T, out=scores)
        for left in range(0, scores.shape[1], space.tile):
            rows = slice(block.start + left, min(block.start + left + space.tile, block.stop))
            total = scores[:, left : left + space.tile]
            joint = space.product(people, self.fast[rows])
            if self.alone:
                total.copy_(joint[0])
            elif summed:
                torch.sum(joint.exp_(), 0, out=total)
            else:
                torch.amax(joint.add_(self.log_weights[rows].T[:, None]), 0, out=total)
        return scores

    def _slack(self, reach: float) -> float:
        r"""Twice the most that a scanned logit may be wrong: of who is on the list, and who is not.

        A product of n terms is wrong by n roundings of float32, in which sums are kept, at most;
        rounded factors and a rounded result add three of their own type's (five where nothing makes
        up for rounded log-assignments). Each is relative to the size of what is rounded. Of a term
        :math:`t_k` of a log-sum-exp, weighted by its share :math:`p_k`, that is
        :math:`\sum_k p_k |t_k| \le |\mathrm{logit}| + H(p)`, and :math:`H(p) \le \log K`. The
        exponentials, and the rounding of the logits that lists show, are within the rest.
        """
        single = self.fast.dtype is torch.float32
        exact = single and torch.get_float32_matmul_precision() == "highest"
        rounding = 0.0 if exact else (5.0 if single else 3.1) * 2.0**-8
        size = reach + 2 * math.log(self.n_concepts)
        return 2 * size * (rounding + 2 * (self.fast.shape[1] + 4) * 2.0**-24) + 2e-5

    def _logits(self, z: Tensor, place: Int[Tensor, "#user item"]) -> Float[Tensor, "user item"]:
        """The logits of some items for each person, the same in whatever company."""
        double = torch.float32 if z.device.type == "mps" else torch.float64  # Apple has none
        joint = self.vectors[place].to(double) @ z.to(double).mT
        return (joint + self.log_weights[place]).logsumexp(-1).float()

    def _best_of(self, z: Tensor, place: Int[Tensor, "user candidate"], k: int) -> TopRows:
        """The best of everybody's candidates."""
        users = max(1, _DENSE // max(1, place.shape[1] * z.shape[2]))
        some = place.clamp_min(0)
        parts = zip(z.split(users), some.split(users), strict=True)
        logits = torch.cat([self._logits(*part) for part in parts])
        return best_rows(torch.where(place < 0, -1, self.rows[some]), logits, k)

    def _best_of_all(
        self, z: Tensor, k: int, users: Tensor, mine: tuple[Tensor, Tensor]
    ) -> TopRows:
        """The best of all items, where whole crowds of them tie."""
        places = torch.arange(len(self.rows), device=z.device)[None]
        logits = torch.cat([self._logits(z, block) for block in places.split(_WIDTH, 1)], dim=1)
        among = (mine[0][:, None] == users).nonzero()
        logits[among[:, 1], mine[1][among[:, 0]]] = -torch.inf
        return best_rows(self.rows.expand(len(z), -1), logits, k)


class _Space:
    """Memory for the products of a tile and the scores of a block, used again and again."""

    def __init__(self, people: Float[Tensor, "concept batch dim"], width: int) -> None:
        n_concepts, batch, _ = people.shape
        self.tile = max(_LEAST, 1 << (_TILE // max(1, n_concepts * batch)).bit_length() >> 1)
        size = n_concepts * batch * self.tile
        self.scores = torch.empty(batch, width, device=people.device)
        self.products = people.new_empty(size)
        self.joint = self.products.float()  # itself in single precision

    def product(self, people: Tensor, items: Tensor) -> Tensor:
        """Of everybody's vectors and some items', (concept, batch, item), in float32."""
        shape = (*people.shape[:2], len(items))
        size = math.prod(shape)
        products, joint = self.products[:size], self.joint[:size]
        torch.mm(people.flatten(0, 1), items.T, out=products.view(shape).flatten(0, 1))
        return (joint if joint.dtype is products.dtype else joint.copy_(products)).view(shape)
