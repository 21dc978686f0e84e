"""Adaptive cells: how they are cut, and integrals of densities that have closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.core.batch import Batch
from jensen.evaluate.cells import Cells, Integral, Integrand, _sums, _Values, adaptive, graded, in_nats
from jensen.evaluate.joint_density import Frame, Joint
from jensen.families import Gaussian
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from tests.identities.models import close


class Step(torch.nn.Module):
    """0 below a third, 1 above."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (z > 1 / 3).to(z)


def box(lo: float, hi: float, dim: int = 1) -> Cells:
    side = torch.ones(1, dim, dtype=torch.float64)
    return Cells(torch.zeros(1, dtype=torch.long), lo * side, hi * side)


def integrated(net: torch.nn.Module, sd: float, most: int = 1 << 14) -> Integral:
    model = LatentVariableModel(Unconditional(Gaussian(1)), Given(net, Gaussian(1, sd))).double()
    joint = Joint(model, Batch(torch.zeros(1, 1, dtype=torch.float64)), 1 << 12)
    frame = Frame(torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, 1, dtype=torch.float64))
    with torch.no_grad():
        return adaptive(Integrand(joint, frame), box(-8, 8), torch.tensor([1e-6], dtype=torch.float64), most)


def test_a_narrow_posterior_is_found_by_cutting():
    found = integrated(torch.nn.Identity(), 0.05)
    close(found.value[0], -0.5 * math.log(2 * math.pi * (1 + 0.05**2)), 1e-9)
    assert found.error[0] <= 1e-6


def test_a_step_is_enclosed():
    found = integrated(Step(), 0.5)
    above = 0.5 * math.erfc(1 / 3 / math.sqrt(2))
    truth = math.log(1 - above + above * math.exp(-2)) - math.log(0.5 * math.sqrt(2 * math.pi))
    off = abs(float(found.value[0]) - truth)
    assert off <= float(found.error[0]) <= 1e-6


def test_few_points_leave_a_large_error():
    assert integrated(Step(), 0.5, most=60).error[0] > 1e-3


@pytest.mark.parametrize("dim", [1, 2])
def test_cells_grow_with_their_distance_and_shrink_about_a_peak(dim):
    peak = torch.full((1, 1, dim), 5.0, dtype=torch.float64)
    width = torch.full((1, 1, dim), 0.01, dtype=torch.float64)
    cells = graded(box(-64, 64, dim), 2.0, peak, width)
    size = cells.hi - cells.lo
    close(size.prod(-1).sum(), 128.0**dim, 1e-9)
    at_peak = ((cells.lo <= 5.0) & (cells.hi >= 5.0)).all(-1)
    assert float(size[at_peak].max()) <= 0.04
    assert float(size.max()) >= 16
    assert (size <= torch.maximum(cells.lo, -cells.hi).clamp_min(2.0)).all()


def test_errors_in_nats():
    logs = torch.tensor([0.1, 1e-9, 0.0, 20.0], dtype=torch.float64).log()
    close(in_nats(logs), torch.tensor([-math.log(0.9), 1e-9, 0.0, 1 + math.log(20)], dtype=torch.float64), 1e-12)


def test_an_error_far_above_the_integral_leaves_the_integral():
    """A guess of what may hide can be any number; it must not drown the sum of the others."""
    log = torch.tensor([-1.0, -2.0, -torch.inf, -5.0], dtype=torch.float64)
    row, none = torch.tensor([0, 0, 0, 1]), torch.zeros(4, dtype=torch.bool)
    difference = torch.tensor([[-30.0], [1e5], [-torch.inf], [-30.0]], dtype=torch.float64)
    values = _Values(log, difference, torch.full_like(log, -torch.inf), torch.full_like(log, torch.nan), none)
    total, error = _sums(values, row, 2)
    close(total, torch.tensor([math.log(math.exp(-1) + math.exp(-2)), -5.0], dtype=torch.float64), 1e-12)
    assert float(error[0]) > 1e4
    assert float(error[1]) < 1e-9


def test_an_empty_integral_has_no_error():
    log = torch.full((2,), -torch.inf, dtype=torch.float64)
    empty = _Values(log, log[:, None], log, torch.full_like(log, torch.nan), torch.zeros(2, dtype=torch.bool))
    total, error = _sums(empty, torch.zeros(2, dtype=torch.long), 1)
    assert (float(total), float(error)) == (-math.inf, 0.0)
