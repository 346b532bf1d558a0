"""`macrid steer` and `macrid walk`: what changes in a list, and items along one aspect."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import typer

from macrid.cli import options as o
from macrid.cli.describe import titles_of
from macrid.cli.show import command, document, note, table
from macrid.errors import ArtifactError, ControlError, SettingsError

History = Annotated[
    list[str] | None, typer.Option(help="What one person had: --history a,b,c.", show_default=False)
]
Concept = Annotated[
    str | None,
    typer.Option(help="Number or name of a concept.", show_default="that with most of the history"),
]
_ARROWS = {"came": "new", "stayed": ""}


def steer(
    folder: o.ModelFolder,
    history: History = None,
    concept: Concept = None,
    dimension: Annotated[
        list[str] | None,
        typer.Option(
            help="Turn a dial of the concept, -1 to 1: --dimension size=+0.6 (a dimension's number "
            "or end, or a feature); repeatable."
        ),
    ] = None,
    value: Annotated[
        list[str] | None,
        typer.Option(help="Turn a dial to a value of its own: --value size=0.3; repeatable."),
    ] = None,
    weight: Annotated[
        list[str] | None,
        typer.Option(help="Weigh a concept: --weight bags=2, 0 mutes it; repeatable."),
    ] = None,
    boost: Annotated[
        list[str] | None, typer.Option(help="Multiply an item's chance: --boost ID=3; repeatable.")
    ] = None,
    block: Annotated[list[str] | None, typer.Option(help="Never list these items.")] = None,
    diversity: Annotated[
        float | None, typer.Option(help="0 to 1: how unlike each other the items are.")
    ] = None,
    popularity: Annotated[
        float | None, typer.Option(help="Exponent by which popular items lose.")
    ] = None,
    controls: Annotated[
        Path | None, typer.Option(help="A JSON file of controls; flags come on top.")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="The person, as --save kept them, instead of --history.")
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(help="Keep the person, dials turned for good, as JSON for --profile."),
    ] = None,
    k: o.K = 10,
    as_json: o.Json = False,
) -> None:
    """Turn dials for one person, and see what comes, leaves and moves.

    A shift goes from the person's own value towards the ends of their range, a value is where the
    dial is to stand. Weights, boosts and the like are asked of lists, and not kept by --save.

    Example: macrid steer runs/first --history 296,593 --concept 2 --dimension 14=+0.6
    """
    import polars as pl

    from macrid.control.controls import Controls
    from macrid.control.rerank import compare_lists
    from macrid.models.artifact import load

    asked = Controls() if controls is None else Controls.read(controls)
    model: Any = load(folder)
    known = _known(profile, save, history, model)
    people = {"me": list(known.items) if known else _history(history, model)}
    given = o.given(diversity=diversity, popularity=popularity)
    given["concepts"] = asked.concepts | _numbers(weight, "--weight")
    given["boost"] = asked.boost | _numbers(boost, "--boost")
    given["block"] = [*asked.block, *o.ids(block, model.items)]
    turns = {"shift": _numbers(dimension, "--dimension"), "value": _numbers(value, "--value")}
    mine = _dials(model, people, concept, turns)
    given["dials"] = [*_others(asked.dials, mine, model), *mine]
    asked = Controls.of({**dict(asked), **given})

    def listed(controls: Controls | None) -> pl.DataFrame:
        if profile is None:
            return model.recommend(people, k, on_unknown="raise", controls=controls)
        lists = model.recommend_profile(known, k, controls=controls)
        return lists.select(pl.lit("me").alias("user_id"), pl.all())

    before, after = listed(None), listed(asked)
    if save is not None:
        if save.exists() and save != profile:
            raise ArtifactError(f"{save} is there already; name another file, or remove it first")
        model.edit(known, Controls(dials=asked.dials)).write(save)
        note(f"kept in {save}: {command()} recommend {folder} --profile {save}")
    if as_json:
        changes = compare_lists(before, after)
        lists = {"before": before, "after": after, "changes": changes}
        rows = {name: frame.drop("user_id").to_dicts() for name, frame in lists.items()}
        document({"model": model.name, "controls": asked.model_dump(exclude_none=True), **rows})
        return
    show_change(model, before, after)


def walk(
    folder: o.ModelFolder,
    item: Annotated[str | None, typer.Option(help="Where to start.", show_default=False)] = None,
    history: History = None,
    concept: Concept = None,
    dimension: Annotated[
        str | None, typer.Option(help="A dimension's number or end, or a feature.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Items of the walk.")] = 8,
    beam: Annotated[int, typer.Option(help="Unfinished walks kept at each step.")] = 16,
    gamma: Annotated[
        float | None, typer.Option(help="Weight of likeness to each other.", show_default="1/steps")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """List real items along one aspect, alike in all others; from an item or from a person.

    Example: macrid walk runs/first --item 296 --dimension 14
    """
    from macrid.models.artifact import load

    if (item is None) == (history is None):
        raise ValueError("give either --item or --history a,b,c to start from")
    if dimension is None:
        raise ValueError("--dimension names no aspect to go along; macrid concepts lists some")
    model = _with_concepts(load(folder))
    start = _history(history, model) if item is None else item
    found = model.walk(
        start, concept, **model.aspect(dimension), steps=steps, beam=beam, gamma=gamma
    )
    if as_json:
        document({"model": model.name, **found.to_dict()})
        return
    show_walk(model, found)


def try_a_dial(model: Any, history: list[str], features: Sequence[str]) -> dict[str, Any] | None:
    """For a demo: a walk from a person along what fits best, and their list with it turned.

    Args:
        model: With concepts.
        history: Of the person, whose largest concept it is about.
        features: Which could be dials.

    Returns:
        ``feature, walk, shift, before, after``; nothing if none of the features is a dial. The
        shift is to the end of the range that is farther away.
    """
    concept, dials = int(model.read_one(history)[1].confidence[0].argmax()), []
    for feature in features:
        with suppress(ControlError):
            dials.append(model.dial(concept, feature=feature))
    if not dials:
        return None
    best = max(dials, key=lambda dial: dial.fit.strength).feature
    found = model.walk(history, concept, feature=best)
    shift = 1 if found.start < (found.steps.cuts[0] + found.steps.cuts[-1]) / 2 else -1
    turned = {"dials": [{"concept": concept, "feature": best, "shift": shift}]}
    return {
        "feature": best,
        "walk": found,
        "shift": shift,
        "before": model.recommend({"me": history}, 10),
        "after": model.recommend({"me": history}, 10, controls=turned),
    }


def show_walk(model: Any, found: Any) -> None:
    """A row for each item, features included."""
    if not found.stable:
        note("no item keeps the concept nearest; the walk goes as far as the concept's items reach")
    frame = found.frame.drop("low", "high")
    title = f"{model.naming().of(found.concept)} along {found.dial}, from {found.start:.2f}"
    table(frame.columns, frame.rows(), title=title)


def show_change(model: Any, before: Any, after: Any, feature: str | None = None) -> None:
    """Both lists side by side, and what changed.

    Args:
        model: Of the items.
        before: One person's list.
        after: Their other list.
        feature: Told of each item.
    """
    from macrid.control.rerank import compare_lists

    titles, changes = titles_of(model), compare_lists(before, after)
    if feature is not None:
        told = model.catalogue.select("item_id", feature).iter_rows()
        titles = {i: titles[i] if v is None else f"{titles[i]} ({v:.2f})" for i, v in told}
    moved = {
        item: _ARROWS.get(what, f"was {rank}")
        for item, what, rank in changes.select("item_id", "change", "rank_before").iter_rows()
    }
    old, new = before["item_id"].to_list(), after["item_id"].to_list()
    named = [
        (rank, titles.get(left), titles.get(right), moved.get(right))
        for rank, (left, right) in enumerate(zip_longest(old, new), 1)
    ]
    table(["rank", "before", "after", ""], named)
    counts = dict(changes["change"].value_counts().iter_rows())
    note(", ".join(f"{counts.get(what, 0)} {what}" for what in ("came", "left", "moved", "stayed")))


def _dials(
    model: Any, people: dict[str, list[Any]], concept: str | None, turns: dict[str, dict]
) -> list[dict[str, Any]]:
    """What ``--concept``, ``--dimension`` and ``--value`` say, as controls have it."""
    if not any(turns.values()):
        return []
    own = _with_concepts(model).encode(people).confidence[0].argmax() if concept is None else 0
    of = int(own) if concept is None else concept
    return [
        {"concept": of, how: number, **_with_concepts(model).aspect(name)}
        for how, turned in turns.items()
        for name, number in turned.items()
    ]


def _others(dials: Sequence[Any], mine: list[dict[str, Any]], model: Any) -> list[Any]:
    """A file's dials, but for those that are turned by flags."""
    keys = {
        model.dial(d["concept"], d.get("dimension"), feature=d.get("feature")).key for d in mine
    }
    return [
        d for d in dials if model.dial(d.concept, d.dimension, feature=d.feature).key not in keys
    ]


