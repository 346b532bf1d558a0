"""Settings as typed fields with bounds; a wrong one is a sentence that names the nearest right."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from macrid.errors import SettingsError

SomeSettings = TypeVar("SomeSettings", bound="Settings")


@dataclass(frozen=True)
class Real:
    """Numbers that a search may try, both ends included; written beside a setting's bounds.

    Args:
        low: The smallest.
        high: The largest.
        log: Whether equal ratios are as likely as each other, in place of equal differences.
        step: Only low, low + step, low + 2 step …
        zero: Whether the smallest stands for 0, which has no logarithm.

    Example:
        >>> print(beta := Real(0.05, 5.0, step=0.05))
        0.05..5 by 0.05
        >>> beta.nearest(0.3333), beta.nearest(7)
        (0.35, 5.0)
        >>> print(l2 := Real(1e-7, 0.01, log=True, zero=True), l2.nearest(1e-7))
        0, 1e-07..0.01 log 0.0
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    zero: bool = False

    def __str__(self) -> str:
        by = f" by {self.step:g}" if self.step else ""
        return f"{'0, ' * self.zero}{self.low:g}..{self.high:g}{by}{' log' * self.log}"

    def nearest(self, value: float) -> float:
        """What is nearest to a number, in four digits: more would only be harder to read."""
        if self.step:
            value = self.low + self.step * round((value - self.low) / self.step)
        if self.zero and value <= self.low:
            return 0.0
        digits = 12 if self.step else 4
        return min(max(float(f"{value:.{digits}g}"), self.low), self.high)


@dataclass(frozen=True)
class Whole:
    """Whole numbers that a search may try, both ends included.

    Args:
        low: The smallest.
        high: The largest.
        log: Whether equal ratios are as likely as each other, in place of equal differences.

    Example:
        >>> Whole(1, 16).nearest(20)
        16
    """

    low: int
    high: int
    log: bool = False

    def __str__(self) -> str:
        return f"{self.low}..{self.high}{' log' * self.log}"

    def nearest(self, value: int) -> int:
        """What is nearest to a number."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, init=False)
class OneOf:
    """A few values that a search may try.

    Args:
        choices: They, of one type.

    Example:
        >>> print(OneOf(128, 256), OneOf(128, 256).nearest(200))
        128 | 256 256
    """

    choices: tuple[Any, ...]

    def __init__(self, *choices: Any) -> None:
        object.__setattr__(self, "choices", choices)

    def __str__(self) -> str:
        return " | ".join(map(str, self.choices))

    def nearest(self, value: Any) -> Any:
        """A value itself if it is a choice; else the nearest number, or the first choice."""
        if value in self.choices:
            return value
        numbers = [choice for choice in self.choices if isinstance(choice, int | float)]
        if not numbers or not isinstance(value, int | float):
            return self.choices[0]
        return min(numbers, key=lambda choice: abs(choice - value))


Range = Real | Whole | OneOf


class Settings(BaseModel):
    """Base of all settings: immutable, nothing misspelt, nothing out of bounds.

    Example:
        >>> class Sizes(Settings):
        ...     size: Annotated[int, Field(ge=1)] = 100
        >>> Sizes.of({"size": "20"}).size
        20
        >>> Sizes.of({"sise": 20})
        Traceback (most recent call last):
        macrid.errors.SettingsError: there is no setting 'sise'; did you mean 'size'? known: size
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def of(cls: type[SomeSettings], values: Mapping[str, Any]) -> SomeSettings:
        """Settings from names and values; text is read as the field's type.

        Raises:
            SettingsError: If a name is unknown or a value is out of bounds.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise SettingsError("; ".join(map(cls._sentence, error.errors()))) from None

    @classmethod
    def space(cls) -> dict[str, Range]:
        """What a search tries of each setting, as declared beside it; of some, nothing.

        Example:
            >>> class Sizes(Settings):
            ...     size: Annotated[int, Field(ge=1), Whole(10, 200)] = 100
            ...     name: str = "any"
            >>> Sizes.space()
            {'size': Whole(low=10, high=200, log=False)}
        """
        return {
            name: known
            for name, field in cls.model_fields.items()
            for known in field.metadata
            if isinstance(known, Range)
        }

    @classmethod
    def _sentence(cls, problem: Any) -> str:
        """One of pydantic's findings in words."""
        name, known = str(problem["loc"][0]), list(cls.model_fields)
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            return f"there is no setting {name!r}; {hint}known: {', '.join(known) or 'none'}"
        message = problem["msg"]
        for prefix in ("Value error, ", "Input ", "String "):
            message = message.removeprefix(prefix)
        return (
            f"{name} is {problem['input']!r}, but {message}; {cls.model_fields[name].description}"
        )


