"""Controls that were saved, followed by a model that may have been trained since.

The numbers of concepts and dimensions mean nothing to another model: it has found its own. What
goes by a name goes on, if the model knows it; so do items, variety and the penalty of popularity.
"""

from dataclasses import dataclass
from typing import Any

from macrid.control.controls import Controls
from macrid.errors import MacridError
from macrid.service.holder import Serving


@dataclass(frozen=True)
class Followed:
    """What is asked of a list.

    Attributes:
        controls: That the model can follow.
        left_out: Sentences about those that it cannot.
    """

    controls: Controls
    left_out: tuple[str, ...] = ()


def followed(serving: Serving, saved: Controls, learned: str | None) -> Followed:
    """Saved controls, as far as a model can follow them.

    Args:
        serving: The model.
        saved: What somebody asks of every list.
        learned: `Serving.learned` of the model that they were saved for; None if nobody knows.
    """
    if learned == serving.learned:
        return Followed(saved)
    kept: dict[str, Any] = {"concepts": {}, "dials": []}
    left_out = []
    for name, weight in saved.concepts.items():
        if why := _lost(serving, Controls(concepts={name: weight}), name):
            left_out.append(f"the weight of concept {name}: {why}")
        else:
            kept["concepts"][name] = weight
    for dial in saved.dials:
        said = dial.feature if dial.dimension is None else dial.dimension
        if why := _lost(serving, Controls(dials=(dial,)), dial.concept, said):
            left_out.append(f"the dial {said} of concept {dial.concept}: {why}")
        else:
            kept["dials"].append(dial)
    for field in ("boost", "block"):
        asked = getattr(saved, field)
        known = serving.model.items.numbers(list(asked)) >= 0
        kept[field] = [item for item, there in zip(asked, known, strict=True) if there]
        if unknown := len(asked) - len(kept[field]):
            left_out.append(f"{field} of {unknown:,} items: the model does not know them")
    kept["boost"] = {item: saved.boost[item] for item in kept["boost"]}
    return Followed(Controls.of({**dict(saved), **kept}), (*left_out,))


def _lost(serving: Serving, asked: Controls, *names: int | str | None) -> str | None:
    """Why something is not followed, if it is not."""
    if any(str(name).lstrip("+-").isdecimal() for name in names):
        return "it was saved for another model, whose numbers mean nothing to this one"
    try:
        serving.model.ready(like=serving.ready, controls=asked)
    except MacridError as error:
        return str(error)
    return None
