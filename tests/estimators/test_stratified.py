"""Mixture guides and stratified points: densities, means, gradients and bounds against what is known."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import stream
from jensen.estimators.reparameterized import Pathwise
from jensen.estimators.stratified import Stratified
from jensen.families import Categorical, FullGaussian, Gaussian, Mixture
from jensen.guides import Exact
from jensen.objectives import CustomObjective, Elbo, ImportanceWeighted
from tests.identities.models import amortized, linear_model, mixture_model

X = torch.randn(4, 5, dtype=torch.float64, generator=stream(0, "x"))
PARTS = pytest.mark.parametrize("component", [Gaussian(2), FullGaussian(2)], ids=lambda f: f.phrase)


def guide_of(component):
    return amortized(5, Mixture(component, 3))


@PARTS
def test_the_density_is_the_sum_over_components(component):
    guide, model = guide_of(component), linear_model()
    draw = Stratified(2).draw(model, guide, Batch(X), stream(0, "noise"))
    q = guide(Batch(X))
    weights, parts = q.mixture_distribution.probs, q.component_distribution
    each = [weights[:, j] * parts.log_prob(draw.z[:, :, None])[..., j].exp() for j in range(3)]
    torch.testing.assert_close(draw.log_guide[..., 0].exp(), sum(each), rtol=1e-9, atol=1e-12)
    assert draw.z.shape == (6, 4, 2)
    torch.testing.assert_close(draw.log_measure.exp().sum(0), torch.ones(4).double())


def test_each_point_comes_from_the_component_that_it_is_weighted_by():
    """Components a hundred scales apart: the nearest one is the one whose weight the point carries."""
    guide = guide_of(Gaussian(2))
    with torch.no_grad():
        last = guide.conditional.net.layers[-1]
        last.bias[:3] = torch.tensor([0.0, 1.0, 2.0])
        last.bias[3:] = torch.tensor([-300.0, 0, 0, 0, 0.0, 0, 0, 0, 300.0, 0, 0, 0])
        draw = Stratified(3).draw(linear_model(), guide, Batch(X), stream(0, "noise"))
        nearest = (draw.z[..., 0] / 300.0).round().long() + 1
        expected = guide(Batch(X)).mixture_distribution.logits.log_softmax(-1) - math.log(3)
        torch.testing.assert_close(draw.log_measure, expected[torch.arange(4), nearest])
        assert (torch.stack([(nearest == j).sum(0) for j in range(3)]) == 3).all()


ENERGY = CustomObjective(lambda draw: draw.mean(draw.z.square().sum(-1)), "energy")


@PARTS
def test_means_and_their_gradients_are_unbiased(component):
    """E_q |z|^2 and its gradient, in closed form: 4,000 draws, each coordinate within 4.5 standard errors."""
    guide, model, draws = guide_of(component), linear_model(), 4000
    q = guide(Batch(X[:1]))
    parts = q.component_distribution
    known = (q.mixture_distribution.probs * (parts.variance + parts.mean.square()).sum(-1)).sum()
    wanted = torch.autograd.grad(known, list(guide.parameters()))
    batch = Batch(X[:1].expand(draws, -1))
    params = guide.conditional.params(batch.x).detach().requires_grad_()
    fixed = amortized(5, Mixture(component, 3))
    fixed.conditional.params = lambda c: params  # one row of parameters per draw, so that each has its own gradient
    value = ENERGY(Stratified(1).draw(model, fixed, batch, stream(0, "noise")))
    stderr = value.std() / draws**0.5
    assert (value.mean() - known).abs() < 4.5 * stderr
    each = torch.autograd.grad(value.sum(), params)[0]  # [draws, P]
    row = guide.conditional.params(X[:1])
    exact = torch.autograd.grad(_energy(component, row), row)[0][0]
    assert ((each.mean(0) - exact).abs() <= 4.5 * each.std(0) / draws**0.5 + 1e-12).all()
    assert exact[:3].any(), "the weights have a gradient"
    again = torch.autograd.grad(_energy(component, guide.conditional.params(X[:1])), list(guide.parameters()))
    for a, b in zip(wanted, again, strict=True):
        torch.testing.assert_close(a, b)


def _energy(component, row: torch.Tensor) -> torch.Tensor:
    q = Mixture(component, 3)(row)
    parts = q.component_distribution
    return (q.mixture_distribution.probs * (parts.variance + parts.mean.square()).sum(-1)).sum()


def test_weights_average_to_the_evidence():
    """20,000 draws of one point per component: the mean of the weights is p(x) within four standard errors, and below
    it in logarithms; both bounds are in order."""
    guide, model, draws = guide_of(Gaussian(2)), linear_model(), 20_000
    with torch.no_grad():
        exact = model.posterior(Batch(X[:1]))
        z = torch.zeros(1, 1, 2).double()
        evidence = model.log_joint(Batch(X[:1]), z)[0, 0] - exact.log_prob(z)[0, 0]
        q = guide.conditional.net.layers[-1]
        q.weight.mul_(0.2)
        q.bias.copy_(torch.cat([torch.zeros(3), torch.tensor([0.3, 0.1, 0.5, 0.5]).repeat(3)]))
        draw = Stratified(1).draw(model, guide, Batch(X[:1].expand(draws, -1)), stream(0, "noise"))
        ratio = (ImportanceWeighted()(draw) - evidence).exp()
        assert (ratio.mean() - 1).abs() < 4 * ratio.std() / draws**0.5
        assert ratio.std() / draws**0.5 < 0.05
        bounds = ImportanceWeighted()(draw).mean(), Elbo()(draw).mean()
        assert evidence > bounds[0] > bounds[1]


def test_no_noise_from_the_choice_of_component():
    """Equal weights and components far from each other and the origin: almost all of the variance of E_q|z|^2 by six
    points is in how many come from which component."""
    guide, model = guide_of(Gaussian(2)), linear_model()
    batch = Batch(X[:1].expand(2000, -1))
    with torch.no_grad():
        last = guide.conditional.net.layers[-1]
        last.weight[:3], last.bias[:3] = 0.0, 0.0
        last.bias[3:] = torch.tensor([5.0, 0, 0, 0, 10.0, 0, 0, 0, 20.0, 0, 0, 0])
        stratified = ENERGY(Stratified(2).draw(model, guide, batch, stream(0, "noise")))
        independent = ENERGY(Pathwise(6).draw(model, guide, batch, stream(0, "noise")))
    assert stratified.var() < 0.2 * independent.var()
    assert abs(stratified.mean() / independent.mean() - 1) < 0.05


def test_what_is_no_mixture_is_refused():
    model = linear_model()
    with pytest.raises(CompositionError, match=r"Use Pathwise\(k\)"):
        Stratified().draw(model, amortized(5, Gaussian(2)), Batch(X))
    with pytest.raises(CompositionError, match=r"Use Pathwise\(k\)"):
        Stratified().draw(mixture_model(), Exact(mixture_model()), Batch(X[:, :2]))
    with pytest.raises(CompositionError, match=r"Use Pathwise\(k\)"):
        Stratified().draw(model, amortized(5, Categorical(2)), Batch(X))
    with pytest.raises(UsageError, match=r"^k must be a whole number of at least 1, got 0"):
        Stratified(0)
    with pytest.raises(CompositionError, match=r"Stratified\(k\)"):
        Pathwise(1).draw(model, guide_of(Gaussian(2)), Batch(X))
