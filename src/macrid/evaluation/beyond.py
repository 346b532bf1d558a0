"""What lists are like beside being right: how much of the catalogue, how known, how alike.

All is measured on the first ``k`` unseen items listed for each held-out user. A list is a row of a
sparse (user, item) matrix, so that each measure is a product with it. Definitions follow Castells,
Hurley and Vargas (2015, "Novelty and diversity in recommender systems", Recommender Systems
Handbook, chapter 26) unless said otherwise.
"""

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy.sparse import csr_array, hstack

from macrid.data.splits import HeldOut
from macrid.errors import DataError
from macrid.models.lists import BATCH_SIZE
from macrid.models.recommender import Recommender

LENGTH = 20
HEAD = 0.2  # of the catalogue


def beyond_accuracy(
    model: Recommender, people: HeldOut, k: int = LENGTH
) -> dict[str, float | None]:
    """Five measures of the lists that held-out users get.

    Args:
        model: A fitted model.
        people: Whose fold-in goes in.
        k: Length of the lists.

    Returns:
        ``coverage@k``, the share of the catalogue that stands on one list or more;
        ``novelty@k``, see `novelty`; ``gini@k``, see `gini`; ``diversity@k``, see `diversity`, None
        where nothing is known of the items; ``head@k``, the share of places held by the items that
        make up the most popular 20% of the catalogue (by training users, ties by row). Users whose
        list is empty are left out.

    Raises:
        ValueError: If ``k`` is less than 1.
        DataError: If nobody has a list.

    Example:
        >>> from macrid.data.readers import read
        >>> from macrid.data.splits import hide_events
        >>> from macrid.models.popularity import Popularity
        >>> log = read({"user": [0, 0, 1, 1, 2], "item": ["a", "b", "b", "c", "c"]})
        >>> measured = beyond_accuracy(Popularity().fit(log), hide_events(log), k=1)
        >>> round(measured["coverage@1"], 4), round(measured["novelty@1"], 4)
        (1.0, 0.9183)
    """
    if k < 1:
        raise ValueError(f"k is {k}; a list holds 1 item or more")
    listed = _lists(model, people, k)
    assert model.catalogue is not None  # a model that is not fitted has no lists
    counts = model.catalogue["train_events"].to_numpy()
    shown = listed.sum(axis=0)
    features = item_features(model.catalogue)
    head = np.zeros(len(counts))
    head[np.argsort(-counts, kind="stable")[: int(np.ceil(HEAD * len(counts)))]] = 1
    return {
        f"coverage@{k}": float((shown > 0).mean()),
        f"novelty@{k}": novelty(listed, counts, model.training["users"]),
        f"gini@{k}": gini(shown),
        f"diversity@{k}": None if features is None else diversity(listed, features),
        f"head@{k}": float((listed @ head / listed.sum(axis=1)).mean()),
    }


def novelty(listed: csr_array, counts: Int[np.ndarray, " item"], n_users: int) -> float:
    r"""Mean self-information of the listed items, in bits: the mean over lists of a list's mean.

    :math:`-\log_2 p_i`, with :math:`p_i` the share of the training users who had item i: 0 for an
    item that all had. An item that nobody had counts as if one user had had it.

    Example:
        Half of the users had the first item, a quarter the second:

        >>> novelty(csr_array([[1.0, 1.0]]), np.array([4, 2]), 8)
        1.5
    """
    bits = -np.log2(np.maximum(counts, 1) / n_users)
    return float((listed @ bits / listed.sum(axis=1)).mean())


def gini(shown: Float[np.ndarray, " item"]) -> float:
    r"""How unequally often items are listed: 0 if all equally, 1 if one item has all places.

    :math:`\frac{1}{n - 1} \sum_j (2j - n - 1)\, p_j` with the shares :math:`p_j` of all places in
    ascending order, over the whole catalogue of n items, never listed ones included.

    Example:
        >>> gini(np.array([5.0, 5.0])), gini(np.array([0.0, 7.0, 0.0]))
        (0.0, 1.0)
    """
    n_items = len(shown)
    if n_items == 1:
        return 0.0
    ranks = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float(ranks @ np.sort(shown) / shown.sum() / (n_items - 1))


