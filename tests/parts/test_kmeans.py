"""Groups of directions: planted ones are found, whatever their sizes; odd inputs have an answer."""

import pytest
import torch

from macrid.parts.items import unit
from macrid.parts.kmeans import spherical_kmeans

SIZES = [300, 30, 6]


def planted_directions(sizes=SIZES, *, n_dims=5, noise=0.1):
    """Rows around the first axes, and which axis."""
    torch.manual_seed(1)
    truth = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return unit(torch.eye(n_dims)[truth] + noise * torch.randn(len(truth), n_dims)), truth


def test_planted_groups_of_very_unequal_sizes_are_found():
    vectors, truth = planted_directions()
    groups = spherical_kmeans(vectors, len(SIZES))
    pairs = torch.stack([groups, truth]).unique(dim=1)
    assert pairs.shape[1] == len(SIZES)  # one group for each, one of each for a group


def test_each_row_is_nearest_to_the_centre_of_its_own_group():
    torch.manual_seed(2)
    vectors = unit(torch.randn(200, 4))
    groups = spherical_kmeans(vectors, 6, rounds=1000)
    centres = unit(torch.zeros(6, 4).index_add_(0, groups, vectors))
    assert torch.equal((vectors @ centres.T).argmax(1), groups)


def test_the_same_seed_gives_the_same_groups_and_more_starts_none_that_are_worse():
    vectors, found = unit(torch.randn(300, 6)), {}

    def total(groups):
        return torch.zeros(8, 6).index_add_(0, groups, vectors).norm(dim=1).sum()

    for restarts in (1, 1, 20):
        torch.manual_seed(3)
        groups = spherical_kmeans(vectors, 8, restarts=restarts, rounds=1000)
        if restarts in found:
            assert torch.equal(found[restarts], groups)
        found[restarts] = groups
    assert total(found[20]) >= total(found[1])


@pytest.mark.parametrize("n_groups", [1, 3, 9])
def test_rows_that_are_few_alike_or_zero_have_groups_all_the_same(n_groups):
    for vectors in (torch.eye(3)[[0, 0, 1]], torch.eye(3)[[2] * 5], torch.zeros(4, 3)):
        groups = spherical_kmeans(vectors, n_groups)
        assert groups.shape == (len(vectors),)
        assert groups.min() >= 0
        assert groups.max() < n_groups
