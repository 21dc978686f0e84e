r"""Diffusion of Gaussian data with the exact denoiser: every rate in closed form, and the bound up to log p(x).

For x ~ N(m, C) the denoiser is :math:`\hat x = m + K (z_t - \alpha_t m)` with
:math:`K = \alpha_t C (\alpha_t^2 C + \sigma_t^2 I)^{-1}`, so that
:math:`E\|x - \hat x\|^2 = \|(I - \alpha_t K)(x - m)\|^2 + \sigma_t^2 \mathrm{tr}(K K^T)`. A level's term is
quadratic in the noise, so 2D points of equal weight give its expectation exactly.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from jensen.core.batch import Batch
from jensen.core.errors import UsageError
from jensen.core.random import stream
from jensen.estimators.reparameterized import Pathwise
from jensen.models.conditionals import Linear
from jensen.models.diffused import Diffused, DiffusionPrior
from jensen.models.diffusion import Diffusion
from jensen.models.model import LatentVariableModel
from jensen.models.noise_schedules import CosineSchedule, LearnedSchedule, LinearSchedule, signal_and_noise
from jensen.objectives import Elbo

D, START, END = 3, -9.0, 6.0
M = torch.tensor([0.3, -0.8, 0.1], dtype=torch.float64)
A = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.4, 0.0], [-0.5, 0.2, 0.7]], dtype=torch.float64)
C = A @ A.T
EYE = torch.eye(D, dtype=torch.float64)
SCHEDULES = [LinearSchedule, CosineSchedule]


class ExactVelocity(nn.Module):
    """[z, features of gamma] -> (alpha z - E[x | z]) / sigma, for Gaussian data."""

    def __init__(self, predicts="velocity"):
        super().__init__()
        self.predicts = predicts

    def forward(self, inputs):
        z, u = inputs[..., :D], inputs[..., D]
        alpha, sigma = (a[..., None] for a in signal_and_noise(START + (END - START) * u))
        V = alpha[..., None] ** 2 * C + sigma[..., None] ** 2 * EYE
        x = M + alpha * torch.linalg.solve(V, (z - alpha * M)[..., None])[..., 0] @ C
        v = (alpha * z - x) / sigma
        return v * {"velocity": 1, "noise": alpha, "data": -sigma}[self.predicts]


def diffusion(levels=None, schedule=LinearSchedule, predicts="velocity"):
    return Diffusion(D, ExactVelocity(predicts), schedule(START, END), levels, predicts).double()


def data(n=4):
    return MultivariateNormal(M, C).sample((n,)) if n > 4 else M + torch.linspace(-2, 2, n * D).double().reshape(n, D)


def sigma_points():
    """Noise [2D, D] whose first two moments are those of the standard normal."""
    return math.sqrt(D) * torch.cat([EYE, -EYE])


def rows_of(covariance):
    """Rows [D, D] whose second moments are this covariance."""
    variance, basis = torch.linalg.eigh(covariance)
    return math.sqrt(len(variance)) * (basis * variance.clamp_min(0).sqrt()).T


def expected_term(chain, x, t):
    """Return the mean over noise of the term of time t, for each x [B, D]."""
    noise = sigma_points()[:, None].expand(-1, len(x), -1)
    return chain.level_rate(x.expand_as(noise), t.expand(noise.shape[:2]), noise).mean(0)


def closed_term(gamma, x):
    """Return E ||x - E[x | z_t]||^2 for each x [B, D], at one gamma."""
    alpha, sigma = signal_and_noise(gamma)
    K = alpha * C @ torch.linalg.inv(alpha**2 * C + sigma**2 * EYE)
    return ((x - M) @ (EYE - alpha * K).T).square().sum(-1) + sigma**2 * (K @ K.T).trace()


def closed_levels(schedule, levels, x):
    """Return the rate of T levels: the sum of (SNR_s - SNR_t) / 2 times the squared error of the denoiser."""
    gammas = schedule(torch.linspace(0, 1, levels + 1, dtype=torch.float64))
    terms = [0.5 * ((-s).exp() - (-t).exp()) * closed_term(t, x) for s, t in pairwise(gammas)]
    return torch.stack(terms).sum(0)


def computed_levels(chain, x):
    times = (torch.arange(chain.levels, dtype=torch.float64) + 0.5) / chain.levels
    return torch.stack([expected_term(chain, x, t) for t in times]).mean(0)


@pytest.mark.parametrize("predicts", ["velocity", "noise", "data"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("levels", [1, 2, 7])
def test_the_rate_of_levels_is_its_closed_form(levels, schedule, predicts):
    chain = diffusion(levels, schedule, predicts)
    torch.testing.assert_close(
        computed_levels(chain, data()), closed_levels(chain.schedule, levels, data()), rtol=1e-9, atol=1e-9
    )


def legendre(n=400):
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (torch.from_numpy(nodes) + 1) / 2, torch.from_numpy(weights) / 2


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_of_continuous_time_depends_on_the_ends_alone(schedule):
    """On average over data it is log det(I + SNR C) / 2 between the ends (Guo, Shamai & Verdu, 2005), by quadrature."""
    chain = diffusion(None, schedule)
    points = M + sigma_points() @ A.T  # the first two moments of the data
    t, weights = legendre()
    rate = sum(w * expected_term(chain, points, s) for s, w in zip(t, weights, strict=True)).mean()
    gain = 0.5 * (torch.logdet(EYE + math.exp(-START) * C) - torch.logdet(EYE + math.exp(-END) * C))
    assert float(rate) == pytest.approx(float(gain), rel=1e-9)


def exact_likelihood(schedule):
    """Return the covariance of x given z_0 under the data's own distribution."""
    alpha, sigma = signal_and_noise(schedule(torch.zeros((), dtype=torch.float64)))
    return C - alpha**2 * C @ torch.linalg.solve(alpha**2 * C + sigma**2 * EYE, C)


