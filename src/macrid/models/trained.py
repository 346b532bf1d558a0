"""What all networks share once they are built: training in epochs, scores, lists, weights."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from macrid.control.controls import Controls
from macrid.data.histories import Histories
from macrid.data.interactions import Interactions, concat
from macrid.data.splits import HeldOut
from macrid.errors import SettingsError
from macrid.models.controlled import SteeredRanker, Steering
from macrid.models.lists import Ranker
from macrid.models.ready import PRECISIONS
from macrid.models.recommender import Recommender
from macrid.models.vae import VAE
from macrid.training.memory import check_fits, check_training
from macrid.training.objective import Objective, Watch
from macrid.training.settings import TrainingSettings


class Trained(Recommender):
    """A recommender whose network is trained in epochs.

    Attributes:
        network: After `fit`, or while it runs.
    """

    in_epochs: ClassVar[bool] = True
    follows: ClassVar[tuple[str, ...]] = ("block", "boost", "diversity", "popularity")
    starts: ClassVar[tuple[str, ...]] = ("random",)  # which first weights it knows
    smaller: ClassVar[str] = "take smaller hidden layers"  # advice where memory is short
    network: VAE

    # What each model brings

    @abstractmethod
    def build(self, n_items: int) -> VAE:
        """The network of the settings, as drawn, for a catalogue of some size."""

    @abstractmethod
    def objective(self) -> Objective:
        """What training lowers."""

    def prepare(self, train: Interactions, settings: TrainingSettings) -> None:
        """What the network should know of the data before the first step: by default nothing."""

    # What all share

    def training_settings(self, given: Mapping[str, Any]) -> TrainingSettings:
        """As `Recommender.training_settings`; it is asked to start from what it can."""
        settings = super().training_settings(given)
        if settings.start not in self.starts:
            raise SettingsError(
                f"{self.name} starts from random weights only, and start is {settings.start!r}; "
                "leave that out, or the recipe 'fast', which is MacridVAE's (in a comparison, give "
                "it to that alone: --set macridvae.recipe=fast)"
            )
        return settings

    def _fit(self, train: Interactions, validation: HeldOut | None, options: dict) -> None:
        """See `_train`, which takes the options."""
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
        watch: Watch | None = None,
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
            watch: Called after each epoch with its row of the log, which names ``epoch``, ``loss``
                and, with validation users, ``ndcg@100``; what it raises ends the training.
            training: Fields of `TrainingSettings`: ``recipe="faithful", epochs=200,
                batch_size=500, learning_rate=1e-3, schedule="constant", average=0.0,
                start="random", patience=None, patience_from=0, gradients="plain", evenness=0.0,
                seed=98765, precision="32", device="auto", threads=None``; a model may have other
                defaults.
        """
        from macrid.training.fit import fit_network  # Lightning takes seconds to import

        settings = self.training_settings(training)
        check_fits(
            4 * self.n_parameters(train.n_items),
            f"a {self.name} of {train.n_items:,} items with these settings",
            f"drop rare items (min_item_events), or {self.smaller}",
        )
        with torch.device("meta"):  # before anything is allocated
            network = self.build(train.n_items)
        written = folder is not None
        check_training(network, train, settings, checkpointed=written, smaller=self.smaller)
        identity = {
            "model": self.name,
            **self.settings.model_dump(),
            **settings.same_run(),
            "data": train.fingerprint(),
            "validation": None if validation is None else _fingerprints(validation),
        }
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.network = self.build(train.n_items)
            self.prepare(train, settings)
            done = fit_network(
                self.network,
                train,
                validation,
                self.objective(),
                settings,
                folder=Path(folder) if folder else None,
                resume=resume,
                identity=identity,
                progress=progress,
                watch=watch,
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
        """The output of every item, before what the likelihood makes of it."""
        return self.network.scores(histories)

    def ranker(
        self,
        banned: Tensor | None = None,
        *,
        precision: str = "32",
        ann: bool = False,
        controls: Controls | None = None,
        like: Ranker | None = None,
    ) -> Ranker:
        """See `Recommender.ranker`."""
        steering, dtype = self.steering(controls or Controls()), PRECISIONS[precision]
        if isinstance(like, SteeredRanker) and precision == "32" and not ann:
            return like.steered(steering, banned)
        return SteeredRanker.of(self.network, steering, banned, dtype=dtype, ann=ann)

    def steering(self, controls: Controls) -> Steering:
        """What controls come to here."""
        boost = None
        if controls.boost or controls.popularity:
            assert self.catalogue is not None  # they name its items
            seen = torch.from_numpy(self.catalogue["train_events"].to_numpy().copy())
            boost = -controls.popularity * (seen + 1.0).log()
            factors = torch.tensor(
                [*controls.boost.values()], dtype=torch.float64
            )  # 1e-50 is not 0
            boost[self._rows(controls.boost)] += factors.log().float()
        return Steering(log_boost=boost, diversity=controls.diversity)

    @torch.no_grad()
    def item_similarity(self, rows: Tensor) -> Tensor:
        """Cosines of the item vectors that the decoder looks at."""
        vectors = F.normalize(self.network.decoder.items.weight, dim=-1)
        return vectors[rows] @ vectors.T

    def n_parameters(self, n_items: int) -> int:
        """Of the network as it would be built."""
        with torch.device("meta"):
            network = self.build(n_items)
        return sum(weight.numel() for weight in network.parameters())

    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, the shared item table once."""
        return _once(self.network)

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Build the network and fill it."""
        self.network = self.build(len(self.items)).eval()
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