# What a recipe sets where nobody asked for anything else; the fields' own defaults are faithful.
RECIPES: dict[str, dict[str, Any]] = {
    "faithful": {},
    "fast": {
        "epochs": 36,
        "learning_rate": 4e-3,
        "precision": "bf16",
        "schedule": "cosine",
        "average": 0.995,
        "start": "spectrum",
    },
}


class TrainingSettings(Settings):
    """How a network is trained; the defaults are the MacridVAE authors' but for the epochs.

    Example:
        >>> TrainingSettings(recipe="fast", epochs=10).learning_rate
        0.004
    """

    recipe: Annotated[
        Literal["faithful", "fast"],
        Field(description="defaults of what is not given: the authors', or those soonest done"),
    ] = "faithful"
    epochs: Annotated[int, Field(ge=1, description="most passes over the training users")] = 200
    batch_size: Annotated[
        int, Field(ge=1, description="users per step"), OneOf(128, 256, 500, 1024)
    ] = 500
    # The MacridVAE authors searched from 3e-4 to 1. Independent tuning found 5e-5 to 5e-4 on four
    # data sets, and far above 0.05 Adam only diverges.
    learning_rate: Annotated[
        float, Field(gt=0, description="Adam's, at its highest"), Real(5e-5, 0.05, log=True)
    ] = 1e-3
    schedule: Annotated[
        Literal["constant", "cosine"],
        Field(description="of the learning rate: cosine rises for a twentieth, then falls to 0"),
    ] = "constant"
    average: Annotated[
        float,
        Field(ge=0, lt=1, description="decay per step of the weights' mean that is kept; 0: none"),
    ] = 0.0
    start: Annotated[
        Literal["random", "spectrum"],
        Field(description="first weights: drawn, or from the singular vectors of the events"),
    ] = "random"
    patience: Annotated[
        int | None,
        Field(ge=1, description="stop after so many epochs without a better validation NDCG@100"),
    ] = None
    patience_from: Annotated[
        int, Field(ge=0, description="epochs after which those without a better one are counted")
    ] = 0
    gradients: Annotated[
        Literal["plain", "unit"],
        Field(description="unit: each tensor's gradient divided by its length before Adam"),
    ] = "plain"
    evenness: Annotated[
        float,
        Field(ge=0, le=1, description="0: events count alike, as in the papers; 1: people do"),
    ] = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**32, description="of weights, order and noise")] = 98765
    precision: Annotated[
        Literal["32", "bf16"], Field(description="of the matrix products; sums are always 32 bit")
    ] = "32"
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], Field(description="where to compute")
    ] = "auto"
    threads: Annotated[
        int | None,
        Field(ge=1, le=1024, description="processor threads; by default what torch chooses"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _follow_recipe(cls, given: Any) -> Any:
        """What was given wins; a recipe that is none is left to its own field to refuse."""
        return {**RECIPES.get(str(given.get("recipe")), {}), **given}

    def same_run(self) -> dict[str, Any]:
        """What must not change when a run is resumed; a falling rate falls by the epochs."""
        free = {"recipe", "patience", "patience_from", "device", "threads"}
        if self.schedule == "constant":
            free.add("epochs")
        return self.model_dump(exclude=free)


def no_options(model: str, options: Mapping[str, Any]) -> None:
    """Refuse training options where a model is solved in closed form.

    Raises:
        SettingsError: If there are any.
    """
    if options:
        raise SettingsError(f"{model} is not trained in epochs and takes no {', '.join(options)}")
