"""Sums in place of integrals: enumeration of states, and the masses of a logistic seen in bins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import logistic

from jensen.distributions import DiscretizedLogistic
from jensen.estimators.enumeration import Enumerate
from jensen.families import Categorical
from jensen.guides import Amortized
from jensen.objectives import Elbo, ImportanceWeighted
from tests.identities.models import Fixed, close, evidence, mixture_model, simulated

LOCATIONS = (-1e6, -3.0, -1.0, -0.2, 0.0, 0.5, 1.0, 40.0)
SCALES = (1e-4, 1e-2, 0.3, 1.0, 20.0, 1e8)


@pytest.mark.parametrize("missing", [-torch.inf, -1e4, -1e300])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_a_state_of_probability_zero_does_no_harm(missing, beta):
    """With q(z|x) = 0, the ELBO is the sum over the other states and the evidence stays exact, gradients included."""
    model = mixture_model(3)
    batch = simulated(model, 8)
    guide = Amortized(Fixed(Categorical(3), torch.tensor([0.3, missing, -0.2], dtype=torch.float64)))
    draw = Enumerate().draw(model, guide, batch)
    q = torch.tensor([0.3, -0.2], dtype=torch.float64).softmax(-1)
    kept = torch.stack([draw.log_lik[i] + beta * (draw.log_prior[i, :, 0] - q[j].log()) for j, i in enumerate((0, 2))])
    close(Elbo(beta)(draw), (q[:, None] * kept).sum(0))
    close(ImportanceWeighted()(draw), evidence(model, batch))
    parameters = [*model.parameters(), guide.conditional.values]
    for value in (Elbo(beta)(draw).sum(), ImportanceWeighted()(draw).sum()):
        for gradient in torch.autograd.grad(value, parameters, retain_graph=True, materialize_grads=True):
            assert torch.isfinite(gradient).all()
    known = torch.autograd.grad(evidence(model, batch).sum(), model.likelihood.table)[0]
    close(torch.autograd.grad(ImportanceWeighted()(draw).sum(), model.likelihood.table)[0], known)


def grid(levels: int) -> tuple[DiscretizedLogistic, torch.Tensor]:
    """The distribution at every location and scale, and its masses [L, locations, scales]."""
    loc, scale = torch.tensor(LOCATIONS, dtype=torch.float64)[:, None], torch.tensor(SCALES, dtype=torch.float64)
    d = DiscretizedLogistic(loc, scale, levels)
    x = torch.arange(levels).double()[:, None, None]
    return d, d.log_prob(x)


@pytest.mark.parametrize("levels", [2, 3, 16, 256])
def test_masses_sum_to_one(levels):
    """P(0) + ... + P(L-1) = 1 for any location and scale, also extreme ones."""
    _, log_mass = grid(levels)
    assert not log_mass.isnan().any()
    close(log_mass.exp().sum(0), 1.0)


@pytest.mark.parametrize("levels", [2, 3, 16, 256])
def test_masses_are_integrals_over_bins(levels):
    """log P(j) is the log-integral of the logistic density over bin j, in both tails; the outer bins are open-ended."""
    _, log_mass = grid(levels)
    half = 1 / (levels - 1)
    edges = np.concatenate([[-np.inf], np.arange(levels - 1) * 2 * half - 1 + half, [np.inf]])
    for i, loc in enumerate(LOCATIONS[1:7], 1):
        for j, scale in enumerate(SCALES[1:5], 1):
            z = (edges - loc) / scale
            right = z[1:] + z[:-1] > 0  # reflected, so that both edges are in the lower tail
            a = logistic.logcdf(np.where(right, -z[1:], z[:-1]))
            b = logistic.logcdf(np.where(right, -z[:-1], z[1:]))
            with np.errstate(divide="ignore"):
                known = b + np.log(-np.expm1(a - b))
            close(log_mass[:, i, j], torch.as_tensor(known), 1e-7)
    d = DiscretizedLogistic(*torch.tensor([0.2, 0.3], dtype=torch.float64), levels)
    inner = quad(lambda y: logistic.pdf(y, 0.2, 0.3), edges[1], edges[2] if levels > 2 else 50.0, epsabs=1e-13)[0]
    close(d.log_prob(torch.tensor(1.0).double()).exp(), inner)


@pytest.mark.parametrize("levels", [2, 3, 16, 256])
def test_mean_and_variance_are_the_masses(levels):
    """E[x] = sum_j j P(j), and the variance likewise (relative to L^2)."""
    d, log_mass = grid(levels)
    x = torch.arange(levels).double()[:, None, None]
    mean = (x * log_mass.exp()).sum(0)
    close(d.mean / levels, mean / levels)
    close(d.variance / levels**2, ((x - mean).square() * log_mass.exp()).sum(0) / levels**2)
