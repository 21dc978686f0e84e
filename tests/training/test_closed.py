"""Closed-form steps: whom they suit, precision far from the origin, chunks, and degenerate data."""

from __future__ import annotations

import copy

import pytest
import torch

from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, NumericalError
from jensen.core.random import stream
from jensen.families import FullGaussian, Gaussian
from jensen.models.conditionals import Linear, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.training.closed import CHUNK, FactorAlternation, FactorEM, GaussianMaximum, MixtureEM, PrincipalComponents
from tests.contracts.members import MODELS
from tests.identities.models import close, evidence, linear_model, mixture_model, simulated

STEPS = [GaussianMaximum(), PrincipalComponents(), FactorAlternation(), FactorEM(), MixtureEM()]
SUITED = {
    "linear": {"PrincipalComponents", "FactorEM"},
    "finite": {"MixtureEM"},
    "no latent": {"GaussianMaximum"},
    "network": set(),
    "mixture prior": set(),
}


@pytest.mark.parametrize("name", SUITED)
def test_a_step_refuses_other_models(name):
    for step in STEPS:
        if type(step).__name__ in SUITED[name]:
            step.check(MODELS[name])
        else:
            with pytest.raises(CompositionError, match="Use --fit gradient"):
                step.check(MODELS[name])


@pytest.mark.parametrize("prior", [Gaussian(2, 0.5), Gaussian(2)], ids=["half as wide", "learned"])
def test_a_prior_that_is_not_standard_is_refused(prior):
    model = LatentVariableModel(Unconditional(prior, learn=prior == Gaussian(2)), Linear(2, 5))
    assert not PrincipalComponents().suits(model)
    assert not FactorEM().suits(model)


def test_factor_steps_suit_factor_analysis():
    model = linear_model(2, 5, "feature")
    assert FactorAlternation().suits(model)
    assert FactorEM().suits(model)
    assert not PrincipalComponents().suits(model)
    assert not FactorAlternation().suits(linear_model(5, 5, "feature"))


def test_which_steps_settle():
    assert [type(s).__name__ for s in STEPS if s.reaches_optimum] == ["GaussianMaximum", "PrincipalComponents"]


@pytest.mark.parametrize("scale", ["each", "shared"])
def test_collinear_features_are_fitted_at_the_floor(scale):
    """The covariance after a step is that of the data, its least variance raised to the floor's."""
    a, b = torch.randn(2, 300, dtype=torch.float64, generator=stream(0, "x"))
    x, family = torch.stack([a, b, a + b, a + 1e-9 * b], -1), FullGaussian(4, scale, 1e-4)
    model = mixture_model(1, 4, family=family)
    MixtureEM()(model, Rows(x))
    values, vectors = torch.linalg.eigh(x.T.cov(correction=0))
    raised = (vectors * values.clamp_min(family.smallest**2)) @ vectors.T
    own = family(model.likelihood.rows())
    torch.testing.assert_close(own.covariance_matrix[0], raised, rtol=1e-7, atol=1e-9)
    known = torch.distributions.MultivariateNormal(x.mean(0), raised).log_prob(x)
    close(evidence(model, Batch(x)), known, 1e-4)


MIXED = [FullGaussian(4, floor=0.01), FullGaussian(4, "shared", 0.01), Gaussian(4, "one")]


@pytest.mark.parametrize("family", MIXED, ids=lambda f: f.phrase)
def test_a_step_is_the_maximum_given_the_responsibilities(family):
    """After one step the expected log-likelihood has no gradient, under the responsibilities before it."""
    model = mixture_model(3, 4, family=family)
    x = torch.randn(200, 4, dtype=torch.float64, generator=stream(0, "x")) @ torch.tril(torch.ones(4, 4)).double()
    states = torch.eye(3, dtype=torch.float64)
    before = model.log_joint(Batch(x), states[:, None]).softmax(0).detach()
    MixtureEM()(model, Rows(x))
    expected = (before * model.log_joint(Batch(x), states[:, None])).sum() / 200
    expected.backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() < 1e-6


