"""What a search tries: a model, what is fixed of it, and the range of everything else.

Settings of the model and of its training go by one name each, so that ``beta`` and
``learning_rate`` are fixed and searched in the same words.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from macrid.errors import SettingsError
from macrid.models.catalog import model_class
from macrid.models.recommender import Recommender
from macrid.training.settings import OneOf, Range, Real, Settings, TrainingSettings, Whole

_KINDS = {int: Whole, float: Real}
_OURS = frozenset({"seed", "device", "threads"})  # none of them makes a better model
_WIDE = 100.0  # from which ratio of its ends on a new range is logarithmic
MACHINE = frozenset({"device", "threads"})  # they belong to a machine, not to a search


@dataclass(frozen=True)
class Search:
    """A model's settings and those of its training: fixed ones, and the ranges of others.

    Args:
        model: Its name.
        fixed: Settings that every trial has.
        space: What is tried of the others; those in neither keep their defaults.
    """

    model: str
    fixed: dict[str, Any]
    space: dict[str, Range]

    @classmethod
    def of(
        cls,
        model: str,
        fixed: Mapping[str, Any] | None = None,
        ranges: Mapping[str, Range | str] | None = None,
    ) -> "Search":
        """The declared ranges of a model, but for what is fixed or given another range.

        Args:
            model: Its name.
            fixed: Settings of the model and of its training that are not searched.
            ranges: Ranges in place of declared ones, or of settings that have none: as `Real`,
                `Whole`, `OneOf`, or in the words of the command line, ``"1..3"`` and ``"1,2,5"``.

        Raises:
            SettingsError: If a setting is unknown, out of bounds, both fixed and searched, or
                nothing is left to search.

        Example:
            >>> search = Search.of("ease", ranges={"regularization": "100..900"})
            >>> print(search.space["regularization"])
            100..900 log
        """
        kinds = _kinds(model)
        fixed = {name: _read(kinds, name, value) for name, value in (fixed or {}).items()}
        ranges = ranges or {}
        if both := sorted(set(fixed) & set(ranges)):
            raise SettingsError(f"{', '.join(both)}: both fixed and searched; leave one out")
        if idle := sorted(_OURS & set(ranges)):
            raise SettingsError(f"{idle[0]} makes no better model; fix it, and search another")
        given = {name: _range(kinds, name, asked) for name, asked in ranges.items()}
        declared = _declared(kinds)
        space = {name: known for name, known in {**declared, **given}.items() if name not in fixed}
        if not space:
            raise SettingsError(
                f"there is nothing to search of {model}; name a range (--search NAME=LOW..HIGH), "
                "or take another model"
            )
        search = cls(model, fixed, {})
        defaults = search.everything()
        _check_none(given, defaults)
        for name in set(declared) & set(space) - set(given):
            # A list has no nearest end, and a search begins with the defaults.
            if isinstance(known := space[name], OneOf) and defaults[name] not in known.choices:
                space[name] = OneOf(*known.choices, defaults[name])
        search = replace(search, space=space)
        start = search.start()
        beside = {n: k.low for n, k in space.items() if isinstance(k, Real) and k.zero}
        for tried in (start, start | beside):  # what most trials would be refused for is said now
            search.build(tried)
        return search

    def build(self, values: Mapping[str, Any]) -> tuple[Recommender, dict[str, Any]]:
        """A model, and the options of its `fit`, with some values of what is searched.

        Raises:
            SettingsError: If they do not go together.
        """
        settings, training = self.parts(values)
        model = model_class(self.model)(**settings)
        if model.in_epochs:
            model.training_settings(training)
        return model, training

    def parts(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """What is fixed and what is tried, as settings of the model and as those of training."""
        chosen = {**self.fixed, **values}
        mine = model_class(self.model).Settings.model_fields
        settings = {name: value for name, value in chosen.items() if name in mine}
        return settings, {name: value for name, value in chosen.items() if name not in mine}

    def everything(self) -> dict[str, Any]:
        """Every setting by name, as it would be if nothing were searched."""
        model, training = self.build({})
        options = model.training_settings(training).model_dump() if model.in_epochs else {}
        return {**model.get_params(), **options}

    def start(self) -> dict[str, Any]:
        """What is tried first: the defaults, or what a range has nearest to them."""
        defaults = self.everything()
        # None is no limit, and the highest is the nearest to that.
        unlimited = {n: k.high for n, k in self.space.items() if isinstance(k, Real | Whole)}
        first: dict[str, Any] = {
            name: unlimited.get(name) if defaults[name] is None else defaults[name]
            for name in self.space
        }
        return {name: known.nearest(first[name]) for name, known in self.space.items()}

    def starts_with_defaults(self) -> bool:
        """Whether what is tried first are the defaults, which a range may exclude.

        Example:
            >>> Search.of("macridvae", ranges={"beta": "1..4"}).starts_with_defaults()
            False
        """
        return {**self.everything(), **self.start()} == self.everything()

    def toml(self, values: Mapping[str, Any], reading: Mapping[str, Any]) -> str:
        """What ``macrid train --config`` takes, with some values of what is searched.

        Args:
            values: They.
            reading: How the events are read, the table ``data``.

        Example:
            >>> print(Search.of("ease").toml({"regularization": 1e-5}, {"min_weight": 4.0}))
            model = "ease"
            <BLANKLINE>
            [settings]
            regularization = 1e-05
            <BLANKLINE>
            [data]
            min_weight = 4.0
            <BLANKLINE>
        """
        settings, training = self.parts(values)
        training = {name: value for name, value in training.items() if name not in MACHINE}
        lines = [f"model = {_toml(self.model)}"]
        tables = {"settings": settings, "training": training, "data": reading}
        for title, table in tables.items():
            if table:
                lines += ["", f"[{title}]"]
            known = {name: value for name, value in table.items() if value is not None}
            lines += [f"{name} = {_toml(value)}" for name, value in known.items()]
        return "\n".join([*lines, ""])


def _kinds(model: str) -> dict[str, type[Settings]]:
    """Where each setting of a model and of its training is declared."""
    found = model_class(model)
    kinds = [found.Settings, *[TrainingSettings] * found.in_epochs]
    return {name: kind for kind in kinds for name in kind.model_fields}


def _declared(kinds: dict[str, type[Settings]]) -> dict[str, Range]:
    """The ranges written beside settings."""
    return {
        name: known
        for kind in dict.fromkeys(kinds.values())
        for name, known in kind.space().items()
    }


def _check_known(kinds: dict[str, type[Settings]], name: str) -> None:
    """Refuse a setting that there is not."""
    if name not in kinds:
        near = difflib.get_close_matches(name, kinds, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SettingsError(
            f"there is no setting {name!r}; {hint}known: {', '.join(kinds) or 'none'}"
        )


def _check_none(ranges: Mapping[str, Range], defaults: Mapping[str, Any]) -> None:
    """Refuse None as a value where leaving a setting out of a TOML file means another one."""
    for name, known in ranges.items():
        if isinstance(known, OneOf) and None in known.choices and defaults[name] is not None:
            raise SettingsError(
                f"{name} cannot be searched in null: a configuration file has no word for it, and "
                f"without {name} it means {defaults[name]}; name other values"
            )


def _read(kinds: dict[str, type[Settings]], name: str, value: Any) -> Any:
    """A value as its setting's type, within its bounds."""
    _check_known(kinds, name)
    return getattr(kinds[name].of({name: value}), name)


