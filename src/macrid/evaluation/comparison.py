"""What a comparison found: a row per model, a row per cell, a row per pair of models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from macrid.evaluation.cells import Cell
from macrid.evaluation.significance import paired_differences

_NONE = "–"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models beside each other, on the same held-out users.

    Args:
        models: A row per model, as asked for: ``label, model, n_seeds``; for each metric its mean
            (over users, of each one's mean over seeds), ``METRIC_se`` (over users) and
            ``METRIC_se_seeds`` (of the seeds' means, over the root of their number; null with one
            seed); ``seconds``
            (median over seeds), ``parameters``, beyond-accuracy columns (means over seeds), and
            ``failed``, the reason if there is one.
        cells: For each model and seed ``label, seed, metrics`` (means over users), ``beyond,
            validation_ndcg@100, best_epoch, epochs, seconds, settings, training``.
        differences: Of ``metric``, as `paired_differences` gives them.
        users: ``label, user_id`` and each metric, a mean over seeds.
        metric: What models are compared by.
        beyond: Names of the beyond-accuracy columns.
        about: Seeds, metrics, users, data.
    """

    models: pl.DataFrame
    cells: list[dict[str, Any]]
    differences: pl.DataFrame
    users: pl.DataFrame
    metric: str
    beyond: list[str]
    about: dict[str, Any]

    @property
    def metrics(self) -> list[str]:
        """Names of the metrics."""
        return self.about["metrics"]

    @property
    def n_seeds(self) -> int:
        """How many seeds the models have that have most."""
        return max(self.models["n_seeds"].to_list())

    @property
    def best(self) -> str:
        """The model with the highest mean of the metric."""
        return self.models.sort(self.metric, descending=True, nulls_last=True)["label"][0]

    def against_best(self) -> pl.DataFrame:
        """How much better each model is than the best: ``label, difference, low, high, p_holm``."""
        ends = ("difference", "low", "high")
        first = self.differences.filter(pl.col("second") == self.best)
        second = self.differences.filter(pl.col("first") == self.best)
        turned = second.select(
            label="second", difference=-pl.col("difference"), low=-pl.col("high"),
            high=-pl.col("low"), p_holm="p_holm",
        )  # fmt: skip
        same = first.select(pl.col("first").alias("label"), *ends, "p_holm")
        return pl.concat([same, turned]).sort("difference", descending=True, maintain_order=True)

    def table(self) -> pl.DataFrame:
        """The models as text: mean ± standard error over users (over seeds), and costs."""
        rows = []
        for model in self.models.to_dicts():
            row = {"model": model["label"]}
            row |= {name: _measured(model, name) for name in self.metrics}
            row["seconds"] = _text(model["seconds"], ",.1f")
            row["parameters"] = _text(model["parameters"], ",")
            rows.append(row)
        return pl.DataFrame(rows)

    def beyond_table(self) -> pl.DataFrame:
        """What was measured beside accuracy, as text."""
        numbers = (pl.Series(n, [_text(v, ".4f") for v in self.models[n]]) for n in self.beyond)
        return self.models.select(model="label").with_columns(*numbers)

    def differences_table(self) -> pl.DataFrame:
        """Each model against the best, as text."""
        return pl.DataFrame(
            [
                {
                    "model": row["label"],
                    f"less {self.best}": f"{row['difference']:+.4f}",
                    "interval": f"{row['low']:+.4f} to {row['high']:+.4f}",
                    "p": f"{row['p_holm']:.4f}",
                }
                for row in self.against_best().to_dicts()
            ]
        )

    def remarks(self) -> list[str]:
        """Sentences on what failed, could not be measured, or may have been cut short."""
        failed = self.models.drop_nulls("failed")
        said = [f"{row['label']}: {row['failed']}" for row in failed.to_dicts()]
        unknown = [name for name in self.beyond if self.models[name].is_null().all()]
        said += [f"{name} needs a table of item features (--items)" for name in unknown]
        if idle := self.about.get("data", {}).get("test_users_without_targets"):
            said.append(f"test users of whom nothing is held out, and who score 0: {idle:,}")
        last = [cell for cell in self.cells if cell["epochs"] == cell["best_epoch"] is not None]
        if rising := dict.fromkeys(cell["label"] for cell in last):
            said.append(f"more epochs may do better: the last was the best of {', '.join(rising)}")
        return said

    def to_dict(self) -> dict[str, Any]:
        """As ``comparison.json`` has it."""
        return {
            **self.about,
            "metric": self.metric,
            "best": self.best,
            "models": [self._entry(row) for row in self.models.to_dicts()],
            "differences": self.differences.to_dicts(),
        }

    def __repr__(self) -> str:
        table = self.table()
        rows = [table.columns, *table.rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *self.remarks()])

    def _entry(self, row: dict[str, Any]) -> dict[str, Any]:
        """A model with its cells."""
        plain = ("label", "model", "n_seeds", "seconds", "parameters", "failed")
        metrics = {
            name: {"mean": row[name], "se": row[f"{name}_se"], "se_seeds": row[f"{name}_se_seeds"]}
            for name in self.metrics
        }
        mine = [cell for cell in self.cells if cell["label"] == row["label"]]
        return {
            **{name: row[name] for name in plain},
            "metrics": metrics,
            "beyond": {name: row[name] for name in self.beyond},
            "cells": [{k: v for k, v in cell.items() if k != "label"} for cell in mine],
        }


