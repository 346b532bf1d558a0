"""Recommendation that people understand and steer.

    data = macrid.read("ratings.csv", min_weight=4)
    split = macrid.hold_out_users(data, n_users=500)
    model = macrid.MacridVAE(n_concepts=7).fit(split.train, split.validation)
    macrid.evaluate(model, split.test)
    model.recommend({"me": ["296", "593"]}, k=10)

Names are imported when they are first used: ``import macrid`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from macrid.control.controls import Controls
    from macrid.data.catalog import get as get_data
    from macrid.data.interactions import Interactions
    from macrid.data.readers import read, read_features
    from macrid.data.shop import open_shop
    from macrid.data.splits import HeldOut, Split, hold_out_users, read_split
    from macrid.errors import MacridError
    from macrid.evaluation.compare import compare
    from macrid.evaluation.protocol import Evaluation, evaluate
    from macrid.evaluation.tune import tune
    from macrid.models.artifact import load
    from macrid.models.ease import EASE
    from macrid.models.macridvae import MacridVAE
    from macrid.models.multvae import MultDAE, MultVAE
    from macrid.models.popularity import Popularity
    from macrid.models.profiles import Profile
    from macrid.models.recommender import Recommender
    from macrid.models.recvae import RecVAE
    from macrid.models.vamp import HVamp, Vamp

__version__ = "0.1.0"

_HOMES = {
    "Controls": "control.controls",
    "EASE": "models.ease",
    "Evaluation": "evaluation.protocol",
    "HVamp": "models.vamp",
    "HeldOut": "data.splits",
    "Interactions": "data.interactions",
    "MacridError": "errors",
    "MacridVAE": "models.macridvae",
    "MultDAE": "models.multvae",
    "MultVAE": "models.multvae",
    "Popularity": "models.popularity",
    "Profile": "models.profiles",
    "RecVAE": "models.recvae",
    "Recommender": "models.recommender",
    "Split": "data.splits",
    "Vamp": "models.vamp",
    "compare": "evaluation.compare",
    "evaluate": "evaluation.protocol",
    "get_data": "data.catalog:get",
    "hold_out_users": "data.splits",
    "load": "models.artifact",
    "open_shop": "data.shop",
    "read": "data.readers",
    "read_features": "data.readers",
    "read_split": "data.splits",
    "tune": "evaluation.tune",
}

__all__ = [
    "EASE",
    "Controls",
    "Evaluation",
    "HVamp",
    "HeldOut",
    "Interactions",
    "MacridError",
    "MacridVAE",
    "MultDAE",
    "MultVAE",
    "Popularity",
    "Profile",
    "RecVAE",
    "Recommender",
    "Split",
    "Vamp",
    "compare",
    "evaluate",
    "get_data",
    "hold_out_users",
    "load",
    "open_shop",
    "read",
    "read_features",
    "read_split",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"macrid has no {name!r}; it has {', '.join(__all__)}")
    module, _, attribute = _HOMES[name].partition(":")
    return getattr(import_module(f"macrid.{module}"), attribute or name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
