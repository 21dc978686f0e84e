"""What people do with a trained model, where the answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.analysis import latents
from jensen.analysis.collapse import collapsed
from jensen.analysis.examination import Examination
from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError
from jensen.core.random import drawing_from, stream
from jensen.families import Bernoulli, Choices, Columns, Gaussian
from jensen.guides import Amortized, Exact
from jensen.models.conditionals import Given, Linear, Table, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import Rate
from tests.identities.models import amortized, close, linear_model, mixture_model, rows, simulated


def eye(d: int = 2) -> LatentVariableModel:
    """x = z, and a little noise."""
    model = LatentVariableModel(Unconditional(Gaussian(d)), Linear(d, d)).double()
    model.likelihood.assign(torch.eye(d), torch.zeros(d), torch.tensor([0.01]))
    return model


def test_encode_is_the_posterior_mean_in_chunks():
    model = linear_model(2, 4)
    batch = simulated(model, 2 * latents.CHUNK + 3)
    close(latents.encode(model, Exact(model), rows(batch)), Exact(model)(batch).mean.detach())
    mixture = mixture_model()
    weights = latents.encode(mixture, Exact(mixture), rows(simulated(mixture, 5)))
    close(weights.sum(-1), 1.0)


def test_reconstruction_by_probabilistic_pca_is_its_map_through_the_posterior_mean():
    model = linear_model(2, 4)
    batch = simulated(model, 20)
    W, b, noise = model.likelihood.W, model.likelihood.b, model.likelihood.noise_variance
    M = W.mT @ W + noise * torch.eye(2)
    by_hand = b + (batch.x - b) @ W @ torch.linalg.inv(M) @ W.mT
    close(latents.reconstruct(model, Exact(model), rows(batch)), by_hand.detach())


def test_a_sampled_reconstruction_has_the_spread_of_the_posterior_and_the_noise():
    """3,000 samples of one datum: means within 4 standard errors, variances within 4 of 2.6 per cent."""
    model = linear_model(1, 2)
    x = simulated(model, 1).x.expand(3000, -1)
    found = latents.reconstruct(model, Exact(model), Rows(x), sample=True, generator=stream(0, "r"))
    q = Exact(model)(Batch(x[:1]))
    W = model.likelihood.W
    spread = torch.diag(W @ q.covariance_matrix[0] @ W.mT) + model.likelihood.noise_variance
    error = (spread / 3000).sqrt().detach()
    assert ((found.mean(0) - latents.reconstruct(model, Exact(model), Rows(x[:1]))[0]).abs() < 4 * error).all()
    close(found.var(0) / spread.detach(), 1.0, 4 * 0.026)
    again = latents.reconstruct(model, Exact(model), Rows(x), sample=True, generator=stream(0, "r"))
    assert torch.equal(found, again)


def test_decoding():
    model = eye()
    z = torch.randn(latents.CHUNK + 5, 2, dtype=torch.float64, generator=stream(0, "z"))
    close(latents.decode(model, z), z)
    noisy = latents.decode(model, z, sample=True, generator=stream(0, "noise"))
    close((noisy - z).std(), 0.1, 0.05)
    assert latents.decode(model, z[:0]).shape == (0, 2)


def test_a_name_is_the_most_probable_one_and_not_the_mean_of_numbers():
    """Of the names 0, 1 and 2 with probabilities 0.45, 0.1 and 0.45 + 1e-3 it is 2; the mean of the numbers is 1."""
    p = Table(Columns((Choices((3,)), Gaussian(1)), ((0,), (1,))), 1)
    values = torch.tensor([[0.45, 0.1, 0.451]]).log()
    p.table.data = torch.cat([values - values[:, :1], torch.tensor([[1.5, 0.0]])], -1)
    model = LatentVariableModel(Unconditional(Gaussian(1)), p)
    assert latents.decode(model, torch.ones(2, 1)).tolist() == [[2.0, 1.5]] * 2


def test_lines_run_from_one_end_to_the_other():
    a, b = torch.tensor([[0.0, 1.0], [2.0, 2.0]]).double(), torch.tensor([[4.0, 1.0], [2.0, -2.0]]).double()
    found = latents.interpolate(eye(), a, b, 5)
    assert found.shape == (5, 2, 2)
    close(found[0], a)
    close(found[-1], b)
    close(found[1], a + (b - a) / 4)


def test_the_grid_runs_to_the_right_and_upwards():
    grid = latents.prior_grid(eye(), 5)
    normal = torch.distributions.Normal(0.0, 1.0)
    quantiles = normal.icdf(torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])).double()
    for i in range(5):
        close(grid[i, :, 0], quantiles, 1e-6)  # the first feature along a row
        close(grid[:, i, 1], quantiles.flip(0), 1e-6)  # the second from the bottom to the top
    close(grid[2, 2], 0.0)


@pytest.mark.parametrize("model", [linear_model(1, 3), linear_model(3, 4), mixture_model(2)], ids=["1", "3", "finite"])
def test_the_grid_needs_two_features(model):
    with pytest.raises(CompositionError, match="--latent 2"):
        latents.prior_grid(model)


class Half(nn.Module):
    """A guide's net whose second feature has collapsed onto the prior."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(len(x), 4, dtype=x.dtype)  # means, then raw scales: zero is the standard normal
        out[:, 0], out[:, 2] = x[:, 0], -1.0
        return out


