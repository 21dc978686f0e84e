"""Between an image and a grid of vectors: sizes that fit for any image, and no channel that reads another's place."""

from __future__ import annotations

import pytest
import torch

from jensen.nets.grids import FromGrid, ToGrid, grid_sizes


@pytest.mark.parametrize("halvings", [1, 2, 3])
@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 7, 3), (28, 28, 1), (5, 12, 2)])
def test_sizes_there_and_back(shape, halvings):
    height, width = grid_sizes(shape[0], shape[1], halvings)[-1]
    there = ToGrid(shape, 4, halvings, width=2, blocks=0)
    back = FromGrid(4, shape, 2, halvings, width=2, blocks=0)
    z = there(torch.randn(2, 3, shape[0] * shape[1] * shape[2]))
    assert z.shape == (2, 3, height * width * 4)
    assert back(z).shape == (2, 3, 2 * shape[0] * shape[1] * shape[2])


def test_sizes_are_halves_rounded_up():
    assert grid_sizes(9, 7, 3) == [(9, 7), (5, 4), (3, 2), (2, 1)]


def test_a_vector_of_the_grid_reads_the_image_about_its_place():
    """The first vector of the grid does not depend on the last pixel; the last vector does."""
    torch.manual_seed(0)
    net = ToGrid((16, 16, 1), 2, width=2, blocks=0)
    x = torch.randn(1, 256, requires_grad=True)
    grid = net(x).reshape(4, 4, 2)
    for (i, j), sees in (((0, 0), False), ((3, 3), True)):
        (gradient,) = torch.autograd.grad(grid[i, j].sum(), x, retain_graph=True)
        assert bool(gradient[0, -1] != 0) is sees
