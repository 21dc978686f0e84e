"""Families beyond their contract: scales and floors, refusals, and values known by hand."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch

from jensen.core.errors import UsageError
from jensen.core.random import drawing_from, stream
from jensen.families import (
    Bernoulli,
    Categorical,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Gaussian,
    Mixture,
    StudentT,
    VonMises,
    positive,
    positive_inverse,
)
from tests.contracts.members import ALL_FAMILIES
from tests.contracts.supports import innermost, is_positive


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("floor", [1e-6, 1e-4, 0.1, 0.9])
@pytest.mark.parametrize("size", [1, 7, 8, 1000])
def test_zero_is_the_scale_one(dtype, floor, size):
    """Exactly, in both precisions; within one rounding for long vectors, whose softplus goes by other instructions."""
    away = (positive(torch.zeros(size, dtype=dtype), floor) - 1).abs().max()
    assert away <= (0 if size < 8 else torch.finfo(dtype).eps)


@pytest.mark.parametrize("floor", [1e-6, 1e-4, 0.1])
def test_scales_come_back(floor):
    scale = torch.logspace(math.log10(2 * floor), 6, 200, dtype=torch.float64)
    torch.testing.assert_close(positive(positive_inverse(scale, floor), floor), scale, rtol=1e-9, atol=1e-9)
    tiny = positive(positive_inverse(torch.zeros(1, dtype=torch.float64), floor), floor)
    torch.testing.assert_close(tiny, torch.full_like(tiny, 2 * floor))


def test_a_scale_rises_with_its_parameter_from_the_floor():
    raw = torch.linspace(-30, 30, 1001, dtype=torch.float64)
    assert (positive(raw, 0.01).diff() > 0).all()
    assert positive(raw, 0.01)[0] > 0.01
    torch.testing.assert_close(positive(raw, 0.01)[0], torch.tensor(0.01, dtype=torch.float64))


def test_a_floor_is_the_familys_own():
    params = torch.tensor([0.0, -1e6])
    assert float(Gaussian(1, floor=0.25)(params).base_dist.scale) == pytest.approx(0.25)
    assert float(Gaussian(1, floor=0.25)(torch.zeros(2)).base_dist.scale) == 1
    assert Gaussian(1, floor=0.25).smallest == 0.5


@pytest.mark.parametrize(
    ("make", "remedy"),
    [
        (lambda: Gaussian(2, 0.0), "positive number"),
        (lambda: Gaussian(2, -1.0), "positive number"),
        (lambda: Gaussian(2, math.nan), "positive number"),
        (lambda: Gaussian(2, floor=0.0), "between 0 and 1"),
        (lambda: Gaussian(2, floor=1.0), "between 0 and 1"),
    ],
)
def test_a_scale_that_cannot_work_is_refused(make, remedy):
    with pytest.raises(UsageError, match=remedy):
        make()


def test_no_features_have_density_one():
    value = Gaussian(0).log_prob(torch.zeros(5, 0), torch.zeros(5, 0))
    assert torch.equal(value, torch.zeros(5))
    assert torch.equal(Gaussian(0)(torch.zeros(5, 0)).log_prob(torch.zeros(5, 0)), torch.zeros(5))


def test_sizes_and_shared_parameters():
    assert [(f.size, f.shared) for f in ALL_FAMILIES[:5]] == [(6, 0), (6, 3), (4, 0), (4, 1), (3, 0)]
    assert Mixture(Gaussian(3), 2).size == 2 * (1 + 6)
    assert all(f.phrase for f in ALL_FAMILIES)


def test_one_huge_logit_does_not_drown_the_others():
    """log p of a certain feature is 0: what is left is four coins, in single precision too."""
    for huge in (1e6, 1e12, 1e38):
        value = Bernoulli(5).log_prob(torch.tensor([huge, 0, 0, 0, 0]), torch.tensor([1.0, 0, 1, 0, 1]))
        assert float(value) == pytest.approx(-4 * math.log(2))


def exact_bits(logits, x, mask):
    """The log-densities of bits in 30 digits: each feature's is -log(1 + exp((1 - 2 x) l))."""
    rows = zip(logits.tolist(), x.tolist(), mask.tolist(), strict=True)
    with mpmath.workdps(30):
        return [
            float(-mpmath.fsum(mpmath.log1p(mpmath.exp((1 - 2 * b) * v)) for v, b, m in zip(*row, strict=True) if m))
            for row in rows
        ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("scale", [0.0, 1e-3, 3.0, 16.0, 1e3, 1e12])
@pytest.mark.parametrize("size", [1, 100, 203])
def test_bits_without_gradients(dtype, scale, size):
    """Another path, exact to the rounding of each feature's probability and of the sum; certain features included."""
    g = stream(size, "bits")
    logits = scale * torch.randn(4, size, dtype=dtype, generator=g)
    x = torch.rand(4, size, dtype=dtype, generator=g).round()
    x[0], x[1] = logits[0] > 0, logits[1] < 0  # all as expected, and none
    logits[2] = -scale  # all alike, so that errors add up
    mask = torch.rand(4, size, generator=g) < 0.7
    family, unit = Bernoulli(size), torch.finfo(dtype).eps / 2
    for seen in (None, mask):
        with torch.no_grad():
            value = family.log_prob(logits, x, seen)
        all_or_seen = torch.ones_like(mask) if seen is None else seen
        exact = torch.tensor(exact_bits(logits, x, all_or_seen), dtype=torch.float64)
        limit = unit * (2 * size + 16 * exact.abs())
        assert ((value.double() - exact).abs() <= limit).all()


def test_bits_without_gradients_broadcast():
    """Parameters [K, 1, D] and [K, B, D], with data and masks [B, D], and grey values."""
    g = stream(0, "bits")
    x, mask = torch.rand(3, 4, generator=g), torch.rand(3, 4, generator=g) < 0.5
    for shape in ((4,), (2, 1, 4), (2, 3, 4)):
        logits = 3 * torch.randn(shape, generator=g)
        for seen in (None, mask):
            with torch.no_grad():
                value = Bernoulli(4).log_prob(logits, x, seen)
            torch.testing.assert_close(value, Bernoulli(4).log_prob(logits, x, seen))


def test_grey_values_are_scored_as_the_linear_interpolation():
    logits = torch.tensor([0.3, -2.0], dtype=torch.float64)
    ends = [Bernoulli(2).log_prob(logits, torch.full((2,), v, dtype=torch.float64)) for v in (0.0, 1.0)]
    grey = Bernoulli(2).log_prob(logits, torch.full((2,), 0.25, dtype=torch.float64))
    torch.testing.assert_close(grey, 0.75 * ends[0] + 0.25 * ends[1])


def test_a_class_of_probability_zero():
    logits = torch.tensor([0.0, -torch.inf, 0.0], dtype=torch.float64)
    value = Categorical(3).log_prob(logits, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(value, torch.tensor([-math.log(2), -math.inf, -math.log(2)], dtype=torch.float64))


def has_moments(family):
    """Return whether mean and variance are in closed form, and a sample's variance has a standard error."""
    if isinstance(family, DiscretizedLogisticMixture):
        return family.channels == 1
    kind = innermost(family)
    return not isinstance(kind, StudentT | VonMises) and not is_positive(kind)


@pytest.mark.parametrize("family", [f for f in ALL_FAMILIES if has_moments(f)], ids=str)
def test_samples_have_the_mean_and_variance_of_the_distribution(family):
    """20000 samples, within 5 standard errors."""
    params = torch.randn(family.size, dtype=torch.float64, generator=stream(3, "params"))
    d = family(params)
    with drawing_from(stream(0, "x")):
        x = d.sample((20000,))
    error = x.std(0) / 20000**0.5
    assert ((x.mean(0) - d.mean).abs() < 5 * error + 1e-12).all()
    spread = (x - x.mean(0)).square()
    assert ((spread.mean(0) - d.variance).abs() < 5 * spread.std(0) / 20000**0.5 + 1e-12).all()


def test_gradients_of_a_wide_logistic():
    """A scale at which a bin is far narrower than rounding still has the right gradient: P = width f(x) / scale."""
    raw = torch.tensor([0.0, 1e9], dtype=torch.float64, requires_grad=True)
    value = DiscretizedLogistic(1, 256).log_prob(raw, torch.tensor([3.0], dtype=torch.float64))
    torch.testing.assert_close(torch.autograd.grad(value, raw)[0][1] * 1e9, torch.tensor(-1.0, dtype=torch.float64))


def test_a_mixture_of_observed_features_leaves_out_the_others():
    """log sum_j pi_j prod_{d observed} p_j(x_d), by hand; what stands in the place of a hole has no effect."""
    family = Mixture(Gaussian(3), 2)
    params = torch.randn(4, family.size, generator=stream(0, "mixture"))
    x = torch.randn(4, 3, generator=stream(0, "x"))
    mask = torch.tensor([[True, False, True], [False, False, True], [True, True, True], [False, False, False]])
    logits, parts = params[:, :2].log_softmax(-1), params[:, 2:].unflatten(-1, (2, 6))
    loc, scale = Gaussian(3).loc_scale(parts)
    each = torch.distributions.Normal(loc, scale).log_prob(x[:, None])
    expected = torch.logsumexp(logits + torch.where(mask[:, None], each, 0.0).sum(-1), -1)
    torch.testing.assert_close(family.log_prob(params, x, mask), expected)
    torch.testing.assert_close(family.log_prob(params, torch.where(mask, x, 99.0), mask), expected)
