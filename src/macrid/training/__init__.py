"""How networks are trained: settings, batches, objective, loop, checkpoints, progress."""
