"""A batch of people holds the lists it was made from, and nothing else."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from macrid.data.histories import Histories


@given(st.lists(st.lists(st.integers(0, 9))))
def test_every_person_keeps_exactly_their_items_in_order(lists):
    people = Histories.from_lists(lists)
    ends = people.offsets.tolist()
    assert len(people) == len(lists)
    assert [people.items[a:b].tolist() for a, b in pairwise(ends)] == lists
    assert people.lengths.tolist() == [len(items) for items in lists]
    assert people.users.tolist() == [row for row, items in enumerate(lists) for _ in items]


def test_rows_are_64_bit_whatever_the_arrays_were():
    people = Histories.from_arrays(np.array([4, 2], np.int32), np.array([0, 1, 2], np.uint16))
    assert people.items.dtype == people.offsets.dtype == torch.int64


def test_lists_may_come_from_a_generator():
    people = Histories.from_lists(range(n) for n in (2, 0, 1))
    assert people.items.tolist() == [0, 1, 0]
    assert people.lengths.tolist() == [2, 0, 1]


def test_an_array_that_is_not_contiguous_is_read_in_its_own_order():
    every_other = np.arange(6)[::2]
    assert Histories.from_arrays(every_other, np.array([0, 3])).items.tolist() == [0, 2, 4]


def test_moving_to_another_device_keeps_everything():
    moved = Histories.from_lists([[1, 2], [3]]).to("meta")
    assert moved.items.device == moved.offsets.device == torch.device("meta")
    same = Histories.from_lists([[1, 2], [3]]).to("cpu")
    assert same.items.tolist() == [1, 2, 3]
    assert same.users.tolist() == [0, 0, 1]
