"""macrid in one process of its own, through its public functions; a job as JSON says what to do."""

import inspect
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import sources
from child import StepClock, answer, job, peak_bytes, timed_steps

LIST_LENGTH = 20


def main() -> None:
    """Load, then do as asked."""
    wanted = job()
    import torch

    torch.set_num_threads(wanted["threads"])
    import lightning.pytorch  # noqa: F401  seconds that are no part of any step

    import macrid  # noqa: F401

    tasks = {"step": step, "epoch": epoch, "score": score, "quality": quality, "judge": judge}
    before = peak_bytes()
    answer(before_bytes=before, **tasks[wanted["what"]](wanted))


def model_of(wanted: dict):
    """The model with the settings asked for."""
    import macrid

    return macrid.MacridVAE(
        n_concepts=wanted["n_concepts"], n_dims=wanted["n_dims"], **wanted.get("settings", {})
    )


def training_of(wanted: dict) -> dict:
    """Options of `fit`."""
    shared = {"batch_size": wanted["batch_size"], "threads": wanted["threads"], "device": "cpu"}
    return shared | wanted.get("training", {})


def step(wanted: dict) -> dict:
    """Some training steps of `fit`."""
    started = time.perf_counter()
    train = sources.train_of(wanted["data"])
    ready = time.perf_counter() - started
    model, full = model_of(wanted), train.n_users // wanted["batch_size"]
    steps = min(wanted["steps"], full - wanted["warmup"])  # the last batch of an epoch is smaller
    if steps < 1:
        raise SystemExit(f"{train.n_users} users are too few for {wanted['warmup'] + 1} batches")
    fit = lambda: model.fit(train, epochs=1, **training_of(wanted))  # noqa: E731
    seconds = timed_steps(fit, wanted["warmup"], steps)
    return {"seconds": seconds, "ready_seconds": ready, **sizes_of(train, wanted, model)}


def sizes_of(train, wanted: dict, model) -> dict:
    """What the roofline wants to know of a step, as arguments of `least_step_seconds`."""
    settings, batch = model.settings, wanted["batch_size"]
    events = len(train) / train.n_users * batch
    items, parameters = train.n_items, model.n_parameters(train.n_items)
    softmax = str(wanted.get("settings", {}).get("softmax", "full"))
    if softmax.startswith("sampled:"):  # a step needs to touch the sampled rows and its own events
        items = min(items, int(softmax.removeprefix("sampled:")))
        parameters = min(parameters, int((items + 2 * events) * settings.n_dims))
    least = {
        "users": batch,
        "concepts": settings.n_concepts,
        "dims": settings.n_dims,
        "items": items,
        "events": events,
        "parameters": parameters,
        "precision": wanted.get("training", {}).get("precision", "32"),
        "one_hot": settings.assignment_sampling == "straight-through",
    }
    return {"users": train.n_users, "items": train.n_items, "least": least}


def epoch(wanted: dict) -> dict:
    """The second epoch, from step to step, what `fit` does between epochs included."""
    started = time.perf_counter()
    train = sources.train_of(wanted["data"])
    ready = time.perf_counter() - started
    n_steps = -(-train.n_users // wanted["batch_size"])
    clock = StepClock()
    model_of(wanted).fit(train, epochs=2, **training_of(wanted))
    seconds = clock.marks[2 * n_steps - 1] - clock.marks[n_steps - 1]
    return {"seconds": [seconds], "ready_seconds": ready, "steps": n_steps}


def score(wanted: dict) -> dict:
    """Lists of 20 out of the whole catalogue, as ids, seen items left out."""
    train = sources.train_of(wanted["data"])
    few = train.take_users(np.arange(min(train.n_users, 2 * wanted["batch_size"])))
    model = model_of(wanted).fit(few, epochs=1, **training_of(wanted))
    options = wanted.get("recommend", {})
    missing = set(options) - set(inspect.signature(model.recommend).parameters)
    if missing:
        raise SystemExit(f"this macrid's recommend takes no {', '.join(sorted(missing))}")
    model.recommend(few.take_users(np.arange(500)), LIST_LENGTH, **options)
    people = train.take_users(np.arange(min(wanted["users"], train.n_users)))
    started = time.perf_counter()
    lists = model.recommend(people, LIST_LENGTH, **options)
    seconds = time.perf_counter() - started
    return {
        "users_per_second": people.n_users / seconds,
        "users": people.n_users,
        "items": train.n_items,
        "rows": len(lists),
        "least": {
            "users": people.n_users,
            "concepts": model.settings.n_concepts,
            "dims": model.settings.n_dims,
            "items": train.n_items,
            "precision": options.get("precision", "32"),
            "mode": model.settings.assignment == "mode",
        },
    }


def quality(wanted: dict) -> dict:
    """Seconds of training and validation until NDCG@100 of the validation users is reached."""
    import polars as pl

    import macrid

    split = sources.split_of(wanted["data"])
    model = model_of(wanted)
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        # No batch size: that is the recipe's own.
        options = {"threads": wanted["threads"], "device": "cpu", **wanted.get("training", {})}
        model.fit(split.train, split.validation, folder=folder, **options)
        wall = time.perf_counter() - started
        log = pl.read_csv(Path(folder) / "log.csv")
    log = log.with_columns(total=pl.col("seconds").cum_sum())
    reached = log.filter(pl.col("ndcg@100") >= wanted["target"]).select("epoch", "total")
    test = macrid.evaluate(model, split.test).to_dict()
    return {
        "best": log["ndcg@100"].max(),
        "epochs": len(log),
        "fit_seconds": wall,
        "reached_epoch": reached["epoch"][0] if len(reached) else None,
        "reached_seconds": reached["total"][0] if len(reached) else None,
        "test": test,
    }


def judge(wanted: dict) -> dict:
    """NDCG@100 of another's lists for the test users (rows of items, best first)."""
    import torch

    from macrid.parts.ranking import TopRows, hits, ndcg

    held_out = sources.split_of(wanted["data"]).test.held_out.histories()
    rows = torch.from_numpy(np.load(wanted["out"])).long()
    nothing = torch.where(rows < 0, -torch.inf, 0.0)
    found = hits(TopRows(rows, nothing), held_out)
    return {"test_ndcg": ndcg(found, held_out.lengths, rows.shape[1]).mean().item()}


if __name__ == "__main__":
    main()
