"""Guides, estimators and objectives wherever they fit together: measures, shapes, kinds, and one datum at a time."""

from __future__ import annotations

import copy
import functools
import itertools
import math

import pytest
import torch
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
)

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError, JensenError
from jensen.core.parts import build, spec_of
from jensen.core.random import stream
from jensen.estimators.base import GradientEstimator
from jensen.estimators.by_group import ByGroup
from jensen.estimators.denoising import Corrupted
from jensen.estimators.enumeration import Enumerate
from jensen.estimators.hiding import Hiding
from jensen.estimators.quadrature import Quadrature
from jensen.estimators.reparameterized import DoublyReparameterized, Pathwise, StickTheLanding
from jensen.estimators.score import Score
from jensen.estimators.stratified import Stratified
from jensen.estimators.wake_sleep import DetachedSamples, FromModel
from jensen.guides import Deterministic, Masked, Quantized
from jensen.guides.refined import PerDatum, Refined
from jensen.models.draw import Draw, weigh
from jensen.models.guide import Guide
from jensen.models.ladder import LadderDistribution, LadderGuide
from jensen.objectives import DIP, MMD, CustomObjective, FreeBits, Objective, TotalCorrelation
from tests.contracts.members import ALL_COUPLED, ALL_ESTIMATORS, ALL_GUIDES, ALL_OBJECTIVES, MODELS
from tests.pairwise import pairs, pairwise

X = torch.tensor([[0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1], [1, 0, 0]], dtype=torch.float64)
PAIRS = [(name, guide) for guide, names in ALL_GUIDES for name in names]
with torch.no_grad():
    POSTERIORS = {id(guide): guide(Batch(X)) for guide, _ in ALL_GUIDES}

# With these the gradient of the points is needed, which a sum over states, a score or the model's own samples are not.
BY_PATH = Pathwise | StickTheLanding | DoublyReparameterized


def fits(estimator: GradientEstimator, name: str, guide: Guide) -> bool:
    """Return whether points of this guide can be placed so: the rule that `draw` is held to below."""
    if isinstance(estimator, Corrupted):
        return fits(estimator.estimator, name, guide)
    if isinstance(estimator, Hiding):
        return isinstance(guide, Masked) and fits(estimator.estimator, name, guide)
    q = POSTERIORS[id(guide)]
    if isinstance(estimator, Pathwise | DetachedSamples):
        return True
    if isinstance(estimator, Enumerate):
        return name in ("finite", "classes")
    if isinstance(estimator, ByGroup):
        return name == "mixed"
    if isinstance(estimator, Stratified):
        return isinstance(q, MixtureSameFamily)
    if isinstance(estimator, Quadrature):
        low_rank = isinstance(q, LowRankMultivariateNormal)
        return MODELS[name].latent > 0 and (isinstance(q, MultivariateNormal) or (is_normal(q) and not low_rank))
    trained = not (guide.is_exact or isinstance(guide, Refined | PerDatum))
    is_random = not isinstance(guide, Deterministic | Quantized)
    return guide.scores_any_point and is_random and (trained or not isinstance(estimator, FromModel))


def is_normal(distribution: Distribution) -> bool:
    return isinstance(distribution, Independent) and isinstance(distribution.base_dist, Normal)


def label(value: object) -> str:
    return value if isinstance(value, str) else type(value).__name__ if isinstance(value, Guide) else str(value)


def each(rows: list[tuple], names: tuple[str, ...] = ("estimator", "name", "guide")) -> pytest.MarkDecorator:
    """Return a parametrisation by rows, with readable names."""
    assert rows
    return pytest.mark.parametrize(names, [pytest.param(*row, id="-".join(map(label, row))) for row in rows])


ALL = [(e, name, guide) for e, (name, guide) in itertools.product(ALL_ESTIMATORS, PAIRS) if fits(e, name, guide)]
FEW = pairwise(ALL)
WITHOUT_PATH = [
    (e, name, guide) for e, name, guide in ALL if isinstance(e, BY_PATH) and not POSTERIORS[id(guide)].has_rsample
]
EVERY = each(FEW)
# Without gradients, the points of these are independent ones, like those of Pathwise: values need no further look.
INDEPENDENT = StickTheLanding | DoublyReparameterized | Score | DetachedSamples
PLACED = pairwise([row for row in ALL if not isinstance(row[0], INDEPENDENT)])
# Other guides would have to make the same points again.
SCORED = [row for row in PLACED if row[2].scores_any_point]


