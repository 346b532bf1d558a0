"""Mult-VAE and Mult-DAE (Liang et al., WWW 2018): one concept, layers of an ordinary network."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from macrid.models.trained import Trained
from macrid.models.vae import VAE
from macrid.parts.concepts import OneConcept
from macrid.parts.decoders import DenseDecoder
from macrid.parts.encoders import DenseEncoder, GaussianHead
from macrid.parts.latents import GaussianLatent, PointLatent
from macrid.parts.layers import PLAIN, Stack
from macrid.parts.likelihoods import GaussianLikelihood, Likelihood, Logistic, Multinomial
from macrid.training.objective import Linear, Objective
from macrid.training.settings import OneOf, Real, Settings, Whole


def _numbers(value: Any) -> Any:
    """``"600,400"`` and ``"[600, 400]"``, as the command line has them, as a list."""
    return value.strip("[]() ").replace(",", " ").split() if isinstance(value, str) else value


Widths = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_numbers, json_schema_input_type=str)
]
_L2, _L2_RANGE = "weight of the squared weights", Real(1e-7, 0.01, log=True, zero=True)
_SIZE = "dimensions of a person's point"
_HIDDEN = "widths of the layers between items and point, as [600]; the decoder has them reversed"


class DenseSettings(Settings):
    """What a decoder with an output per item has."""

    dropout: Annotated[
        float, Field(ge=0, lt=1, description="share of events dropped"), Real(0.0, 0.95, step=0.05)
    ] = 0.5
    likelihood: Annotated[
        Literal["multinomial", "logistic", "gaussian"], Field(description="assumed of histories")
    ] = "multinomial"
    confidence_seen: Annotated[
        float, Field(gt=0, description="of a history's items, in the gaussian likelihood")
    ] = 10.0
    confidence_unseen: Annotated[
        float, Field(gt=0, description="of all others, in the gaussian likelihood")
    ] = 1.0

    def assumed(self, floor: float = 0.0) -> Likelihood:
        """The likelihood chosen; the logistic one with a floor under probabilities."""
        if self.likelihood == "gaussian":
            return GaussianLikelihood(self.confidence_seen, self.confidence_unseen)
        return Logistic(floor) if self.likelihood == "logistic" else Multinomial()

    def decoder(self, n_items: int, widths: Sequence[int]) -> DenseDecoder:
        """Tanh layers from a point to the items."""
        return DenseDecoder(n_items, Stack(PLAIN, widths), widths[-1], self.assumed())


class MultVAESettings(DenseSettings):
    """The authors' defaults for MovieLens-20M."""

    n_dims: Annotated[int, Field(ge=1, description=_SIZE), OneOf(100, 200, 400)] = 200
    hidden: Annotated[
        Widths,
        Field(min_length=1, description=_HIDDEN),
        OneOf((100,), (300,), (600,), (600, 300)),  # 100: as wide as MacridVAE
    ] = (600,)
    beta: Annotated[
        float,
        Field(ge=0, description="final weight of the KL divergence"),
        Real(0.05, 5.0, log=True),
    ] = 0.2
    warmup_steps: Annotated[
        int,
        Field(ge=1, description="steps in which the weight of the KL would reach 1"),
        Whole(1000, 200_000, log=True),
    ] = 200_000
    l2: Annotated[float, Field(ge=0, description=_L2), _L2_RANGE] = 0.0


class MultDAESettings(DenseSettings):
    """The authors' defaults for MovieLens-20M."""

    n_dims: Annotated[int, Field(ge=1, description=_SIZE), OneOf(100, 200, 400)] = 200
    hidden: Annotated[Widths, Field(description=_HIDDEN), OneOf((), (300,), (600,))] = ()
    l2: Annotated[float, Field(ge=0, description=_L2), _L2_RANGE] = 2e-5


class MultVAE(Trained):
    """A variational autoencoder with a multinomial likelihood.

    The figures that Ma et al. (2019) compare with are of ``hidden=[100], n_dims=100``, so that it
    has about 2 · items · 100 parameters.

    Args:
        settings: Fields of `MultVAESettings`: ``n_dims=200, hidden=(600,), beta=0.2,
            warmup_steps=200_000, l2=0.0, dropout=0.5, likelihood="multinomial",
            confidence_seen=10.0, confidence_unseen=1.0``.

    Raises:
        SettingsError: If a setting is unknown or out of bounds.

    Example:
        >>> from macrid.data.readers import read
        >>> clicks = read({"user": [0, 0, 1, 1], "item": ["a", "b", "b", "c"]})
        >>> model = MultVAE(hidden=[8], n_dims=4).fit(clicks, epochs=2)
        >>> model.recommend({"me": ["b"]}, k=2).shape
        (2, 4)
    """

    name = "multvae"
    Settings = MultVAESettings
    settings: MultVAESettings

    def build(self, n_items: int) -> VAE:
        """M → hidden → mean and log-variance; point → hidden → M."""
        s = self.settings
        encoder = DenseEncoder(n_items, s.hidden, dropout=s.dropout)
        return VAE(
            concepts=OneConcept(n_items),
            latent=GaussianLatent(encoder, GaussianHead(PLAIN, s.hidden[-1], s.n_dims)),
            decoder=s.decoder(n_items, (s.n_dims, *s.hidden[::-1])),
        )

    def objective(self) -> Objective:
        """The authors'."""
        s = self.settings
        return Objective(s.beta, s.l2, Linear(steps=s.warmup_steps))


class MultDAE(Trained):
    """A denoising autoencoder with a multinomial likelihood.

    Args:
        settings: Fields of `MultDAESettings`: ``n_dims=200, hidden=(), l2=2e-5, dropout=0.5,
            likelihood="multinomial", confidence_seen=10.0, confidence_unseen=1.0``.

    Raises:
        SettingsError: If a setting is unknown or out of bounds.

    Example:
        >>> MultDAE(n_dims=50).n_parameters(1000)
        101050
    """

    name = "multdae"
    Settings = MultDAESettings
    settings: MultDAESettings

    def build(self, n_items: int) -> VAE:
        """M → hidden → point → hidden → M."""
        s = self.settings
        return VAE(
            concepts=OneConcept(n_items),
            latent=PointLatent(DenseEncoder(n_items, (*s.hidden, s.n_dims), dropout=s.dropout)),
            decoder=s.decoder(n_items, (s.n_dims, *s.hidden[::-1])),
        )

    def objective(self) -> Objective:
        """There is no divergence."""
        return Objective(0.0, self.settings.l2)
