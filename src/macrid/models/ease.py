"""EASE: a linear item-item model in closed form (Steck, WWW 2019), and hard to beat."""

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from macrid.data.histories import Histories
from macrid.data.interactions import Interactions
from macrid.data.splits import HeldOut
from macrid.errors import SettingsError
from macrid.models.recommender import Recommender
from macrid.training.memory import check_fits
from macrid.training.settings import Real, Settings, no_options

# Gram matrix, factor and inverse in one place, the weights, and some for a block of the product.
BYTES_PER_PAIR, ROWS = 8 + 4 + 2, 1024


class EASESettings(Settings):
    """Its one setting."""

    # Steck (2019) found 200 to 1,000 on large sets; small ones want less, dense ones more.
    regularization: Annotated[
        float, Field(gt=0, description="lambda, the ridge"), Real(10.0, 5000.0, log=True)
    ] = 500.0


class EASE(Recommender):
    r"""Item-item weights that rebuild histories, without help from the item itself.

    With :math:`P = (X^\top X + \lambda I)^{-1}`, :math:`B_{ij} = -P_{ij} / P_{jj}` (Steck, 2019,
    Eq. 8). Memory grows with the square of the catalogue, so a large one is refused.

    Args:
        settings: ``regularization=500.0``.

    Example:
        >>> from macrid.data.readers import read
        >>> clicks = read({"user": [0, 0, 1, 1, 2], "item": ["a", "b", "a", "b", "c"]})
        >>> EASE(regularization=1).fit(clicks).recommend({"me": ["a"]}, k=1)["item_id"].item()
        'b'
    """

    name = "ease"
    Settings = EASESettings
    settings: EASESettings
    weights: Tensor

    def _fit(self, train: Interactions, validation: HeldOut | None, options: dict) -> None:
        no_options(self.name, options)
        n_items = train.n_items
        check_fits(
            BYTES_PER_PAIR * n_items**2,
            f"EASE on {n_items:,} items",
            "drop rare items (min_item_events), or use a model whose memory grows with the "
            "catalogue and not with its square",
        )
        matrix = train.matrix().astype(np.float64)
        people = matrix.T.tocsr()
        # LAPACK's order is by columns, and only then does it work in place.
        solved = torch.empty(n_items, n_items, dtype=torch.float64).T
        for rows in range(0, n_items, ROWS):
            solved.T[rows : rows + ROWS] = torch.from_numpy(
                (people[rows : rows + ROWS] @ matrix).toarray()
            )
        solved.diagonal().add_(self.settings.regularization)
        failed = torch.empty((), dtype=torch.int32)
        torch.linalg.cholesky_ex(solved, out=(solved, failed))
        if failed:
            ridge = self.settings.regularization
            raise SettingsError(f"regularization is {ridge:g}, too small for this data; raise it")
        torch.cholesky_inverse(solved, out=solved)
        # Symmetric, so its rows are those of the transpose; scoring reads rows.
        weights = solved.T.div_(-solved.diagonal().clone())
        weights.fill_diagonal_(0)
        self.weights = weights.float()

    def scores(self, histories: Histories) -> Tensor:
        """Sums of the rows of each person's items."""
        return torch.nn.functional.embedding_bag(
            histories.items, self.weights, histories.offsets, mode="sum", include_last_offset=True
        )

    def item_similarity(self, rows: Tensor) -> Tensor:
        """What having an item adds to each other's score."""
        return self.weights[rows].clone()

    def n_parameters(self, n_items: int) -> int:
        """One per pair of items."""
        return n_items**2

    def tensors(self) -> dict[str, Tensor]:
        """The item-item weights."""
        return {"weights": self.weights}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take the weights."""
        n_items = len(self.items)
        if tensors["weights"].shape != (n_items, n_items):
            raise ValueError(f"the weights are not {n_items} × {n_items}")
        self.weights = tensors["weights"].float()
