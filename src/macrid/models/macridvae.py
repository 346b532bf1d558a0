"""MacridVAE: preferences disentangled into concepts and dimensions (Ma et al., NeurIPS 2019)."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional as F

from macrid.data.histories import Histories
from macrid.data.interactions import Interactions, concat
from macrid.data.splits import HeldOut
from macrid.models.lists import Ranker
from macrid.models.recommender import PRECISIONS, Recommender
from macrid.models.spectrum import start_from_spectrum
from macrid.models.vae import VAE
from macrid.parts.concepts import Assignment, Prototypes, Sampling
from macrid.parts.decoders import MixtureDecoder
from macrid.parts.encoders import ConceptEncoder
from macrid.parts.items import ItemVectors
from macrid.parts.latents import SphericalLatent
from macrid.parts.sampled import Negatives, Proposal
from macrid.training.memory import check_fits, check_training
from macrid.training.settings import Settings, TrainingSettings


class MacridVAESettings(Settings):
    """The authors' defaults; each name is the glossary's."""

    n_concepts: Annotated[int, Field(ge=1, description="K, number of concepts")] = 7
    n_dims: Annotated[int, Field(ge=1, description="d, dimensions of each concept")] = 100
    beta: Annotated[float, Field(ge=0, description="final weight of the KL divergence")] = 0.2
    tau: Annotated[float, Field(gt=0, description="temperature of the cosines")] = 0.1
    prior_std: Annotated[float, Field(gt=0, description="sigma0, the prior's scale")] = 0.075
    dropout: Annotated[float, Field(ge=0, lt=1, description="share of events dropped")] = 0.5
    l2: Annotated[float, Field(ge=0, description="weight of the squared weights")] = 0.0
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


class MacridVAE(Recommender):
    """Disentangled preferences from implicit feedback.

    Args:
        settings: Fields of `MacridVAESettings`: ``n_concepts=7, n_dims=100, beta=0.2, tau=0.1,
            prior_std=0.075, dropout=0.5, l2=0.0, similarity="cosine",
            assignment_sampling="soft", assignment="soft", softmax="full",
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
    in_epochs = True
    Settings = MacridVAESettings
    settings: MacridVAESettings
    network: VAE

    def training_settings(self, given: Mapping[str, Any]) -> TrainingSettings:
        """As `Recommender.training_settings`; no recipe averages tables a few rows at a time."""
        settings = super().training_settings(given)
        if self.settings.n_draws and "average" not in given:
            return settings.model_copy(update={"average": 0.0})
        return settings

    def _fit(self, train: Interactions, validation: HeldOut | None, options: dict) -> None:
        """See `train_network`, which takes the options."""
        self._train(train, validation, **options)

    def _train(
        self,
        train: Interactions,
        validation: HeldOut | None,
        *,
        refit: bool = False,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = False,
        **training: Any,
    ) -> None:
        """Options of `fit`.

        Args:
            train: Training users.
            validation: Held-out users, to choose the epoch by.
            refit: Train once more, on training and validation users together, for the best number
                of epochs. (``macrid train --refit``, which has measured by then, takes the test
                users as well.)
            folder: Where the log and a checkpoint of each epoch go.
            resume: Go on from the checkpoint in ``folder``, if there is one.
            progress: Show a progress bar on stderr.
            training: Fields of `TrainingSettings`: ``recipe="faithful", epochs=200,
                batch_size=500, learning_rate=1e-3, schedule="constant", average=0.0,
                start="random", patience=None, seed=98765, precision="32", device="auto",
                threads=None``.
        """
        from macrid.training.fit import Objective, fit_network  # Lightning takes seconds to import

        settings = self.training_settings(training)
        check_fits(
            4 * self.n_parameters(train.n_items),
            f"a model of {train.n_items:,} items in {self.settings.n_dims:,} dimensions",
            "take fewer n_dims, or drop rare items (min_item_events)",
        )
        with torch.device("meta"):  # before anything is allocated
            network = macrid_vae(train.n_items, self.settings)
        check_training(network, train, settings, checkpointed=folder is not None)
        identity = {
            "model": self.name,
            **self.settings.model_dump(),
            **settings.same_run(),
            "data": train.fingerprint(),
            "validation": None if validation is None else _fingerprints(validation),
        }
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.network = macrid_vae(train.n_items, self.settings)
            if self.network.negatives is not None:
                counts = np.bincount(train.columns, minlength=train.n_items)
                self.network.negatives.follow(torch.from_numpy(counts))
            if settings.start == "spectrum":
                start_from_spectrum(self.network, train)
            done = fit_network(
                self.network,
                train,
                validation,
                Objective(self.settings.beta, self.settings.l2),
                settings,
                folder=Path(folder) if folder else None,
                resume=resume,
                identity=identity,
                progress=progress,
            )
        self.training |= settings.model_dump()
        self.training |= {
            "best_epoch": done.best_epoch,
            "epochs_run": done.epochs,
            "seconds": round(done.seconds, 3),
        }
        if refit and validation is not None:
            everyone = concat([train, validation.fold_in, validation.held_out])
            again = {**training, "epochs": done.best_epoch, "patience": None}
            self.fit(everyone.with_catalogue(train.items), progress=progress, **again)

    @torch.no_grad()
    def scores(self, histories: Histories) -> Tensor:
        """The logit of every item, before the log-softmax over items."""
        return self.network.scores(histories)

    def ranker(
        self, banned: Tensor | None = None, *, precision: str = "32", ann: bool = False
    ) -> Ranker:
        """See `Recommender.ranker`."""
        return self.network.ranker(banned, dtype=PRECISIONS[precision], ann=ann)

    @torch.no_grad()
    def item_similarity(self, rows: Tensor) -> Tensor:
        """Cosines of the item vectors."""
        vectors = F.normalize(self.network.decoder.items.weight, dim=-1)
        return vectors[rows] @ vectors.T

    @torch.no_grad()
    def item_concepts(self) -> np.ndarray:
        """The most probable concept of each item, counted from 0, in row order."""
        return self.network.concepts().argmax(-1).numpy()

    def n_parameters(self, n_items: int) -> int:
        """About 2 · items · dims: the context vectors and the item vectors."""
        with torch.device("meta"):
            network = macrid_vae(n_items, self.settings)
        return sum(weight.numel() for weight in network.parameters())

    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, the shared item table once."""
        return _once(self.network)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Build the network and fill it."""
        self.network = macrid_vae(len(self.items), self.settings).eval()
        expected = _once(self.network)
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        wanted = {name: tuple(tensor.shape) for name, tensor in expected.items()}
        if shapes != wanted:
            raise ValueError(f"the weights have shapes {shapes}, but the settings ask for {wanted}")
        with torch.no_grad():
            for name, tensor in expected.items():
                tensor.copy_(tensors[name])


def _fingerprints(people: HeldOut) -> list[str]:
    """Digests of what is shown of people and of what is held out."""
    return [people.fold_in.fingerprint(), people.held_out.fingerprint()]


def _once(network: VAE) -> dict[str, Tensor]:
    """Parameters by name; one that several parts share appears under its first name."""
    return {name: weight.detach() for name, weight in network.named_parameters()}
