"""From histories to the parameters of a posterior, at a cost that grows with interactions alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from macrid.data.histories import Histories
from macrid.parts.events import weighted_bag
from macrid.parts.items import MIN_LENGTH
from macrid.parts.layers import PLAIN, Stack, Style, in_halves
from macrid.parts.onehot import by_concept, one_concept


@dataclass(frozen=True)
class Gaussian:
    """A diagonal Gaussian: where it lies and the log of its variances."""

    mean: Float[Tensor, "*batch dim"]
    log_var: Float[Tensor, "*batch dim"]

    def draw(self) -> Float[Tensor, "*batch dim"]:
        """A sample, through which gradients flow."""
        return self.mean + (0.5 * self.log_var).exp() * torch.randn_like(self.mean)


class GaussianHead(nn.Module):
    """A linear layer to mean and log-variance.

    Args:
        style: Of the first weights.
        n_inputs: Width of what it reads.
        n_dims: Of the Gaussian.
        bounds: Within which log-variances are kept, if at all.
    """

    linear: nn.Linear

    def __init__(
        self,
        style: Style,
        n_inputs: int,
        n_dims: int,
        bounds: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.linear, self.bounds = style.linear(n_inputs, 2 * n_dims), bounds
        in_halves(self.linear.weight, self.linear.bias)

    def forward(self, hidden: Float[Tensor, "*batch width"]) -> Gaussian:
        """In the precision of the weights."""
        mean, log_var = self.linear(hidden).to(self.linear.weight.dtype).chunk(2, dim=-1)
        return Gaussian(mean, log_var.clamp(*self.bounds) if self.bounds else log_var)


class FirstLayer(nn.Module):
    r"""The first layer of every encoder: a weighted sum of the rows of a person's items.

    Concept ``k`` sees the view :math:`x_{ui} c_{ik}`, scaled to unit length, then thinned by
    dropout with a mask of its own. Only the interactions are touched, never a row as long as the
    catalogue.

    Args:
        n_items: Size of the catalogue.
        width: Numbers that it gives for each person and concept.
        dropout: Share of the interactions that is dropped, anew for each concept.
        style: Of the first weights.
        beside: Other inputs of the same layer, which the first weights depend on.
    """

    context: nn.Parameter
    bias: nn.Parameter

    def __init__(
        self,
        n_items: int,
        width: int,
        *,
        dropout: float,
        style: Style = PLAIN,
        beside: int = 0,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.context = nn.Parameter(torch.empty(n_items, width))
        self.bias = nn.Parameter(torch.empty(width))
        style.start_(self.context, self.bias, n_items + beside)
        if style.gated:
            in_halves(self.context, dim=1)
            in_halves(self.bias)

    def sums(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item concept"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Float[Tensor, "batch concept width"]:
        """What goes into the activation.

        Args:
            histories: Whom to read.
            log_weights: Log-assignments of the items.
            rows: Which items histories and log-weights speak of, for sparse gradients; by default
                the whole catalogue.
        """
        table = self.context if rows is None else F.embedding(rows, self.context, sparse=True)
        n_concepts = log_weights.shape[1]
        if (concept := one_concept(log_weights)) is not None:
            # Each concept sees its own events alone, so that an event is summed once, not K times.
            histories = by_concept(histories, concept, n_concepts)
            log_weights = log_weights.gather(1, concept[:, None])
        # (concept, nnz): an event's few concepts side by side would leave vector units idle.
        # What is shorter is turned, the catalogue or the events.
        if len(histories.items) < len(log_weights):
            view = log_weights.index_select(0, histories.items).T.contiguous().exp()
        else:
            view = log_weights.T.index_select(1, histories.items).exp()
        squares = view.new_zeros(len(view), len(histories))
        squares = squares.index_add(1, histories.users, view.square())
        # The floor inside the root keeps the gradient of an empty view at zero instead of infinite.
        lengths = squares.clamp_min(MIN_LENGTH**2).sqrt()
        if self.training and self.dropout:
            lengths = lengths * (1 - self.dropout)
            view = view * (torch.rand_like(view) >= self.dropout)
        # A bag of a scaled view is the scaled bag: people are fewer than their events.
        bag = weighted_bag(table, view, histories) / lengths.T[..., None]
        return bag.reshape(-1, n_concepts, bag.shape[-1]) + self.bias


class ConceptEncoder(FirstLayer):
    r"""Reads each person once per concept, weighing the items by how much they belong to it.

    The first layer's sums of the context vectors :math:`t_i` go through tanh and a linear layer
    shared by all concepts (Ma et al., 2019, Eq. 8; dropout, the bias and the linear layer after
    tanh are the authors' code).

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

    head: nn.Linear

    def __init__(self, n_items: int, n_dims: int, *, dropout: float) -> None:
        super().__init__(n_items, n_dims, dropout=dropout)
        self.head = PLAIN.linear(n_dims, 2 * n_dims)

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item concept"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Gaussian:
        """Posterior of each person and concept; the log-variance is relative to the prior."""
        hidden = torch.tanh(self.sums(histories, log_weights, rows))
        mean, minus_log_var = self.head(hidden).to(hidden.dtype).chunk(2, dim=-1)
        return Gaussian(mean, -minus_log_var)


class DenseEncoder(FirstLayer):
    """Layers with an activation after each, the first one a sum over the interactions.

    Args:
        n_items: Size of the catalogue.
        widths: Of each layer.
        dropout: Share of the interactions that is dropped.
        style: Of the layers.

    Shape:
        - log_weights: ``(item, concept)``
        - output: ``(batch, concept, width)``
    """

    layers: Stack

    def __init__(
        self, n_items: int, widths: Sequence[int], *, dropout: float, style: Style = PLAIN
    ) -> None:
        wide = widths[0] * (1 + style.gated)
        super().__init__(n_items, wide, dropout=dropout, style=style)
        self.style, self.layers = style, Stack(style, widths)

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item concept"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Float[Tensor, "batch concept width"]:
        """What the last layer says of each person and concept."""
        return self.layers(self.style(self.sums(histories, log_weights, rows)))

    def dense(self, rows: Float[Tensor, "row item"]) -> Float[Tensor, "row width"]:
        """What it would say of people whose events have weights, not scaled to unit length."""
        if self.training and self.dropout:
            kept = torch.rand_like(rows).ge_(self.dropout)  # Bernoulli draws are four times slower
            rows = rows * kept.div_(1 - self.dropout)
        return self.layers(self.style(F.linear(rows, self.context.T, self.bias)))


class ResidualEncoder(FirstLayer):
    r"""RecVAE's: :math:`h_l = \mathrm{LN}(\mathrm{swish}(W_l h_{l-1} + \sum_{m<l} h_m))`.

    Shenbin et al. (2020) and their code, whose layer norms have a floor of 0.1.

    Args:
        n_items: Size of the catalogue.
        width: Of each layer.
        n_layers: How many.
        n_dims: Dimensions of the posterior.
        dropout: Share of the interactions that is dropped.
        style: Of the first weights.

    Shape:
        - log_weights: ``(item, concept)``
        - mean, log_var: ``(batch, concept, dim)``
    """

    layers: nn.ModuleList
    norms: nn.ModuleList
    head: GaussianHead

    def __init__(
        self,
        n_items: int,
        width: int,
        n_layers: int,
        n_dims: int,
        *,
        dropout: float,
        style: Style = PLAIN,
    ) -> None:
        super().__init__(n_items, width, dropout=dropout, style=style)
        self.head = GaussianHead(style, width, n_dims)
        self.layers = nn.ModuleList(style.linear(width, width) for _ in range(n_layers - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=0.1) for _ in range(n_layers))

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item concept"],
        rows: Int[Tensor, " item"] | None = None,
    ) -> Gaussian:
        """Posterior of each person and concept."""
        hidden = self.norms[0](F.silu(self.sums(histories, log_weights, rows)))
        before = hidden
        for layer, norm in zip(self.layers, self.norms[1:], strict=True):
            hidden = norm(F.silu(layer(hidden) + before))
            before = before + hidden
        return self.head(hidden)


