"""Guides, estimators and objectives wherever they fit together: measures, shapes, kinds, and one datum at a time."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch
from torch.distributions import MixtureSameFamily

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError, JensenError
from jensen.core.parts import build, spec_of
from jensen.core.random import stream
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import DoublyReparameterized, Pathwise, StickTheLanding
from jensen.models.draw import Draw, weigh
from jensen.models.ladder import LadderGuide
from jensen.objectives import MMD, CustomObjective
from tests.contracts.members import ALL_COUPLED, ALL_ESTIMATORS, ALL_GUIDES, ALL_OBJECTIVES, MODELS

X = torch.tensor([[0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]], dtype=torch.float64)
PAIRS = [(name, guide) for guide, names in ALL_GUIDES for name in names]


def drawn(estimator, name: str, guide, batch: Batch) -> Draw | None:
    """A draw without gradients, or None where the parts refuse each other."""
    try:
        with torch.no_grad():
            return estimator.draw(MODELS[name], guide, batch, stream(0, "noise"))
    except CompositionError as error:
        if not error.remedy:
            raise
        return None


def draws() -> list[object]:
    cases = []
    for estimator, (name, guide) in itertools.product(ALL_ESTIMATORS, PAIRS):
        if drawn(estimator, name, guide, Batch(X)):
            cases.append(pytest.param(estimator, name, guide, id=f"{estimator}-{name}-{type(guide).__name__}"))
    return cases


EVERY = pytest.mark.parametrize(("estimator", "name", "guide"), draws())


def test_enough_combinations_fit():
    fitting = [type(p.values[0]).__name__ for p in draws()]
    mixtures = sum(isinstance(guide(Batch(X)), MixtureSameFamily) for _, guide in PAIRS)
    assert fitting.count("Stratified") == mixtures == 3
    assert fitting.count("Pathwise") == 2 * len(PAIRS)
    assert fitting.count("Enumerate") == 6
    assert fitting.count("ByGroup") == 2
    assert fitting.count("Quadrature") == 17


@EVERY
def test_a_draw_holds_together(estimator, name, guide):
    """Shapes as declared; the measure sums to one; the log-weights are what the distributions say."""
    model, draw = MODELS[name], drawn(estimator, name, guide, Batch(X))
    k, b, z = draw.z.shape
    assert (b, z) == (5, model.latent)
    assert draw.log_lik.shape == draw.log_measure.shape == draw.log_offset.shape == (k, b)
    groups = 2 if "ladder" in name and isinstance(guide, LadderGuide) else 1
    assert draw.log_prior.shape == draw.log_guide.shape == (k, b, groups)
    torch.testing.assert_close(draw.log_measure.exp().sum(0), torch.ones(5).double())
    log_q = draw.guide.log_prob(draw.z)
    x = draw.batch.x  # the data, but for an estimator that dreams
    expected = draw.likelihood.log_prob(x) + draw.prior.log_prob(draw.z) - log_q
    torch.testing.assert_close(draw.log_weight, expected.expand(k, b), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(draw.log_lik + draw.log_prior.sum(-1), model.log_joint(Batch(x), draw.z))
    torch.testing.assert_close(draw.mean(torch.ones(k, b).double()), torch.ones(5).double())
    evidence = torch.logsumexp(draw.log_measure + draw.log_weight, 0)
    torch.testing.assert_close(draw.log_evidence, evidence, rtol=1e-9, atol=1e-9)


@EVERY
def test_a_known_evidence_is_every_log_weight(estimator, name, guide):
    """A guide that says it is exact gives one log-weight, whatever the points."""
    if guide.is_exact:
        log_w = drawn(estimator, name, guide, Batch(X)).log_weight
        torch.testing.assert_close(log_w, log_w[:1].expand_as(log_w), rtol=1e-9, atol=1e-9)


@EVERY
@pytest.mark.parametrize("objective", ALL_OBJECTIVES, ids=str)
def test_an_objective_looks_at_each_datum_alone(estimator, name, guide, objective):
    """[B] finite nats, the same whatever else is in the batch, and with a mask of ones."""
    model, draw = MODELS[name], drawn(estimator, name, guide, Batch(X))
    value, x = objective(draw), draw.batch.x
    assert value.shape == (5,)
    assert torch.isfinite(value).all()
    if not guide.scores_any_point:  # it would have to make the same points again
        return

    def again(batch: Batch, keep: slice) -> torch.Tensor:
        enumerated = isinstance(estimator, Enumerate)
        with torch.no_grad():
            q = guide(batch)
            part = weigh(
                model,
                q,
                draw.z[:, keep],
                batch,
                draw.log_measure[:, keep],
                enumerated=enumerated,
                mass=not guide.has_density,
            )
        return objective(part)

    for i in range(5):
        torch.testing.assert_close(again(Batch(x[i : i + 1]), slice(i, i + 1)), value[i : i + 1], rtol=1e-9, atol=1e-9)
    if not guide.is_exact:
        torch.testing.assert_close(again(Batch(x, x < torch.inf), slice(None)), value, rtol=1e-9, atol=1e-9)


@EVERY
def test_a_surrogate_has_the_value_of_its_term(estimator, name, guide):
    draw = drawn(estimator, name, guide, Batch(X))
    for objective in ALL_OBJECTIVES:
        assert torch.equal(estimator.surrogate(objective, draw), objective(draw))


@EVERY
def test_a_draw_is_repeated_by_its_seed(estimator, name, guide):
    """The generator alone decides the points; the global one is neither read nor moved."""
    before = torch.get_rng_state()
    a = drawn(estimator, name, guide, Batch(X))
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.rand(3)
        b = drawn(estimator, name, guide, Batch(X))
    assert torch.equal(a.z, b.z)
    assert torch.equal(a.log_weight, b.log_weight)


@pytest.mark.parametrize(("name", "guide"), PAIRS, ids=lambda p: p if isinstance(p, str) else type(p).__name__)
def test_a_guide_is_rebuilt_with_its_model(name, guide):
    """Both come back from one specification, sharing what they shared."""
    model, again = build(spec_of(MODELS[name], guide))
    model.double().load_state_dict(MODELS[name].state_dict())
    again.double().load_state_dict(guide.state_dict())
    again.train(guide.training)
    assert (guide.phrase, guide.is_exact, guide.has_density) == (again.phrase, again.is_exact, again.has_density)
    if guide.is_exact:
        assert again.model is model
    with torch.no_grad():
        assert torch.equal(again(Batch(X)).mean, guide(Batch(X)).mean)
        q = guide(Batch(X))
    assert q.batch_shape == (5,)
    assert q.event_shape == (model.latent,)


@pytest.mark.parametrize("estimator", ALL_ESTIMATORS, ids=str)
def test_an_estimator_is_rebuilt(estimator):
    assert build(spec_of(estimator))[0] == estimator


@pytest.mark.parametrize(
    "objective", [o for o in (*ALL_OBJECTIVES, *ALL_COUPLED) if not isinstance(o, CustomObjective)], ids=str
)
def test_an_objective_is_rebuilt(objective):
    again = build(spec_of(objective))[0]
    assert again == objective
    assert str(again) == str(objective)


@EVERY
def test_gradients_are_finite(estimator, name, guide):
    """Gradients of every objective by every parameter of model and guide are finite, where the estimator gives them."""
    model, guide = (guide.model if guide.is_exact else MODELS[name]), guide
    both = copy.deepcopy(torch.nn.ModuleList([model, guide]))
    mixture = isinstance(guide(Batch(X)), MixtureSameFamily)
    stuck = not guide(Batch(X)).has_rsample
    if isinstance(estimator, Pathwise | StickTheLanding | DoublyReparameterized) and stuck:
        some = r"Use ByGroup|Use Stratified\(k\)" if name == "mixed" else r"Use Score\(k\), or Enumerate\(\)"
        with pytest.raises(JensenError, match=r"Use Stratified\(k\)" if mixture else some):
            estimator.draw(*both, Batch(X), stream(0, "noise"))
        return
    draw = estimator.draw(*both, Batch(X), stream(0, "noise"))
    for objective in ALL_OBJECTIVES:
        both.zero_grad()
        value = objective(draw).sum()
        if value.requires_grad:
            value.backward(retain_graph=True)
        for p in both.parameters():
            assert p.grad is None or torch.isfinite(p.grad).all()


def test_quadrature_is_no_importance_weighting():
    """The log-measure of a rule is not uniform, that of K points is -log K."""
    rule = drawn(Quadrature(5), "network", ALL_GUIDES[0][0], Batch(X[:1]))
    points = drawn(Pathwise(4), "network", ALL_GUIDES[0][0], Batch(X[:1]))
    assert rule.log_measure.std() > 0.1
    assert (points.log_measure == -math.log(4)).all()


@EVERY
@pytest.mark.parametrize("objective", ALL_COUPLED, ids=str)
def test_a_coupled_term_tells_every_datum_of_the_batch(estimator, name, guide, objective):
    """[B] finite, the same for a draw in another order of the data, or refused with a remedy."""
    rows, order = Batch(X, n_data=9), torch.tensor([3, 0, 4, 1, 2])
    draw = drawn(estimator, name, guide, rows)
    if objective.needs_density and not guide.has_density:
        return
    try:
        value = objective(draw)
    except CompositionError as error:
        if not error.remedy:
            raise
        return
    assert value.shape == (5,)
    assert torch.isfinite(value).all()
    if isinstance(objective, MMD) or draw.measure is not None:
        return  # its prior points come from the bits of z
    with torch.no_grad():
        mixed = Batch(draw.batch.x[order], n_data=9)
        how = {"enumerated": isinstance(estimator, Enumerate), "mass": not guide.has_density}
        try:
            again = objective(weigh(MODELS[name], guide(mixed), draw.z[:, order], mixed, **how))
        except CompositionError as error:  # a flow without an inverse
            if not error.remedy:
                raise
            return
    torch.testing.assert_close(again.mean(), value.mean(), rtol=1e-9, atol=1e-9)
