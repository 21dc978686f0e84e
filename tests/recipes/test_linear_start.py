"""Where encoder and decoder of a table start: the posterior of probabilistic PCA, and an affine map of its latents."""

from __future__ import annotations

import torch

from jensen.core.batch import Batch
from jensen.core.random import stream
from jensen.families import Columns, Gaussian
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Linear, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import SkipMLP
from jensen.recipes.linear_start import fit_affine, principal_components, start_encoder
from tests.identities.models import close


def correlated(n: int = 300, dim: int = 6) -> torch.Tensor:
    noise = stream(0, "rows")
    z = torch.randn(n, 2, dtype=torch.float64, generator=noise)
    loadings = torch.randn(2, dim, dtype=torch.float64, generator=noise)
    return z @ loadings + 1.0 * torch.randn(n, dim, dtype=torch.float64, generator=noise) + 1.0


@torch.no_grad()
def test_the_encoder_starts_at_the_posterior_of_probabilistic_pca():
    x, latent = correlated(), 2
    centred = x - x.mean(0)
    values, vectors = torch.linalg.eigh(centred.mT @ centred / len(x))
    left = values[:-latent].mean()
    model = LatentVariableModel(Unconditional(Gaussian(latent)), Linear(latent, x.shape[1])).double()
    W = vectors[:, -latent:].flip(-1) * (values[-latent:].flip(-1) - left).sqrt()
    model.likelihood.assign(W, x.mean(0), left[None])
    exact = model.posterior(Batch(x))
    net = SkipMLP(x.shape[1], 2 * latent, (5,)).double()
    start_encoder(net, *principal_components(x, latent))
    guide = Amortized(Given(net, Gaussian(latent)).double())(Batch(x))
    close(guide.mean.abs(), exact.mean.abs(), 1e-6)  # directions have no sign
    close(guide.variance, exact.variance.expand_as(guide.variance), 1e-4)


@torch.no_grad()
def test_latents_without_features_keep_the_prior():
    x = correlated(dim=3)
    projection, offset, variance = principal_components(x, 5)
    assert projection[:, 3:].eq(0).all()
    assert offset[3:].eq(0).all()
    assert variance[3:].eq(1).all()


def test_each_step_of_many_rows_takes_half_of_them():
    """And the affine map is that of least squares over all rows, whose columns are standardised."""
    x = correlated(600)
    x = (x - x.mean(0)) / x.std(0)
    normal = Gaussian(6)
    family = Columns((normal,), (tuple(range(6)),))
    projection, offset, _ = principal_components(x, 2)
    z = x @ projection + offset
    start = torch.cat([x.mean(0), normal.raw(x.std(0))])
    weight, bias = fit_affine(family, Batch(x), z, start)
    design = torch.cat([z, torch.ones(len(z), 1).double()], -1)
    least_squares = torch.linalg.lstsq(design, x).solution  # [3, 6]
    assert float((weight[:6] - least_squares[:2].mT).abs().max()) < 0.1
    assert float((bias[:6] - least_squares[2]).abs().max()) < 0.1


def test_an_affine_decoder_explains_rows_by_their_latents():
    x = correlated()
    normal = Gaussian(6)
    family = Columns((normal,), (tuple(range(6)),))
    projection, offset, _ = principal_components(x, 2)
    z = x @ projection + offset
    start = torch.cat([x.mean(0), normal.raw(x.std(0))])
    weight, bias = fit_affine(family, Batch(x), z, start)
    before = family.log_prob(start, x).mean()
    after = family.log_prob(z @ weight.mT + bias, x).mean()
    assert float(after - before) > 0.5
    explained = 1 - (x - (z @ weight.mT + bias)[:, :6]).square().sum() / (x - x.mean(0)).square().sum()
    assert float(explained) > 0.4
