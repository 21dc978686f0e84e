"""Ridges between the nodes of a rule: parabolas through the logarithm tell of a maximum that no node is near."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["hidden_ridges", "ridge_points"]

HIDDEN = 2.0  # nats by which a guessed maximum exceeds every node of the cell


def hidden_ridges(logs: Tensor, nodes: Tensor, half: Tensor) -> Tensor:
    r"""Return the log-integral [P, Z] that ridges across each feature may have between the nodes of a cell.

    Along a line of nodes, the parabola through three of them has its vertex at height H and the curvature -c. Where a
    vertex lies between two nodes, the lower of the parabolas with the neighbour to the left and to the right is taken:
    a wall, unlike a ridge, has a plain beside it. If H is more than 2 nats above every node of the cell, the integral
    along this line is guessed, exactly for a Gaussian ridge, and all lines are summed, by their share of the cell:

    .. math:: e^{H} \sqrt{2\pi / c}

    Args:
        logs: [K, P] the log-integrand at the nodes, Z features with the same nodes each.
        nodes: [K, Z] in the cube [-1, 1]^Z.
        half: [P, Z] half the sides of the cells.
    """
    k, dim = nodes.shape
    n = round(k ** (1 / dim))
    line = nodes[:, -1][:n]
    image = logs.reshape(*[n] * dim, -1)
    volume, top = (2 * half).log().sum(-1), logs.amax(0)
    of_axes = []
    for axis in range(dim):
        along = image.movedim(axis, 0).reshape(n, -1, logs.shape[1])
        height, curvature, _ = _vertices(along, line)
        # in units of the cell's side
        mass = height + 0.5 * torch.log(2 * math.pi / curvature) - math.log(2)
        mass = torch.where(height > top + HIDDEN, mass.clamp_max(1e300), -torch.inf)
        of_axes.append(mass.amax(0).logsumexp(0) - math.log(along.shape[1]) + volume)
    return torch.stack(of_axes, -1)


def ridge_points(logs: Tensor, line: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return points [K, B, Z] at which lines of a grid seem to cross ridges, and log-densities [K, B], -inf if none.

    Args:
        logs: [n^Z, B] at the product of a line with itself.
        line: [n].
        dim: Z.
    """
    n, (points, heights) = len(line), ([], [])
    image = logs.reshape(*[n] * dim, -1)
    for axis in range(dim):
        height, _, vertex = _vertices(image.movedim(axis, 0).reshape(n, -1, logs.shape[1]), line)
        vertex = torch.where(height.isfinite(), vertex, 0.0)
        across = line[:, None].expand_as(vertex) if dim == 2 else None
        parts = [vertex] if across is None else [vertex, across] if axis == 0 else [across, vertex]
        points.append(torch.stack(parts, -1).flatten(0, 1))
        heights.append(height.flatten(0, 1))
    return torch.cat(points), torch.cat(heights)


def _vertices(logs: Tensor, line: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return heights (-inf if none), curvatures and places [n - 3, L, P] of vertices, on lines [n, L, P]."""
    x = line[:, None, None]
    slope = logs.diff(dim=0) / x.diff(dim=0)
    curve = slope.diff(dim=0) / (x[2:] - x[:-2])  # half the second derivative
    vertex = (x[:-2] + x[1:-1]) / 2 - slope[:-1] / (2 * curve)
    height = logs[:-2] + (vertex - x[:-2]) * (slope[:-1] + curve * (vertex - x[1:-1]))
    usable = (curve < 0) & height.isfinite()
    left, right = x[1:-2], x[2:-1]
    sides = []
    for some in (slice(None, -1), slice(1, None)):
        is_between = usable[some] & (vertex[some] >= left) & (vertex[some] <= right)
        sides.append(torch.where(is_between, height[some], -torch.inf))
    height = torch.minimum(*sides)
    curvature = torch.where(height.isfinite(), -2 * torch.minimum(curve[:-1], curve[1:]), 1.0)
    return height, curvature, vertex[:-1]
