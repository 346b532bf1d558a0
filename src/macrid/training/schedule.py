"""What happens around an optimiser's steps: their rate, their gradients, the weights kept."""

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from macrid.errors import SettingsError
from macrid.parts.layers import HALVED

RISE = 0.05  # share of the steps


def cosine(optimiser: torch.optim.Optimizer, steps: int) -> LambdaLR:
    """A learning rate that rises in a straight line, then falls to 0 along half a cosine.

    Args:
        optimiser: Whose rate it is; what it has now is the highest.
        steps: In the whole of training.

    Example:
        >>> adam = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> schedule, rates = cosine(adam, 40), []
        >>> for _ in range(40):
        ...     rates.append(round(schedule.get_last_lr()[0], 2))
        ...     adam.step()
        ...     schedule.step()
        >>> rates[:3], rates[20], rates[-1]
        ([0.5, 1.0, 0.99], 0.5, 0.0)
    """
    rise = max(1.0, RISE * steps)

    def share(step: int) -> float:
        return min(1.0, (step + 1) / rise) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))

    return LambdaLR(optimiser, share)


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """A network whose weights are the moving average of another's, once per step.

    Noise of single steps cancels in it, so that it is better than the network itself while the
    learning rate is still high.

    Args:
        network: Whose weights are followed.
        decay: Share of the average that a step leaves.

    Raises:
        SettingsError: If steps of the network touch a few rows: the average would touch them all.
    """
    if getattr(network, "sparse", False):
        raise SettingsError(
            f"average is {decay:g}, but with a sampled softmax a step touches a few rows where the "
            "average would touch them all; set average to 0"
        )
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))


@torch.no_grad()
def unit_gradients(optimiser: torch.optim.Optimizer) -> None:
    """Divide each tensor's gradient by its length, before a step (Kim and Suh's AdamNormGrad).

    Value and gate, mean and log-variance, which lie in one tensor here, are divided apart.
    """
    for weight in (weight for group in optimiser.param_groups for weight in group["params"]):
        if weight.grad is not None:
            halved = getattr(weight, HALVED, None)
            for part in [weight.grad] if halved is None else weight.grad.chunk(2, halved):
                part /= part.norm() + 1e-7