def diversity(listed: csr_array, features: csr_array) -> float | None:
    """Intra-list diversity: 1 less the mean cosine of a list's pairs of items, averaged over lists.

    Items of which nothing is known take no part, nor do lists with fewer than two others. A list's
    sum of cosines is had from the length of the sum of its items' vectors, without the pairs.

    Args:
        listed: (user, item), 1 where an item is listed.
        features: (item, value), rows of unit length or empty; see `item_features`.

    Returns:
        From 0, all alike, to 1, nothing in common; None if there is no list to judge.

    Example:
        >>> diversity(csr_array([[1.0, 1.0]]), csr_array([[1.0, 0.0], [0.0, 1.0]]))
        1.0
    """
    known = listed @ (features.sum(axis=1) > 0).astype(np.float64)
    judged = known > 1
    if not judged.any():
        return None
    lengths = csr_array(listed @ features).power(2).sum(axis=1)[judged]
    known = known[judged]
    return float(1 - ((lengths - known) / (known * (known - 1))).mean())


def item_features(catalogue: pl.DataFrame) -> csr_array | None:
    """Items as unit-length multi-hot vectors over the values of the columns that say their kind.

    These are columns of lists of text (genres, tags), and columns of text whose values stand for
    two items or more on the average (category, brand; not titles).

    Args:
        catalogue: ``item_id``, ``train_events`` and what is known of the items, in row order.

    Returns:
        (item, value), a row empty where nothing is known of an item; None without such columns.

    Example:
        >>> films = pl.DataFrame({"item_id": [1, 2], "genres": [["War", "Drama"], ["War"]]})
        >>> item_features(films).toarray().round(2).tolist()
        [[0.71, 0.71], [1.0, 0.0]]
    """
    kinds = catalogue.drop("item_id", "train_events", strict=False)
    columns = [column for column in kinds.iter_columns() if _is_kind(column)]
    if not columns:
        return None
    hot = csr_array(hstack([_multi_hot(column) for column in columns]))
    lengths = np.sqrt(hot.sum(axis=1))
    hot.data /= np.repeat(lengths, np.diff(hot.indptr))
    return hot


def _is_kind(column: pl.Series) -> bool:
    """Whether a column says what kind of item something is."""
    if isinstance(column.dtype, pl.List):
        return column.dtype.inner == pl.String
    if not isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum):
        return False
    known = column.drop_nulls()
    return 0 < 2 * known.n_unique() <= len(known)


def _multi_hot(column: pl.Series) -> csr_array:
    """(item, value), 1 where an item has a value."""
    pairs = pl.DataFrame({"row": np.arange(len(column)), "value": column})
    if isinstance(column.dtype, pl.List):
        pairs = pairs.explode("value")
    pairs = pairs.drop_nulls().unique(maintain_order=True)
    values = pairs.select("value").unique(maintain_order=True).with_row_index("number")
    numbers = pairs.join(values, on="value", how="left", maintain_order="left")["number"]
    places = (pairs["row"].to_numpy(), numbers.to_numpy())
    return csr_array((np.ones(len(pairs)), places), shape=(len(column), len(values)))


def _lists(model: Recommender, people: HeldOut, k: int) -> csr_array:
    """(user, item), 1 where an item is on a user's list; users without a list left out."""
    fold_in = people.fold_in.with_catalogue(model.items)
    ranker = model.ranker()
    users, items = [], []
    for start in range(0, len(people), BATCH_SIZE):
        rows = np.arange(start, min(start + BATCH_SIZE, len(people)))
        top = ranker.top(fold_in.histories(rows), k)
        person, place = np.nonzero((top.score.cpu() > -np.inf).numpy())
        users.append(rows[person])
        items.append(top.row.cpu().numpy()[person, place])
    places = (np.concatenate([[], *users]).astype(int), np.concatenate([[], *items]).astype(int))
    if not len(places[0]):
        raise DataError(
            "nobody has a list: there are no held-out users, or all have had every item"
        )
    listed = csr_array((np.ones(len(places[0])), places), shape=(len(people), len(model.items)))
    return listed[np.diff(listed.indptr) > 0]
