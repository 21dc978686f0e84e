"""The probability flow: log p(z_0) of exact denoisers, and the way down as the inverse of the way up."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from scipy.stats import kstest, norm
from torch import nn
from torch.distributions import Normal

from jensen.core.errors import NumericalError
from jensen.core.parts import build, spec_of
from jensen.models.diffusion import Diffusion
from jensen.models.noise_schedules import CosineSchedule, LinearSchedule, signal_and_noise
from jensen.models.probability_flow import ProbabilityFlow, follow_flow
from tests.identities import test_diffusion
from tests.identities.test_diffusion import END, START, OfMixture

ENDS = (START, 12.0)  # so far that z_1 is N(0, 1) to a few thousandths


class Mixture(nn.Module):
    """The exact velocity of a mixture of two isotropic Gaussians in two dimensions."""

    loc = torch.tensor([[-1.5, 0.5], [1.0, -1.0]], dtype=torch.float64)
    scale = torch.tensor([0.3, 0.6], dtype=torch.float64)
    weights = torch.tensor([0.4, 0.6], dtype=torch.float64)

    def log_terms(self, z, alpha, sigma):
        variance = alpha**2 * self.scale**2 + sigma**2
        return self.weights.log() + Normal(alpha * self.loc, variance[:, None].sqrt()).log_prob(z[:, None]).sum(-1)

    def forward(self, inputs):
        z, u = inputs[..., :2], inputs[..., 2]
        alpha, sigma = (a[0] for a in signal_and_noise(ENDS[0] + (ENDS[1] - ENDS[0]) * u))
        gain = alpha * self.scale**2 / (alpha**2 * self.scale**2 + sigma**2)
        x = self.loc + gain[:, None] * (z[:, None] - alpha * self.loc)
        return (alpha * z - (torch.softmax(self.log_terms(z, alpha, sigma), -1)[..., None] * x).sum(1)) / sigma


def of_mixture(schedule=LinearSchedule):
    return Diffusion(2, Mixture(), schedule(*ENDS)).double()


def points(n=16):
    return torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("schedule", [LinearSchedule, CosineSchedule])
def test_log_p_of_a_mixture_is_exact(schedule):
    """Within 0.01 nats of the density of z_0, which is the mixture with the first noise added."""
    chain, z = of_mixture(schedule), points()
    alpha, sigma = signal_and_noise(torch.tensor(ENDS[0], dtype=torch.float64))
    exact = chain.net.log_terms(z, alpha, sigma).logsumexp(-1)
    torch.testing.assert_close(ProbabilityFlow(chain).log_prob(z), exact, atol=0.01, rtol=0)


def test_the_density_integrates_to_one():
    grid = torch.linspace(-5, 5, 61, dtype=torch.float64)
    z = torch.cartesian_prod(grid, grid)
    total = ProbabilityFlow(of_mixture(), tolerance=1e-4).log_prob(z).exp().sum() * (10 / 60) ** 2
    assert float(total) == pytest.approx(1.0, abs=2e-3)


def test_down_is_the_inverse_of_up():
    up = follow_flow(of_mixture(), points(), tolerance=1e-8)
    down = follow_flow(of_mixture(), up.z, down=True, tolerance=1e-8)
    torch.testing.assert_close(down.z, points(), atol=1e-5, rtol=0)
    torch.testing.assert_close(down.gain, up.gain, atol=1e-4, rtol=0)


def test_probes_estimate_the_divergence_without_bias():
    """800 probes of one point: four standard errors of the exact divergence."""
    chain, z = of_mixture(), points(1).expand(800, 2)
    torch.manual_seed(0)
    estimated = follow_flow(chain, z, exact=False)
    assert not estimated.is_exact
    exact = follow_flow(chain, z[:1])
    assert exact.is_exact
    error = float(estimated.gain.std()) / math.sqrt(800)
    assert 1e-3 < error < 0.2
    assert abs(float(estimated.gain.mean() - exact.gain)) < 4 * error


def test_samples_of_the_flow_have_the_distribution():
    """2,000 samples of the mixture in one dimension, Kolmogorov-Smirnov."""
    chain = Diffusion(1, OfMixture(), LinearSchedule(START, END)).double()
    chain.register_buffer("like", torch.zeros((), dtype=torch.float64))
    torch.manual_seed(3)
    top = torch.randn(2000, 1, dtype=torch.float64)
    z = follow_flow(chain, top, down=True, tolerance=1e-4).z
    assert kstest(z[:, 0].numpy(), OfMixture.cdf).pvalue > 0.01


def test_a_flow_is_a_part_and_samples():
    flow = ProbabilityFlow(Diffusion(2, nn.Linear(2 + 13, 2), LinearSchedule(-5, 5)))
    (again,) = build(spec_of(flow), {"Linear": lambda: nn.Linear(15, 2)})
    assert again.phrase == flow.phrase
    assert flow().sample((3,)).shape == (3, 2)
    assert flow().log_prob(torch.zeros(4, 2)).shape == (4,)


def test_a_flow_that_leaves_all_bounds_is_refused():
    class Wild(nn.Module):
        def forward(self, inputs):
            return inputs[..., :2] ** 3 * 1e6

    chain = Diffusion(2, Wild(), LinearSchedule(-5, 5))
    with pytest.raises(NumericalError, match="could not be followed"):
        follow_flow(chain, torch.ones(1, 2))


def test_log_p_of_a_mixture_in_one_dimension_is_exact(monkeypatch):
    """Within 0.01 nats of the density of z_0, from three scales below the left mode to three above the right one."""
    monkeypatch.setattr(test_diffusion, "END", ENDS[1])
    chain = Diffusion(1, OfMixture(), LinearSchedule(*ENDS)).double()
    alpha, sigma = signal_and_noise(torch.tensor(ENDS[0], dtype=torch.float64))
    z = torch.linspace(-3.5, 2, 23, dtype=torch.float64)[:, None]
    scale = (alpha**2 * OfMixture.scale**2 + sigma**2).sqrt()
    exact = (OfMixture.weights.log() + Normal(alpha * OfMixture.loc, scale).log_prob(z)).logsumexp(-1)
    torch.testing.assert_close(ProbabilityFlow(chain).log_prob(z), exact, atol=0.01, rtol=0)


@pytest.mark.parametrize("way", ["flow", "chain", "deterministic"])
def test_samples_in_two_dimensions_have_the_distribution(way):
    """2,000 samples of the mixture: Kolmogorov-Smirnov of each coordinate, and of a direction between the modes.

    By chance one of nine falls below 0.001 in a hundred cases.
    """
    chain = of_mixture()
    torch.manual_seed(5)
    top = torch.randn(2000, 2, dtype=torch.float64)
    if way == "flow":
        z = follow_flow(chain, top, down=True, tolerance=1e-4).z
    else:
        z = chain.descend(top, 300, noise=float(way == "chain"))
    for direction in ([1.0, 0.0], [0.0, 1.0], [0.8, -0.6]):
        u = torch.tensor(direction, dtype=torch.float64)
        loc = (Mixture.loc @ u).numpy()
        parts = list(zip(Mixture.weights.tolist(), loc, Mixture.scale.tolist(), strict=True))
        cdf = partial(_cdf, parts)
        assert kstest((z @ u).numpy(), cdf).pvalue > 1e-3
        assert kstest((1.1 * z @ u).numpy(), cdf).pvalue < 0.05  # a tenth too wide is seen


def _cdf(parts, x):
    return sum(weight * norm.cdf(x, loc, scale) for weight, loc, scale in parts)


def test_a_label_moves_the_flow():
    """The velocity of N(c, I): z_1 is z_0 less (alpha_0 - alpha_1) c, of which N(0, I) is the density; row by row."""

    class Shift(nn.Module):
        def forward(self, inputs):
            _, sigma = signal_and_noise(ENDS[0] + (ENDS[1] - ENDS[0]) * inputs[..., 2:3])
            return -sigma * inputs[..., -1:]

    chain = Diffusion(2, Shift(), LinearSchedule(*ENDS), context=1).double()
    z, c = points(3), torch.tensor([[-1.0], [0.0], [2.0]], dtype=torch.float64)
    (first, last), _ = signal_and_noise(torch.tensor(ENDS, dtype=torch.float64))
    exact = Normal((first - last) * c, 1.0).log_prob(z).sum(-1)
    flow = ProbabilityFlow(chain)
    torch.testing.assert_close(flow.log_prob(z, c), exact, atol=1e-3, rtol=0)
    torch.testing.assert_close(flow.log_prob(z.expand(4, 3, 2), c)[2], exact, atol=1e-3, rtol=0)
    torch.testing.assert_close(flow(c).log_prob(z), flow.log_prob(z, c), atol=1e-6, rtol=0)
    assert flow(c).sample((4,)).shape == (4, 3, 2)
