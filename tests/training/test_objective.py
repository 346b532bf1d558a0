"""The annealing of beta and the weight penalty, by hand and against the reference."""

import pytest
import torch
from torch import nn

from macrid.training.objective import ByEpoch, Linear, Objective, squared_weights
from reference.macridvae import beta_at


def test_beta_rises_by_a_fifth_per_epoch_and_is_not_capped_at_one():
    objective = Objective(max_beta=2.0)
    for epoch in range(12):
        beta = objective.beta(epoch * 4, steps_per_epoch=4)
        assert beta == pytest.approx(min(2.0, 0.2 * epoch))


@pytest.mark.parametrize("max_beta", [0.0, 0.2, 1.0, 5.0])
@pytest.mark.parametrize("n_batches", [1, 11])
def test_beta_is_that_of_the_reference_at_every_step(max_beta, n_batches):
    for step in range(30 * n_batches):
        ours = Objective(max_beta).beta(step, steps_per_epoch=n_batches)
        assert ours == beta_at(step, max_beta=max_beta, n_batches=n_batches)


def test_the_slope_does_not_depend_on_the_final_weight():
    assert Linear(steps=9)(0.9, 3, 1) == Linear(steps=9)(4.0, 3, 1)


def test_the_first_step_has_no_divergence():
    assert Linear(steps=10)(5.0, 0, 1) == 0


def test_by_epochs_all_steps_of_an_epoch_have_the_same_weight():
    assert [ByEpoch(100)(0.3, step, 5) for step in range(5)] == [0.003] * 5
    assert ByEpoch(100)(0.3, 99 * 5, 5) == ByEpoch(100)(0.3, 10**6, 5) == 0.3


def test_biases_are_not_penalised():
    layer = nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0]]))
        layer.bias.fill_(100.0)
    assert squared_weights(layer).item() == 25.0


def test_a_table_that_two_parts_share_is_penalised_once():
    table = nn.Linear(2, 2, bias=False)
    both = nn.ModuleList([table, table])
    assert squared_weights(both).item() == table.weight.square().sum().item()
