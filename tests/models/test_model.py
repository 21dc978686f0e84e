"""The model as a simulator: seeds, contexts, and moments."""

from __future__ import annotations

import torch

from jensen.core.random import stream
from jensen.families import Gaussian
from jensen.models.conditionals import Given, Linear, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from tests.identities.models import close, linear_model, mixture_model


def test_simulated_moments_are_the_models():
    """20000 draws, within 5 standard errors of b and of the diagonal of W W' + s^2 I."""
    model = linear_model(2, 4)
    z, batch = model.simulate(20000, stream(0, "data"))
    variance = (model.likelihood.W.square().sum(-1) + model.likelihood.noise_variance).detach()
    error = (variance / 20000).sqrt()
    assert ((batch.x.mean(0) - model.likelihood.b.detach()).abs() < 5 * error).all()
    assert ((batch.x.var(0) - variance).abs() < 5 * variance * (2 / 20000) ** 0.5).all()
    assert z.shape == (20000, 2)
    residual = batch.x - model.likelihood(z).mean
    close(residual.square().mean(), model.likelihood.noise_variance[0].detach(), 0.03)


def test_a_seed_repeats_the_data_and_leaves_the_global_generator():
    model, before = mixture_model(), torch.get_rng_state()
    assert torch.equal(model.sample(5, stream(0, "data")), model.sample(5, stream(0, "data")))
    assert torch.equal(torch.get_rng_state(), before)


def test_every_row_has_its_own_latent_point_whatever_the_context():
    context = torch.arange(5.0)[:, None]
    for prior in (Unconditional(Gaussian(2)), Given(MLP(1, 4, (3,)), Gaussian(2))):
        model = LatentVariableModel(prior, Linear(2, 3))
        z, batch = model.simulate(5, stream(0, "data"), context)
        assert z.shape == (5, 2)
        assert len(z.unique(dim=0)) == 5
        assert batch.x.shape == (5, 3)
        assert batch.context is context


def test_a_model_without_latents():
    model = LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(3)))
    z, batch = model.simulate(4, stream(0, "data"))
    assert (z.shape, batch.x.shape) == ((4, 0), (4, 3))
    assert len(batch.x.unique(dim=0)) == 4
