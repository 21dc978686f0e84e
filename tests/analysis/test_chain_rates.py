"""The nats of each time, of Gaussian data by the exact denoiser, against their closed form."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import MultivariateNormal

from jensen.analysis.chain_rates import nats_by_time
from jensen.core.batch import Rows
from jensen.core.errors import CompositionError
from jensen.core.random import stream
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models.diffused import Diffused
from jensen.models.noise_schedules import signal_and_noise
from tests.identities.test_diffusion import END, EYE, START, C, D, M, closed_levels, diffusion


def data(n):
    torch.manual_seed(0)
    return MultivariateNormal(M, C).sample((n,))


def density(t):
    """The mean over the data of the integrand: gamma' / 2 times the trace of SNR C (I + SNR C)^-1."""
    alpha, sigma = signal_and_noise(torch.tensor(START + (END - START) * t, dtype=torch.float64))
    snr = (alpha / sigma) ** 2
    return 0.5 * (END - START) * torch.linalg.solve(EYE + snr * C, snr * C).trace()


def test_the_nats_of_each_interval_are_their_closed_form():
    """2,000 rows: each of ten intervals, in which the integrand is averaged by a fine sum, within four errors."""
    curve = nats_by_time(Diffused(diffusion()), Rows(data(2000)), 10, stream(0, "times"))
    for i, (value, error) in enumerate(zip(curve.density, curve.stderr, strict=True)):
        known = torch.stack([density((i + (j + 0.5) / 50) / 10) for j in range(50)]).mean()
        assert abs(float(value - known)) < 4 * float(error), i
    gain = 0.5 * (torch.logdet(EYE + torch.tensor(-START).exp() * C) - torch.logdet(EYE + torch.tensor(-END).exp() * C))
    assert curve.rate == pytest.approx(float(gain), rel=0.03)
    top = diffusion().top_rate(data(2000)).mean()
    assert curve.top == pytest.approx(float(top))


def test_levels_have_the_rate_of_their_sum():
    """Five levels, four rows repeated: within four standard errors."""
    chain, x = diffusion(5), data(4).repeat(500, 1)
    curve = nats_by_time(Diffused(chain), Rows(x), 5, stream(0, "times"))
    error = float(curve.stderr.square().sum().sqrt()) / 5
    assert abs(curve.rate - float(closed_levels(chain.schedule, 5, x).mean())) < 4 * error


def test_a_guide_without_a_chain_has_no_times():
    guide = Amortized.mlp(D, (4,), Gaussian(2)).double()
    with pytest.raises(CompositionError, match="no chain"):
        nats_by_time(guide, Rows(data(3)))
