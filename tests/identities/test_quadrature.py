"""Quadrature: exact for polynomials, convergent for the rest, against closed forms and scipy's adaptive integration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy.integrate import quad
from torch.distributions import MultivariateNormal

from jensen.core.batch import Batch
from jensen.core.errors import UsageError
from jensen.estimators.quadrature import Quadrature
from jensen.families import Gaussian
from jensen.guides import Exact
from jensen.objectives import ImportanceWeighted
from tests.identities.models import amortized, close, curved_model, evidence, linear_model, normal_guide, simulated


def test_moments_of_the_guide_are_exact():
    """n nodes integrate polynomials of degree 2n - 1 exactly: all moments of q up to the seventh with n = 4."""
    model = linear_model(1, 3)
    loc, scale = torch.tensor([[0.7], [0.4]], dtype=torch.float64)
    draw = Quadrature(4).draw(model, normal_guide(loc, scale), simulated(model, 2))
    moments = [1.0, 0.7]
    for n in range(2, 8):
        moments.append(0.7 * moments[-1] + (n - 1) * 0.16 * moments[-2])
    for n, moment in enumerate(moments):
        close(draw.mean(draw.z[..., 0] ** n), moment)
    assert (draw.mean(draw.z[..., 0] ** 8) - (0.7 * moments[7] + 7 * 0.16 * moments[6])).abs().min() > 1e-4


def test_nodes_follow_a_full_covariance():
    """Mean and covariance of a correlated Gaussian of two features come back exactly."""
    model = linear_model(2, 4)
    batch = simulated(model, 5)
    draw = Quadrature(3).draw(model, Exact(model), batch)
    p = model.posterior(batch)
    assert isinstance(p, MultivariateNormal)
    away = draw.z - p.mean
    close(draw.mean(draw.z[..., 0]), p.mean[:, 0])
    covariance = torch.stack([draw.mean(away[..., i] * away[..., j]) for i in (0, 1) for j in (0, 1)], -1)
    close(covariance, p.covariance_matrix.expand(5, 2, 2).flatten(1))


@pytest.mark.parametrize(("latent", "needed"), [(1, 64), (2, 48)])
def test_error_falls_with_nodes(latent, needed):
    """About a guide off by a standard deviation, the evidence's error falls to 1e-9 nats at the stated nodes."""
    model = linear_model(latent, 4)
    batch = simulated(model, 10)
    p = model.posterior(batch)
    guide = normal_guide((p.mean + p.stddev).detach(), 1.5 * p.stddev.detach())
    errors = []
    for n in (2, 4, 8, 16, needed):
        value = ImportanceWeighted()(Quadrature(n).draw(model, guide, batch))
        errors.append(float((value - evidence(model, batch)).abs().max().detach()))
    assert all(b < a / 2 for a, b in itertools.pairwise(errors))
    assert errors[0] > 1e-2
    assert errors[-1] < 1e-9


def test_network_evidence_is_scipys():
    """A decoder with a network: 180 nodes about the prior agree with adaptive integration to 1e-9 nats."""
    model = curved_model()
    batch = simulated(model, 4)
    guide = normal_guide(torch.zeros(1).double(), torch.ones(1).double())
    values = ImportanceWeighted()(Quadrature(180).draw(model, guide, batch)).detach()
    for x, value in zip(batch.x, values, strict=True):
        one = Batch(x[None])

        def joint(z: float, one: Batch = one) -> float:
            with torch.no_grad():
                return math.exp(float(model.log_joint(one, torch.tensor([[[z]]], dtype=torch.float64))))

        close(value, math.log(quad(joint, -12, 12, epsabs=0, epsrel=1e-10, limit=400)[0]))


def test_the_largest_rule_is_still_one():
    """300 nodes, whose outermost weights are 1e-248, sum to one and give the evidence; more are refused."""
    model, guide = linear_model(1, 3), amortized(3, Gaussian(1))
    batch = simulated(model, 3)
    draw = Quadrature(300).draw(model, guide, batch)
    close(draw.log_measure.exp().sum(0), 1.0)
    close(ImportanceWeighted()(draw), evidence(model, batch))
    with pytest.raises(UsageError, match="1 to 300"):
        Quadrature(301)
