"""What a sweep tries: pairs of beta and sigma0, drawn from stated ranges, and all that is fixed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from macrid.data.splits import PUBLISHED_SEED
from macrid.errors import SettingsError
from macrid.evaluation.search import Search
from macrid.training.settings import Real

MODEL = "macridvae"
BETA, PRIOR_STD = "0.05..5", "0.025..0.25"  # where the authors searched
FEWEST = 3  # settings of which a rank correlation is worth its name


@dataclass(frozen=True)
class Plan:
    """What is drawn, and how each draw is trained.

    Args:
        settings: How many pairs of beta and sigma0 are drawn; of more, the first are the same.
        concepts: Numbers of concepts, each trained with every pair.
        total_dims: Dimensions of all concepts together, shared evenly; None leaves each concept
            ``n_dims``, as in the paper, whose model of one concept has the same items as that of
            seven and a seventh of its dimensions for people.
        beta: Range that is drawn from, ``LOW..HIGH``; equal ratios are as likely as each other.
        prior_std: The same of sigma0.
        fixed: Other settings of the model and of its training, by name.
        seed: Of the draws and of every training.

    Raises:
        SettingsError: If a setting or range is not in order, or dimensions cannot be shared evenly.

    Example:
        >>> plan = Plan(settings=3, concepts=(7, 1), total_dims=70)
        >>> plan.draws().shape, plan.dims(7), plan.dims(1)
        ((3, 2), 10, 70)
    """

    settings: int = 60
    concepts: Sequence[int] = (7,)
    total_dims: int | None = None
    beta: str = BETA
    prior_std: str = PRIOR_STD
    fixed: Mapping[str, Any] = field(default_factory=dict)
    seed: int = PUBLISHED_SEED

    def __post_init__(self) -> None:
        taken = {"n_concepts", "seed"} | ({"n_dims"} if self.total_dims else set())
        if both := sorted(taken & set(self.fixed)):
            raise SettingsError(
                f"{', '.join(both)}: said twice; leave it out of the fixed settings"
            )
        if self.settings < FEWEST or not self.concepts or min(self.concepts) < 1:
            raise SettingsError(
                f"there are {self.settings} settings and {list(self.concepts)} concepts; draw "
                f"{FEWEST} settings or more, of 1 concept or more"
            )
        for n_concepts in self.concepts:
            if self.total_dims is not None and self.total_dims % n_concepts:
                raise SettingsError(
                    f"{self.total_dims} dimensions cannot be shared evenly by {n_concepts} "
                    "concepts; take a multiple of each number of concepts"
                )
        self.ranges()

    def search(self) -> Search:
        """The settings as `Search` checks and parts them."""
        ranges = {"beta": self.beta, "prior_std": self.prior_std}
        return Search.of(MODEL, {**self.fixed, "seed": self.seed}, ranges)

    def ranges(self) -> list[Real]:
        """What beta and sigma0 are drawn from.

        Raises:
            SettingsError: If one is no range above 0.
        """
        space, found = self.search().space, []
        for name in ("beta", "prior_std"):
            known = space[name]
            if not isinstance(known, Real) or known.low <= 0:
                raise SettingsError(f"{name} is drawn from {known}; give LOW..HIGH, both above 0")
            found.append(replace(known, log=True, step=None))
        return found

    def dims(self, n_concepts: int) -> int:
        """Of each of so many concepts."""
        if self.total_dims is not None:
            return self.total_dims // n_concepts
        return self.search().everything()["n_dims"]

    def draws(self) -> Float[np.ndarray, "setting 2"]:
        """Pairs of beta and sigma0, in four digits."""
        low, high = np.log([[one.low, one.high] for one in self.ranges()]).T
        uniform = np.random.default_rng(self.seed).random((self.settings, 2))
        drawn = np.exp(low + uniform * (high - low))
        digits = 10.0 ** (3 - np.floor(np.log10(drawn)))
        return np.round(drawn * digits) / digits