@functools.cache
def drawn(estimator: GradientEstimator, name: str, guide: Guide) -> Draw:
    """A draw without gradients; every caller reads the same one."""
    return drawn_again(estimator, name, guide)


def drawn_again(estimator: GradientEstimator, name: str, guide: Guide, n_data: int | None = None) -> Draw:
    with torch.no_grad():
        return estimator.draw(MODELS[name], guide, Batch(X, n_data=n_data), stream(0, "noise"))


def outcome(estimator: GradientEstimator, name: str, guide: Guide) -> tuple[CompositionError | None, Draw | None]:
    try:
        return None, drawn_again(estimator, name, guide)
    except CompositionError as error:
        return error, None


@pytest.mark.parametrize("estimator", ALL_ESTIMATORS, ids=str)
def test_an_estimator_draws_where_it_fits_and_is_refused_elsewhere(estimator):
    """All guides of all models, of which the tests below take as many as show every pair of choices."""
    for name, guide in PAIRS:
        choice = f"{name}, {type(guide).__name__}"
        refusal, draw = outcome(estimator, name, guide)
        assert (refusal is None) == fits(estimator, name, guide), f"{choice}: {refusal or 'not refused'}"
        assert refusal is None or refusal.remedy, choice
        assert draw is None or draw.z.shape[1:] == (5, MODELS[name].latent), choice


def test_enough_combinations_fit():
    fitting = [type(estimator).__name__ for estimator, _, _ in ALL]
    assert fitting.count("Stratified") == 3
    assert fitting.count("Pathwise") == 2 * len(PAIRS)
    assert fitting.count("Enumerate") == 6
    assert fitting.count("ByGroup") == 2
    assert fitting.count("Quadrature") == 17
    assert len(ALL) > 300
    assert set().union(*map(pairs, FEW)) == set().union(*map(pairs, ALL))
    assert len(FEW) < 0.7 * len(ALL)


@EVERY
def test_a_draw_holds_together(estimator, name, guide):
    """Shapes as declared; the measure sums to one; the log-weights are what the distributions say."""
    model, draw = MODELS[name], drawn(estimator, name, guide)
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


@each([row for row in ALL if row[2].is_exact])
def test_a_known_evidence_is_every_log_weight(estimator, name, guide):
    """A guide that says it is exact gives one log-weight, whatever the points."""
    log_w = drawn(estimator, name, guide).log_weight
    torch.testing.assert_close(log_w, log_w[:1].expand_as(log_w), rtol=1e-9, atol=1e-9)


def weighed(estimator: GradientEstimator, name: str, guide: Guide, batch: Batch, keep: slice | list[int]) -> Draw:
    """The same points of some of the data, weighed anew."""
    draw = drawn(estimator, name, guide)
    kind = {"enumerated": isinstance(estimator, Enumerate), "mass": not guide.has_density}
    measure = draw.log_measure[:, keep]
    with torch.no_grad():
        return weigh(MODELS[name], guide(batch), draw.z[:, keep], batch, measure, **kind)


@each(SCORED)
def test_an_objective_looks_at_each_datum_alone(estimator, name, guide):
    """Values do not depend on what else is in the batch, nor on a mask of ones."""
    draw = drawn(estimator, name, guide)
    x = draw.batch.x
    alone = [weighed(estimator, name, guide, Batch(x[i : i + 1]), slice(i, i + 1)) for i in range(5)]
    masked = None if guide.is_exact else weighed(estimator, name, guide, Batch(x, x < torch.inf), slice(None))
    for objective in ALL_OBJECTIVES:
        value = objective(draw)
        one_by_one = torch.cat([objective(part) for part in alone])
        torch.testing.assert_close(one_by_one, value, rtol=1e-9, atol=1e-9, msg=lambda m, o=objective: f"{o}: {m}")
        if masked is not None:
            again = objective(masked)
            torch.testing.assert_close(again, value, rtol=1e-9, atol=1e-9, msg=lambda m, o=objective: f"{o}: {m}")


