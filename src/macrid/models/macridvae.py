"""MacridVAE: preferences disentangled into concepts and dimensions (Ma et al., NeurIPS 2019)."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, field_validator

from macrid.control.names import Names
from macrid.data.interactions import Interactions
from macrid.models.clusters import start_from_clusters
from macrid.models.profiles import Profiled
from macrid.models.spectrum import start_from_spectrum
from macrid.models.vae import VAE
from macrid.parts.concepts import Assignment, Prototypes, Sampling
from macrid.parts.decoders import MixtureDecoder
from macrid.parts.encoders import ConceptEncoder
from macrid.parts.items import ItemVectors
from macrid.parts.latents import SphericalLatent
from macrid.parts.sampled import Negatives, Proposal
from macrid.training.objective import Objective
from macrid.training.settings import Real, Settings, TrainingSettings, Whole


class MacridVAESettings(Settings):
    """The authors' defaults; each name is the glossary's.

    The ranges are those of their own search; up to 16 concepts and beta around 2 are what
    independent tuning found on ml-1m. They searched 100 dimensions alone, whose number costs.
    """

    n_concepts: Annotated[int, Field(ge=1, description="K, number of concepts"), Whole(1, 16)] = 7
    n_dims: Annotated[int, Field(ge=1, description="d, dimensions of each concept")] = 100
    beta: Annotated[
        float,
        Field(ge=0, description="final weight of the KL divergence"),
        Real(0.05, 5.0, step=0.05),
    ] = 0.2
    tau: Annotated[
        float, Field(gt=0, description="temperature of the cosines"), Real(0.05, 1.0, step=0.05)
    ] = 0.1
    prior_std: Annotated[
        float, Field(gt=0, description="sigma0, the prior's scale"), Real(0.025, 0.25, step=0.025)
    ] = 0.075
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="share of events dropped"), Real(0.0, 0.95, step=0.05)
    ] = 0.5
    l2: Annotated[
        float,
        Field(ge=0, description="weight of the squared weights"),
        Real(6.2e-6, 1.0, log=True, zero=True),
    ] = 0.0
    similarity: Annotated[
        Literal["cosine", "inner"],
        Field(description="inner product is the ablation of the paper's Figure 2e"),
    ] = "cosine"
    assignment_sampling: Annotated[
        Sampling,
        Field(
            description="in training: soft is the authors' code, straight-through the "
            "paper's one concept per item at 1/K of the work, none has no noise"
        ),
    ] = "soft"
    assignment: Annotated[
        Assignment, Field(description="after training: soft is the authors' code, mode their paper")
    ] = "soft"
    prototypes: Annotated[
        Literal["learned", "clustered"],
        Field(
            description="learned is the paper; clustered finds concepts in the events before "
            "training, and prototypes follow their items"
        ),
    ] = "learned"
    softmax: Annotated[
        str, Field(description="what training compares with: full, or sampled:N drawn a step")
    ] = "full"
    proposal: Annotated[
        Proposal, Field(description="how those are drawn: popularity or log-uniform")
    ] = "popularity"

    @field_validator("softmax")
    @classmethod
    def _full_or_sampled(cls, softmax: str, others: Any) -> str:
        """A sample is drawn so that a step need not look at every row, as the penalty would."""
        if not re.fullmatch(r"full|sampled:[1-9]\d{0,8}", softmax):
            raise ValueError("it is full, or sampled:N with N items to draw, as in sampled:8192")
        l2 = others.data.get("l2", 0.0)
        if softmax != "full" and l2:
            raise ValueError(f"l2 is {l2}, whose penalty looks at every row; set l2 to 0")
        return softmax

    @property
    def n_draws(self) -> int:
        """Items drawn in each step, 0 for the full softmax."""
        return int(self.softmax.partition(":")[2] or 0)


def macrid_vae(n_items: int, settings: MacridVAESettings) -> VAE:
    """The network of Ma et al. (2019), where numbers become parts.

    Example:
        >>> from macrid.data.histories import Histories
        >>> network = macrid_vae(6, MacridVAESettings(n_concepts=2, n_dims=4)).eval()
        >>> tuple(network.scores(Histories.from_lists([[0, 5], [2]])).shape)
        (2, 6)
    """
    s = settings
    items = ItemVectors(n_items, s.n_dims, cosine=s.similarity == "cosine")
    prototypes = Prototypes(
        items, s.n_concepts, tau=s.tau, sampling=s.assignment_sampling, assignment=s.assignment
    )
    encoder = ConceptEncoder(n_items, s.n_dims, dropout=s.dropout)
    return VAE(
        concepts=prototypes,
        latent=SphericalLatent(encoder, prior_std=s.prior_std),
        decoder=MixtureDecoder(items, tau=s.tau),
        negatives=Negatives(n_items, s.n_draws, s.proposal) if s.n_draws else None,
    )


class MacridVAE(Profiled):
    """Disentangled preferences from implicit feedback.

    Args:
        settings: Fields of `MacridVAESettings`: ``n_concepts=7, n_dims=100, beta=0.2, tau=0.1,
            prior_std=0.075, dropout=0.5, l2=0.0, similarity="cosine",
            assignment_sampling="soft", assignment="soft", prototypes="learned", softmax="full",
            proposal="popularity"``.

    Raises:
        SettingsError: If a setting is unknown or out of bounds.

    Example:
        >>> from macrid.data.readers import read
        >>> clicks = read({"user": [0, 0, 1, 1], "item": ["a", "b", "b", "c"]})
        >>> model = MacridVAE(n_concepts=2, n_dims=4).fit(clicks, epochs=2)
        >>> model.recommend({"me": ["b"]}, k=2).shape
        (2, 4)
    """

    name = "macridvae"
    starts = ("random", "spectrum")
    Settings = MacridVAESettings
    settings: MacridVAESettings
    smaller = "take fewer n_dims, or sample the softmax (softmax='sampled:8192')"

    def training_settings(self, given: Mapping[str, Any]) -> TrainingSettings:
        """As `Recommender.training_settings`; no recipe averages tables a few rows at a time."""
        settings = super().training_settings(given)
        if self.settings.n_draws and "average" not in given:
            return settings.model_copy(update={"average": 0.0})
        return settings

    def build(self, n_items: int) -> VAE:
        """See `macrid_vae`."""
        return macrid_vae(n_items, self.settings)

    def objective(self) -> Objective:
        """The authors': beta rises by 0.2 in an epoch."""
        return Objective(self.settings.beta, self.settings.l2)

    def prepare(self, train: Interactions, settings: TrainingSettings) -> None:
        """Draw negatives by the training events; start from their spectrum or clusters if asked."""
        self.names = Names()  # those given were of other concepts
        if self.network.negatives is not None:
            counts = np.bincount(train.columns, minlength=train.n_items)
            self.network.negatives.follow(torch.from_numpy(counts))
        if settings.start == "spectrum":
            start_from_spectrum(self.network, train)
        if self.settings.prototypes == "clustered":
            start_from_clusters(self.network, train)

    @torch.no_grad()
    def item_concepts(self) -> np.ndarray:
        """The most probable concept of each item, counted from 0, in row order."""
        return self.network.concepts().argmax(-1).numpy()