def _range(kinds: dict[str, type[Settings]], name: str, asked: Range | str) -> Range:
    """A range that was asked for, checked."""
    _check_known(kinds, name)
    if isinstance(asked, str):
        asked = _parse(kinds, name, asked)
    if isinstance(asked, OneOf):
        choices = [_read(kinds, name, choice) for choice in asked.choices]
        if _kind(kinds, name) in _KINDS and any(isinstance(one, bool) for one in asked.choices):
            raise SettingsError(f"{name} is a number, and true and false are none; name numbers")
        if not choices:
            raise SettingsError(f"no value of {name} was given to search; name one or more")
        return OneOf(*dict.fromkeys(choices))
    if asked.low > asked.high:
        raise SettingsError(f"{name} is to be searched from {asked.low} to {asked.high}; swap them")
    if asked.log and asked.low <= 0:
        raise SettingsError(f"{name} is searched by its logarithm, which {asked.low} has not")
    for end in (asked.low, asked.high):
        _read(kinds, name, end)
    return asked


def _kind(kinds: dict[str, type[Settings]], name: str) -> Any:
    """What a setting's values are, beside None."""
    kind: Any = kinds[name].model_fields[name].annotation
    return next((one for one in get_args(kind) if one in _KINDS), kind)


def _parse(kinds: dict[str, type[Settings]], name: str, text: str) -> Range:
    """``LOW..HIGH``, or values with commas between them."""
    low, dots, high = text.partition("..")
    if not dots:
        try:  # numbers, lists, true
            return OneOf(*(tuple(v) if isinstance(v, list) else v for v in json.loads(f"[{text}]")))
        except ValueError:
            return OneOf(*filter(None, map(str.strip, text.split(","))))
    kind = _kind(kinds, name)
    if kind not in _KINDS:
        raise SettingsError(f"{name} has no order to go from {low} to {high} by; name its values")
    try:
        ends = [kind(end) for end in (low, high)]
    except ValueError:
        raise SettingsError(
            f"{name}={text!r} is not of the form LOW..HIGH with two numbers (or a,b,c)"
        ) from None
    known = kinds[name].space().get(name)
    if isinstance(known, Real | Whole):
        log = known.log and ends[0] > 0
    else:
        log = ends[1] >= _WIDE * ends[0] > 0
    return _KINDS[kind](*ends, log=log)


def _toml(value: Any) -> str:
    """A value as TOML has it; its basic strings are those of JSON."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_toml(key)} = {_toml(v)}' for key, v in value.items())}}}"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)
