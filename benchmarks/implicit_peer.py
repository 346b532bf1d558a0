"""Alternating least squares of `implicit`: what many people pick instead of an autoencoder.

Run by the peers' Python with a job as JSON. As many factors as macrid has dimensions in a concept;
all else is its default.
"""

import time
from pathlib import Path

from child import answer, job

LIST_LENGTH = 20


def main() -> None:
    """Load, then do as asked."""
    import numpy as np
    from implicit.als import AlternatingLeastSquares
    from scipy import sparse

    wanted = job()
    place = Path(wanted["folder"]) / wanted["data"]
    started = time.perf_counter()
    train = sparse.load_npz(place / "train.npz")
    ready = time.perf_counter() - started
    seconds: list[float] = []
    model = AlternatingLeastSquares(
        factors=wanted["n_dims"],
        num_threads=wanted["threads"],
        random_state=0,
        iterations=2 if wanted["what"] == "epoch" else 15,
    )
    model.fit(train, show_progress=False, callback=lambda *seen: seconds.append(seen[1]))
    if wanted["what"] == "epoch":
        answer(seconds=[seconds[-1]], ready_seconds=ready, steps=1)
    elif wanted["what"] == "quality":
        people = sparse.load_npz(place / "fold_in.npz").tocsr()
        # Who was never seen gets factors by one more least-squares step.
        rows, _ = model.recommend(np.arange(people.shape[0]), people, N=100, recalculate_user=True)
        np.save(wanted["out"], rows)
        answer(fit_seconds=sum(seconds))
    else:
        users = np.arange(min(wanted["users"], train.shape[0]))
        started = time.perf_counter()
        for some in np.split(users, range(wanted["batch_size"], len(users), wanted["batch_size"])):
            model.recommend(some, train[some], N=LIST_LENGTH)
        took = time.perf_counter() - started
        answer(users_per_second=len(users) / took, users=len(users))


if __name__ == "__main__":
    main()
