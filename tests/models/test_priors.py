"""Priors: a VampPrior is the explicit mixture of its guide, a flow prior a change of variables."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError
from jensen.core.parts import build, spec_of
from jensen.core.random import drawing_from, stream
from jensen.estimators.reparameterized import Pathwise
from jensen.evaluate.annealed import Annealed
from jensen.evaluate.importance import Importance
from jensen.families import Bernoulli, Categorical, Family, FullGaussian, Gaussian, Mixture
from jensen.flows import AffineCoupling, Autoregressive, SplineCoupling, Stack
from jensen.guides import Amortized, Deterministic, Exact, Flowing
from jensen.models import priors
from jensen.models.conditionals import Given, Unconditional
from jensen.models.draw import Draw
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from jensen.models.priors import FlowPrior, VampPrior
from jensen.nets import MLP
from jensen.objectives import Elbo, ImportanceWeighted
from tests.identities.models import amortized, linear_model, scrambled

D, N = 5, 7


def flowing() -> Guide:
    with drawing_from(stream(0, "flowing")):
        flow = Stack([SplineCoupling(2, 3, 4, hidden=(6,)), AffineCoupling(2, 3, (6,), flip=True)])
        return Flowing(amortized(D, Gaussian(2)), scrambled(flow, "flow"), MLP(D, 3, (4,))).double()


GUIDES = {
    "diagonal": lambda: amortized(D, Gaussian(2)),
    "full covariance": lambda: amortized(D, FullGaussian(2)),
    "mixture": lambda: amortized(D, Mixture(Gaussian(2), 3)),
    "flow": flowing,
}
EACH = pytest.mark.parametrize("kind", GUIDES)


def vamp(kind: str, **options) -> VampPrior:
    with drawing_from(stream(0, "vamp")):
        prior = VampPrior(GUIDES[kind](), D, N, **options).double()
        prior.weights.data.normal_()
    return prior


def model_of(prior) -> LatentVariableModel:
    with drawing_from(stream(0, "decoder")):
        return LatentVariableModel(prior, Given(MLP(2, D, (4,)), Bernoulli(D))).double()


def points(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=stream(0, "z"))


def explicit(prior: VampPrior, z: torch.Tensor) -> torch.Tensor:
    """log sum_j pi_j q(z | u_j), one component and one point at a time."""
    weights = prior.weights.log_softmax(0)
    each = [
        [prior.guide(Batch(prior.inputs[j : j + 1])).log_prob(point[None])[0] + weights[j] for j in range(N)]
        for point in z
    ]
    return torch.stack([torch.logsumexp(torch.stack(row), 0) for row in each])


@EACH
@pytest.mark.parametrize("numbers", [1, 30, 1 << 22], ids=["a point at a time", "in pieces", "at once"])
def test_a_vamp_prior_is_the_mixture_of_its_guide(kind, numbers, monkeypatch):
    """Density, distribution and gradients, whatever the pieces."""
    monkeypatch.setattr(priors, "NUMBERS", numbers)
    prior, z = vamp(kind, weighted=True), points(2, 3, 2).requires_grad_()
    known, learned = explicit(prior, z.reshape(-1, 2)).reshape(2, 3), [z, *prior.parameters()]
    log_probs = prior.log_prob(z)
    torch.testing.assert_close(log_probs, known, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(prior().log_prob(z), known, rtol=1e-9, atol=1e-9)
    seen = torch.autograd.grad(log_probs.sum(), learned)
    for a, b in zip(seen, torch.autograd.grad(known.sum(), learned), strict=True):
        assert b.any()
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@EACH
@pytest.mark.sampled(2)
def test_a_vamp_prior_integrates_to_one(kind):
    """On a grid with cells of 0.06; splines have kinks in their slope's slope, hence 1e-4."""
    t = torch.arange(-13, 13, 0.06, dtype=torch.float64)
    with torch.no_grad():
        log_p = vamp(kind).log_prob(torch.cartesian_prod(t, t))
    assert float(log_p.exp().sum() * 0.06**2) == pytest.approx(1.0, abs=1e-4)


