"""Ridges between nodes: found and weighed where they are Gaussian, not seen where there is a wall."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.evaluate.hidden_ridges import hidden_ridges, ridge_points
from jensen.evaluate.panel_rules import kronrod_rule
from tests.identities.models import close

WIDTH = 0.004


@pytest.mark.parametrize("axis", [0, 1])
def test_a_ridge_that_no_node_sees_is_weighed(axis):
    """A Gaussian ridge across one feature, 18 widths from the nearest node: its integral, for that feature."""
    nodes = kronrod_rule(2).nodes
    logs = -0.5 * ((nodes[:, axis] - 0.33) / WIDTH).square()
    assert float(logs.max()) < -50
    mass = hidden_ridges(logs[:, None], nodes, torch.ones(1, 2).double())[0]
    close(mass[axis], math.log(math.sqrt(2 * math.pi) * WIDTH * 2), 1e-9)
    assert mass[1 - axis] == -torch.inf


def test_a_wall_is_no_ridge():
    nodes = kronrod_rule(1).nodes
    logs = torch.where(nodes > 0.3, 0.0, -1e5)
    assert hidden_ridges(logs, nodes, torch.ones(1, 1).double())[0, 0] == -torch.inf


def test_what_nodes_see_is_not_hidden():
    nodes = kronrod_rule(1).nodes
    logs = -0.5 * ((nodes - 0.3) / 0.3).square()
    assert hidden_ridges(logs, nodes, torch.ones(1, 1).double())[0, 0] == -torch.inf


def test_lines_of_a_grid_cross_a_ridge():
    line = torch.arange(-5.0, 6.0).double()
    z = torch.cartesian_prod(line, line)
    at, height = ridge_points((-0.5 * ((z[:, 1] - 0.4) / 0.01).square())[:, None], line, 2)
    seen = at[height > -1e-6]
    close(seen[:, 1], torch.full((len(line),), 0.4, dtype=torch.float64), 1e-9)
    assert sorted(seen[:, 0].tolist()) == line.tolist()
