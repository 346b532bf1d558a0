"""From a path on the command line to a split, with a word on what was read."""

from pathlib import Path
from typing import Any

from macrid.cli.options import DataSettings, need_split_as_it_is
from macrid.cli.show import note
from macrid.data.interactions import Interactions
from macrid.data.readers import check_related, read, read_features
from macrid.data.splits import Split, hold_out_users, is_split_folder, read_split


def read_split_or_events(source: Path, settings: DataSettings) -> tuple[Interactions | None, Split]:
    """A split, and the event log it was made from (None for a folder that is split already)."""
    if is_split_folder(source):
        need_split_as_it_is(source, settings)
        features = read_features(settings.items) if settings.items else None
        split = read_split(source, features=features)
        if features is not None:
            check_related(split.train.items.ids, features["item_id"])
        note(f"read {source}: split already, used as it is")
        return None, split
    data = read_events(source, settings)
    return data, hold_out_users(data, settings.hold_out, seed=settings.split_seed)


def read_events(source: Path, settings: DataSettings) -> Interactions:
    """An event log, filtered as the settings say."""
    data = read(
        source,
        items=settings.items,
        columns=settings.columns,
        min_weight=settings.min_weight,
        min_user_events=settings.min_user_events,
        min_item_events=settings.min_item_events,
    )
    note(
        f"read {source}: {data.n_users:,} users with {settings.min_user_events} or more events, "
        f"{data.n_items:,} items, {len(data):,} events"
    )
    low, high = float(data.weights.min()), float(data.weights.max())
    if settings.min_weight is None and low < high <= 10:
        note(
            f"weights reach from {low:g} to {high:g} (of an event that comes twice, their sum): if "
            "they are ratings, --min-weight keeps only what people liked"
        )
    return data


def read_again(model: Any, source: Path, given: dict[str, Any]) -> Split:
    """The split that a model was trained on, with a word if it is another one.

    Args:
        model: A fitted model, which knows how its data were read.
        source: The data.
        given: What is said now of how to read them.
    """
    settings = DataSettings.of(given) if is_split_folder(source) else reading_of(model, given)
    _, split = read_split_or_events(source, settings)
    if model.training.get("refit"):
        note("warning: this model was refitted on everyone, these users included")
    elif split.train.fingerprint() != model.training.get("data"):
        note("warning: the training users of this split are not those the model was trained on")
    return split


def reading_of(model: Any, given: dict[str, Any]) -> DataSettings:
    """How an event log is read: as for training, but for what is said now."""
    # Titles and genres have no part in it, and their table may not be where it was.
    return DataSettings.of({**model.training.get("read", {}), "items": None, **given})