def expected_bound(chain, levels):
    """Return the mean over the data of the bound of T levels, with p(x | z_0) the exact posterior."""
    posterior = exact_likelihood(chain.schedule)
    points = M + sigma_points() @ A.T
    distortion = 0.5 * torch.logdet(2 * math.pi * math.e * posterior)
    return -distortion - chain.top_rate(points).mean() - closed_levels(chain.schedule, levels, points).mean()


def test_the_bound_rises_with_levels_to_what_the_top_leaves_of_log_p():
    """Twice the levels halve the distance to the limit: E log p(x) - KL(q(z_1) || N(0, I)), where z_1 is Gaussian."""
    chain = diffusion(1)
    alpha, sigma = signal_and_noise(torch.tensor(END, dtype=torch.float64))
    top = MultivariateNormal(alpha * M, alpha**2 * C + sigma**2 * EYE)
    mismatch = kl_divergence(top, MultivariateNormal(torch.zeros_like(M), EYE))
    limit = -MultivariateNormal(M, C).entropy() - mismatch
    bounds = torch.stack([expected_bound(chain, 2**n) for n in range(11)])
    assert bool((bounds.diff() > 0).all())
    gaps = limit - bounds
    assert bool((gaps > 0).all())
    assert float(gaps[-2] / gaps[-1]) == pytest.approx(2.0, abs=0.01)
    assert float(2 * bounds[-1] - bounds[-2]) == pytest.approx(float(limit), abs=2e-3)


@pytest.mark.parametrize("levels", [None, 5])
def test_the_estimate_of_the_rate_has_the_mean_that_it_should(levels):
    """20,000 repetitions of 4 data: within four standard errors of the closed form, or of the quadrature."""
    chain, x = diffusion(levels), data()
    if levels is None:
        t, weights = legendre(200)
        inner = sum(w * expected_term(chain, x, s) for s, w in zip(t, weights, strict=True))
    else:
        inner = closed_levels(chain.schedule, levels, x)
    torch.manual_seed(0)
    rates = torch.stack([chain.rate(x.expand(100, -1, -1)).mean(0) for _ in range(200)])
    error = rates.std(0) / math.sqrt(len(rates))
    assert bool(((rates.mean(0) - chain.top_rate(x) - inner).abs() < 4 * error).all())


def test_spaced_times_have_less_noise_than_independent_ones():
    """The variance of the mean over a batch of 64, from 1,000 batches: the error of the ratio is 7 %.

    What is left is that of the noise itself, the same for both.
    """
    chain, generator = diffusion(), torch.Generator().manual_seed(0)
    torch.manual_seed(1)
    x = torch.randn(1, 64, D, dtype=torch.float64, generator=generator) @ A.T + M
    spaced = torch.stack([(chain.rate(x) - chain.top_rate(x)).mean() for _ in range(1000)])
    alone = torch.stack(
        [chain.level_rate(x, torch.rand(1, 64).double(), torch.randn_like(x)).mean() for _ in range(1000)]
    )
    ratio = float(alone.var() / spaced.var())
    print(f"variance of independent times over that of spaced ones: {ratio:.2f}")
    assert ratio > 1.2


