"""Points by group: the gradients of a mixed latent against those of its enumeration, and what is refused."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError
from jensen.core.random import drawing_from, stream
from jensen.estimators.by_group import ByGroup
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import Pathwise
from jensen.estimators.score import Score
from jensen.families import Bernoulli, Categorical, Gaussian, Grouped, OneHots
from jensen.guides import Amortized, Structured
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import MMD, Distortion, Elbo, ImportanceWeighted, Rate

X = torch.tensor([[0, 1, 1], [1, 0, 1], [0, 0, 0]], dtype=torch.float64)
CLASSES = (2, 3)


def finite() -> tuple[LatentVariableModel, Structured, Amortized]:
    """A model of two classes, a guide of one given the other, and one that takes them for apart."""
    with drawing_from(stream(1, "models")):
        latent = Grouped(tuple(map(Categorical, CLASSES)))
        model = LatentVariableModel(Unconditional(latent, learn=True), Given(MLP(5, 3, (4,)), Bernoulli(3)))
        first = Amortized(Given(MLP(3, 2, (4,)), Categorical(2)))
        guide = Structured(first, Given(MLP(5, 3, (4,)), Categorical(3)))
        apart = Amortized(Given(MLP(3, 5, (4,)), latent))
    return model.double(), guide.double(), apart.double()


def mixed() -> tuple[LatentVariableModel, Structured]:
    """A class and a real feature."""
    with drawing_from(stream(2, "models")):
        latent = Unconditional(Grouped((Categorical(3), Gaussian(1))))
        model = LatentVariableModel(latent, Given(MLP(4, 3, (4,)), Bernoulli(3)))
        first = Amortized(Given(MLP(3, 3, (4,)), Categorical(3)))
        guide = Structured(first, Given(MLP(6, 2, (4,)), Gaussian(1)))
    return model.double(), guide.double()


def gradient(estimator, model, guide, objective, noise=None, times: int = 1) -> Tensor:
    """[P] of model and guide, of the mean over the data, each seen so many times."""
    parameters = [p for p in [*guide.parameters(), *model.parameters()] if p.requires_grad]
    draw = estimator.draw(model, guide, Batch(X.repeat(times, 1)), noise)
    value = estimator.surrogate(objective, draw).mean()
    found = torch.autograd.grad(value, parameters)
    return torch.cat([g.flatten() for g in found])


def by_hand(model, guide) -> Tensor:
    """The ELBO [B] as a sum over the six states."""
    states = [
        torch.cat([torch.eye(2)[i], torch.eye(3)[j]]).double().expand(3, -1)
        for i, j in itertools.product(*map(range, CLASSES))
    ]
    q = guide(Batch(X))
    logs = torch.stack([q.log_prob(z) for z in states])
    joint = torch.stack([model.log_joint(Batch(X), z) for z in states])
    return (logs.exp() * (joint - logs)).sum(0)


@pytest.mark.parametrize("which", [1, 2])
def test_enumerated_groups_are_the_sum_over_all_states(which):
    model, guide = finite()[0], finite()[which]
    estimator = ByGroup((Enumerate(), Enumerate()))
    parameters = [p for p in [*guide.parameters(), *model.parameters()] if p.requires_grad]
    found = gradient(estimator, model, guide, Elbo())
    expected = torch.autograd.grad(by_hand(model, guide).mean(), parameters)
    torch.testing.assert_close(found, torch.cat([g.flatten() for g in expected]))
    draw = estimator.draw(model, guide, Batch(X))
    assert draw.z.shape == (6, 3, 5)
    torch.testing.assert_close(Elbo()(draw), by_hand(model, guide))
    evidence = torch.logsumexp(draw.log_lik + draw.log_prior.sum(-1), 0)
    torch.testing.assert_close(ImportanceWeighted()(draw), evidence)


WAYS = [
    (Enumerate(), Score(3)),
    (Score(2), Enumerate()),
    (Score(2), Score(3)),
]


@pytest.mark.parametrize("ways", WAYS, ids=str)
@pytest.mark.parametrize("objective", [Elbo(), -Distortion() - 0.5 * Rate()], ids=str)
@pytest.mark.sampled(3)
def test_a_scored_group_has_the_gradient_of_the_sum(ways, objective):
    """Every parameter's mean over 16 x 500 draws within 5 standard errors of the enumeration's."""
    model, guide, _ = finite()
    exact = gradient(ByGroup((Enumerate(), Enumerate())), model, guide, objective)
    noise = stream(3, "score")
    draws = torch.stack([gradient(ByGroup(ways), model, guide, objective, noise, 500) for _ in range(16)])
    error = draws.std(0) / 4
    assert ((draws.mean(0) - exact).abs() <= 5 * error + 1e-12).all()
    assert float(error.norm()) < 0.05 * float(exact.norm())  # it could see a bias of that size


def test_a_scored_class_before_a_path_has_the_gradient_of_the_enumerated_one():
    """Within 5 standard errors of the difference of two means of 16 x 500 draws."""
    model, guide = mixed()
    noise = stream(4, "mixed")
    found = {}
    for first in (Enumerate(), Score(3)):
        estimator = ByGroup((first, Pathwise(2)))
        found[first] = torch.stack([gradient(estimator, model, guide, Elbo(), noise, 500) for _ in range(16)])
    a, b = found.values()
    error = (a.var(0) + b.var(0)).sqrt() / 4
    assert ((a.mean(0) - b.mean(0)).abs() <= 5 * error + 1e-12).all()
    assert error.norm() < 0.05 * a.mean(0).norm()


def test_the_path_of_the_second_group_is_that_of_quadrature():
    """Given the class the rest is one Gaussian feature: its expectation by 32 nodes is the reference."""
    model, guide = mixed()
    nodes, total = Quadrature(32), 0.0
    rest, given = guide.then, guide.first(Batch(X))
    for j in range(3):
        y = torch.eye(3).double()[j].expand(3, -1)
        part = LatentVariableModel(Unconditional(Gaussian(1)).double(), _At(model.likelihood, j))
        inner = Amortized(_At(rest, j, after=True))
        draw = nodes.draw(part, inner, Batch(X))
        log_q, log_p = given.log_prob(y), model.prior().first.log_prob(y)
        total = total + log_q.exp() * (Elbo()(draw) + log_p - log_q)
    parameters = list(guide.parameters())
    exact = torch.cat([g.flatten() for g in torch.autograd.grad(total.mean(), parameters)])
    noise, estimator = stream(5, "path"), ByGroup((Enumerate(), Pathwise(2)))
    draws = torch.stack([gradient(estimator, model, guide, Elbo(), noise, 500)[: len(exact)] for _ in range(16)])
    assert ((draws.mean(0) - exact).abs() <= 5 * draws.std(0) / 4 + 1e-12).all()
    assert draws.std(0).norm() / 4 < 0.05 * exact.norm()


class _At(Given):
    """A conditional of [z, c] or [c, z] at one class."""

    def __init__(self, inner: Given, j: int, after: bool = False) -> None:
        super().__init__(nn.Identity(), inner.family)
        self.inner, self.j, self.after = inner, j, after

    def params(self, c: Tensor | None = None) -> Tensor:
        y = torch.eye(3).double()[self.j].expand(*c.shape[:-1], -1)
        return self.inner.params(torch.cat([c, y] if self.after else [y, c], -1))


def test_a_state_that_the_guide_excludes_makes_no_nan():
    model, guide = mixed()
    with torch.no_grad():
        guide.first.conditional.net.layers[-1].bias[1] = -torch.inf
    draw = ByGroup((Enumerate(), Pathwise(2))).draw(model, guide, Batch(X), stream(0, "noise"))
    assert torch.isfinite(Elbo()(draw)).all()
    assert torch.isfinite(ImportanceWeighted()(draw)).all()
    assert ImportanceWeighted()(draw).shape == (3,)


def test_a_network_is_run_once_for_its_points():
    model, guide = mixed()
    calls = []
    guide.then.net.register_forward_hook(lambda *_: calls.append(1))
    draw = ByGroup((Enumerate(), Pathwise(2))).draw(model, guide, Batch(X), stream(0, "noise"))
    kept = draw.log_guide
    assert len(calls) == 1
    torch.testing.assert_close(guide(Batch(X)).log_prob(draw.z)[..., None], kept)


@pytest.mark.parametrize(
    ("estimators", "guide", "words"),
    [
        ((Enumerate(), Pathwise(1), Pathwise(1)), mixed()[1], "has 2 latent groups, and there are 3 estimators"),
        ((Enumerate(), Enumerate()), mixed()[1], "infinitely many states"),
        ((Pathwise(1), Pathwise(1)), mixed()[1], "no pathwise gradient"),
    ],
    ids=str,
)
def test_groups_that_do_not_fit_are_refused(estimators, guide, words):
    with pytest.raises(CompositionError, match=words) as caught:
        ByGroup(estimators).draw(mixed()[0], guide, Batch(X))
    assert caught.value.remedy


def test_estimators_that_cannot_place_a_group_are_refused():
    for bad in ((Enumerate(),), (Enumerate(), Quadrature(3))):
        with pytest.raises(CompositionError):
            ByGroup(bad)
    scored = ByGroup((Score(2), Pathwise(1)))
    for term in (ImportanceWeighted(), MMD()):
        with pytest.raises(CompositionError, match="wrong gradients"):
            scored.check(term)
    ByGroup((Enumerate(), Pathwise(1))).check(ImportanceWeighted())
    with pytest.raises(CompositionError):
        ByGroup((Enumerate(), Pathwise(1))).check(MMD())


def test_the_moments_of_a_group_after_a_class_are_those_of_the_mixture():
    _, guide = mixed()
    with torch.no_grad():
        q = guide(Batch(X))
        with drawing_from(stream(6, "moments")):
            z = q.sample((20_000,))
    error = z.std(0) / 20_000**0.5
    assert ((z.mean(0) - q.mean).abs() < 5 * error).all()
    torch.testing.assert_close(z.var(0), q.variance, rtol=0.05, atol=0)
    assert q.support.is_discrete


def test_several_classes_are_a_group_too():
    with drawing_from(stream(7, "models")):
        latent = Grouped((OneHots(2, 3), Gaussian(1)))
        model = LatentVariableModel(Unconditional(latent), Given(MLP(7, 3, ()), Bernoulli(3)))
        guide = Amortized(Given(MLP(3, latent.size, ()), latent))
    draw = ByGroup((Enumerate(), Pathwise(1))).draw(model, guide, Batch(X.float()), stream(0, "noise"))
    assert draw.z.shape == (9, 3, 7)
    torch.testing.assert_close(draw.log_measure.exp().sum(0), torch.ones(3))