def _known(
    profile: Path | None, save: Path | None, history: Sequence[str] | None, model: Any
) -> Any:
    """The person's profile, where one is given or wanted."""
    if profile is not None and history is not None:
        raise SettingsError("give either --history a,b,c or --profile FILE, not both")
    if profile is None and save is None:
        return None
    from macrid.models.profiles import Profile

    able = _with_concepts(model)
    return able.profile(_history(history, model)) if profile is None else Profile.read(profile)


def _history(texts: Sequence[str] | None, model: Any) -> list[str]:
    """One person's items."""
    items = o.ids(texts, model.items)
    if not items:
        raise ValueError("--history names no item; give what the person had: --history a,b,c")
    return items


def _numbers(texts: Sequence[str] | None, option: str) -> dict[str, float]:
    """``name=number`` texts as a mapping."""
    found = {}
    for name, value in o.pairs(texts, option).items():
        try:
            found[name] = float(value)
        except ValueError:
            raise SettingsError(f"{option} {name} is {value!r}, which is no number") from None
    return found


def _with_concepts(model: Any) -> Any:
    """A model that can be walked, or a sentence."""
    from macrid.models.steered import Steered

    if not isinstance(model, Steered):
        raise ControlError(f"{model.name} has no concepts; train macridvae to walk and to turn")
    return model
