"""The scale of a Gaussian likelihood: unit, shared at its optimum, and driven to its floor."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

from jensen.core.batch import Batch
from jensen.core.random import stream
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.families import FLOOR, Gaussian, positive, positive_inverse
from jensen.guides import Deterministic, Exact
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import Distortion, Elbo
from jensen.training.closed import PrincipalComponents
from tests.identities.models import Fixed, amortized, close, curved_model, linear_model, rows, simulated


def test_unit_scale_is_half_the_squared_error():
    """15: with sigma = 1 the distortion is half the squared error plus D/2 log 2 pi."""
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 5, (4,)), Gaussian(5, 1.0))).double()
    guide = amortized(5, Gaussian(2))
    batch = Batch(torch.randn(10, 5, dtype=torch.float64, generator=stream(0, "x")))
    draw = Pathwise(3).draw(model, guide, batch, stream(0, "noise"))
    error = (batch.x - model.likelihood.net(draw.z)).square().sum(-1).mean(0)
    close(Distortion()(draw), 0.5 * error + 2.5 * math.log(2 * math.pi))


def test_shared_scale_at_its_optimum():
    """15: the ELBO's optimum has sigma^2 = squared error expected under q, averaged over data and features."""
    model, guide = curved_model(), amortized(3, Gaussian(1))
    batch, lik = simulated(model, 30), model.likelihood
    draw = Quadrature(64).draw(model, guide, batch)
    best = draw.mean((batch.x - lik.net(draw.z)).square().mean(-1)).mean()
    with torch.no_grad():
        lik.free.copy_(positive_inverse(best.sqrt()))
    close(positive(lik.free).square(), best)
    gradient = torch.autograd.grad(Elbo()(Quadrature(64).draw(model, guide, batch)).mean(), lik.free)[0]
    close(gradient, 0.0)


def test_shared_scale_of_principal_components():
    """15, for probabilistic PCA under its posterior: the closed form's sigma^2 is that squared error."""
    model = linear_model(2, 6)
    batch = simulated(model, 200)
    PrincipalComponents()(model, rows(batch))
    draw = Quadrature(3).draw(model, Exact(model), batch)
    error = draw.mean((batch.x - model.likelihood.family.loc_scale(draw.likelihood_params)[0]).square().mean(-1)).mean()
    close(model.likelihood.noise_variance, error)


def test_perfect_reconstruction_runs_to_the_floor():
    """15: with a learned sigma and no error, distortion falls to D (log floor + log(2 pi)/2) at the floor."""
    x = torch.randn(10, 3, dtype=torch.float64, generator=stream(0, "x"))
    likelihood = Given(nn.Identity(), Gaussian(3, "shared")).double()
    model = LatentVariableModel(Fixed(Gaussian(3), torch.zeros(6).double()), likelihood)
    guide, levels = Deterministic(nn.Identity()), []
    for raw in (0.0, -2.0, -5.0, -10.0, -50.0):
        with torch.no_grad():
            likelihood.free.fill_(raw)
        levels.append(Distortion()(Pathwise(1).draw(model, guide, Batch(x))).mean())
    assert all(b < a - 0.001 for a, b in itertools.pairwise(levels))
    close(levels[0], 1.5 * math.log(2 * math.pi))
    close(levels[-1], 3 * (math.log(FLOOR) + 0.5 * math.log(2 * math.pi)))
