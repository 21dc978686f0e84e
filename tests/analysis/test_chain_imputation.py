r"""Missing entries of Gaussian data, the denoiser exact: particles against the chain's own conditional, in closed form.

The model's chain is Gaussian and linear, and so is the observed part that is drawn from q: what particles tend to with
K is known for every number of steps, and tends to p(x_m | x_o) with the steps.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from jensen.analysis import chain_imputation
from jensen.analysis.chain_imputation import imputation_method, particles, systematic
from jensen.analysis.imputation import impute
from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import stream
from jensen.models.conditionals import Linear
from jensen.models.diffused import Diffused, DiffusionPrior
from jensen.models.diffusion import lower
from jensen.models.model import LatentVariableModel
from jensen.models.noise_schedules import signal_and_noise
from jensen.nets import MLP, Standardize
from tests.identities.test_diffusion import EYE, C, D, M, diffusion

OBSERVED = torch.tensor([True, False, True])
X = torch.tensor([1.2, 0.0, 0.4], dtype=torch.float64)
HIDDEN = 1


def gaussian():
    chain = diffusion()
    likelihood = Linear(D, D, noise="feature").double()
    likelihood.assign(EYE, torch.zeros(D), torch.full((D,), 1e-4))
    return LatentVariableModel(DiffusionPrior(chain), likelihood), Diffused(chain)


def affine(chain, gamma, below):
    """Return A [D, D] and b [D] of the mean of the step p(z_s | z_t) = N(A z_t + b, scale^2 I), and the scale."""

    def loc(z):
        return lower(z, chain.noise_at(z, gamma), gamma, below)

    with torch.no_grad():
        b, scale = loc(torch.zeros(D, dtype=torch.float64))
        A = torch.stack([loc(e)[0] - b for e in EYE], 1)
    return A, b, scale


def joint_of_model(chain, gammas):
    """Return mean and covariance of (z_1, ..., z_0) [S + 1, D] under the model."""
    n = len(gammas)
    mean, cov = torch.zeros(n, D).double(), torch.zeros(n, D, n, D).double()
    cov[0, :, 0] = EYE
    for i, (gamma, below) in enumerate(pairwise(gammas)):
        A, b, scale = affine(chain, gamma, below)
        mean[i + 1] = A @ mean[i] + b
        cov[i + 1, :, : i + 1] = torch.einsum("de,ejf->djf", A, cov[i, :, : i + 1])
        cov[: i + 1, :, i + 1] = cov[i + 1, :, : i + 1].permute(1, 2, 0)
        cov[i + 1, :, i + 1] = A @ cov[i, :, i] @ A.T + scale**2 * EYE
    return mean, cov


def joint_of_noise(gammas, x):
    """Return mean [n] and covariance [n, n] of one observed feature on its way, under q given x."""
    alpha, sigma = signal_and_noise(gammas)
    # z_t given z_s < t has correlation alpha_t sigma_s / (alpha_s sigma_t) with it
    ratio = sigma / alpha
    smaller = torch.minimum(ratio[:, None], ratio[None, :])
    return alpha * x, alpha[:, None] * alpha[None, :] * smaller**2


def target(chain, steps):
    """Return mean and variance of the hidden feature of z_0 that particles tend to with K."""
    gammas = chain.schedule(torch.linspace(1, 0, steps + 1, dtype=torch.float64))
    mean, cov = joint_of_model(chain, gammas)
    seen = torch.zeros(steps + 1, D, dtype=torch.bool)
    seen[:, OBSERVED] = True
    flat, S, mu = seen.flatten(), cov.reshape((steps + 1) * D, -1), mean.flatten()
    h = steps * D + HIDDEN
    G = torch.linalg.solve(S[flat][:, flat], S[flat, h])
    paths = [joint_of_noise(gammas, X[d]) for d in range(D) if OBSERVED[d]]
    path_mean = torch.stack([m for m, _ in paths], 1).flatten()
    path_cov = torch.zeros(steps + 1, len(paths), steps + 1, len(paths)).double()
    for i, (_, c) in enumerate(paths):
        path_cov[:, i, :, i] = c
    path_cov = path_cov.reshape(len(path_mean), -1)
    value = mu[h] + G @ (path_mean - mu[flat])
    return float(value), float(S[h, h] - G @ S[flat, h] + G @ path_cov @ G)


def conditional():
    """Return mean and variance of the hidden feature of the data given the others."""
    o = OBSERVED
    G = torch.linalg.solve(C[o][:, o], C[o, HIDDEN])
    return float(M[HIDDEN] + G @ (X[o] - M[o])), float(C[HIDDEN, HIDDEN] - G @ C[o, HIDDEN])


def estimates(k, steps, rows=400, seed=0):
    """Return mean and variance of the hidden feature of z_0 over the particles of many rows, with standard errors."""
    model, guide = gaussian()
    batch = Batch(X.expand(rows, -1), OBSERVED.expand(rows, -1))
    points = particles(model, guide, batch, k, steps, stream(seed, "particles"))
    w = torch.softmax(points.log_w, 0)
    value = points.z[..., HIDDEN]
    first = (w * value).sum(0)
    square = (w * (value - target(guide.diffusion, steps)[0]) ** 2).sum(0)
    error = first.std() / math.sqrt(rows), square.std() / math.sqrt(rows)
    return (float(first.mean()), float(square.mean())), tuple(map(float, error))


def test_what_particles_tend_to_is_the_conditional_of_the_data_as_steps_increase():
    """Twice the steps halve the distance, at last; z_0 has almost no noise."""
    chain, (mean, variance) = diffusion(), conditional()
    gaps = [abs(target(chain, steps)[1] - variance) for steps in (40, 80, 160)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[1] / gaps[2] == pytest.approx(2.0, abs=0.35)
    assert target(chain, 160)[0] == pytest.approx(mean, abs=0.02)


@pytest.mark.parametrize("steps", [20, 60])
def test_particles_have_the_moments_that_they_tend_to(steps):
    """400 rows of 256 particles: within four standard errors of the closed form."""
    moments, errors = estimates(256, steps)
    for value, known, error in zip(moments, target(diffusion(), steps), errors, strict=True):
        assert abs(value - known) < 4 * error, (value, known, error)
        assert error < 0.02


def test_without_weights_it_is_the_plain_replacement_which_is_wrong(monkeypatch):
    """One particle has no others to be weighted against; and weights that are dropped are noticed."""
    known = target(diffusion(), 60)
    moments, errors = estimates(1, 60, rows=4000)
    assert abs(moments[0] - known[0]) > 8 * errors[0]
    stay = "systematic", lambda log_w, u: torch.arange(len(log_w))[:, None].expand_as(log_w)
    monkeypatch.setattr(chain_imputation, *stay)  # and log-weights are set to zero where they are resampled
    moments, errors = estimates(256, 60)
    assert abs(moments[0] - known[0]) > 8 * errors[0]


def test_imputed_rows_keep_what_is_observed_and_say_how_many_particles_carry_them():
    model, guide = gaussian()
    x = X.expand(6, -1).clone()
    mask = OBSERVED.expand(6, -1).clone()
    mask[2] = True
    drawn = impute(model, guide, Rows(x, mask=mask, fill=torch.zeros(D).double()), 3, k=32, steps=20)
    assert drawn.method == "particles"
    assert (drawn.k, drawn.steps) == (32, 20)
    assert torch.equal(drawn.x[:, mask], x.expand(3, -1, -1)[:, mask])
    assert drawn.holed.tolist() == [True, True, False, True, True, True]
    ess = drawn.ess[drawn.holed]
    assert bool(((ess >= 1) & (ess <= 32)).all())
    again = impute(model, guide, Rows(x, mask=mask, fill=torch.zeros(D).double()), 3, k=32, steps=20)
    assert torch.equal(drawn.x, again.x)
    few = impute(model, guide, Rows(x, mask=mask, fill=torch.zeros(D).double()), 3, k=2, steps=20)
    assert "give more (-k)" in str(few.warning)


def test_systematic_resampling_has_the_counts_of_the_weights():
    """Each count is K w, rounded up or down, and K w on average over the one random number."""
    w = torch.tensor([0.05, 0.35, 0.0, 0.6], dtype=torch.float64)
    u = (torch.arange(1000).double() + 0.5) / 1000
    counts = torch.nn.functional.one_hot(systematic(w.log()[:, None].expand(-1, 1000), u), 4).sum(0).double()
    assert bool(((counts >= (4 * w).floor()) & (counts <= (4 * w).ceil())).all())
    torch.testing.assert_close(counts.mean(0), 4 * w, atol=2e-3, rtol=0)


def test_other_methods_and_codes_are_refused_with_the_remedy():
    model, guide = gaussian()
    assert imputation_method(model, guide, None) == "particles"
    with pytest.raises(UsageError, match="only estimates"):
        imputation_method(model, guide, "sir")
    rows = Rows(X[None], mask=OBSERVED[None], fill=torch.zeros(D).double())
    learned = Diffused(guide.diffusion, MLP(D, D).double())
    with pytest.raises(CompositionError, match="no places of their own"):
        impute(model, learned, rows)
    scaled = Diffused(guide.diffusion, Standardize(D).double())
    assert impute(model, scaled, rows, 1, k=4, steps=8).x.shape == (1, 1, D)
