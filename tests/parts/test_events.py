"""The three products over events against dense ones, with either kernel."""

import pytest
import torch

from macrid.data.histories import Histories
from macrid.parts import events
from macrid.parts.events import event_products, weighted_bag

N_ITEMS, N_DIMS, N_CONCEPTS = 9, 4, 3
LISTS = [[8, 0, 3], [], [3], [1, 2, 3, 4, 5]]


def inputs():
    generator = torch.Generator().manual_seed(1)
    shapes = (len(LISTS), N_CONCEPTS, N_DIMS), (N_ITEMS, N_DIMS), (N_CONCEPTS, 9)
    return [
        torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in shapes
    ]


@pytest.fixture(params=["sparse", "gathered"])
def kernel(request, monkeypatch):
    """The sparse kernel of processors, or what other devices use."""
    if request.param == "gathered":
        monkeypatch.setattr(events, "_CHUNK", 4)
        monkeypatch.setattr(events, "_products", events._gathered_products)


@pytest.mark.usefixtures("kernel")
def test_products_are_those_of_each_events_person_and_item():
    people, table, _ = inputs()
    histories = Histories.from_lists(LISTS)
    products = event_products(people, table, histories)
    expected = torch.einsum("ekd,ed->ke", people[histories.users], table[histories.items])
    torch.testing.assert_close(products, expected)


@pytest.mark.usefixtures("kernel")
def test_gradients_agree_with_finite_differences():
    people, table, weights = inputs()
    histories = Histories.from_lists(LISTS)
    assert torch.autograd.gradcheck(lambda p, t: event_products(p, t, histories), (people, table))
    assert torch.autograd.gradcheck(lambda t, w: weighted_bag(t, w, histories), (table, weights))


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("lists", [[], [[]], [[], []]])
def test_nobody_and_nothing_are_no_error(lists):
    people, table, _ = inputs()
    histories = Histories.from_lists(lists)
    people = people[: len(lists)]
    assert event_products(people, table, histories).shape == (N_CONCEPTS, 0)


def test_only_the_gradients_asked_for_are_computed():
    people, table, weights = inputs()
    histories = Histories.from_lists(LISTS)
    (by_table,) = torch.autograd.grad(
        weighted_bag(table, weights.detach(), histories).sum(), [table]
    )
    (by_people,) = torch.autograd.grad(
        event_products(people, table.detach(), histories).sum(), [people]
    )
    assert by_table.shape == table.shape
    assert by_people.shape == people.shape