@EVERY
def test_an_objective_is_a_number_for_every_datum_and_its_surrogate_has_that_value(estimator, name, guide):
    draw = drawn(estimator, name, guide)
    for objective in ALL_OBJECTIVES:
        value = objective(draw)
        assert value.shape == (5,), objective
        assert torch.isfinite(value).all(), objective
        assert torch.equal(estimator.surrogate(objective, draw), value), objective


@EVERY
def test_a_draw_is_repeated_by_its_seed(estimator, name, guide):
    """The generator alone decides the points; the global one is neither read nor moved."""
    before = torch.get_rng_state()
    a = drawn_again(estimator, name, guide)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.rand(3)
        b = drawn_again(estimator, name, guide)
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


def copied(name: str, guide: Guide) -> torch.nn.ModuleList:
    """A model and its guide, whose gradients are nobody else's."""
    return copy.deepcopy(torch.nn.ModuleList([guide.model if guide.is_exact else MODELS[name], guide]))


@each(WITHOUT_PATH)
def test_points_without_a_path_are_refused_where_gradients_are_asked_for(estimator, name, guide):
    mixture = isinstance(POSTERIORS[id(guide)], MixtureSameFamily)
    some = r"Use ByGroup|Use Stratified\(k\)" if name == "mixed" else r"Use Score\(k\), or Enumerate\(\)"
    with pytest.raises(JensenError, match=r"Use Stratified\(k\)" if mixture else some):
        estimator.draw(*copied(name, guide), Batch(X), stream(0, "noise"))


@each([row for row in FEW if row not in WITHOUT_PATH])
def test_gradients_are_finite(estimator, name, guide):
    """Gradients of every objective by every parameter of model and guide are finite, where the estimator gives them."""
    both = copied(name, guide)
    draw = estimator.draw(*both, Batch(X), stream(0, "noise"))
    for objective in ALL_OBJECTIVES:
        both.zero_grad()
        value = objective(draw).sum()
        if value.requires_grad:
            value.backward(retain_graph=True)
        for p in both.parameters():
            assert p.grad is None or torch.isfinite(p.grad).all(), objective


def test_quadrature_is_no_importance_weighting():
    """The log-measure of a rule is not uniform, that of K points is -log K."""
    rule, points = (drawn(e, "network", ALL_GUIDES[0][0]) for e in (Quadrature(5), Pathwise(4)))
    assert rule.log_measure.std() > 0.1
    assert (points.log_measure == -math.log(4)).all()


def is_refused(objective: Objective, draw: Draw) -> bool:
    """Return whether a term cannot read this draw: the rule that the terms are held to below."""
    if isinstance(objective, FreeBits) and objective.features is not None:
        return not (is_normal(draw.guide) and is_normal(draw.prior))
    if isinstance(objective, TotalCorrelation):
        return not is_normal(draw.guide)
    return objective == DIP("points") and isinstance(draw.guide, LadderDistribution)


@each(PLACED)
def test_a_coupled_term_is_a_number_or_is_refused(estimator, name, guide):
    """[B] and finite."""
    draw = drawn_again(estimator, name, guide, n_data=9)
    for objective in (term for term in ALL_COUPLED if guide.has_density or not term.needs_density):
        if is_refused(objective, draw):
            with pytest.raises(CompositionError) as refusal:
                objective(draw)
            assert refusal.value.remedy, objective
            continue
        value = objective(draw)
        assert value.shape == (5,), objective
        assert torch.isfinite(value).all(), objective


@each(SCORED)
def test_a_coupled_term_has_the_same_mean_in_any_order_of_the_data(estimator, name, guide):
    order = [3, 0, 4, 1, 2]
    draw = drawn_again(estimator, name, guide, n_data=9)
    mixed = weighed(estimator, name, guide, Batch(draw.batch.x[order], n_data=9), order)
    # the prior points of MMD come from the bits of z
    terms = [t for t in ALL_COUPLED if not isinstance(t, MMD) and not is_refused(t, draw)]
    terms = [t for t in terms if guide.has_density or not t.needs_density]
    assert terms
    for term in terms:
        mean = term(draw).mean()
        torch.testing.assert_close(term(mixed).mean(), mean, rtol=1e-9, atol=1e-9, msg=lambda m, t=term: f"{t}: {m}")
