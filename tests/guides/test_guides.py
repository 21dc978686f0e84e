"""Guides beyond their contract: what they look at, and what they say of themselves."""

from __future__ import annotations

import torch

from jensen.core.batch import Batch
from jensen.core.random import stream
from jensen.distributions import Point
from jensen.families import Gaussian
from jensen.guides import Amortized, Deterministic, Exact, Shared
from jensen.models.conditionals import Given, Unconditional
from jensen.nets import MLP
from tests.identities.models import linear_model

X = torch.randn(4, 5, dtype=torch.float64, generator=stream(0, "x"))


def test_amortised_looks_at_x():
    means = Amortized(Given(MLP(5, 4, (3,)), Gaussian(2))).double()(Batch(X)).mean
    assert means.shape == (4, 2)
    assert means.std(0).min() > 0


def test_shared_does_not():
    guide = Shared(Unconditional(Gaussian(2), learn=True))
    q = guide(Batch(X))
    assert q.batch_shape == (4,)
    assert (q.mean == q.mean[0]).all()
    assert guide.conditional.value.requires_grad


def test_a_deterministic_guide_is_a_point_without_density():
    guide = Deterministic(MLP(5, 2, ())).double()
    q = guide(Batch(X))
    assert isinstance(q, Point)
    assert not guide.has_density
    assert torch.equal(q.rsample((3,)), guide.net(X).expand(3, 4, 2))
    assert torch.equal(q.mean, guide.net(X))
    assert not q.variance.any()
    assert torch.equal(q.log_prob(q.mean), torch.zeros(4).double())
    assert (q.log_prob(q.mean + 1) == -torch.inf).all()


def test_exact_follows_its_model():
    model = linear_model()
    guide = Exact(model)
    before = guide(Batch(X)).mean.detach()
    with torch.no_grad():
        model.likelihood.W.mul_(2)
    assert not torch.allclose(guide(Batch(X)).mean, before)
    assert guide.is_exact
    assert guide.has_density
