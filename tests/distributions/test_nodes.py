"""Expectations by nodes: against closed forms, sums over all values and numerical integrals, with their gradients."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import integrate
from torch.distributions import Bernoulli, Gamma, Normal

from jensen.core.errors import CompositionError
from jensen.distributions import (
    Choice,
    FeatureMixture,
    Heaped,
    LinkedNormal,
    LogitNormal,
    LogNormal,
    RoundedLogistic,
    StudentT,
    VonMises,
)
from jensen.distributions.nodes import expectation_nodes, has_nodes
from jensen.families import Ordinal

DOUBLE = {"dtype": torch.float64}


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, **DOUBLE)


def expected(distribution, f) -> torch.Tensor:
    values, logs = expectation_nodes(distribution)
    return (logs.exp() * f(values)).sum(-1)


def smooth(x: torch.Tensor) -> torch.Tensor:
    return torch.sigmoid(0.8 - 1.2 * x)


MIXTURE = FeatureMixture(
    tensor(0.3, -0.4)[None], LinkedNormal(tensor(-1.0, 0.7)[None], tensor(0.6, 1.1)[None], validate_args=False)
)
POSITIVE = torch.tensor([True])
CONTINUOUS = {
    "normal": (Normal(tensor(0.3), tensor(0.9)), -20, 20),
    "mixture": (MIXTURE, -20, 20),
    "log-normal": (LogNormal(tensor(0.2), tensor(0.5)), 0, 60),
    "log by link": (LinkedNormal(tensor(0.2), tensor(0.5), POSITIVE, ~POSITIVE), 0, 60),
    "logit-normal": (LogitNormal(tensor(0.2), tensor(0.8)), 0, 1),
    "student-t": (StudentT(tensor(3.5), tensor(0.2), tensor(0.7)), -math.inf, math.inf),
    "wide angle": (VonMises(tensor(0.5), tensor(-0.2)), -math.pi, math.pi),
    "angle": (VonMises(tensor(9.0), tensor(20.0)), -math.pi, math.pi),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_densities_agree_with_numerical_integration(name):
    distribution, low, high = CONTINUOUS[name]
    f = (lambda x: torch.sigmoid(0.8 - 1.2 * torch.cos(x))) if "angle" in name else smooth

    def integrand(x: float) -> float:
        at = tensor(x)
        return float(distribution.log_prob(at).exp() * f(at)) if low < x < high else 0.0

    truth = integrate.quad(integrand, low, high, epsabs=1e-13, limit=400, points=None)[0]
    assert float(expected(distribution, f)) == pytest.approx(truth, abs=1e-8)


def test_heaps_are_nodes_beside_those_of_the_rest():
    rest = RoundedLogistic(tensor(0.3), tensor(1.4), tensor(2.0), tensor(1.0))
    d = Heaped(tensor(0.2, -0.3, 0.7)[None], torch.tensor([[40.0, 2.0]], **DOUBLE), rest)
    w = tensor(0.2, -0.3, 0.7).softmax(-1)
    truth = w[0] * expected(rest, smooth) + w[1] * smooth(tensor(40.0)) + w[2] * smooth(tensor(2.0))
    torch.testing.assert_close(expected(d, smooth), truth)
    assert has_nodes(d)


def test_weights_of_levels_are_their_probabilities():
    choice = Choice(torch.tensor([[0.3, -1.0, -torch.inf], [0.0, 1.0, 2.0]], **DOUBLE))
    values, logs = expectation_nodes(choice)
    assert values.shape == (2, 3)
    torch.testing.assert_close(logs.exp(), choice.probs)
    bits = Bernoulli(logits=tensor(-0.4, 2.0))
    torch.testing.assert_close(expected(bits, lambda x: x), bits.probs)
    ordinal = Ordinal((3, 5))
    d = ordinal.features(torch.randn(4, ordinal.size, generator=torch.Generator().manual_seed(0)).double())
    torch.testing.assert_close(expectation_nodes(d)[1].exp(), d.probs)


@pytest.mark.parametrize("scale", [1e-5, 0.4, 1.7, 2.99, 40.0])
def test_whole_numbers_agree_with_the_sum_over_all_of_them(scale):
    d = RoundedLogistic(tensor(0.3), tensor(scale), tensor(11.0), tensor(1.0))
    every = torch.arange(-2000.0, 2000.0, **DOUBLE)

    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(0.5 - (x - 11) / max(scale, 1.0))

    truth = (d.log_prob(every[:, None])[:, 0].exp() * f(every)).sum()
    torch.testing.assert_close(expected(d, f)[0], truth, rtol=0, atol=3e-7)


@pytest.mark.parametrize(("scale", "error"), [(1.5, 1e-6), (30.0, 1e-3)])
def test_mass_below_the_lowest_whole_number_is_at_it(scale, error):
    d = RoundedLogistic(tensor(0.3), tensor(scale), tensor(2.0), tensor(1.0), tensor(0.0))
    every = torch.arange(0.0, 3000.0, **DOUBLE)

    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(0.5 - (x - 2) / scale)

    truth = (d.log_prob(every[:, None])[:, 0].exp() * f(every)).sum()
    torch.testing.assert_close(expected(d, f)[0], truth, rtol=0, atol=error)


def test_gradients_are_those_of_the_expectation():
    """Of the mean of a mixture, of a rounded logistic (about 1 for its location) and of E cos of an angle."""
    for make, size in (
        (lambda p: FeatureMixture(p[None, :2], LinkedNormal(p[None, 2:4], p[None, 4:].exp(), validate_args=False)), 6),
        (lambda p: StudentT(3 + p[:1].exp(), p[1:2], p[2:].exp()), 3),
    ):
        p = torch.linspace(-0.5, 0.8, size, **DOUBLE).requires_grad_()
        (by_nodes,) = torch.autograd.grad(expected(make(p), lambda x: x).sum(), p)
        (exact,) = torch.autograd.grad(make(p).mean.sum() + 0 * p.sum(), p)
        torch.testing.assert_close(by_nodes, exact, rtol=0, atol=2e-5)
    loc = tensor(0.2).requires_grad_()
    d = RoundedLogistic(loc, tensor(1.3), tensor(0.0), tensor(1.0))
    (slope,) = torch.autograd.grad(expected(d, lambda x: x).sum(), loc)
    torch.testing.assert_close(slope, tensor(1.0), rtol=0, atol=1e-3)
    zero = torch.zeros(1, **DOUBLE, requires_grad=True)
    (slope,) = torch.autograd.grad(expected(VonMises(zero, tensor(0.0)), torch.cos).sum(), zero)
    torch.testing.assert_close(slope, tensor(0.5))


def test_a_kind_without_nodes_is_refused():
    gamma = Gamma(torch.ones(1), torch.ones(1))
    assert not has_nodes(gamma)
    assert has_nodes(MIXTURE)
    with pytest.raises(CompositionError, match="Gamma have no nodes"):
        expectation_nodes(gamma)