def models() -> list[tuple]:
    linear, factors, mixture = linear_model(2, 4), linear_model(2, 4, "feature"), mixture_model(3, 4)
    gaussian = copy.deepcopy(MODELS["no latent"])
    gaussian.likelihood = Unconditional(Gaussian(4), learn=True).double()
    return [
        (GaussianMaximum(), gaussian),
        (PrincipalComponents(), linear),
        (FactorAlternation(), factors),
        (FactorEM(), factors),
        (MixtureEM(), mixture),
        *((MixtureEM(), mixture_model(3, 4, family=family)) for family in MIXED),
    ]


CASES = pytest.mark.parametrize(("step", "model"), models(), ids=lambda v: type(v).__name__)


@CASES
def test_data_are_read_in_chunks(step, model):
    """More data than one chunk: each datum twice is the same fit as once."""
    x = (
        torch.randn(CHUNK - 100, 4, dtype=torch.float64, generator=stream(0, "x"))
        @ torch.diag(torch.arange(1.0, 5.0)).double()
    )
    once, twice = copy.deepcopy(model), copy.deepcopy(model)
    step(once, Rows(x))
    step(twice, Rows(torch.cat([x, x])))
    for a, b in zip(once.parameters(), twice.parameters(), strict=True):
        close(a.abs(), b.abs(), 1e-7)  # eigenvectors have no sign


@CASES
def test_far_away_data_cost_no_digits(step, model):
    """Data about 1e6 have the scales of the same data about 0."""
    x = torch.randn(300, 4, dtype=torch.float64, generator=stream(0, "x")) * torch.arange(1.0, 5.0)
    near, far = copy.deepcopy(model), copy.deepcopy(model)
    if isinstance(step, MixtureEM):
        with torch.no_grad():
            far.likelihood.table[:, :4] += 1e6
    step(near, Rows(x))
    step(far, Rows(x + 1e6))
    close(evidence(far, Batch(x + 1e6)), evidence(near, Batch(x)), 1e-6)


@CASES
def test_single_precision_models_are_fitted_in_double(step, model):
    x = torch.randn(300, 4, generator=stream(0, "x")) * torch.arange(1.0, 5.0)
    single, double = copy.deepcopy(model).float(), copy.deepcopy(model)
    step(single, Rows(x))
    step(double, Rows(x.double()))
    close(evidence(single, Batch(x)), evidence(double, Batch(x.double())), 1e-3)


@CASES
def test_constant_data_keep_a_positive_scale(step, model):
    model = copy.deepcopy(model)
    for _ in range(3):
        step(model, Rows(torch.full((20, 4), 3.0).double()))
    assert torch.isfinite(evidence(model, Batch(torch.full((2, 4), 3.0).double()))).all()


def test_no_components_are_a_gaussian_of_one_scale():
    model = LatentVariableModel(Unconditional(Gaussian(0)), Linear(0, 4)).double()
    x = torch.randn(50, 4, dtype=torch.float64, generator=stream(0, "x"))
    PrincipalComponents()(model, Rows(x))
    close(model.likelihood.b, x.mean(0))
    close(model.likelihood.noise_variance, x.var(0, unbiased=False).mean())


def test_a_component_without_data_stays():
    model = mixture_model(3, 2)
    with torch.no_grad():
        model.likelihood.table[2, :2] = 1e9
    lost = model.likelihood.table[2].clone()
    batch = simulated(mixture_model(2, 2), 50)
    MixtureEM()(model, Rows(batch.x))
    assert torch.equal(model.likelihood.table[2], lost)
    assert model.prior.params().softmax(-1)[2] < 1e-8
    assert torch.isfinite(evidence(model, batch)).all()


@pytest.mark.parametrize("value", [torch.inf, torch.nan, 1e300])
def test_data_that_are_not_finite_are_named(value):
    with pytest.raises(NumericalError, match="extreme values"):
        MixtureEM()(mixture_model(3, 2), Rows(torch.tensor([[0.0, value], [0.0, 1.0]], dtype=torch.float64)))


def test_the_floor_is_the_models_own():
    model = LatentVariableModel(Unconditional(Gaussian(1)), Linear(1, 3, floor=0.1)).double()
    z = torch.randn(50, 1, dtype=torch.float64, generator=stream(0, "z"))
    PrincipalComponents()(model, Rows(z @ torch.ones(1, 3).double()))
    close(model.likelihood.noise_variance, 0.04)
