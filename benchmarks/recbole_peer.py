"""RecBole's MacridVAE and MultiVAE, by their own classes, data sets and training loop.

Run by the peers' Python with a job as JSON; see `contenders.py`. MacridVAE gets macrid's sizes: the
same concepts, dimensions and batch, and a hidden layer as wide as the dimensions, which is the
authors' (its own default is 600). MultiVAE keeps its defaults and is there for comparison.
"""

import logging
import time
import warnings

from child import answer, job, timed_steps

warnings.filterwarnings("ignore")
LIST_LENGTH = 20


def sizes(model: str, wanted: dict) -> dict:
    """RecBole's names of the settings."""
    if model != "MacridVAE":
        return {}
    return {
        "kfac": wanted["n_concepts"],
        "embedding_size": wanted["n_dims"],
        "encoder_hidden_size": [wanted["n_dims"]],
        "std": 0.075,
    }


def main() -> None:
    """Load, then do as asked."""
    wanted = job()
    import torch

    torch.set_num_threads(wanted["threads"])
    started = time.perf_counter()
    # The package before its parts: they import each other in a circle otherwise.
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    imported = time.perf_counter()
    logging.disable(logging.CRITICAL)
    config = Config(
        model=wanted["model"],
        dataset=wanted["data"],
        config_dict={
            "data_path": wanted["folder"],
            "benchmark_filename": ["train", "valid", "test"],
            "train_batch_size": wanted["batch_size"],
            "use_gpu": False,
            "show_progress": False,
            "train_neg_sample_args": None,
            **sizes(wanted["model"], wanted),
        },
    )
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    train, _, test = data_preparation(config, dataset)
    model = get_model(config["model"])(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    ready = time.perf_counter() - imported
    print(f"imported in {imported - started:.1f} s, ready in {ready:.1f} s")
    about = {"ready_seconds": ready, "parameters": sum(w.numel() for w in model.parameters())}
    answer(
        **about,
        **{"step": step, "epoch": epoch, "score": score}[wanted["what"]](
            wanted, trainer, train, test, dataset
        ),
    )


def fit(trainer, train) -> None:
    """One epoch of the trainer's own loop, nothing validated, nothing written."""
    trainer.epochs = 1
    trainer.fit(train, verbose=False, saved=False)


def step(wanted: dict, trainer, train, _, dataset) -> dict:
    """Some training steps, of an epoch's last batch, which is smaller, never."""
    full = dataset.user_num // wanted["batch_size"]
    steps = min(wanted["steps"], full - wanted["warmup"])
    return {"seconds": timed_steps(lambda: fit(trainer, train), wanted["warmup"], steps)}


def epoch(wanted: dict, trainer, train, *_) -> dict:
    """The second epoch, where the first one did not take long; else the first."""
    for _ in range(2):
        started = time.perf_counter()
        fit(trainer, train)
        seconds = time.perf_counter() - started
        if seconds > wanted["slow"]:
            break
    return {"seconds": [seconds], "steps": len(train)}


def score(wanted: dict, trainer, train, test, dataset) -> dict:
    """Lists of 20 out of the whole catalogue, as ids, seen items left out."""
    import numpy as np
    from recbole.utils.case_study import full_sort_topk

    model, size = trainer.model, wanted["batch_size"]
    timed_steps(lambda: fit(trainer, train), 0, 2)
    full_sort_topk(np.arange(1, 1 + size), model, test, LIST_LENGTH)
    users = np.arange(1, 1 + min(wanted["users"], dataset.user_num - 1))
    started = time.perf_counter()
    for start in range(0, len(users), size):
        _, rows = full_sort_topk(users[start : start + size], model, test, LIST_LENGTH)
        dataset.id2token(dataset.iid_field, rows.numpy())
    return {"users_per_second": len(users) / (time.perf_counter() - started), "users": len(users)}


if __name__ == "__main__":
    main()
