"""The data of the benchmark: real sets where they lie beside the checkout, a Zipf draw elsewhere.

Names: ``ml-1m`` (the published split), ``gowalla``, ``synthetic`` (about gowalla's size),
``small``, and ``zipf:USERS:ITEMS:EVENTS`` (the last: of each user), all of it for training.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("MACRID_DATA", HERE.parent.parent / "shared" / "data"))
SYNTHETIC = {"synthetic": (30_000, 41_000, 34), "small": (3_000, 2_000, 20)}
HELD_OUT = {"gowalla": 1_000, "synthetic": 1_000, "small": 200}


def there(name: str) -> bool:
    """Whether a set can be had here."""
    files = {"ml-1m": "ml-1m/pro_sg/train.csv", "gowalla": "gowalla/interactions.parquet"}
    return name not in files or (DATA / files[name]).is_file()


def zipf(n_users: int, n_items: int, mean: int, seed: int = 0) -> pl.DataFrame:
    """Events of users whose items are drawn by Zipf's law; repeated pairs fall together."""
    random = np.random.default_rng(seed)
    n_events = n_users * mean
    items = np.floor(np.exp(random.random(n_events) * np.log(n_items + 1)) - 1).astype(np.int64)
    # A share drawn evenly keeps the rarest items from never being seen at all.
    even = random.random(n_events) < 0.3
    items[even] = random.integers(0, n_items, int(even.sum()))
    users = np.repeat(np.arange(n_users), mean)
    return pl.DataFrame({"user_id": users, "item_id": items.clip(max=n_items - 1)}).unique()


def train_of(name: str):
    """Training users alone."""
    if not name.startswith("zipf:"):
        return split_of(name).train
    from macrid.data.interactions import Interactions
    from macrid.data.vocabulary import Vocabulary

    n_users, n_items, mean = map(int, name.split(":")[1:])
    catalogue = Vocabulary(pl.Series("item_id", np.arange(n_items)))
    return Interactions.from_events(zipf(n_users, n_items, mean), items=catalogue)


def split_of(name: str):
    """Training, validation and test users."""
    import macrid
    from macrid.data.splits import read_split

    if name == "ml-1m":
        return read_split(DATA / "ml-1m" / "pro_sg")
    data = zipf(*SYNTHETIC[name]) if name in SYNTHETIC else DATA / name / "interactions.parquet"
    return macrid.hold_out_users(macrid.read(data), n_users=HELD_OUT[name])


def export(name: str, folder: Path) -> dict[str, int]:
    """The same training events as the peers read them, and what is known of the set.

    RecBole wants three atomic files: all events for training, and one event of each user in the
    other two, so that everybody can be scored. Implicit gets the sparse matrices.
    """
    from scipy import sparse

    split = split_of(name)
    train = split.train
    pairs = pl.DataFrame({"user_id:token": train.rows, "item_id:token": train.columns})
    one = pairs.unique("user_id:token", keep="first", maintain_order=True)
    place = folder / name
    place.mkdir(parents=True)
    for part, frame in (("train", pairs), ("valid", one), ("test", one)):
        frame.write_csv(place / f"{name}.{part}.inter", separator="\t")
    sparse.save_npz(place / "train.npz", train.matrix())
    sparse.save_npz(place / "fold_in.npz", split.test.fold_in.matrix())
    return {"users": train.n_users, "items": train.n_items, "events": len(train)}


if __name__ == "__main__":
    print(json.dumps(export(sys.argv[1], Path(sys.argv[2]))))
