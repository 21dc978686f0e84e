"""Maximum likelihood itself: statements 1 and 2 of the theory, in numbers."""

from __future__ import annotations

import math

import torch

from jensen.core.batch import Batch
from jensen.core.random import stream
from jensen.families import Categorical, Gaussian
from jensen.models.conditionals import Unconditional
from jensen.models.model import LatentVariableModel
from jensen.training.closed import GaussianMaximum
from tests.identities.models import close, evidence, rows


def gaussian_model(dim: int) -> LatentVariableModel:
    return LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(dim), learn=True)).double()


def test_gaussian_maximum_is_the_sample_mean_and_variance():
    """1: maximum likelihood of a Gaussian is the sample mean and the (1/N) variance, in closed form."""
    batch = Batch(5.0 + 3.0 * torch.randn(200, 3, dtype=torch.float64, generator=stream(0, "gaussian")))
    model = gaussian_model(3)
    GaussianMaximum()(model, rows(batch))
    loc, scale = model.likelihood.family.loc_scale(model.likelihood.params())
    close(loc, batch.x.mean(0))
    close(scale.square(), batch.x.var(0, unbiased=False))
    best = evidence(model, batch).mean()
    close(best, -batch.x.std(0, unbiased=False).log().sum() - 1.5 * (1 + math.log(2 * math.pi)))
    best.backward()
    close(model.likelihood.value.grad, 0.0)
    close(scale.square() * 200 / 199, batch.x.var(0))  # the unbiased variance is another one, and less likely
    unbiased = Gaussian(3).log_prob(model.likelihood.value + torch.tensor([0, 0, 0, 0.01, 0.01, 0.01]), batch.x)
    assert unbiased.mean() < best


def test_least_divergence_is_greatest_likelihood():
    """2: argmin KL(p_data || p_theta) = argmax E_data[log p_theta(x)], since KL = -H(p_data) - E_data[log p_theta]."""
    data = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    states = torch.eye(4, dtype=torch.float64)
    theta = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    log_p = Categorical(4).log_prob(theta[:, None, None] * torch.arange(4.0).double(), states)  # [theta, state]
    likelihood = (data * log_p).sum(-1)
    divergence = (data * (data.log() - log_p)).sum(-1)
    entropy = -(data * data.log()).sum()
    close(divergence, -entropy - likelihood)
    assert divergence.argmin() == likelihood.argmax()
    assert 0 < int(likelihood.argmax()) < len(theta) - 1
    close(log_p.exp().sum(-1), 1.0)  # over x a probability ...
    assert abs(float(torch.trapezoid(log_p[:, 3].exp(), theta)) - 1) > 0.1  # ... over theta none
