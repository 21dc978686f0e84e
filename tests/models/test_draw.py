"""Draws beyond their contract: points of measure zero, where points come from, and closed rates."""

from __future__ import annotations

import math

import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from jensen.core.random import stream
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Categorical, Gaussian, Mixture
from jensen.models.conditionals import Unconditional
from jensen.models.draw import closed_rate, place, weigh
from jensen.models.model import LatentVariableModel
from tests.identities.models import amortized, close, linear_model, mixture_model, normal_guide, simulated


def test_points_are_made_from_their_noise():
    q = Independent(Normal(torch.randn(4, 2), torch.rand(4, 2) + 0.1), 1)
    z, noise = place(q, 3, stream(0, "noise"))
    assert torch.equal(z, torch.addcmul(q.base_dist.loc, q.base_dist.scale, noise))
    assert torch.equal(noise, torch.randn(3, 4, 2, generator=stream(0, "noise")))
    full, none = place(MultivariateNormal(torch.zeros(4, 2), torch.eye(2)), 3, stream(0, "noise"))
    assert full.shape == (3, 4, 2)
    assert none is None


def test_points_of_measure_zero_do_not_count():
    model, guide = linear_model(2), amortized(5, Gaussian(2))
    batch = simulated(model, 3)
    z = torch.randn(3, 3, 2, dtype=torch.float64, generator=stream(0, "z"))
    measure = torch.tensor([math.log(0.25), -math.inf, math.log(0.75)], dtype=torch.float64)[:, None].expand(3, 3)
    draw = weigh(model, guide(batch), z, batch, measure)
    f = torch.tensor([[4.0], [torch.nan], [8.0]], dtype=torch.float64).expand(3, 3)
    close(draw.mean(f), 7.0)
    close(draw.log_evidence, torch.logsumexp((draw.log_weight + measure)[[0, 2]], 0))


def test_a_point_mass_has_no_log_density_in_the_record():
    model = linear_model(2)
    batch = simulated(model, 3)
    q = torch.distributions.MultivariateNormal(torch.zeros(3, 2).double(), torch.eye(2).double())
    draw = weigh(model, q, torch.zeros(1, 3, 2).double(), batch, mass=True)
    assert not draw.log_guide.any()
    close(draw.log_weight, model.log_joint(batch, draw.z))


def test_distortion_and_rate():
    model = linear_model(2)
    batch = simulated(model, 3)
    draw = Pathwise(4).draw(model, normal_guide(torch.zeros(2).double(), torch.ones(2).double()), batch, stream(0, "n"))
    close(draw.rate, 0.0)
    close(draw.distortion, -draw.log_lik.mean(0))


def test_rates_in_closed_form_where_torch_knows_them():
    model, finite = linear_model(2), mixture_model(3, 5)
    batch = simulated(model, 3)
    assert closed_rate(amortized(5, Gaussian(2))(batch), model.prior(), 3).shape == (3,)
    assert closed_rate(amortized(5, Categorical(3))(batch), finite.prior(), 3).shape == (3,)
    assert closed_rate(model.posterior(batch), model.prior(), 3).shape == (3,)
    mixed = Unconditional(Mixture(Gaussian(2), 2)).double()
    for _ in range(2):  # also when the pair is remembered
        assert closed_rate(model.posterior(batch), mixed(), 3) is None


def test_what_is_first_read_without_gradients_keeps_them():
    """A learned prior is reached by the rate's gradient whoever looked at the draw before."""
    prior, guide = Unconditional(Gaussian(2), learn=True).double(), amortized(5, Gaussian(2))
    model = LatentVariableModel(prior, linear_model(2).likelihood)
    draw = Pathwise(3).draw(model, guide, simulated(model, 4), stream(0, "n"))
    with torch.no_grad():
        seen = draw.prior, draw.likelihood, draw.log_prior, draw.log_guide, draw.rate
    assert len(seen) == 5
    for value in (draw.rate.sum(), draw.log_prior.sum()):
        (gradient,) = torch.autograd.grad(value, prior.value, retain_graph=True)
        assert bool(gradient.abs().sum() > 0)