def test_far_and_narrow_components_keep_their_digits():
    """In single precision, components of scale 0.001 three away from the centre: expanded squares would be lost."""

    class Narrow(nn.Module):
        def forward(self, x):
            return torch.cat([3.0 * x.sign(), torch.full_like(x, -8.45)], -1)

    guide = Amortized(Given(Narrow(), Gaussian(2)))
    prior = VampPrior(guide, 2, N)
    with torch.no_grad():
        q = guide(Batch(prior.inputs))
        assert q.stddev.max() < 2e-3
        z = q.mean + q.stddev * points(N, 2).float()
        single, known = prior.log_prob(z), prior.double()().log_prob(z.double())
    torch.testing.assert_close(single.double(), known, rtol=1e-4, atol=1e-3)


def test_pseudo_inputs_start_apart_and_stay_in_their_range():
    prior = VampPrior(amortized(D, Gaussian(2)), D, N, low=0.0, high=1.0).double()
    assert (torch.pdist(prior.inputs) > 0.1).all(), "equal pseudo-inputs would stay equal"
    rows = torch.arange(15.0).reshape(3, D)
    prior.start_from(rows)
    assert torch.equal(prior.inputs.detach().float(), rows[torch.tensor([0, 1, 2, 0, 1, 2, 0])])
    clamped = prior.guide(Batch(rows[2:].double().clamp(0, 1))).mean
    torch.testing.assert_close(prior.components.mean[2], clamped[0])


@EACH
def test_samples_follow_the_density(kind):
    """Means and variances of 40,000 samples against the density on a grid; four standard errors."""
    prior = vamp(kind)
    t = torch.arange(-12, 12, 0.08, dtype=torch.float64)
    with torch.no_grad(), drawing_from(stream(0, "samples")):
        grid = torch.cartesian_prod(t, t)
        mass = prior.log_prob(grid).exp() * 0.08**2
        z = prior().sample((40_000,))
    for power in (1, 2):
        stderr = (z**power).std(0) / math.sqrt(40_000)
        expected = (mass[:, None] * grid**power).sum(0)
        assert (((z**power).mean(0) - expected).abs() < 4 * stderr + 1e-3).all()


def test_what_cannot_be_averaged_is_refused():
    one_way = Flowing(amortized(D, Gaussian(2)), Autoregressive(2))
    for guide in (Deterministic(MLP(D, 2)), one_way):
        with pytest.raises(CompositionError, match="SplineCoupling"):
            VampPrior(guide, D)
    with pytest.raises(CompositionError, match="neither can come first"):
        VampPrior(Exact(linear_model()), D)
    with pytest.raises(CompositionError, match="learn=True"):
        VampPrior(amortized(D, Categorical(3)), D)
    with pytest.raises(CompositionError, match=r"cannot read pseudo-inputs of 3 features.*Give dim=D"):
        VampPrior(amortized(D, Gaussian(2)), 3)
    with pytest.raises(CompositionError, match="no flat parameters"):
        vamp("diagonal").params()
    with pytest.raises(CompositionError, match="in part"):
        vamp("diagonal").log_prob(points(3, 2), None, points(3, 2) > 0)


@EACH
def test_prior_and_guide_are_written_down_once(kind):
    prior = vamp(kind)
    model, guide = build(spec_of(model_of(prior), prior.guide))
    assert model.prior.guide is guide
    model.double().load_state_dict(model_of(prior).state_dict())
    with torch.no_grad():
        assert torch.equal(model.prior.log_prob(points(4, 2)), prior.log_prob(points(4, 2)))


X = (points(6, D) > 0).double()


def bound(model: LatentVariableModel, guide: Guide, k: int) -> Draw:
    return Pathwise(k).draw(model, guide, Batch(X), stream(0, "noise"))


