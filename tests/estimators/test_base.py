"""What the estimators refuse, before the loop, and the remedies they name."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError, NotEnumerable, NotReparameterizable, UsageError
from jensen.core.random import drawing_from, stream
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Bernoulli, Categorical, Gaussian, Mixture
from jensen.guides import Shared
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import CustomObjective, Elbo, ImportanceWeighted, Rate
from tests.identities.models import amortized, close, curved_model, linear_model, mixture_model, scrambled, simulated

COUPLED = CustomObjective(lambda draw: draw.z.mean((1, 2)), "spread", coupled=True)


def test_a_categorical_has_no_path():
    model, guide = mixture_model(), amortized(2, Categorical(3))
    batch = simulated(model, 3)
    with pytest.raises(NotReparameterizable, match=r"Use Score\(k\), or Enumerate\(\)"):
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
    objective = Elbo() + COUPLED - Rate()
    Pathwise(3).check(objective)
    assert all(Pathwise(3).suits(term) for _, term in objective.terms)


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


def test_bits_are_enumerated_with_their_gradients():
    """The evidence and the ELBO are sums over all 2^5 settings, and so are their gradients; the guide is any."""
    with drawing_from(stream(0, "bits")):
        net = MLP(5, 3, (4,), "tanh")
    model = LatentVariableModel(Unconditional(Bernoulli(5), learn=True), Given(net, Gaussian(3, "shared")))
    scrambled(model, "bits")
    guide, batch = amortized(3, Bernoulli(5)), simulated(model, 4)
    draw = Enumerate().draw(model, guide, batch)
    z = torch.tensor(list(itertools.product((0.0, 1.0), repeat=5)), dtype=torch.float64)[:, None].expand(-1, 4, -1)
    log_joint, log_q = model.log_joint(batch, z), guide(batch).log_prob(z)
    known = torch.logsumexp(log_joint, 0), (log_q.exp() * (log_joint - log_q)).sum(0)
    parameters = [*model.parameters(), *guide.parameters()]
    for value, truth in zip((ImportanceWeighted()(draw), Elbo()(draw)), known, strict=True):
        close(value.detach(), truth.detach())
        ours, theirs = (
            torch.autograd.grad(v.sum(), parameters, retain_graph=True, materialize_grads=True) for v in (value, truth)
        )
        for a, b in zip(ours, theirs, strict=True):
            close(a, b)
    close(draw.rate.detach(), (log_q.exp() * (log_q - model.prior.log_prob(z))).sum(0).detach())


def test_a_network_sees_each_state_once():
    """Not once per datum: the states are the same for all."""
    with drawing_from(stream(0, "once")):
        net = MLP(6, 3, (4,), "tanh")
    model, seen = LatentVariableModel(Unconditional(Bernoulli(6)), Given(net, Gaussian(3, "shared"))).double(), []
    batch = simulated(model, 10)
    net.register_forward_hook(lambda m, given, out: seen.append(out.shape))
    assert Enumerate().draw(model, amortized(3, Bernoulli(6)), batch).log_lik.shape == (64, 10)
    assert seen == [(64, 1, 3)]


@pytest.mark.parametrize(("family", "said"), [(Bernoulli(13), r"2\^13 states"), (Categorical(4097), "4,097 states")])
def test_too_many_states_to_differentiate_are_refused(family, said):
    model = LatentVariableModel(Unconditional(family), Given(nn.Linear(family.dim, 2), Gaussian(2, "shared")))
    with pytest.raises(NotEnumerable, match=f"{said}.*Use at most 4,096 components, or 12 bits"):
        Enumerate().draw(model, Shared(Unconditional(family)), Batch(torch.zeros(2, 2)))
