"""What can be steered of a model with concepts: walks, dials, and lists that follow controls."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from macrid.control.controls import Controls, DialControl, closest
from macrid.control.dials import STRENGTH, Dial, Turn, axis, fit_number, fit_term
from macrid.control.features import Features
from macrid.control.names import check_number
from macrid.control.naming import UNNAMED, z_threshold
from macrid.control.walk import Walk, WalkSettings, beam_walk, probe
from macrid.errors import ControlError
from macrid.models.controlled import Steering
from macrid.models.described import Described, Posteriors
from macrid.models.people import listed
from macrid.parts.concepts import Prototypes
from macrid.parts.decoders import MixtureDecoder
from macrid.parts.items import unit

TERMS = 20  # of a concept's items, the commonest, that `dials` tries


class Steered(Described):
    """A model whose people have a point per concept, compared with items by their cosine."""

    follows: ClassVar[tuple[str, ...]] = tuple(Controls.model_fields)
    _known: tuple[pl.DataFrame, Features, dict[tuple[int, str], Dial]] | None = None

    @torch.no_grad()
    def walk(
        self,
        start: Any,
        concept: int | str | None = None,
        dimension: int | str | None = None,
        *,
        feature: str | None = None,
        steps: int = 8,
        beam: int = 16,
        gamma: float | None = None,
    ) -> Walk:
        """Items like the start in all but one aspect, which rises from item to item.

        The paper's procedure (Ma et al., 2019, §2.4): see `macrid.control.walk`.

        Args:
            start: An item's id, or a history: a list of ids, or ``{person: [item, ...]}``.
            concept: Number or name; by default an item's own, or that with most of a history.
            dimension: Number of the axis; or the name of one of its ends, towards which it then
                rises.
            feature: A number or a term of the items instead, along which a direction is fitted.
            steps: Items of the walk, fewer if there are fewer.
            beam: Unfinished walks that are kept at each step.
            gamma: Weight of the items' likeness to each other; by default 1 / steps.

        Raises:
            UnknownItem: If the model does not know the start.
            ControlError: If there is no such concept, or no item to walk through.
            SettingsError: If there is no such dimension.
        """
        settings, view = WalkSettings(self._decoder.tau, steps, beam, gamma), self._view()
        point, k, own = self._start(start, concept, view)
        dial, members = self.dial(k, dimension, feature=feature), view.members(k)
        rows = members[members != own]
        if not len(rows):
            raise ControlError(f"{self.naming().of(k)} has no other item to walk to")
        vectors, direction = view.vectors[rows], torch.from_numpy(dial.direction)
        values, value = vectors @ direction, float(point @ direction)
        ends, stable = probe(point, values, view.prototypes, k, direction)
        start = point.numpy(), value
        found = beam_walk(start, vectors.numpy(), values.numpy(), ends, settings)
        assert self.catalogue is not None  # _start has seen to it
        items = self.catalogue[rows.numpy()[found.row]].drop("train_events")
        return Walk(k, dial.name, value, stable, found, items)

    def dial(
        self,
        concept: int | str,
        dimension: int | str | None = None,
        *,
        feature: str | None = None,
    ) -> Dial:
        """What can be turned: a concept's dimension, or a direction in which a feature rises.

        Args:
            concept: Number or name.
            dimension: Number, upwards; or the name of one of its ends, towards that.
            feature: A column of numbers, or a term (see `macrid.control.features`).

        Raises:
            SettingsError: If there is no concept or dimension of that number.
            ControlError: If there is nothing of that name, or the concept's items do not tell
                enough of the feature (see `macrid.control.dials.STRENGTH`).
        """
        k = self._concept(concept)
        if (dimension is None) == (feature is None):
            raise ControlError("name either a dimension or a feature to go along")
        if dimension is not None:
            return self._axis(k, dimension)
        assert feature is not None
        features, known = self._features()
        term = feature.lower()
        feature = term if feature not in features.numbers and term in features.terms else feature
        if (k, feature) not in known:
            known[k, feature] = self._fitted(k, feature)
        dial = known[k, feature]
        assert dial.fit is not None
        n_tried = self._n_concepts * (len(features.numbers) + len(features.terms))
        least = max(STRENGTH, z_threshold(n_tried) * dial.fit.chance)
        if not dial.fit.strength >= least:
            raise ControlError(
                f"{feature!r} is no dial of {self.naming().of(k)}: on items held out its direction "
                f"agrees with it by {dial.fit.strength:.2f} only, and {least:.2f} is the least"
            )
        return dial

    def dials(self, concept: int | str | None = None) -> pl.DataFrame:
        """The features that are dials: all numbers, and the commonest terms of each concept.

        Every dimension is a dial as well; `concepts` has them.

        Args:
            concept: Only of this one; by default of all.

        Returns:
            A frame ``concept, name`` (of the concept), ``feature, strength, r2, n_items``, the
            strongest of each concept first.
        """
        wanted = range(self._n_concepts) if concept is None else [self._concept(concept)]
        features, called, rows = self._features()[0], self.naming(), []
        view = self._view()
        for k in wanted:
            counts = np.asarray(features.carried[view.members(k).numpy()].sum(0)).ravel()
            common = np.argsort(-counts, kind="stable")[:TERMS]
            for name in [*features.numbers, *(features.terms[t] for t in common)]:
                try:
                    fit = self.dial(k, feature=name).fit
                except ControlError:
                    continue
                assert fit is not None
                rows.append((k, called.of(k), name, fit.strength, fit.r2, fit.n_items))
        kinds = {"concept": pl.Int64, "name": pl.String, "feature": pl.String}
        kinds |= {"strength": pl.Float64, "r2": pl.Float64, "n_items": pl.Int64}
        found = pl.DataFrame(rows, schema=kinds, orient="row")
        return found.sort("concept", "strength", descending=[False, True], maintain_order=True)

    def aspect(self, name: str) -> dict[str, int | str]:
        """What somebody means who names a dial in one word, as `dial` and `Controls` want it.

        A number is a dimension; else a feature comes before the end of a dimension.
        """
        if (number := _number(name)) is not None:
            return {"dimension": number}
        features = self._features()[0]
        is_feature = name in features.numbers or name.lower() in features.terms
        return {"feature" if is_feature else "dimension": name}

    def read_one(self, history: Any) -> tuple[list[Any], Posteriors]:
        """One person's items, and what is known of them.

        Args:
            history: A list of ids, or ``{person: [item, ...]}``.

        Raises:
            UnknownItem: If the model does not know an item of it.
            ControlError: If it is empty, or of several people.
        """
        histories = list(history.values()) if isinstance(history, Mapping) else [history]
        if len(histories) != 1:
            raise ControlError(f"one person's history is wanted, not those of {len(histories)}")
        items = listed(histories[0])
        if not len(self._rows(items)):
            raise ControlError("the history is empty, so nothing is known of the person")
        return items, self.encode({"": items})

    @torch.no_grad()
    def muted(self, controls: Controls) -> Tensor:
        """As `Recommender.muted`; the items of concepts that are weighed at 0 as well."""
        silent = self._weights(controls) == 0
        if silent.all():
            raise ControlError("all concepts are weighed at 0, so nothing is left to list")
        mute = super().muted(controls)
        return mute | silent[self.network.concepts().argmax(1)] if silent.any() else mute

    @torch.no_grad()
    def steering(self, controls: Controls) -> Steering:
        """As `Trained.steering`, with what is asked of concepts."""
        weights, asked = self._weights(controls), super().steering(controls)
        if (weights != 1).any():
            asked = replace(asked, log_concepts=weights.log().float())
        if not controls.dials:
            return asked
        view = self._view()
        turns = tuple(self._turn(dial, view) for dial in controls.dials)
        if len(different := {turn.dial.key for turn in turns}) < len(turns):
            raise ControlError(
                f"{len(turns)} turns are asked of {len(different)} different dials; turn each once"
            )
        return replace(asked, turns=turns, prototypes=view.prototypes)

    def _weights(self, controls: Controls) -> Tensor:
        """Of each concept."""
        weights = torch.ones(self._n_concepts, dtype=torch.float64)  # in which 1e-50 is not 0
        numbers = [self._concept(concept) for concept in controls.concepts]
        if len(set(numbers)) < len(numbers):
            raise ControlError(
                f"a concept is weighed twice among {', '.join(controls.concepts)}; a number and a "
                "name may mean the same one"
            )
        weights[numbers] = torch.tensor([*controls.concepts.values()], dtype=torch.float64)
        return weights

    def _turn(self, asked: DialControl, view: "_View") -> Turn:
        """A dial with the reach of its concept's items."""
        dial = self.dial(asked.concept, asked.dimension, feature=asked.feature)
        members = view.members(dial.concept)
        if not len(members):
            raise ControlError(f"{self.naming().of(dial.concept)} has no items, and so no dials")
        reach = view.vectors[members] @ torch.from_numpy(dial.direction)
        return Turn(dial, reach, asked.shift, asked.value)

    def _start(
        self, start: Any, concept: int | str | None, view: "_View"
    ) -> tuple[Tensor, int, int]:
        """Where a walk starts, in which concept, and the row that it does not lead to."""
        if isinstance(start, str | int | np.integer):
            row = self.items.number(start if isinstance(start, str) else int(start))
            own = int(view.concept[row])
            return view.vectors[row], own if concept is None else self._concept(concept), row
        said = self.read_one(start)[1]
        k = int(said.confidence[0].argmax()) if concept is None else self._concept(concept)
        return torch.from_numpy(said.mean[0, k]), k, -1

    def _fitted(self, concept: int, name: str) -> Dial:
        """A direction fitted to a feature, however weak."""
        view, features = self._view(), self._features()[0]
        rows = view.members(concept).numpy()
        vectors = view.vectors.numpy()[rows]
        try:
            if name in features.numbers:
                numbers = features.numbers[name][rows]
                known = np.isfinite(numbers)
                fit = fit_number(vectors[known], numbers[known])
            elif name in features.terms:
                term = features.terms.index(name)
                fit = fit_term(vectors, features.carried[rows][:, [term]].toarray()[:, 0])
            else:
                raise ControlError(
                    f"the items have no feature {name!r}; "
                    f"{closest(name, [*features.numbers, *features.terms])}"
                )
        except ControlError as error:
            concept_name = self.naming().of(concept)
            raise ControlError(f"{name!r} is no dial of {concept_name}: {error}") from None
        return Dial(concept, fit.direction.astype(np.float32), feature=name, fit=fit)

    def _features(self) -> tuple[Features, dict[tuple[int, str], Dial]]:
        """Of the items, and the dials fitted so far; a model fitted or loaded has new ones."""
        assert len(self.items)
        assert self.catalogue is not None
        if self._known is None or self._known[0] is not self.catalogue:
            self._known = self.catalogue, Features.of(self.catalogue), {}
        return self._known[1:]

    def _concept(self, asked: int | str) -> int:
        """A concept's number, from itself or from its name."""
        if (number := _number(asked)) is not None:
            check_number("concept", number, self._n_concepts)
            return number
        names = [name.casefold() for name in self.naming().concepts]
        name = str(asked).casefold()
        if name not in names or name == UNNAMED:
            raise ControlError(f"there is no concept {asked!r}; {closest(name, names)}")
        return names.index(name)

    def _axis(self, concept: int, asked: int | str) -> Dial:
        """A dimension by its number, upwards; or by the name of one of its ends, towards that."""
        if (number := _number(asked)) is not None:
            return axis(concept, number, self._n_dims)
        name, ends = str(asked).casefold(), self.naming().ends[concept]
        called = [{end.low.casefold(), end.high.casefold()} - {UNNAMED} for end in ends]
        named = [d for d, names in enumerate(called) if name in names]
        if not named:
            features = self._features()[0]
            known = [*sorted(set().union(*called)), *features.numbers, *features.terms]
            raise ControlError(
                f"no dimension of {self.naming().of(concept)} has an end {asked!r}, and no item "
                f"such a feature; {closest(name, known)}, or 0 to {self._n_dims - 1}"
            )
        best = max(named, key=lambda d: abs(ends[d].strength or 0.0))
        up, high = axis(concept, best, self._n_dims), ends[best].high.casefold()
        return replace(
            up, end=str(asked), direction=up.direction if name == high else -up.direction
        )

    @torch.no_grad()
    def _view(self) -> "_View":
        """Of the weights as they are now."""
        concepts, vectors = self.network.concepts, self._decoder.vectors()
        assert isinstance(concepts, Prototypes)
        cosine, prototypes = concepts.items.cosine, concepts.weight.detach()
        prototypes, vectors = unit(prototypes) if cosine else prototypes, vectors.detach()
        concept = (vectors @ prototypes.T).argmax(1)
        # People's points are of unit length, and values are compared with theirs.
        return _View(vectors if cosine else unit(vectors), concept, prototypes)

    @property
    def _decoder(self) -> MixtureDecoder:
        assert len(self.items)
        assert isinstance(self.network.decoder, MixtureDecoder)
        return self.network.decoder


@dataclass(frozen=True, eq=False)
class _View:
    """Items at unit length, prototypes as they are compared, and each item's nearest of these."""

    vectors: Float[Tensor, "item dim"]
    concept: Int[Tensor, " item"]
    prototypes: Float[Tensor, "concept dim"]

    def members(self, concept: int) -> Int[Tensor, " some"]:
        """Rows of the items of a concept."""
        return (self.concept == concept).nonzero().flatten()


def _number(asked: int | str) -> int | None:
    """What may be a number of something, as one."""
    if isinstance(asked, int | np.integer):
        return int(asked)
    return int(asked) if re.fullmatch(r"[+-]?\d{1,9}", asked) else None
