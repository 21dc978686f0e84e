"""Exact checks of masks and temperatures on small models."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.core.batch import Batch


def test_the_joint_density_does_not_see_hidden_entries():  # joint-mask
    from jensen.families import Gaussian
    from jensen.models import LatentVariableModel, Linear, Unconditional

    model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 3))
    mask, z = torch.tensor([[True, False, True]]), torch.randn(4, 1, 2)
    x = torch.tensor([[1.0, 2.0, 3.0]])
    hidden = torch.tensor([[1.0, -50.0, 3.0]])
    torch.testing.assert_close(model.log_joint(Batch(x, mask), z), model.log_joint(Batch(hidden, mask), z))


def test_the_last_temperature_is_one():  # path-temperatures
    from jensen.families import Gaussian
    from jensen.guides import Amortized, Hamiltonian
    from jensen.models import Given, LatentVariableModel, Linear, Unconditional

    model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, 3))
    guide = Hamiltonian(model, Amortized(Given(nn.Linear(3, 4), Gaussian(2))), 4)
    assert guide(Batch(torch.zeros(1, 3)))._temperatures.tolist() == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_the_mean_square_is_over_observed_entries():  # mean-square-count
    from jensen.families import Gaussian

    x, mask = torch.tensor([[1.0, 7.0], [3.0, 2.0]]), torch.tensor([[True, False], [True, True]])
    family = Gaussian(2, "optimal")
    assert float(family.mean_square(torch.zeros(2, 3), x, mask)) == pytest.approx((1 + 9 + 4) / 3)
