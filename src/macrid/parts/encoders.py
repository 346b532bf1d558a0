"""From histories to the parameters of a posterior, at a cost that grows with interactions alone."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from macrid.data.histories import Histories
from macrid.parts.items import MIN_LENGTH


@dataclass(frozen=True)
class Gaussian:
    """A diagonal Gaussian: where it lies and the log of its variances."""

    mean: Float[Tensor, "batch concept dim"]
    log_var: Float[Tensor, "batch concept dim"]


class ConceptEncoder(nn.Module):
    r"""Reads each person once per concept, weighing the items by how much they belong to it.

    Concept ``k`` sees the view :math:`x_{ui} c_{ik}`, scaled to unit length, then thinned by
    dropout with a mask of its own; the sum of the context vectors :math:`t_i` with these weights
    goes through tanh and a linear layer shared by all concepts (Ma et al., 2019, Eq. 8; dropout,
    the bias and the linear layer after tanh are the authors' code). Only the interactions are
    touched, never a row as long as the catalogue.

    Args:
        n_items: Size of the catalogue.
        n_dims: Dimensions of the context vectors and of each concept's posterior.
        dropout: Share of the interactions that is dropped, anew for each concept.

    Shape:
        - log_weights: ``(item, concept)``
        - mean, log_var: ``(batch, concept, dim)``

    Example:
        >>> encoder = ConceptEncoder(n_items=5, n_dims=3, dropout=0.5)
        >>> two = Histories.from_lists([[4, 0], [2]])
        >>> tuple(encoder(two, torch.zeros(5, 2)).mean.shape)
        (2, 2, 3)
    """

    context: nn.Parameter
    bias: nn.Parameter
    head: nn.Linear

    def __init__(self, n_items: int, n_dims: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.context = nn.Parameter(torch.empty(n_items, n_dims))
        self.bias = nn.Parameter(torch.empty(n_dims))
        self.head = nn.Linear(n_dims, 2 * n_dims)
        for weight in (self.context, self.head.weight):
            nn.init.xavier_uniform_(weight)
        for bias in (
            self.bias,
            self.head.bias,
        ):  # TensorFlow's truncated normal, cut at two deviations
            nn.init.trunc_normal_(bias, std=1e-3, a=-2e-3, b=2e-3)

    def forward(self, histories: Histories, log_weights: Float[Tensor, "item concept"]) -> Gaussian:
        """Posterior of each person and concept; the log-variance is relative to the prior."""
        view = log_weights[histories.items].exp()  # (nnz, concept)
        squares = view.new_zeros(len(histories), view.shape[1])
        squares = squares.index_add(0, histories.users, view.square())
        # The floor inside the root keeps the gradient of an empty view at zero instead of infinite.
        lengths = squares.clamp_min(MIN_LENGTH**2).sqrt()
        view = F.dropout(view / lengths[histories.users], self.dropout, self.training)
        hidden = torch.tanh(weighted_bag(self.context, view, histories) + self.bias)
        mean, minus_log_var = self.head(hidden).to(hidden.dtype).chunk(2, dim=-1)
        return Gaussian(mean, -minus_log_var)


def weighted_bag(
    table: Float[Tensor, "item dim"], weights: Float[Tensor, "nnz concept"], histories: Histories
) -> Float[Tensor, "batch concept dim"]:
    """Per person and concept, the sum of the rows of their items, each times its weight.

    Example:
        >>> two = Histories.from_lists([[1, 0], [2]])
        >>> weights = torch.tensor([[1.0], [10.0], [1.0]])
        >>> weighted_bag(torch.tensor([[1.0], [2.0], [3.0]]), weights, two).flatten().tolist()
        [12.0, 3.0]
    """
    bags = [
        F.embedding_bag(
            histories.items,
            table,
            histories.offsets,
            mode="sum",
            per_sample_weights=concept.to(table.dtype),
            include_last_offset=True,
        )
        for concept in weights.T.contiguous()
    ]
    return torch.stack(bags, dim=1)
