"""The published split written straight out: who is held out, and which of their items?

Liang et al. (2018), as in the notebook ``VAE_ML20M_WWW2018`` and in ``prep.py`` of Ma et al.
(2019). ``RandomState`` gives the same numbers as the ``np.random.seed`` of those files, without
touching the global state; the newer ``Generator`` would give others.
"""

import numpy as np
import pandas as pd


def published_split(
    ratings: pd.DataFrame,
    *,
    n_held_out: int,
    min_rating: float = 4.0,
    min_per_user: int = 5,
    min_per_item: int = 0,
    target_share: float = 0.2,
    seed: int = 98765,
) -> dict[str, pd.DataFrame]:
    """The six files of a ``pro_sg`` folder, from a frame of ``user, item, rating``.

    Row order matters: it decides the items' numbers and which items the draws hit. ``n_held_out``
    users are tested and as many validate. The result has ``train``, ``validation_tr``,
    ``validation_te``, ``test_tr`` and ``test_te``, each with columns ``uid`` (place among the
    permuted users) and ``sid`` (row of ``unique_sid``), and ``unique_sid``, whose one column
    ``item`` holds the original ids.
    """
    plays = ratings[ratings["rating"] >= min_rating]
    # Once, items first; this is not a k-core, so the second filter may undo the first.
    plays = plays[plays.groupby("item")["item"].transform("size") >= min_per_item]
    plays = plays[plays.groupby("user")["user"].transform("size") >= min_per_user]

    users = np.sort(plays["user"].unique())
    users = users[np.random.RandomState(seed).permutation(users.size)]
    train_users = users[: users.size - 2 * n_held_out]
    validation_users = users[users.size - 2 * n_held_out : users.size - n_held_out]
    test_users = users[users.size - n_held_out :]

    train = plays[plays["user"].isin(train_users)]
    catalogue = train["item"].unique()  # in order of first appearance
    known = plays[plays["item"].isin(catalogue)]
    validation_tr, validation_te = fold_in_split(
        known[known["user"].isin(validation_users)], target_share, seed
    )
    test_tr, test_te = fold_in_split(known[known["user"].isin(test_users)], target_share, seed)

    uid = {user: place for place, user in enumerate(users)}
    sid = {item: row for row, item in enumerate(catalogue)}
    parts = {
        "train": train,
        "validation_tr": validation_tr,
        "validation_te": validation_te,
        "test_tr": test_tr,
        "test_te": test_te,
    }
    files = {
        name: pd.DataFrame(
            {
                "uid": [uid[user] for user in part["user"]],
                "sid": [sid[item] for item in part["item"]],
            },
            dtype="int64",
        )
        for name, part in parts.items()
    }
    return files | {"unique_sid": pd.DataFrame({"item": catalogue})}


def fold_in_split(
    plays: pd.DataFrame, target_share: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fold-in rows and target rows; who has fewer than five items left keeps them as fold-in."""
    random = np.random.RandomState(seed)  # afresh for validation and for test
    fold_in, targets = [plays[:0]], [plays[:0]]
    for _, rows in plays.groupby("user"):  # ascending user id, rows in file order
        is_target = np.zeros(len(rows), dtype=bool)
        if len(rows) >= 5:
            n_targets = int(target_share * len(rows))
            is_target[random.choice(len(rows), size=n_targets, replace=False)] = True
        fold_in.append(rows[~is_target])
        targets.append(rows[is_target])
    return pd.concat(fold_in), pd.concat(targets)