def summarise(
    cells: Mapping[str, Mapping[int | None, Cell]],
    *,
    models: Mapping[str, str],
    failed: Mapping[str, str],
    metrics: Sequence[str],
    about: Mapping[str, Any],
) -> Comparison:
    """From finished cells to what they say.

    Args:
        cells: By label and seed, one or more of each label; seed None for a model without any.
        models: The name in the catalogue of each label, failed ones included, in order.
        failed: By label, why a seed or all of them failed.
        metrics: Names; models are compared by NDCG@100 if it is among them, else by the first.
        about: What else is to be known.
    """
    metric = "ndcg@100" if "ndcg@100" in metrics else metrics[0]
    values = {
        label: np.mean([cell.users.select(metrics).to_numpy() for cell in mine.values()], axis=0)
        for label, mine in cells.items()
    }
    beyond = list(next(iter(next(iter(cells.values())).values())).beyond)
    rows = []
    for label, model in models.items():
        row = {"label": label, "model": model, "n_seeds": len(cells.get(label, ()))}
        if label in cells:
            row |= _row(list(cells[label].values()), values[label], metrics, beyond)
        rows.append(row | {"failed": failed.get(label)})
    # Failed models lack columns; those of the others come in the same order.
    table = pl.concat([pl.DataFrame([row]) for row in rows], how="diagonal_relaxed")
    column = list(metrics).index(metric)
    compared = {label: numbers[:, column] for label, numbers in values.items()}
    people = {label: next(iter(mine.values())).users["user_id"] for label, mine in cells.items()}
    users = [
        pl.DataFrame({"label": label, "user_id": people[label]}).hstack(
            pl.DataFrame(values[label], schema=list(metrics))
        )
        for label in values
    ]
    return Comparison(
        models=table.select(pl.exclude("failed"), "failed"),
        cells=[_cell(label, s, c) for label, mine in cells.items() for s, c in mine.items()],
        differences=paired_differences(compared),
        users=pl.concat(users),
        metric=metric,
        beyond=beyond,
        about={**about, "metrics": list(metrics)},
    )


def _row(
    cells: Sequence[Cell], values: np.ndarray, metrics: Sequence[str], beyond: Sequence[str]
) -> dict[str, Any]:
    """The numbers of one model."""
    of_seeds = np.array([cell.users.select(metrics).to_numpy().mean(axis=0) for cell in cells])
    row: dict[str, Any] = {}
    for number, name in enumerate(metrics):
        row[name] = float(values[:, number].mean())
        row[f"{name}_se"] = float(values[:, number].std() / np.sqrt(len(values)))
        spread = of_seeds[:, number].std(ddof=1) if len(cells) > 1 else None
        row[f"{name}_se_seeds"] = None if spread is None else float(spread / np.sqrt(len(cells)))
    row["seconds"] = float(np.median([cell.seconds for cell in cells]))
    row["parameters"] = cells[0].parameters
    for name in beyond:
        known = [value for cell in cells if (value := cell.beyond[name]) is not None]
        row[name] = float(np.mean(known)) if known else None
    return row


def _cell(label: str, seed: int | None, cell: Cell) -> dict[str, Any]:
    """One cell as a row."""
    users = cell.users.drop("user_id")
    return {
        "label": label,
        "seed": seed,
        "metrics": {name: float(users[name].to_numpy().mean()) for name in users.columns},
        "beyond": cell.beyond,
        "validation_ndcg@100": cell.validation,
        "best_epoch": cell.best_epoch,
        "epochs": cell.epochs,
        "seconds": cell.seconds,
        "settings": cell.settings,
        "training": cell.training,
    }


def _measured(model: Mapping[str, Any], name: str) -> str:
    """A metric as text."""
    if model[name] is None:
        return _NONE
    spread = model[f"{name}_se_seeds"]
    shown = f"{model[name]:.4f} ± {model[f'{name}_se']:.4f}"
    return shown if spread is None else f"{shown} ({spread:.4f})"


def _text(value: float | None, form: str) -> str:
    """A number as text, if there is one."""
    return _NONE if value is None else format(value, form)
