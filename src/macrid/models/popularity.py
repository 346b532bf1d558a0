"""The same list for everybody: what most people had. The baseline nobody may lose to."""

import torch
from torch import Tensor

from macrid.data.histories import Histories
from macrid.data.interactions import Interactions
from macrid.data.splits import HeldOut
from macrid.errors import MacridError
from macrid.models.recommender import Recommender
from macrid.training.settings import Settings, no_options


class Popularity(Recommender):
    """Scores an item by the number of training users who had it.

    Example:
        >>> from macrid.data.readers import read
        >>> clicks = read({"user": [0, 1, 1], "item": ["a", "a", "b"]})
        >>> Popularity().fit(clicks).recommend({"me": ["a"]})["item_id"].to_list()
        ['b']
    """

    name = "popularity"
    Settings = Settings
    counts: Tensor

    def _fit(self, train: Interactions, validation: HeldOut | None, options: dict) -> None:
        no_options(self.name, options)
        self.counts = torch.from_numpy(train.item_counts()).float()

    def scores(self, histories: Histories) -> Tensor:
        """The counts, for each person."""
        return self.counts.repeat(len(histories), 1)

    def item_similarity(self, rows: Tensor) -> Tensor:
        """There is none: popularity knows nothing of what an item is."""
        raise MacridError("popularity knows no similar items; use another model, such as ease")

    def n_parameters(self, n_items: int) -> int:
        """One per item."""
        return n_items

    def tensors(self) -> dict[str, Tensor]:
        """The counts."""
        return {"counts": self.counts}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take the counts."""
        if tensors["counts"].shape != (len(self.items),):
            raise ValueError("there is not one count for each item")
        self.counts = tensors["counts"].float()
