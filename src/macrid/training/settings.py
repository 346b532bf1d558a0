"""Settings as typed fields with bounds; a wrong one is a sentence that names the nearest right."""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
            return f"there is no setting {name!r}; {hint}known: {', '.join(known)}"
        message = problem["msg"]
        for prefix in ("Value error, ", "Input ", "String "):
            message = message.removeprefix(prefix)
        return (
            f"{name} is {problem['input']!r}, but {message}; {cls.model_fields[name].description}"
        )


class TrainingSettings(Settings):
    """How a network is trained; the defaults are the MacridVAE authors' but for the epochs."""

    epochs: Annotated[int, Field(ge=1, description="most passes over the training users")] = 200
    batch_size: Annotated[int, Field(ge=1, description="users per step")] = 500
    learning_rate: Annotated[float, Field(gt=0, description="Adam's, constant")] = 1e-3
    patience: Annotated[
        int | None,
        Field(ge=1, description="stop after so many epochs without a better validation NDCG@100"),
    ] = None
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

    def same_run(self) -> dict[str, Any]:
        """What must not change when a run is resumed."""
        return self.model_dump(exclude={"epochs", "patience", "device", "threads"})


def no_options(model: str, options: Mapping[str, Any]) -> None:
    """Refuse training options where a model is solved in closed form.

    Raises:
        SettingsError: If there are any.
    """
    if options:
        raise SettingsError(f"{model} is not trained in epochs and takes no {', '.join(options)}")
