"""Angles: the von Mises family against SciPy, with its floor, its samples and its mean direction."""

from __future__ import annotations

import math

import pytest
import scipy.special
import scipy.stats
import torch

from jensen.core.errors import UsageError
from jensen.core.random import drawing_from, stream
from jensen.families import VonMises


def natural(kappa, mu):
    """Return the parameters of one angle."""
    return torch.tensor([kappa * math.cos(mu), kappa * math.sin(mu)], dtype=torch.float64)


@pytest.mark.parametrize("kappa", [1e-3, 0.5, 3.0, 200.0, 1e5, 1e7])
@pytest.mark.parametrize("mu", [0.0, 3.1, -1.7])
def test_densities_are_those_of_scipy(kappa, mu):
    x = mu + torch.tensor([-2.0, -0.1, 0.0, 1e-3, 3.0], dtype=torch.float64)
    x = torch.remainder(x + math.pi, 2 * math.pi) - math.pi
    known = torch.from_numpy(scipy.stats.vonmises(kappa, mu).logpdf(x.numpy()))
    torch.testing.assert_close(VonMises(1).log_prob(natural(kappa, mu), x[:, None]), known, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("kappa", [0.0, 1.0, 400.0, 1e6, 1e12])
def test_the_density_integrates_to_one(kappa):
    """Over the circle, or 40 standard deviations of it, by the trapezoidal rule; above 1 / floor^2 it is limited."""
    family = VonMises(1, floor=1e-3)
    half = min(math.pi, 40 / max(min(kappa, 1e6), 1e-9) ** 0.5)
    x = torch.linspace(-half, half, 20_001, dtype=torch.float64)[1:]
    at = torch.remainder(x + 0.4 + math.pi, 2 * math.pi) - math.pi
    total = family.log_prob(natural(kappa, 0.4), at[:, None]).exp().sum() * 2 * half / 20_000
    assert float(total) == pytest.approx(1, abs=1e-9)
    assert float(family.scales(natural(1e9, 0.4))) == pytest.approx(1e-3)


def test_each_angle_has_a_floor_of_its_own():
    family = VonMises(2, (0.1, 1e-3))
    params = torch.tensor([1e9, 1e9, 0.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(family.scales(params), torch.tensor([0.1, 1e-3], dtype=torch.float64))
    assert (family.scale_floor, family.scale_floors) == (1e-3, (0.1, 1e-3))
    with pytest.raises(UsageError, match="2 angles have 1 floor"):
        VonMises(2, (0.1,))


def test_zero_is_uniform_and_has_a_gradient():
    params = torch.zeros(2, requires_grad=True)
    value = VonMises(1).log_prob(params, torch.tensor([0.5]))
    [gradient] = torch.autograd.grad(value, params)
    assert float(value.detach()) == pytest.approx(-math.log(2 * math.pi), abs=1e-6)
    assert gradient.tolist() == pytest.approx([math.cos(0.5), math.sin(0.5)], rel=1e-5)


def test_single_precision_at_large_concentrations():
    """At a concentration of 1e6, the plain sum of the three terms is off by tenths of a nat."""
    family, params, x = VonMises(1), natural(1e6, 1.2), torch.tensor([1.2013], dtype=torch.float64)
    single = family.log_prob(params.float(), x.float())
    exact = family.log_prob(params.float().double(), x.float().double())
    assert float(single) == pytest.approx(float(exact), abs=2e-3)


@pytest.mark.parametrize("kappa", [0.0, 0.7, 30.0, 1e6])
def test_samples_follow_the_density(kappa):
    """10,000 samples: E cos and E sin about the mean within 5 standard errors, and a Kolmogorov-Smirnov test."""
    mu = 2.9  # where the circle closes
    with drawing_from(stream(0, "x")):
        x = VonMises(1)(natural(kappa, mu)).sample((10_000,))[:, 0]
    assert (x.abs() <= math.pi + 1e-9).all()
    away = torch.remainder(x - mu + math.pi, 2 * math.pi) - math.pi
    share = scipy.special.ive(1, kappa) / scipy.special.ive(0, kappa)
    assert abs(float(away.cos().mean()) - share) < 5 * float(away.cos().std()) / 100 + 1e-12
    assert abs(float(away.sin().mean())) < 5 * float(away.sin().std()) / 100
    expected = scipy.stats.vonmises(max(kappa, 1e-9)).cdf if kappa < 1e5 else scipy.stats.norm(0, kappa**-0.5).cdf
    assert scipy.stats.kstest(away.numpy(), expected).pvalue > 1e-3


def test_the_mean_direction_of_two_angles_at_the_ends():
    """The average of -3 and 3 radians is pi, not 0."""
    family = VonMises(1)
    summary = torch.stack([family.summary(natural(50.0, mu)) for mu in (3.0, -3.0)]).mean(0)
    assert abs(float(family.point(summary))) == pytest.approx(math.pi)
    torch.testing.assert_close(family.summary(natural(2.0, 0.0))[0], torch.tensor(0.6977746579640080).double())


def test_a_decoder_starts_at_the_mean_angle():
    start = VonMises(2).start(torch.tensor([2.0, -3.0], dtype=torch.float64))
    torch.testing.assert_close(VonMises(2)(start).mean, torch.tensor([2.0, -3.0], dtype=torch.float64))
