"""Data through a chain and back, of Gaussian data by the exact denoiser."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import MultivariateNormal

from jensen.analysis.chain_paths import chain_path, reconstruct_from_noise, slerp
from jensen.core.batch import Rows
from jensen.core.errors import UsageError
from jensen.core.random import stream
from jensen.models.conditionals import Linear
from jensen.models.descents import Descent, ascend
from jensen.models.diffused import Diffused, DiffusionPrior
from jensen.models.model import LatentVariableModel
from jensen.models.noise_schedules import signal_and_noise
from tests.identities.test_diffusion import EYE, C, D, M, diffusion


def gaussian():
    likelihood = Linear(D, D).double()
    likelihood.assign(EYE, torch.zeros(D), torch.full((1,), 1e-4))
    return LatentVariableModel(DiffusionPrior(diffusion()), likelihood), Diffused(diffusion())


def test_noise_that_is_added_and_taken_off_is_a_draw_of_the_data_given_the_noisy_ones():
    """x -> z_t -> x' leaves the data as they are spread; x' given x has mean m + K alpha (x - m): 4,000 rows, 5 errors.

    600 steps have a bias of less than one of them.
    """
    model, guide = gaussian()
    torch.manual_seed(0)
    x = MultivariateNormal(M, C).sample((4000,))
    t, n = 0.6, len(x)
    again = reconstruct_from_noise(model, guide, Rows(x), t, Descent(600), generator=stream(0, "noise"))
    alpha, sigma = signal_and_noise(guide.diffusion.schedule(torch.tensor(t, dtype=torch.float64)))
    K = alpha * C @ torch.linalg.inv(alpha**2 * C + sigma**2 * EYE)
    left = again - M - (x - M) @ (alpha * K).T
    spread = C - alpha * K @ C  # of x given z_t, and of E[x | z_t] given x
    spread = spread + sigma**2 * K @ K.T
    assert bool((left.mean(0).abs() < 5 * (spread.diagonal() / n).sqrt()).all())
    error = (spread.diagonal()[:, None] * spread.diagonal()[None, :] * 2 / n).sqrt()
    assert bool(((left.T.cov() - spread).abs() < 5 * error).all())


def test_hardly_any_noise_changes_hardly_anything_and_the_seed_repeats_it():
    model, guide = gaussian()
    x = M + torch.linspace(-1, 1, 4 * D, dtype=torch.float64).reshape(4, D)

    def back(t, seed=0):
        return reconstruct_from_noise(model, guide, Rows(x), t, Descent(50), generator=stream(seed, "noise"))

    assert float((back(0.01) - x).abs().max()) < 0.1
    assert torch.equal(back(0.5), back(0.5))
    assert not torch.equal(back(0.5), back(0.5, 1))
    with pytest.raises(UsageError, match="--from-noise"):
        back(0.0)


def test_the_path_of_a_chain_ends_at_its_data_and_keeps_the_length_of_noise():
    chain = diffusion()
    a, b = M + torch.tensor([1.0, 0.5, -0.5]), M - torch.tensor([0.5, 1.0, 0.2])
    path = chain_path(chain, a, b, torch.linspace(0, 1, 5, dtype=torch.float64), steps=400)
    torch.testing.assert_close(path[[0, -1]], torch.stack([a, b]), atol=0.02, rtol=0)
    lengths = ascend(chain, path, 400).norm(dim=-1)
    known = lengths[0] + torch.linspace(0, 1, 5).double() * (lengths[-1] - lengths[0])
    torch.testing.assert_close(lengths, known, atol=0.02, rtol=0)


def test_a_great_circle_of_parallel_vectors_is_the_line():
    a = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(slerp(a, 3 * a, torch.tensor([0.5])), 2 * a[None])
