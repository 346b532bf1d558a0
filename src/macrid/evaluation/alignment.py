"""How concepts go with known categories: counts side by side, and mutual information.

Labels are for judging a model, never for training it.
"""

import numpy as np
import polars as pl


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
    _, rows = np.unique(left, return_inverse=True)
    _, columns = np.unique(right, return_inverse=True)
    joint = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(joint, (rows, columns), 1 / len(rows))
    entropies = _entropy(joint.sum(1)) + _entropy(joint.sum(0))
    if entropies == 0:
        return 0.0
    return float(2 * (entropies - _entropy(joint)) / entropies)


def _entropy(probabilities: np.ndarray) -> float:
    """In nats."""
    some = probabilities[probabilities > 0]
    return float(-(some * np.log(some)).sum())
