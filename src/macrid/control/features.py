"""What is known of items, as numbers and as terms: what concepts and dimensions are named after.

A *number* is a column of numbers. A *term* is something that an item has or has not: a value of a
column whose values recur (a colour), an element of a list (a genre), or a flag that is set. Where
a table has none of these, words of its texts are terms (of titles); beside better ones they are too
many to try. Terms are lower case; one that several columns say is one term. An item whose column
is empty has not what others have.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FEWEST = 5  # items that must have a term, or a number, before anything is said of it
_NOT_FEATURES = ("item_id", "train_events")
_WORD = r"\p{L}[\p{L}'’-]+\p{L}"  # of a text: three letters or more, as in sci-fi


@dataclass(frozen=True, eq=False)
class Features:
    """Numbers and terms of some items.

    Args:
        numbers: For each column of numbers, its value for each item; NaN where it has none.
        terms: In alphabetical order, those that at least ``FEWEST`` items have and not all.
        carried: 1 where an item has a term, (item, term).

    Example:
        >>> hues = ["Red", "blue"] * 5
        >>> features = Features.of(pl.DataFrame({"price": range(10), "hue": hues}))
        >>> list(features.numbers), features.terms, features.carried.sum(0).tolist()
        (['price'], ['blue', 'red'], [[5.0, 5.0]])
    """

    numbers: dict[str, Float[np.ndarray, " item"]]
    terms: list[str]
    carried: "csr_matrix"

    @classmethod
    def of(cls, catalogue: pl.DataFrame) -> "Features":
        """Of a table with a row per item; its ids and event counts are no features."""
        columns = catalogue.drop(_NOT_FEATURES, strict=False)
        flags = [column.name for column in columns if _is_flag(column)]
        numbers = {
            column.name: column.cast(pl.Float64).fill_null(np.nan).to_numpy()
            for column in columns.drop(flags)
            if column.dtype.is_numeric()
        }
        terms, carried = _terms(columns.drop(list(numbers)), flags)
        return cls(numbers, terms, carried)

    def take(self, rows: Int[np.ndarray, " some"]) -> "Features":
        """Those of some items."""
        numbers = {name: values[rows] for name, values in self.numbers.items()}
        return Features(numbers, self.terms, self.carried[rows])


def _is_flag(column: pl.Series) -> bool:
    """Whether it says yes or no."""
    return column.dtype == pl.Boolean or (
        column.dtype.is_integer() and column.drop_nulls().is_in([0, 1]).all()
    )


def _terms(columns: pl.DataFrame, flags: list[str]) -> tuple[list[str], "csr_matrix"]:
    """All terms, and who has them."""
    from scipy.sparse import csr_matrix

    labels = [_said(column, flag=column.name in flags) for column in columns]
    had = _had([said for said in labels if said is not None], len(columns))
    if not len(had):
        texts = [column for column in columns if column.dtype == pl.String]
        had = _had([text.str.extract_all(_WORD) for text in texts], len(columns))
    terms = had["term"].unique().sort()
    place = had.join(pl.DataFrame({"term": terms}).with_row_index("place"), on="term", how="left")
    shape, ones = (len(columns), len(terms)), np.ones(len(place))
    carried = csr_matrix((ones, (place["row"].to_numpy(), place["place"].to_numpy())), shape)
    return terms.to_list(), carried


def _had(said: list[pl.Series], n_items: int) -> pl.DataFrame:
    """Who has which term, once; of terms that enough items have, and not all."""
    rows = pl.int_range(n_items, dtype=pl.Int64, eager=True)
    pairs = [pl.DataFrame({"row": rows, "term": terms}).explode("term") for terms in said]
    pairs.append(pl.DataFrame(schema={"row": pl.Int64, "term": pl.String}))
    text = pl.col("term").str.strip_chars().str.to_lowercase()
    had = pl.concat(pairs).with_columns(text).filter(pl.col("term") != "").unique()
    return had.filter(pl.len().over("term").is_between(FEWEST, n_items - 1))


def _said(column: pl.Series, *, flag: bool) -> pl.Series | None:
    """The terms of each row, as lists; nothing of a column that is no label."""
    if flag:
        name = pl.when(column.cast(pl.Boolean)).then(pl.lit(column.name))
        return pl.select(pl.concat_list(name)).to_series()
    if isinstance(column.dtype, pl.List):
        inner = column.dtype.inner
        simple = inner == pl.String or inner.is_integer()
        return column.cast(pl.List(pl.String)) if simple else None
    if column.dtype not in (pl.String, pl.Categorical, pl.Enum):
        return None
    text = column.cast(pl.String)
    recurs = 2 * text.n_unique() <= len(text) - text.null_count()
    return text.reshape((-1, 1)).cast(pl.List(pl.String)) if recurs else None
