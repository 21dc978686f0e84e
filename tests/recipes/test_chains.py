"""What a chain starts from: codes of about unit variance, the last noise, the Gaussian of the rows, and p(x | z_0)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from jensen.core.batch import Batch, Rows
from jensen.core.random import stream
from jensen.data import Schema
from jensen.estimators.reparameterized import Pathwise
from jensen.families import DiscretizedLogistic, Gaussian
from jensen.models.conditionals import Given
from jensen.models.diffused import Diffused, DiffusionPrior
from jensen.models.model import LatentVariableModel
from jensen.nets import Featurewise, ResidualMLP, UNet
from jensen.recipes.base import Nets, RecipeContext
from jensen.recipes.chains import (
    chain_code,
    chain_of,
    fitted_likelihood,
    has_common_values,
    last_noise,
    latent_chain,
    schedule_of,
)
from jensen.training import Optimizer


def context_of(x, kind, shape=None, levels=None):
    x = torch.as_tensor(x, dtype=torch.float32)
    schema = Schema(kind=kind, shape=shape or (x.shape[1],), levels=levels)
    scale = x.std(0, correction=0)
    return RecipeContext(schema, x.mean(0), scale, Rows(x), steps_per_epoch=10, optimizer=Optimizer())


def data_of(context):
    return context.rows.take(torch.arange(len(context.rows))).x


@pytest.fixture(scope="module")
def digits():
    return context_of(load_digits().data, "integers", (8, 8, 1), 17)


def noisy_photographs(n=600):
    """Whole numbers of 256 levels that are correlated along rows, in colour, with few equal ones."""
    noise = np.random.default_rng(0).normal(size=(n, 8, 8, 3)).cumsum(2)
    return np.clip(np.rint(128 + 20 * noise), 0, 255).reshape(n, -1)


def test_whole_numbers_have_one_scale_and_keep_their_phase(digits):
    code = chain_code(digits)
    assert float(code.scale.min()) == float(code.scale.max())
    assert torch.equal(code.mean, code.mean.round())
    assert float(code(data_of(digits)).square().mean()) == pytest.approx(1, abs=0.02)


def test_the_last_noise_is_a_sixth_of_a_step_where_values_are_common_and_half_of_one_where_they_are_rare(digits):
    photographs = context_of(noisy_photographs(), "integers", (8, 8, 3), 256)
    assert has_common_values(digits)
    assert not has_common_values(photographs)
    for context, part in ((digits, 6), (photographs, 2)):
        assert last_noise(context) * part == pytest.approx(1 / float(chain_code(context).scale[0]))


def test_schedules_start_at_the_last_noise():
    for name in ("linear", "cosine", "learned"):
        first = schedule_of(name, 0.05)(torch.zeros(())).detach()
        assert float((0.5 * first).exp()) == pytest.approx(0.05, rel=1e-4)


def test_images_get_convolutions_and_tables_residual_networks(digits):
    schedule = schedule_of("linear", 0.1)
    unet = chain_of(digits, Nets(width=8), chain_code(digits), schedule, None, "velocity")
    assert isinstance(unet.net, UNet)
    assert unet.axes == (64,)
    assert len(unet.fine) == 2
    table = context_of(np.random.default_rng(0).normal(size=(300, 5)), "real")
    dense = chain_of(table, Nets(hidden=(16,)), chain_code(table), schedule, 10, "noise")
    assert isinstance(dense.net, ResidualMLP)
    assert dense.levels == 10
    few = context_of(np.random.default_rng(0).normal(size=(12, 5)), "real")
    assert chain_of(few, Nets(hidden=(16,)), chain_code(few), schedule, None, "velocity").axes == ()


def test_a_chain_starts_as_the_gaussian_of_its_rows():
    """Before training the bound of correlated photographs is that of a Gaussian with the covariances of rows and
    columns: within 4 standard errors of it, and of the logistic that stands for a rounded Gaussian."""
    x = noisy_photographs()
    context = context_of(x, "integers", (8, 8, 3), 256)
    code, nets = chain_code(context), Nets(width=8)
    chain = chain_of(context, nets, code, schedule_of("linear", last_noise(context)), None, "velocity")
    assert chain.axes == (8, 24)
    likelihood = fitted_likelihood(context, nets, DiscretizedLogistic(192, 256), code, chain)
    model, guide = LatentVariableModel(DiffusionPrior(chain), likelihood), Diffused(chain, code)
    with torch.no_grad():
        draw = Pathwise(100).draw(model, guide, Batch(data_of(context)), stream(0, "noise"))
        bound = -(draw.distortion + draw.rate)
        y = chain._rotated(code(data_of(context))).double()
    variance = chain.variance.double() + (0.5 * 1 / float(code.scale[0])) ** 2 / 3  # of rounding: a twelfth of a step^2
    density = -0.5 * (y.square() / variance + variance.log() + math.log(2 * math.pi)).sum(-1)
    gaussian = density - 192 * float(code.scale[0].double().log())
    difference = float((bound.double() - gaussian).mean()) / 192
    assert -0.06 < difference < 0.01  # nats per feature


def test_the_likelihood_of_each_feature_is_fitted_to_noisy_rows(digits):
    """It is worth less than two nats of 64 pixels where the noise is a sixth of a step."""
    code, nets = chain_code(digits), Nets(width=8)
    chain = chain_of(digits, nets, code, schedule_of("linear", last_noise(digits)), None, "velocity")
    likelihood = fitted_likelihood(digits, nets, DiscretizedLogistic(64, 17), code, chain)
    assert isinstance(likelihood, Given)
    assert isinstance(likelihood.net, Featurewise)
    loc, scale = chain.first(code(data_of(digits)))
    z = loc + scale * torch.randn(loc.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        distortion = -likelihood.log_prob(data_of(digits), z).mean()
    assert 0 < float(distortion) < 2


def test_a_chain_of_codes_starts_as_the_standard_normal():
    chain = latent_chain(Nets(), 4, schedule_of("linear", 0.1))
    z, gamma = torch.randn(5, 4), torch.zeros(5)
    assert not chain.velocity(z, gamma).any()


def test_reals_have_the_floor_as_their_last_noise():
    table = context_of(np.random.default_rng(0).normal(size=(300, 5)), "real")
    assert last_noise(table) == pytest.approx(max(table.learned_floor(), 1e-3))
    family = Gaussian(5)
    code = chain_code(table)
    chain = chain_of(table, Nets(hidden=(16,)), code, schedule_of("linear", last_noise(table)), None, "velocity")
    assert isinstance(fitted_likelihood(table, Nets(), family, code, chain), Given)