def test_what_is_known_of_the_noise_is_taken_off():
    """Of the standard normal and x = 0 the error of the noise is alpha^2 epsilon: the term has no variance left."""
    net = nn.Linear(D + 13, D)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    chain = Diffusion(D, net, LinearSchedule(START, END)).double()
    torch.manual_seed(0)
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64).expand(100, 3)
    terms = chain.level_rate(torch.zeros(100, 3, D, dtype=torch.float64), t, torch.randn(100, 3, D).double())
    alpha, _ = signal_and_noise(chain.schedule(t))
    torch.testing.assert_close(terms, 0.5 * (END - START) * alpha**4 * D)


@pytest.mark.parametrize("predicts", ["velocity", "noise", "data"])
def test_a_network_of_zeros_is_the_standard_normal(predicts):
    """On average over x ~ N(0, I) the rate is D log((1 + SNR_0) / (1 + SNR_1)) / 2, that of the exact denoiser."""
    net = nn.Linear(D + 13, D)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    chain = Diffusion(D, net, LinearSchedule(START, END), predicts=predicts).double()
    t, weights = legendre()
    with torch.no_grad():
        rate = sum(w * expected_term(chain, sigma_points(), s) for s, w in zip(t, weights, strict=True)).mean()
    gain = 0.5 * D * math.log((1 + math.exp(-START)) / (1 + math.exp(-END)))
    assert float(rate) == pytest.approx(gain, rel=1e-9)


@pytest.mark.parametrize("predicts", ["velocity", "noise", "data"])
@pytest.mark.parametrize("rotated", [False, True])
def test_a_network_of_zeros_is_the_gaussian_that_it_starts_from(rotated, predicts):
    """It is the exact denoiser of this covariance, or of its diagonal."""
    net = nn.Linear(D + 13, D)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    chain = Diffusion(D, net, LinearSchedule(START, END), predicts=predicts, axes=(D,) if rotated else ()).double()
    chain.start_from(rows_of(C))
    z, gamma = data(4), torch.tensor([-8.0, -2.0, 0.0, 5.0], dtype=torch.float64)
    covariance = C if rotated else C.diagonal().diag()
    for row, g in zip(z, gamma, strict=True):
        alpha, sigma = signal_and_noise(g)
        x = alpha * covariance @ torch.linalg.solve(alpha**2 * covariance + sigma**2 * EYE, row)
        with torch.no_grad():
            torch.testing.assert_close(chain.data_at(row[None], g[None])[0], x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("axes", [(2, 3), (3, 2), (1, 6), (2, 3, 1)])
def test_a_covariance_by_axes_is_a_kronecker_product(axes):
    """Of rows whose covariance is one, a network of zeros is its exact denoiser."""
    torch.manual_seed(1)
    factors = [torch.randn(n, 2 * n, dtype=torch.float64) for n in axes]
    covariance = torch.ones(1, 1, dtype=torch.float64)
    for factor in factors:
        covariance = torch.kron(covariance, factor @ factor.T / factor.shape[1])
    net = nn.Linear(6 + 13, 6)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    chain = Diffusion(6, net, LinearSchedule(START, END), axes=axes).double()
    chain.start_from(rows_of(covariance))
    z, gamma = torch.randn(4, 6, dtype=torch.float64), torch.tensor([-8.0, -2.0, 0.0, 5.0], dtype=torch.float64)
    for row, g in zip(z, gamma, strict=True):
        alpha, sigma = signal_and_noise(g)
        x = alpha * covariance @ torch.linalg.solve(alpha**2 * covariance + sigma**2 * torch.eye(6).double(), row)
        with torch.no_grad():
            torch.testing.assert_close(chain.data_at(row[None], g[None])[0], x, rtol=1e-9, atol=1e-9)


def test_a_direction_without_variance_stays_without_it():
    """Whatever the network says: a constant feature of the code is 0 at every level."""
    torch.manual_seed(0)
    chain = Diffusion(D, nn.Linear(D + 13, D), LinearSchedule(START, END), axes=(D,)).double()
    flat = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64) / 2**0.5
    chain.start_from(rows_of(C - torch.outer(C @ flat, C @ flat) / (flat @ C @ flat)))
    with torch.no_grad():
        x = chain.data_at(torch.randn(5, D, dtype=torch.float64), torch.linspace(-8, 5, 5, dtype=torch.float64))
    assert float((x @ flat).abs().max()) < 1e-6


