"""Vamp and H+Vamp, plain and gated (Kim and Suh, RecSys 2019, after Tomczak and Welling, 2018)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from macrid.models.multvae import DenseSettings
from macrid.models.trained import Trained
from macrid.models.vae import VAE
from macrid.parts.concepts import OneConcept
from macrid.parts.decoders import DenseDecoder
from macrid.parts.encoders import DenseEncoder, GaussianHead, SecondEncoder
from macrid.parts.latents import HierarchicalLatent, LatentBlock, VampLatent
from macrid.parts.layers import Fork, Stack, Style
from macrid.parts.priors import VampPrior
from macrid.training.objective import ByEpoch, Objective
from macrid.training.settings import OneOf, Real, Whole

LOG_VAR = -12.0, 4.0  # within which log-variances are kept
FLOOR = 1e-5  # under probabilities of the logistic likelihood


class VampSettings(DenseSettings):
    """The authors' defaults; beta and the size are those of their published command."""

    n_dims: Annotated[
        int, Field(ge=1, description="dimensions of each point of a person"), OneOf(100, 200, 400)
    ] = 200
    hidden: Annotated[
        int, Field(ge=1, description="width of each layer"), OneOf(300, 600, 1000)
    ] = 600
    n_layers: Annotated[int, Field(ge=1, description="layers of each network"), Whole(1, 2)] = 1
    gated: Annotated[bool, Field(description="gates in place of tanh"), OneOf(False, True)] = False
    beta: Annotated[
        float,
        Field(ge=0, description="final weight of the KL divergence"),
        Real(0.05, 5.0, log=True),
    ] = 0.3
    warmup_epochs: Annotated[
        int, Field(ge=1, description="epochs in which the weight of the KL rises to its final one")
    ] = 100
    n_pseudo: Annotated[
        int, Field(ge=1, description="pseudo-users that make up the prior"), OneOf(250, 500, 1000)
    ] = 1000
    likelihood: Annotated[
        Literal["multinomial", "logistic", "gaussian"],
        Field(description="assumed of histories"),
        OneOf("multinomial", "logistic"),
    ] = "logistic"

    @property
    def style(self) -> Style:
        """Of all layers."""
        return Style(self.gated, "he")

    def widths(self, n_inputs: int) -> list[int]:
        """Of a network's input and its layers."""
        return [n_inputs, *[self.hidden] * self.n_layers]

    def head(self) -> GaussianHead:
        """From the last layer of an encoder."""
        return GaussianHead(self.style, self.hidden, self.n_dims, LOG_VAR)

    def encoder(self, n_items: int) -> DenseEncoder:
        """What reads people, and pseudo-users."""
        widths = [self.hidden] * self.n_layers
        return DenseEncoder(n_items, widths, dropout=self.dropout, style=self.style)


class HVampSettings(VampSettings):
    """The authors' published command, which is of the gated form."""

    n_layers: Annotated[int, Field(ge=1, description="layers of each network"), Whole(1, 2)] = 2
    gated: Annotated[bool, Field(description="gates in place of tanh"), OneOf(False, True)] = True


class Vamp(Trained):
    """A variational autoencoder whose prior is a mixture of what it says of pseudo-users.

    Args:
        settings: Fields of `VampSettings`: ``n_dims=200, hidden=600, n_layers=1, gated=False,
            beta=0.3, warmup_epochs=100, n_pseudo=1000, likelihood="logistic", dropout=0.5,
            confidence_seen=10.0, confidence_unseen=1.0``.

    Raises:
        SettingsError: If a setting is unknown or out of bounds.

    Example:
        >>> from macrid.data.readers import read
        >>> clicks = read({"user": [0, 0, 1, 1], "item": ["a", "b", "b", "c"]})
        >>> model = Vamp(hidden=8, n_dims=4, n_pseudo=3).fit(clicks, epochs=2)
        >>> model.recommend({"me": ["b"]}, k=2).shape
        (2, 4)
    """

    name = "vamp"
    Settings = VampSettings
    settings: VampSettings
    smaller = "take a smaller hidden, or fewer n_pseudo"
    training_defaults: ClassVar[Mapping[str, Any]] = {
        "epochs": 400,
        "batch_size": 200,
        "learning_rate": 5e-4,
        "gradients": "unit",
        # Their count of epochs without a better one starts at the hundredth, and stops above 50.
        "patience": 51,
        "patience_from": 99,
    }

    def latent(self, n_items: int) -> LatentBlock:
        """One point, under the learned prior."""
        s = self.settings
        return VampLatent(s.encoder(n_items), s.head(), VampPrior(n_items, s.n_pseudo))

    def body(self) -> Stack | Fork:
        """From the point towards the items."""
        return Stack(self.settings.style, self.settings.widths(self.settings.n_dims))

    def build(self, n_items: int) -> VAE:
        """M → layers → mean and log-variance; point → layers → M."""
        s = self.settings
        return VAE(
            concepts=OneConcept(n_items),
            latent=self.latent(n_items),
            decoder=DenseDecoder(n_items, self.body(), s.hidden, s.assumed(FLOOR), s.style),
        )

    def objective(self) -> Objective:
        """The authors'."""
        return Objective(self.settings.beta, annealing=ByEpoch(self.settings.warmup_epochs))


class HVamp(Vamp):
    """The same with two points, one above the other; by default gated, as the authors run it.

    Args:
        settings: Fields of `HVampSettings`, which are those of `VampSettings` with ``n_layers=2,
            gated=True``.

    Raises:
        SettingsError: If a setting is unknown or out of bounds.

    Example:
        >>> HVamp(hidden=10, n_dims=5, n_pseudo=3).n_parameters(100)
        7530
    """

    name = "hvamp"
    Settings = HVampSettings

    def latent(self, n_items: int) -> LatentBlock:
        """A point under the learned prior, and one under a prior that it tells."""
        s = self.settings
        sizes = n_items, s.n_dims, s.hidden, s.n_layers
        return HierarchicalLatent(
            s.encoder(n_items),
            s.head(),
            VampPrior(n_items, s.n_pseudo),
            second=SecondEncoder(*sizes, dropout=s.dropout, style=s.style),
            second_head=s.head(),
            second_prior=nn.Sequential(Stack(s.style, s.widths(s.n_dims)), s.head()),
        )

    def body(self) -> Fork:
        """From both points towards the items."""
        s = self.settings
        return Fork(s.style, (s.n_dims, s.n_dims), s.hidden, s.n_layers)
