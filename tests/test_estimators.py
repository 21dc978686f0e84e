"""What the estimators refuse, before the loop, and the remedies they name."""

from __future__ import annotations

import pytest
import torch

from jensen.errors import CompositionError, NotEnumerable, NotReparameterizable, UsageError
from jensen.estimators import Enumerate, Pathwise, Quadrature
from jensen.families import Categorical, Gaussian, Mixture
from jensen.objectives import Elbo, ImportanceWeighted, Of, Rate
from jensen.randomness import stream
from tests.identities.models import amortized, curved_model, linear_model, mixture_model, simulated

COUPLED = Of(lambda draw: draw.z.mean((1, 2)), "spread", coupled=True)


def test_a_categorical_has_no_path():
    model, guide = mixture_model(), amortized(2, Categorical(3))
    batch = simulated(model, 3)
    with pytest.raises(NotReparameterizable, match=r"Use Enumerate\(\)"):
        Pathwise().draw(model, guide, batch)
    with torch.no_grad():  # evaluation needs none
        assert Pathwise(2).draw(model, guide, batch, stream(0, "noise")).z.shape == (2, 3, 3)


def test_a_gaussian_has_infinitely_many_states():
    model = linear_model()
    with pytest.raises(NotEnumerable, match=r"Use Pathwise\(k\)"):
        Enumerate().draw(model, amortized(5, Gaussian(2)), simulated(model, 3))


def test_quadrature_is_for_few_features():
    model = linear_model(3)
    with pytest.raises(CompositionError, match="not 3") as caught:
        Quadrature().draw(model, amortized(5, Gaussian(3)), simulated(model, 3))
    assert "Pathwise" in caught.value.remedy


def test_quadrature_is_about_a_gaussian():
    model = curved_model()
    with pytest.raises(CompositionError, match="needs a Gaussian guide"):
        Quadrature().draw(model, amortized(3, Mixture(Gaussian(1), 2)), simulated(model, 3))


@pytest.mark.parametrize("estimator", [Enumerate(), Quadrature()], ids=str)
def test_a_coupled_term_needs_sampled_points(estimator):
    estimator.check(Elbo() + 2 * ImportanceWeighted())
    with pytest.raises(CompositionError, match=r"wrong gradients for spread.*use Pathwise\(k\)"):
        estimator.check(Elbo() - 0.1 * COUPLED)


def test_sampled_points_serve_every_term():
    Pathwise(3).check(Elbo() + COUPLED - Rate())


@pytest.mark.parametrize(
    "make", [lambda: Pathwise(0), lambda: Pathwise(-1), lambda: Quadrature(0), lambda: Quadrature(1000)]
)
def test_a_number_of_points_that_cannot_work(make):
    with pytest.raises(UsageError) as caught:
        make()
    assert caught.value.remedy


def test_gradients_pass_through_the_points():
    model, guide = curved_model(), amortized(3, Gaussian(1))
    batch = simulated(model, 3)
    for estimator in (Pathwise(2), Quadrature(4)):
        z = estimator.draw(model, guide, batch, stream(0, "noise")).z
        assert all(g.any() for g in torch.autograd.grad(z.sum(), list(guide.parameters()), allow_unused=True))