def test_the_rate_per_feature_sums_to_the_rate_and_shows_a_collapsed_one():
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 3, ()), Bernoulli(3))).double()
    guide = Amortized(Given(Half(), Gaussian(2))).double()
    x = torch.randn(latents.CHUNK + 50, 3, dtype=torch.float64, generator=stream(0, "x"))
    rate, active = latents.rate_per_feature(model, guide, Rows(x))
    from jensen.estimators.reparameterized import Pathwise

    close(rate.sum(), Rate()(Pathwise(1).draw(model, guide, Batch(x), stream(0, "e"))).mean().detach())
    assert rate[0] > 0.1
    close(rate[1], 0.0)
    assert active.tolist() == latents.active_features(model, guide, Rows(x)).tolist() == [True, False]
    assert latents.rate_per_feature(model, guide, Rows(x[:1]))[1].tolist() == [False, False]


@pytest.mark.parametrize(("variance", "active"), [(0.0099, False), (0.0101, True)])
def test_the_variance_of_an_active_feature_is_that_of_the_data(variance, active):
    """Of ten codes, with the denominator N: with N - 1 the variance 0.0099 would be 0.011, and active."""
    x = torch.zeros(10, 3, dtype=torch.float64)
    x[::2, 0], x[1::2, 0] = variance**0.5, -(variance**0.5)
    assert float(x[:, 0].var()) > latents.ACTIVE
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 3, ()), Bernoulli(3))).double()
    guide = Amortized(Given(Half(), Gaussian(2))).double()
    assert latents.are_active(x[:, :1]).tolist() == [active]
    assert latents.active_features(model, guide, Rows(x)).tolist() == [active, False]
    assert latents.rate_per_feature(model, guide, Rows(x))[1].tolist() == [active, False]
    examination = Examination(model, guide, Rows(x), None)
    assert collapsed(examination).measures["active"] == [active, False]


def test_the_rate_per_feature_needs_features_that_factorise():
    model = linear_model(2, 4)
    with pytest.raises(CompositionError, match="factorise"):
        latents.rate_per_feature(model, Exact(model), rows(simulated(model, 3)))


def test_a_dynamic_draw_follows_the_generator():
    with drawing_from(stream(0, "net")):
        model, guide = linear_model(1, 3), amortized(3, Gaussian(1))
    data = Rows(torch.full((6, 3), 0.5).double(), lambda x, g: torch.bernoulli(x, generator=g))
    a, b, c = (latents.encode(model, guide, data, stream(s, "bits")) for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