class SecondEncoder(nn.Module):
    """Reads people and a point of theirs: a layer for each, common ones after; or one for both.

    Args:
        n_items: Size of the catalogue.
        n_given: Dimensions of the point.
        width: Of each layer.
        n_layers: On the way; with one, both go into it together (Kim and Suh's code).
        dropout: Share of the interactions that is dropped.
        style: Of the layers.

    Shape:
        - given: ``(batch, 1, dim)``
        - output: ``(batch, 1, width)``
    """

    people: FirstLayer
    given: nn.Linear
    common: Stack

    def __init__(
        self, n_items: int, n_given: int, width: int, n_layers: int, *, dropout: float, style: Style
    ) -> None:
        super().__init__()
        self.style, self.together = style, n_layers == 1
        wide, beside = width * (1 + style.gated), n_given * self.together
        self.people = FirstLayer(n_items, wide, dropout=dropout, style=style, beside=beside)
        self.given = nn.Linear(n_given, wide, bias=not self.together)
        bias = self.people.bias if self.together else self.given.bias
        style.start_(self.given.weight, bias, n_given + n_items * self.together)
        if style.gated:
            in_halves(*self.given.parameters())
        self.common = Stack(style, [2 * width, *[width] * (n_layers - 1)])

    def forward(
        self,
        histories: Histories,
        log_weights: Float[Tensor, "item one"],
        rows: Int[Tensor, " item"] | None,
        given: Float[Tensor, "batch one dim"],
    ) -> Float[Tensor, "batch one width"]:
        """What the last layer says."""
        people, given = self.people.sums(histories, log_weights, rows), self.given(given)
        if self.together:
            return self.style(people + given)
        return self.common(torch.cat([self.style(people), self.style(given)], -1))
