"""The bound: its equal forms, its gap, and what more points do to it."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from jensen.core.batch import Batch
from jensen.core.random import stream
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Categorical, Gaussian, Mixture
from jensen.guides import Exact
from jensen.models.conditionals import Unconditional
from jensen.models.model import LatentVariableModel
from jensen.objectives import Distortion, Elbo, ImportanceWeighted, Rate
from jensen.training.closed import PrincipalComponents
from tests.identities.models import (
    Fixed,
    amortized,
    close,
    evidence,
    linear_model,
    mixture_model,
    normal_guide,
    rows,
    simulated,
)


def test_three_forms_of_the_bound():
    """7: E_q[log p(x,z) - log q] = E_q[log p(x|z)] - KL(q || p(z)) = log p(x) - KL(q || p(z|x)), below log p(x)."""
    model = linear_model(2)
    batch, guide = simulated(model, 20), amortized(5, Gaussian(2))
    draw = Quadrature(3).draw(model, guide, batch)  # exact for quadratics
    q = guide(batch)
    joint = draw.mean(model.log_joint(batch, draw.z) - q.log_prob(draw.z))
    parts = draw.mean(draw.log_lik) - kl_divergence(q, model.prior()).expand(20)
    gap = kl_divergence(MultivariateNormal(q.mean, scale_tril=torch.diag_embed(q.stddev)), model.posterior(batch))
    close(Elbo()(draw), joint)
    close(Elbo()(draw), parts)
    close(Elbo()(draw), evidence(model, batch) - gap)
    assert (Elbo()(draw) < evidence(model, batch)).all()


def test_three_forms_of_the_finite_bound():
    """7, with a finite latent: every expectation is a sum."""
    model = mixture_model()
    batch, guide = simulated(model, 20), amortized(2, Categorical(3))
    draw = Enumerate().draw(model, guide, batch)
    q = guide(batch)
    close(Elbo()(draw), (-Distortion() - Rate())(draw))
    close(Elbo()(draw), evidence(model, batch) - kl_divergence(q, model.posterior(batch)))


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_the_loss_is_distortion_plus_rate(beta):
    """16: -ELBO = distortion + rate: by closed form at exact nodes, and point by point where the rate is sampled."""
    model, guide = linear_model(2), amortized(5, Gaussian(2))
    batch = simulated(model, 20)
    loss = Distortion() + beta * Rate()
    draw = Quadrature(3).draw(model, guide, batch)
    close(loss(draw), -Elbo(beta)(draw))
    mixed = LatentVariableModel(Fixed(Mixture(Gaussian(2), 3), torch.randn(15).double()), model.likelihood)
    sampled = Pathwise(5).draw(mixed, guide, batch, stream(0, "noise"))
    close(loss(sampled), -Elbo(beta)(sampled))


def test_the_gap_closes_at_the_posterior():
    """8: the gap is KL(q || p(z|x)), zero when q is the posterior, whose every point gives the evidence."""
    model = linear_model(1, 4)
    batch = simulated(model, 20)
    p = model.posterior(batch)
    close(
        Elbo()(Quadrature(2).draw(model, normal_guide(p.mean.detach(), p.stddev.detach()), batch)),
        evidence(model, batch),
    )
    wider = Elbo()(Quadrature(2).draw(model, normal_guide(p.mean.detach(), 2 * p.stddev.detach()), batch))
    close(evidence(model, batch) - wider, 0.5 * (4 - 1) - torch.tensor(2.0).double().log())


def test_a_higher_bound_can_have_less_evidence():
    """8: at the maximum of log p(x), with q held wrong, climbing the ELBO lowers log p(x)."""
    model = linear_model(1, 4)
    batch = simulated(model, 200)
    PrincipalComponents()(model, rows(batch))
    guide = normal_guide(torch.zeros(1).double(), torch.ones(1).double())

    def both():
        return Elbo()(Quadrature(2).draw(model, guide, batch)).mean(), evidence(model, batch).mean()

    elbo, best = both()
    elbo.backward()
    with torch.no_grad():
        for p in model.likelihood.parameters():
            p.add_(0.05 * p.grad)
    assert both()[0] > elbo + 1e-3
    assert both()[1] < best - 1e-3


def test_more_points_tighten_the_bound():
    """10: IWAE-K rises to log p(x), never above it by more than 3 standard errors (over 4000 repetitions).

    At K = 256 the gap is Var[w] / (2 K p(x)^2) to first order, here within 10% and 4 standard errors.
    """
    model = linear_model(1, 3)
    one = simulated(model, 1)
    batch = Batch(one.x.expand(4000, -1))
    p = model.posterior(one)
    guide = normal_guide((p.mean + 0.5 * p.stddev)[0].detach(), 1.3 * p.stddev[0].detach())
    known = evidence(model, one).detach()
    means, errors = [], []
    for k in (1, 4, 16, 64, 256):
        with torch.no_grad():
            bound = ImportanceWeighted()(Pathwise(k).draw(model, guide, batch, stream(k, "noise")))
        means.append(float(bound.mean() - known))
        errors.append(float(bound.std() / 4000**0.5))
    assert all(mean < 3 * error for mean, error in zip(means, errors, strict=True))
    assert all(b > a for a, b in itertools.pairwise(means))
    assert means[-1] > 0.05 * means[0]  # both negative: the gap is a twentieth of what it was
    with torch.no_grad():
        draw = Quadrature(64).draw(model, guide, one)
    variance = float(torch.exp(torch.logsumexp(draw.log_measure + 2 * draw.log_weight, 0) - 2 * known) - 1)
    assert abs(means[-1] + variance / 512) < 0.1 * variance / 512 + 4 * errors[-1]


def test_the_bound_of_one_point_is_the_elbo():
    """10, K = 1: the importance-weighted bound of one point is the ELBO of that point."""
    model, guide = linear_model(2), amortized(5, Gaussian(2))
    draw = Pathwise(1).draw(model, guide, simulated(model, 20), stream(0, "noise"))
    close(ImportanceWeighted()(draw), Elbo()(draw))


def test_an_unused_latent_costs_nothing():
    """Z that the likelihood does not look at: the exact posterior is the prior, the rate 0, the evidence p(x)."""
    likelihood = Unconditional(Gaussian(3)).double()
    model = LatentVariableModel(Unconditional(Gaussian(2)), likelihood).double()
    batch = Batch(torch.randn(5, 3, dtype=torch.float64, generator=stream(0, "x")))
    draw = Pathwise(3).draw(model, Exact(model), batch, stream(0, "noise"))
    close(Rate()(draw), 0.0)
    close(ImportanceWeighted()(draw), likelihood.log_prob(batch.x))