@pytest.mark.parametrize("kind", ["diagonal", "full covariance", "flow"])
def test_training_reaches_prior_and_guide(kind):
    prior = vamp(kind, weighted=True)
    model = model_of(prior)
    draw = bound(model, prior.guide, 3)
    torch.testing.assert_close(
        draw.log_weight, draw.likelihood.log_prob(X) + prior().log_prob(draw.z) - draw.guide.log_prob(draw.z.clone())
    )
    for objective in (Elbo(), ImportanceWeighted()):
        gradients = torch.autograd.grad(objective(draw).sum(), list(model.parameters()), retain_graph=True)
        assert all(torch.isfinite(g).all() and g.any() for g in gradients)


def test_evaluators_agree_on_a_vamp_prior():
    """Importance sampling and annealing against a sum over a grid; four Monte Carlo standard errors."""
    from jensen.core.batch import Rows

    prior = vamp("diagonal")
    model = model_of(prior)
    t = torch.arange(-12, 12, 0.05, dtype=torch.float64)
    grid = torch.cartesian_prod(t, t)
    with torch.no_grad():
        joint = model.log_joint(Batch(X), grid[:, None].expand(-1, len(X), -1))
    known = torch.logsumexp(joint, 0) + 2 * math.log(0.05)
    for evaluator in (Importance(4000), Annealed(20, 3, 64), Annealed(20, 3, 64, start="prior")):
        estimate = evaluator(model, prior.guide, Rows(X))
        slack = 4 * float(estimate.variance_mc.mean() / len(X)) ** 0.5 + 2e-3
        assert float(estimate.nats.mean() - known.mean()) == pytest.approx(0.0, abs=slack)
        assert slack < 0.1


def flow_prior(family: Family | None = None) -> FlowPrior:
    with drawing_from(stream(0, "flow prior")):
        flow = Stack([SplineCoupling(2, bins=4, hidden=(6,)), AffineCoupling(2, hidden=(6,), flip=True)])
    return FlowPrior(Unconditional(family or Gaussian(2), learn=True), scrambled(flow, "flow prior")).double()


@pytest.mark.parametrize("family", [Gaussian(2), FullGaussian(2), Mixture(Gaussian(2), 3)], ids=lambda f: f.phrase)
def test_a_flow_prior_is_a_change_of_variables(family):
    prior, z = flow_prior(family), points(4, 2)
    assert torch.isfinite(prior.log_prob(z)).all()
    torch.testing.assert_close(prior().log_prob(z), prior.log_prob(z), rtol=1e-9, atol=1e-9)
    for point, log_prob in zip(z, prior.log_prob(z), strict=True):
        u, _ = prior.flow.inverse(point)
        jacobian = torch.autograd.functional.jacobian(lambda v: prior.flow(v)[0], u)
        expected = prior.base.log_prob(u) - torch.linalg.slogdet(jacobian)[1]
        torch.testing.assert_close(log_prob, expected, rtol=1e-9, atol=1e-9)


def test_a_flow_prior_trains_simulates_and_is_rebuilt():
    prior, guide = flow_prior(), flowing()
    model = model_of(prior)
    draw = bound(model, guide, 2)
    gradients = torch.autograd.grad(ImportanceWeighted()(draw).sum(), list(model.parameters()))
    assert all(torch.isfinite(g).all() for g in gradients)
    z, batch = model.simulate(11, stream(0, "simulate"))
    assert (z.shape, batch.x.shape) == ((11, 2), (11, D))
    again = build(spec_of(model))[0].double()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.prior.log_prob(z), prior.log_prob(z))
    assert again.prior.phrase == prior.phrase


def test_a_flow_prior_refuses_what_it_cannot_score():
    base = Unconditional(Gaussian(2))
    with pytest.raises(CompositionError, match="coupling flow"):
        FlowPrior(base, Autoregressive(2))
    with pytest.raises(CompositionError, match="no context"):
        FlowPrior(base, AffineCoupling(2, 3))
    with pytest.raises(CompositionError, match="number of features"):
        FlowPrior(base, AffineCoupling(3))
    with pytest.raises(CompositionError, match="no flat parameters"):
        flow_prior().params()
    with pytest.raises(CompositionError, match="in part"):
        flow_prior().log_prob(points(3, 2), None, points(3, 2) > 0)
