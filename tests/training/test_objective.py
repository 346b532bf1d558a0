"""The annealing of beta and the weight penalty, by hand and against the reference."""

import pytest
import torch
from torch import nn

from macrid.training.objective import kl_weight, squared_weights
from reference.macridvae import beta_at


def test_beta_rises_by_a_fifth_per_epoch_and_is_not_capped_at_one():
    n_batches = 4
    for epoch in range(12):
        step = epoch * n_batches
        beta = kl_weight(step, max_beta=2.0, warmup_steps=5 * n_batches)
        assert beta == pytest.approx(min(2.0, 0.2 * epoch))


@pytest.mark.parametrize("max_beta", [0.0, 0.2, 1.0, 5.0])
@pytest.mark.parametrize("n_batches", [1, 11])
def test_beta_is_that_of_the_reference_at_every_step(max_beta, n_batches):
    for step in range(30 * n_batches):
        ours = kl_weight(step, max_beta=max_beta, warmup_steps=5 * n_batches)
        assert ours == beta_at(step, max_beta=max_beta, n_batches=n_batches)


def test_the_slope_does_not_depend_on_the_final_weight():
    assert kl_weight(3, max_beta=0.9, warmup_steps=9) == kl_weight(3, max_beta=4.0, warmup_steps=9)


def test_the_first_step_has_no_divergence():
    assert kl_weight(0, max_beta=5.0, warmup_steps=10) == 0


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
