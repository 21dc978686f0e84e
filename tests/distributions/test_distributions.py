"""The distributions against SciPy's, and where single precision or a limit would have hurt."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import torch
from torch.distributions import Independent, Normal, OneHotCategorical

from jensen.distributions import (
    Beta,
    ContinuousBernoulli,
    DiscretizedLogisticMixture,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    ZeroInflated,
)


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


POSITIVE, COUNTS, UNIT = numbers(1e-6, 0.3, 2.0, 1e6), numbers(0, 1, 7, 300), numbers(1e-9, 0.2, 0.5, 1 - 1e-9)
ORACLES = [
    (Beta(numbers(0.3), numbers(4.0)), scipy.stats.beta(0.3, 4), UNIT),
    (Beta(numbers(1e5), numbers(2e5)), scipy.stats.beta(1e5, 2e5), numbers(0.33, 1 / 3)),
    (LogNormal(numbers(0.5), numbers(1.5)), scipy.stats.lognorm(1.5, scale=np.exp(0.5)), POSITIVE),
    (StudentT(numbers(2.5), numbers(1.0), numbers(3.0)), scipy.stats.t(2.5, 1, 3), numbers(-1e4, 1.0, 4.0, 1e9)),
    (StudentT(numbers(1e6), numbers(0.0), numbers(1.0)), scipy.stats.t(1e6), numbers(-5.0, 0.01, 4.0)),
    (Poisson(numbers(1.2)), scipy.stats.poisson(np.exp(1.2)), COUNTS),
    (NegativeBinomial(numbers(2.0), numbers(0.7)), scipy.stats.nbinom(0.7, 0.7 / (0.7 + np.exp(2))), COUNTS),
]


@pytest.mark.parametrize(("ours", "theirs", "x"), ORACLES, ids=lambda v: type(v).__name__)
def test_densities_and_moments_are_those_of_scipy(ours, theirs, x):
    known = theirs.logpmf(x.numpy()) if isinstance(ours, Poisson | NegativeBinomial) else theirs.logpdf(x.numpy())
    torch.testing.assert_close(ours.log_prob(x), torch.from_numpy(known), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(ours.mean, numbers(theirs.mean()), rtol=1e-9, atol=0)
    torch.testing.assert_close(ours.variance, numbers(theirs.var()), rtol=1e-9, atol=0)


@pytest.mark.parametrize("base", [Poisson(numbers(0.5)), NegativeBinomial(numbers(0.5), numbers(2.0))])
def test_zeros_beyond_the_rest(base):
    gate = numbers(-0.4)
    d, share = ZeroInflated(base, gate), torch.sigmoid(gate)
    x = torch.arange(500, dtype=torch.float64)
    mass = d.log_prob(x).exp()
    torch.testing.assert_close(mass, share * (x == 0) + (1 - share) * base.log_prob(x).exp())
    torch.testing.assert_close(d.mean, (mass @ x)[None])
    torch.testing.assert_close(d.variance, (mass @ x.square() - (mass @ x).square())[None])


def test_a_negative_binomial_of_little_dispersion_is_a_poisson():
    """The second-order difference is ((x - mu)^2 - x) / (2 theta)."""
    x, log_mean, theta = numbers(0, 3, 9), numbers(1.1), numbers(1e6)
    rate = log_mean.exp()
    gap = NegativeBinomial(log_mean, theta).log_prob(x) - Poisson(log_mean).log_prob(x)
    torch.testing.assert_close(gap, ((x - rate).square() - x) / (2 * theta), rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("count", [1e3, 1e5, 1.6e7])
def test_counts_keep_their_mass_in_single_precision(count):
    """Plain single precision is off by 0.1 to 30 nats here, where lgamma(x) is 6e3 to 2.5e8."""
    x, log_rate = torch.tensor([count]), torch.tensor([count]).log()
    known = scipy.stats.poisson.logpmf(count, float(log_rate.double().exp()))
    assert float(Poisson(log_rate).log_prob(x)) == pytest.approx(known, abs=1e-5)
    p = 1e3 / (1e3 + float(log_rate.double().exp()))
    known = scipy.stats.nbinom.logpmf(count, 1e3, p)
    assert float(NegativeBinomial(log_rate, torch.tensor([1e3])).log_prob(x)) == pytest.approx(known, abs=1e-5)


def known_normaliser(logit: float) -> tuple[float, float]:
    """log((e^l - 1) / l), and its derivative the mean, by 1,000,000 midpoints of [0, 1]."""
    x = (np.arange(1_000_000) + 0.5) / 1_000_000
    weights = np.exp(logit * (x - 0.5))
    return float(np.log(weights.mean()) + logit / 2), float((weights * x).sum() / weights.sum())


@pytest.mark.parametrize("logit", [0.0, 1e-12, 1e-6, -0.01, 0.2499, 0.2501, -1.0, 12.0])
def test_the_normaliser_of_the_continuous_bernoulli(logit):
    raw = numbers(logit).requires_grad_()
    d = ContinuousBernoulli(raw)
    normaliser, mean = known_normaliser(logit)
    x = numbers(0.0, 0.3, 1.0)
    torch.testing.assert_close(d.log_prob(x), logit * x - normaliser, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(d.mean, numbers(mean), rtol=1e-9, atol=1e-9)
    # the derivative of log p by the logit is x - mean, at 0 too; that of the mean is the variance
    torch.testing.assert_close(torch.autograd.grad(d.log_prob(numbers(0.3)), raw)[0], 0.3 - d.mean)
    torch.testing.assert_close(torch.autograd.grad(d.mean, raw)[0], d.variance, rtol=1e-7, atol=1e-9)


def test_the_continuous_bernoulli_where_e_to_the_logit_overflows():
    d = ContinuousBernoulli(torch.tensor([1e6, -1e6]))
    assert d.log_prob(torch.tensor([1.0, 0.0])).tolist() == pytest.approx([np.log(1e6)] * 2)
    assert d.log_prob(torch.tensor([0.5, 0.5])).tolist() == pytest.approx([-5e5 + np.log(1e6)] * 2)
    assert d.mean.tolist() == pytest.approx([1 - 1e-6, 1e-6], abs=1e-7)
    assert d.sample((100,)).mean(0).tolist() == pytest.approx([1, 0], abs=1e-5)


def test_torch_agrees_on_the_continuous_bernoulli():
    raw = torch.linspace(-5, 5, 101, dtype=torch.float64)
    theirs = torch.distributions.ContinuousBernoulli(logits=raw)
    torch.testing.assert_close(ContinuousBernoulli(raw).log_prob(numbers(0.4)), theirs.log_prob(numbers(0.4)))
    torch.testing.assert_close(ContinuousBernoulli(raw).mean, theirs.mean, rtol=1e-6, atol=1e-6)


def test_what_is_too_large_for_its_type_is_its_largest_number():
    d = LogNormal(torch.tensor([1e4, -1e4]), torch.ones(2))
    assert torch.isfinite(d.sample((5,))).all()
    assert torch.isfinite(d.mean).all()
    assert (d.sample((5,)) > 0).all()


def test_samples_of_tiny_concentrations_stay_inside():
    """Gamma variables of concentration 1e-4 are below the least number of their type, nearly always."""
    x = Beta(torch.full((2000,), 1e-4), torch.full((2000,), 1e-4)).sample()
    assert ((x > 0) & (x < 1)).all()
    assert (x > 0.5).float().mean() == pytest.approx(0.5, abs=0.06)  # 5 standard errors


@pytest.mark.parametrize("d", [d for d, _, _ in ORACLES], ids=lambda v: type(v).__name__)
def test_distributions_expand(d):
    wide = d.expand(torch.Size([4, 1]))
    x = d.sample()
    assert wide.batch_shape == (4, 1)
    assert wide.sample((2,)).shape == (2, 4, 1)
    torch.testing.assert_close(wide.log_prob(x), d.log_prob(x).expand(4, 1))


def test_pixels_of_dependent_channels_expand():
    g = torch.Generator().manual_seed(0)
    logits, lean = torch.randn(5, 2, 3, generator=g), torch.randn(5, 2, 3, 3, generator=g)
    loc, scale = torch.randn(5, 2, 3, 3, generator=g), torch.rand(5, 2, 3, 3, generator=g) + 0.1
    d = DiscretizedLogisticMixture(logits, loc, scale, lean, 16)
    wide, x = d.expand(torch.Size([4, 5])), torch.randint(0, 16, (5, 6), generator=g).float()
    assert wide.batch_shape == (4, 5)
    assert wide.sample((2,)).shape == (2, 4, 5, 6)
    assert torch.equal(wide.log_prob(x), d.log_prob(x).expand(4, 5))
    assert torch.equal(wide.mean, d.mean.expand(4, 5, 6))


def test_the_variance_of_a_chain_is_that_of_the_mixture_over_its_class():
    """Var z = E[z^2] - E[z]^2, each a sum over the classes."""
    from jensen.distributions import Chained

    share, means, sd = torch.tensor([[0.3, 0.7]]), torch.tensor([[-1.0], [2.0]]), 0.5
    q = Chained(OneHotCategorical(probs=share), lambda y: Independent(Normal(y @ means, sd), 1), 1)
    first = (share * means[:, 0]).sum()
    second = (share * (means[:, 0].square() + sd**2)).sum()
    torch.testing.assert_close(q.variance[0, 2], second - first.square())
