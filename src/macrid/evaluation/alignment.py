"""How concepts go with known categories: counts side by side, and how far the two agree.

Labels are for judging a model, never for training it. Agreement is measured on the table of counts
alone, so that the names of concepts and categories do not matter.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Alignment:
    """How far concepts agree with known categories.

    Args:
        n_items: How many items had a category; the others are left out.
        nmi: See `normalised_mutual_information`.
        ari: See `adjusted_rand_index`.
        purity: See `purity`, of the concepts.
        score: See `core_category_score`; None where there are fewer categories than concepts.
    """

    n_items: int
    nmi: float
    ari: float
    purity: float
    score: int | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def align(
    concepts: Int[np.ndarray, " item"],
    categories: pl.Series | np.ndarray,
    vectors: Float[np.ndarray, "item dim"] | None = None,
    prototypes: Float[np.ndarray, "concept dim"] | None = None,
) -> Alignment:
    """All measures of agreement.

    Args:
        concepts: The concept of each item, from 0.
        categories: Its category; null where none is known.
        vectors: Its vector; without vectors or prototypes there is no score.
        prototypes: Those of the concepts, among the vectors.

    Raises:
        ValueError: If there is not one category per item, or none is known.

    Example:
        >>> vectors = np.array([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.1, 3.0]])
        >>> align(np.array([0, 0, 1, 1]), pl.Series(list("bbss")), vectors, vectors[[0, 2]])
        Alignment(n_items=4, nmi=1.0, ari=1.0, purity=1.0, score=3)
    """
    categories = pl.Series(categories)
    if categories.dtype.is_float():
        categories = categories.fill_nan(None)
    known = categories.is_not_null().to_numpy()
    if len(known) != len(concepts) or not known.any():
        raise ValueError(
            f"there are {known.sum():,} known among {len(known):,} categories and "
            f"{len(concepts):,} items; give one category per item, null where it is not known"
        )
    found, labels = concepts[known], categories.drop_nulls().cast(pl.String).to_numpy()
    score = None
    if vectors is not None and prototypes is not None:
        score = _score(prototypes, vectors[known], labels)
    return Alignment(
        n_items=len(labels),
        nmi=normalised_mutual_information(found, labels),
        ari=adjusted_rand_index(found, labels),
        purity=purity(found, labels),
        score=score,
    )


def concept_table(concepts: np.ndarray, categories: pl.Series) -> pl.DataFrame:
    """Items of each concept by category, largest category first; a missing category is ``"?"``.

    Example:
        >>> concept_table(np.array([0, 0, 1]), pl.Series(["bag", "bag", "shoe"])).rows()
        [(0, 2, 0), (1, 0, 1)]
    """
    labels = categories.cast(pl.String).fill_null("?").alias("category")
    sizes = labels.value_counts(name="n").sort("n", "category", descending=[True, False])
    table = pl.DataFrame({"concept": concepts, "category": labels}).pivot(
        "category", index="concept", values="category", aggregate_function="len"
    )
    return table.select("concept", *sizes["category"]).fill_null(0).sort("concept")


def normalised_mutual_information(left: np.ndarray, right: np.ndarray) -> float:
    r"""How much one labelling tells of the other: :math:`2 I(L; R) / (H(L) + H(R))`.

    1 where they are the same but for names, 0 where they are independent or both constant.

    Example:
        >>> normalised_mutual_information(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
        1.0
    """
    joint = contingency(left, right) / len(left)
    entropies = entropy(joint.sum(1)) + entropy(joint.sum(0))
    if entropies == 0:
        return 0.0
    return float(2 * (entropies - entropy(joint)) / entropies)


def adjusted_rand_index(left: np.ndarray, right: np.ndarray) -> float:
    """Pairs that both labellings keep together, between chance (0) and all that could be (1).

    Below 0 where they agree less than chance would let them (Hubert and Arabie, 1985).

    Example:
        >>> adjusted_rand_index(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 0]))
        1.0
    """
    table = contingency(left, right)
    both, rows, columns = (_pairs(n) for n in (table, table.sum(1), table.sum(0)))
    expected = rows * columns / max(_pairs(table.sum()), 1.0)
    most = (rows + columns) / 2
    return float((both - expected) / (most - expected)) if most != expected else 1.0


def purity(found: np.ndarray, known: np.ndarray) -> float:
    """Share of items that are of the commonest category of their concept.

    It rises with the number of concepts, and is 1 if every item has one of its own.

    Example:
        >>> purity(np.array([0, 0, 0, 1]), np.array(["bag", "bag", "shoe", "shoe"]))
        0.75
    """
    return float(contingency(found, known).max(1).sum() / len(found))


def core_category_score(
    best_category: Int[np.ndarray, " concept"], best_concept: Int[np.ndarray, " category"]
) -> int:
    """The MacridVAE authors' score, 0 to 3, of prototypes against centres of categories.

    One point if no two categories have the same nearest concept, one if no two concepts have the
    same nearest category, and one more if both hold and each is the other's inverse. Nearest by one
    table of cosines, the last point follows from the first two: both ways round, the sum of a
    one-to-one choice of largest entries is the largest such sum. So 2 comes from no table, and the
    authors' "2 or more" asks for 3.

    Args:
        best_category: For each concept, the category whose centre is nearest.
        best_concept: For each category, the concept whose prototype is nearest.

    Example:
        >>> core_category_score(np.array([1, 0]), np.array([1, 0]))
        3
    """
    one_to_one = [len(np.unique(best)) == len(best) for best in (best_concept, best_category)]
    inverse = all(one_to_one) and np.array_equal(
        best_concept[best_category], np.arange(len(best_category))
    )
    return sum(one_to_one) + int(inverse)


def category_centres(
    vectors: Float[np.ndarray, "item dim"], categories: np.ndarray, names: np.ndarray
) -> Float[np.ndarray, "category dim"]:
    """The direction of the sum of each category's unit vectors.

    Example:
        >>> vectors = np.array([[2.0, 0.0], [0.0, 5.0], [9.0, 9.0]])
        >>> category_centres(vectors, np.array(["a", "a", "b"]), np.array(["a"])).round(3).tolist()
        [[0.707, 0.707]]
    """
    member = names[:, None] == categories
    return _unit(member.astype(vectors.dtype) @ _unit(vectors))


def contingency(left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, "left right"]:
    """How often each label of one side meets each of the other.

    Example:
        >>> contingency(np.array([0, 0, 1]), np.array(["a", "b", "b"])).tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """
    _, rows = np.unique(left, return_inverse=True)
    _, columns = np.unique(right, return_inverse=True)
    shape = rows.max() + 1, columns.max() + 1
    counts = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64)


def entropy(probabilities: np.ndarray, axis: int | tuple[int, ...] | None = None) -> Any:
    """In nats, over all or some axes.

    Example:
        >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]]), axis=1).round(4).tolist()
        [0.6931, 0.0]
    """
    safe = np.where(probabilities > 0, probabilities, 1.0)
    return np.abs((safe * np.log(safe)).sum(axis))  # abs, for a zero is not to be negative


def _score(
    prototypes: Float[np.ndarray, "concept dim"],
    vectors: Float[np.ndarray, "item dim"],
    categories: np.ndarray,
) -> int | None:
    """Of the prototypes against as many of the largest categories, if there are so many."""
    names, counts = np.unique(categories, return_counts=True)
    largest = names[np.argsort(-counts, kind="stable")[: len(prototypes)]]
    if len(largest) < len(prototypes):
        return None
    cosines = _unit(prototypes) @ category_centres(vectors, categories, largest).T
    return core_category_score(cosines.argmax(1), cosines.argmax(0))


def _pairs(counts: Any) -> float:
    """Unordered pairs within groups of these sizes."""
    return float((counts * (counts - 1)).sum() / 2)


def _unit(vectors: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row dim"]:
    """Vectors of length 1; one of length 0 stays."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1.0)
