"""Settings as typed fields with bounds; a wrong one is a sentence that names the nearest right."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from macrid.errors import SettingsError

SomeSettings = TypeVar("SomeSettings", bound="Settings")


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
    batch_size: Annotated[int, Field(ge=1, description="users per step")] = 500
    learning_rate: Annotated[float, Field(gt=0, description="Adam's, at its highest")] = 1e-3
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
