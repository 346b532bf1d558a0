"""Adam for tables of which a step sees a few rows."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class LazyAdam(torch.optim.Optimizer):
    """Adam whose moments and steps rest in the rows that a sparse gradient does not name.

    Dense gradients get plain Adam. Rows are neither decayed nor moved while they are away (as in
    ``torch.optim.SparseAdam``, which takes no dense gradients), so a step costs what it touches.

    Args:
        parameters: What to move.
        lr: Learning rate.
        betas: Decay of the mean and of the mean square of the gradient.
        eps: Added to the root of the mean square.

    Example:
        >>> table = torch.nn.Parameter(torch.zeros(3, 2))
        >>> optimiser = LazyAdam([table], lr=0.1)
        >>> torch.nn.functional.embedding(torch.tensor([2]), table, sparse=True).sum().backward()
        >>> optimiser.step()
        >>> table.detach()[:, 0].round(decimals=4).tolist()
        [0.0, 0.0, -0.10000000149011612]
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step; returns what ``closure``, which computes the gradients, returns."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group["lr"], group["betas"], group["eps"])
        return loss

    def _move(
        self, weight: Tensor, grad: Tensor, rate: float, betas: tuple[float, float], eps: float
    ) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
        state["step"] += 1
        scales = [1 - beta ** state["step"].item() for beta in betas]
        if grad.is_sparse:
            grad = grad.coalesce()
            rows, grad = grad.indices()[0], grad.values()
            # Gathered rows are copies, which go back when they are done.
            mean, square = state["mean"][rows], state["square"][rows]
        else:
            rows, mean, square = None, state["mean"], state["square"]
        mean.lerp_(grad, 1 - betas[0])
        square.mul_(betas[1]).addcmul_(grad, grad, value=1 - betas[1])
        change = mean / (square / scales[1]).sqrt_().add_(eps)
        if rows is None:
            weight.sub_(change, alpha=rate / scales[0])
        else:
            state["mean"].index_copy_(0, rows, mean)
            state["square"].index_copy_(0, rows, square)
            weight.index_add_(0, rows, change, alpha=-rate / scales[0])
