"""What a model with concepts says of itself and of people: concepts, names, posteriors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from macrid.control.concepts import Concepts, Naming, describe
from macrid.control.features import Features
from macrid.control.names import Names, check_number
from macrid.data.histories import Histories
from macrid.models.lists import BATCH_SIZE
from macrid.models.people import fold_in, slice_histories
from macrid.models.trained import Trained
from macrid.parts.items import unit
from macrid.parts.latents import SphericalLatent
from macrid.training.memory import check_fits


@dataclass(frozen=True, eq=False)
class Posteriors:
    r"""What is known of people, concept by concept: :math:`q(z_k \mid x) = N(\mu_k, \Sigma_k)`.

    Attributes:
        users: Their ids.
        mean: Of unit length. Of somebody without a known item it says nothing.
        log_var: Log of the diagonal of :math:`\Sigma_k`, the prior's scale included.
        confidence: How much of a history each concept has, :math:`\sum_i c_{ik}` over the
            history, scaled to sum to 1; zeros without a known item.
    """

    users: pl.Series
    mean: Float[np.ndarray, "user concept dim"]
    log_var: Float[np.ndarray, "user concept dim"]
    confidence: Float[np.ndarray, "user concept"]

    def to_frame(self) -> pl.DataFrame:
        """A row per person and concept: ``user_id, concept, confidence, mean, log_var``."""
        n_users, n_concepts, n_dims = self.mean.shape
        kind = pl.Array(pl.Float32, n_dims)
        return pl.DataFrame(
            {
                "user_id": self.users.gather(np.repeat(np.arange(n_users), n_concepts)),
                "concept": np.tile(np.arange(n_concepts), n_users),
                "confidence": self.confidence.ravel(),
                "mean": pl.Series(self.mean.reshape(-1, n_dims), dtype=kind),
                "log_var": pl.Series(self.log_var.reshape(-1, n_dims), dtype=kind),
            }
        )


class Described(Trained):
    """A trained model whose network has concepts, and a point per person and concept.

    Attributes:
        names: Given by hand; kept in the model folder, and gone when the model is fitted anew.
    """

    names: Names = Names()
    _drawn: tuple[Any, Naming] | None = None

    @torch.no_grad()
    def concepts(self, *, top: int = 8) -> Concepts:
        """What the model found: concepts, their dimensions, and how sure it is of each item.

        Names that nobody gave are drawn from the item features, if there are any; see
        `macrid.control.naming` for how, and for when there is none.

        Args:
            top: Most typical items listed of each concept.

        Raises:
            ValueError: If ``top`` is less than 1.
        """
        if top < 1:
            raise ValueError(f"top is {top}; list 1 item of a concept or more")
        naming = self.naming()
        assert self.catalogue is not None  # naming has seen to it
        vectors = self.network.decoder.vectors().detach().numpy()
        weights = self.network.concepts().exp().numpy()
        return describe(vectors, weights, self.catalogue, naming, top=top)

    @torch.no_grad()
    def naming(self) -> Naming:
        """What concepts and dimensions are called: by hand, or drawn from the item features."""
        n_concepts = self._n_concepts
        # A model that was fitted or loaded has a new catalogue.
        if self._drawn is None or self._drawn[0] is not self.catalogue:
            assert self.catalogue is not None
            vectors = self.network.decoder.vectors().detach().numpy()
            concept = self.network.concepts().argmax(-1).numpy()
            drawn = Naming.draw(vectors, concept, n_concepts, Features.of(self.catalogue))
            self._drawn = self.catalogue, drawn
        return self._drawn[1].given(self.names)

    def name_concept(self, concept: int, name: str | None) -> None:
        """Give a concept a name, which `save` keeps; None for one that is drawn from its items.

        Raises:
            SettingsError: If there is no such concept, or it is no name.
        """
        check_number("concept", concept, self._n_concepts)
        self.names = self.names.with_concept(concept, name)

    def name_dimension(
        self, concept: int, dimension: int, low: str | None, high: str | None
    ) -> None:
        """Name the two ends of a concept's dimension, as in ``"small", "large"``; None for drawn.

        Raises:
            SettingsError: If there is no such concept or dimension, or these are no names.
        """
        check_number("concept", concept, self._n_concepts)
        check_number("dimension", dimension, self._n_dims)
        ends = None if low is high is None else (low, high)
        self.names = self.names.with_dimension(concept, dimension, ends)

    def read_names(self, document: bytes) -> None:
        """Take the names of a ``names.json``.

        Raises:
            SettingsError: If it holds something else, or names what the model has not.
        """
        self.names = Names.read(document, self._n_concepts, self._n_dims)

    def encode(self, histories: Any, *, on_unknown: str = "warn") -> Posteriors:
        """What is known of people, concept by concept; read in blocks of people.

        Args:
            histories: In any form that `recommend` takes.
            on_unknown: As `recommend` has it.

        Raises:
            UnknownItem: If a history names one and ``on_unknown="raise"``.
            TooLarge: If the answer would not fit into memory.
        """
        users, people = self._read(histories, on_unknown)
        n_users, n_concepts, n_dims = len(users), self._n_concepts, self._n_dims
        check_fits(
            4 * n_users * n_concepts * (2 * n_dims + 1),
            f"what is known of {n_users:,} people",
            "encode fewer at a time",
        )
        mean = np.empty((n_users, n_concepts, n_dims), np.float32)
        log_var, confidence = np.empty_like(mean), np.empty((n_users, n_concepts), np.float32)
        with torch.no_grad():
            log_weights = self.network.concepts()
        for start in range(0, n_users, BATCH_SIZE):
            rows = np.arange(start, min(start + BATCH_SIZE, n_users))
            batch = slice_histories(people, rows)
            mean[rows], log_var[rows] = self._posterior(batch, log_weights)
            confidence[rows] = _confidence(batch, log_weights)
        return Posteriors(users, mean, log_var, confidence)

    def _read(self, histories: Any, on_unknown: str) -> tuple[pl.Series, Histories]:
        """Apart, so that warnings name the line that called the method that calls it."""
        return fold_in(histories, self.items, on_unknown, "what is said of them means nothing")

    @torch.no_grad()
    def _posterior(self, people: Histories, log_weights: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance."""
        latent = self.network.latent
        assert isinstance(latent, SphericalLatent)
        said = latent.encoder(people, log_weights)
        return unit(said.mean), said.log_var + 2 * np.log(latent.prior_std)

    @property
    def _n_concepts(self) -> int:
        """K, if the model is fitted."""
        _ = self.items  # says so if it is not
        return self.network.concepts.n_concepts

    @property
    def _n_dims(self) -> int:
        """D, of each concept, likewise."""
        _ = self.items
        return self.network.decoder.items.weight.shape[1]


def _confidence(
    people: Histories, log_weights: Float[Tensor, "item concept"]
) -> Float[Tensor, "batch concept"]:
    """How much of each history each concept has."""
    sums = log_weights.new_zeros(len(people), log_weights.shape[1])
    sums.index_add_(0, people.users, log_weights[people.items].exp())
    return sums / sums.sum(1, keepdim=True).clamp_min(1e-30)
