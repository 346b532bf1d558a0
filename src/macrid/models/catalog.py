"""Which models there are, by the name that the command line knows them by."""

import difflib

from macrid.errors import SettingsError
from macrid.models.ease import EASE
from macrid.models.macridvae import MacridVAE
from macrid.models.multvae import MultDAE, MultVAE
from macrid.models.popularity import Popularity
from macrid.models.recommender import Recommender
from macrid.models.recvae import RecVAE
from macrid.models.vamp import HVamp, Vamp

MODELS: dict[str, type[Recommender]] = {
    model.name: model
    for model in (MacridVAE, MultVAE, MultDAE, Vamp, HVamp, RecVAE, EASE, Popularity)
}


def model_class(name: str) -> type[Recommender]:
    """A model by name.

    Raises:
        SettingsError: If there is none of that name.

    Example:
        >>> model_class("ease").__name__
        'EASE'
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SettingsError(f"there is no model {name!r}; {hint}known: {', '.join(MODELS)}")
    return MODELS[name]
