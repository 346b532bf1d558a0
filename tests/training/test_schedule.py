"""The rate's way up and down, and the mean of weights, against hand arithmetic."""

import math

import pytest
import torch
from torch import nn

from macrid.errors import SettingsError
from macrid.training.schedule import averaged, cosine, unit_gradients


def rates(steps):
    adam = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=2.0)
    schedule, rates = cosine(adam, steps), []
    for _ in range(steps):
        rates.append(adam.param_groups[0]["lr"])
        adam.step()
        schedule.step()
    return rates


def test_the_rate_rises_for_a_twentieth_and_falls_along_half_a_cosine():
    expected = [
        2.0 * min(1.0, (step + 1) / 5) * (1 + math.cos(math.pi * step / 100)) / 2
        for step in range(100)
    ]
    assert rates(100) == pytest.approx(expected)
    assert max(rates(100)) == rates(100)[4]


def test_a_run_of_one_step_has_the_whole_rate():
    assert rates(1) == [2.0]


def test_the_average_begins_at_the_first_weights_and_forgets_by_its_decay():
    network = nn.Linear(1, 1, bias=False)
    average = averaged(network, 0.75)
    for value in (1.0, 2.0, 4.0):
        nn.init.constant_(network.weight, value)
        average.update_parameters(network)
    assert average.module.weight.item() == pytest.approx(0.75 * (0.75 * 1 + 0.25 * 2) + 0.25 * 4)
    assert network.weight.item() == 4.0


class Sparse(nn.Linear):
    """Says that its steps touch a few rows."""

    sparse = True


def test_an_average_of_tables_of_which_steps_touch_a_few_rows_is_refused():
    with pytest.raises(SettingsError, match=r"average is 0\.5.*sampled softmax.*set average to 0"):
        averaged(Sparse(1, 1), 0.5)


def test_a_step_by_unit_gradients_is_adams_of_the_divided_ones():
    """By hand: a gradient of length 5 becomes (0.6, 0.8); a zero one stays."""
    weights = [nn.Parameter(value) for value in (torch.zeros(2), torch.zeros(3), torch.ones(1))]
    adam = torch.optim.Adam(weights, lr=0.1, eps=1.0)
    weights[0].grad, weights[1].grad = torch.tensor([3.0, 4.0]), torch.zeros(3)
    unit_gradients(adam)
    adam.step()
    # The first step of Adam is the rate times g / (|g| + eps).
    torch.testing.assert_close(weights[0].data, -0.1 * torch.tensor([0.6 / 1.6, 0.8 / 1.8]))
    assert weights[1].tolist() == [0.0, 0.0, 0.0]
    assert weights[2].tolist() == [1.0]