def test_the_elbo_of_a_draw_is_the_bound():
    """With exact p(x | z_0) and diagonal C it is log p(x) less what the top loses: 40,000 draws, 4 standard errors."""
    variance = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)

    class Diagonal(nn.Module):
        def forward(self, inputs):
            z, u = inputs[..., :D], inputs[..., D]
            alpha, sigma = (a[..., None] for a in signal_and_noise(START + (END - START) * u))
            return (alpha * z - alpha * variance * z / (alpha**2 * variance + sigma**2)) / sigma

    chain = Diffusion(D, Diagonal(), LinearSchedule(START, END)).double()
    alpha, sigma = signal_and_noise(torch.tensor(START, dtype=torch.float64))
    gain = alpha * variance / (alpha**2 * variance + sigma**2)
    likelihood = Linear(D, D, noise="feature").double()
    likelihood.assign(torch.diag(gain), torch.zeros(D), variance - alpha * gain * variance)
    model, guide = LatentVariableModel(DiffusionPrior(chain), likelihood), Diffused(chain)
    x, noise = torch.tensor([[1.0, -0.5, 2.0]], dtype=torch.float64), stream(0, "noise")
    with torch.no_grad():
        bounds = torch.stack([Elbo()(Pathwise(200).draw(model, guide, Batch(x), noise)) for _ in range(200)])
    alpha, sigma = signal_and_noise(torch.tensor(END, dtype=torch.float64))
    of_x, of_data = Normal(alpha * x, sigma), Normal(0, (alpha**2 * variance + sigma**2).sqrt())
    gap = kl_divergence(of_x, Normal(0.0, 1.0)).sum() - kl_divergence(of_x, of_data).sum()
    expected = Normal(0, variance.sqrt()).log_prob(x).sum() - gap
    assert abs(float(bounds.mean() - expected)) < 4 * float(bounds.std()) / 200**0.5


class OfMixture(nn.Module):
    """The exact velocity of 0.3 N(-2, 0.5^2) + 0.7 N(1, 0.3^2), in one dimension."""

    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    loc = torch.tensor([-2.0, 1.0], dtype=torch.float64)
    scale = torch.tensor([0.5, 0.3], dtype=torch.float64)

    def forward(self, inputs):
        z, u = inputs[..., :1], inputs[..., 1]
        alpha, sigma = (a[..., None] for a in signal_and_noise(START + (END - START) * u))
        variance = alpha**2 * self.scale**2 + sigma**2
        log_p = self.weights.log() + Normal(alpha * self.loc, variance.sqrt()).log_prob(z)
        x = self.loc + alpha * self.scale**2 * (z - alpha * self.loc) / variance
        return (alpha * z - (torch.softmax(log_p, -1) * x).sum(-1, keepdim=True)) / sigma

    @staticmethod
    def cdf(x):
        return 0.3 * norm.cdf(x, -2, 0.5) + 0.7 * norm.cdf(x, 1, 0.3)


@pytest.mark.parametrize(("noise", "steps"), [(1.0, 400), (0.0, 100)])
def test_samples_of_a_mixture_have_its_distribution(noise, steps):
    """4,000 samples, Kolmogorov-Smirnov; z_0 is alpha_0 x plus noise of scale 0.011, a tenth of what the test sees."""
    chain = Diffusion(1, OfMixture(), LinearSchedule(START, END)).double()
    torch.manual_seed(2)
    z = chain.descend(torch.randn(4000, 1, dtype=torch.float64), steps, noise=noise)
    assert kstest(z[:, 0].numpy(), OfMixture.cdf).pvalue > 0.01
    torch.manual_seed(2)
    few = chain.descend(torch.randn(4000, 1, dtype=torch.float64), 4, noise=noise)
    assert kstest(few[:, 0].numpy(), OfMixture.cdf).pvalue < 1e-6


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5, 1.0])
def test_any_noise_on_the_way_keeps_the_variance(noise):
    """Of N(0, 1), by the exact denoiser and 200 steps: 4,000 samples, four standard errors."""
    net = nn.Linear(14, 1)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    chain = Diffusion(1, net, LinearSchedule(START, END)).double()
    torch.manual_seed(4)
    z = chain.descend(torch.randn(4000, 1, dtype=torch.float64), 200, noise=noise)
    assert float(z.var()) == pytest.approx(1.0, abs=4 * (2 / 4000) ** 0.5)


def test_noise_beyond_the_chains_own_is_refused():
    with pytest.raises(UsageError, match="between 0 and 1"):
        diffusion().descend(torch.zeros(1, D, dtype=torch.float64), noise=1.5)


def test_more_levels_learn_a_better_schedule():
    """Eight levels of the exact denoiser: training the schedule alone makes a better bound than both fixed ones."""
    torch.manual_seed(0)
    schedule = LearnedSchedule(START, END).double()
    points = M + sigma_points() @ A.T
    optimizer = torch.optim.Adam(schedule.parameters(), lr=0.1)
    with torch.no_grad():
        first = float(closed_levels(schedule, 8, points).mean())
    for _ in range(60):
        loss = closed_levels(schedule, 8, points).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    cosine = float(closed_levels(CosineSchedule(START, END), 8, points).mean())
    assert loss.item() < min(first, cosine) - 0.1
