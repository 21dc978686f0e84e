"""The squared length of a mean gradient has no bias, and its error covers."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.analysis.gradient_samples import GROUPS, FlatGradient, squared_length
from jensen.core.errors import NumericalError
from jensen.core.random import stream
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Gaussian
from jensen.objectives import CustomObjective, Distortion, Rate
from tests.identities.models import amortized, curved_model, simulated


@pytest.mark.parametrize(("length", "ratio"), [(0.0, 2**0.5), pytest.param(2.0, 1.0, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_squared_length_is_unbiased(length, ratio):
    """|E g|^2 by 16 noisy means, 2,000 times: the plain square of the mean would be too large by P / 16.

    At a mean of zero the estimate is a degenerate U-statistic, whose jackknife variance is twice too large.
    """
    mean = torch.tensor([length, 0.0, 0.0], dtype=torch.float64)
    noise = torch.randn(2000, GROUPS, 3, dtype=torch.float64, generator=stream(0, "means"))
    lengths, errors = torch.tensor([squared_length(mean + sample) for sample in noise]).double().T
    spread = float(lengths.std())
    assert abs(float(lengths.mean()) - length**2) < 4 * spread / math.sqrt(2000)
    assert abs(float((mean + noise).mean(1).square().sum(-1).mean()) - length**2) > 4 * spread / math.sqrt(2000)
    assert math.sqrt(float(errors.square().mean())) == pytest.approx(ratio * spread, rel=0.15)


def test_a_single_group_has_no_error():
    assert squared_length(torch.tensor([[3.0, 4.0]])) == (25.0, 0.0)


def gradient(objective) -> FlatGradient:
    model, guide = curved_model(), amortized(3, Gaussian(1))
    parameters = [p for p in (*guide.parameters(), *model.parameters()) if p.requires_grad]
    return FlatGradient(model, guide, simulated(model, 6), objective, parameters, None)


def test_samples_have_the_mean_and_variance_of_the_gradient():
    """Against quadrature, for each parameter within 5 standard errors; the stream's name decides the samples."""
    flat = gradient(-Distortion() - Rate())
    exact = flat(Quadrature(32), stream(0, "none"))
    one = flat.sample(Pathwise(8), 400, 0, "a", [])
    few, again, other = (flat.sample(Pathwise(8), 32, 0, name, []) for name in ("a", "a", "b"))
    assert one.means.shape == (GROUPS, len(exact))
    assert torch.equal(few.means, again.means)
    assert not torch.equal(few.means, other.means)
    assert (one.means.mean(0) - exact).abs().le(5 * (one.variance / 400).sqrt() + 1e-9).all()


def test_components_are_along_the_directions():
    flat = gradient(-Distortion() - Rate())
    first = flat.sample(Pathwise(1), 32, 0, "a", [])
    size = first.means.shape[1]
    axis = torch.zeros(size, dtype=torch.float64)
    axis[0] = 1.0
    along = flat.sample(Pathwise(1), 32, 0, "a", [(slice(size), axis)]).along
    assert along.shape == (32, 1)
    assert float(along.mean()) == pytest.approx(float(first.means.mean(0)[0]), rel=1e-9)


def test_a_gradient_that_is_not_finite_is_refused():
    flat = gradient(CustomObjective(lambda draw: draw.log_lik.sum(0) * torch.inf, "broken"))
    with pytest.raises(NumericalError, match="a gradient by Pathwise"):
        flat.sample(Pathwise(1), 32, 0, "a", [])
