"""The table of item vectors: how it starts, and what the others see of it."""

import math

import pytest
import torch

from macrid.parts.items import MIN_LENGTH, ItemVectors, unit


def test_vectors_start_uniform_within_glorots_limit_for_fans_of_items_and_dims():
    torch.manual_seed(0)
    weight = ItemVectors(3000, 20).weight.detach()
    limit = math.sqrt(6 / (3000 + 20))
    assert weight.abs().max() <= limit
    assert weight.abs().max() > 0.999 * limit
    torch.testing.assert_close(weight.std().item(), limit / math.sqrt(3), rtol=0.01, atol=0)
    # Uniform, not only bounded: a quarter of the entries in each quarter of the range.
    shares = torch.histc(weight, 4, -limit, limit) / weight.numel()
    assert (shares - 0.25).abs().max() < 0.01


def test_directions_have_unit_length_whatever_the_table_holds():
    items = ItemVectors(50, 4)
    torch.nn.init.normal_(items.weight, std=100)
    torch.testing.assert_close(items().norm(dim=-1), torch.ones(50))


def test_scaling_a_row_changes_nothing_for_directions():
    items = ItemVectors(5, 4)
    before = items().detach().clone()
    with torch.no_grad():
        items.weight *= torch.tensor([1e-2, 1.0, 7.0, 1e3, 0.5])[:, None]
    torch.testing.assert_close(items(), before)


def test_inner_product_ablation_shows_the_rows_as_they_are():
    items = ItemVectors(5, 4, cosine=False)
    assert items() is items.weight


@pytest.mark.parametrize("length", [0.0, 1e-9, 0.5 * MIN_LENGTH])
def test_vectors_too_short_for_a_direction_are_divided_by_the_floor(length):
    vector = torch.tensor([[length, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(unit(vector), vector / MIN_LENGTH)


def test_the_gradient_of_a_zero_row_is_finite():
    items = ItemVectors(2, 3)
    torch.nn.init.zeros_(items.weight)
    items().sum().backward()
    assert items.weight.grad.isfinite().all()
