"""The error of a diffusion's noise; its relation to the rate is in tests/models/test_diffused.py."""

from __future__ import annotations

import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError
from jensen.core.random import stream
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Linear, Unconditional
from jensen.models.diffused import Diffused, DiffusionPrior
from jensen.models.diffusion import Diffusion
from jensen.models.model import LatentVariableModel
from jensen.models.noise_schedules import LinearSchedule
from jensen.nets import MLP
from jensen.objectives import NoiseError

D = 3


def test_it_is_half_the_squared_error_of_the_network():
    """A network of zeros in front of N(0, I) estimates sigma z; the walk's times are not known, but the error of noise
    that is all there is (alpha near 0) is near zero, and of noise that is not seen (sigma near 0) is its square."""
    net = MLP(D + 13, D, ())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    x = torch.zeros(2000, D)
    for start, end, expected in ((-30.0, -29.0, D / 2), (29.0, 30.0, 0.0)):
        chain = Diffusion(D, net, LinearSchedule(start, end))
        model = LatentVariableModel(DiffusionPrior(chain), Linear(D, D))
        with torch.no_grad():
            error = NoiseError()(Pathwise().draw(model, Diffused(chain), Batch(x), stream(0, "noise")))
        stderr = (D / 2 / len(x)) ** 0.5  # of half a chi-squared with D degrees
        assert abs(float(error.mean()) - expected) < 4 * stderr


def test_noise_is_estimated_by_a_diffusion_alone():
    model = LatentVariableModel(Unconditional(Gaussian(2)), Linear(2, D))
    guide = Amortized(Given(MLP(D, 4), Gaussian(2)))
    draw = Pathwise(1).draw(model, guide, Batch(torch.zeros(4, D)), stream(0, "noise"))
    with pytest.raises(CompositionError, match="only a diffusion"):
        NoiseError()(draw)


def test_its_weight_of_the_rate_is_not_one_number():
    assert NoiseError().shares == (None, 0.0)
    assert str(-NoiseError()) == "-NoiseError"
