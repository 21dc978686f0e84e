"""Flows against autograd, their inverses and grids; and the laws and guides made of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal

from jensen.analysis.calibration import calibrate
from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, NotInvertible, UsageError
from jensen.core.parts import build, spec_of
from jensen.core.random import drawing_from, stream
from jensen.distributions import Flowed
from jensen.estimators.reparameterized import Pathwise
from jensen.evaluate import TightnessSettings, assess
from jensen.evaluate.annealed import Annealed
from jensen.evaluate.importance import Importance
from jensen.families import Categorical, Gaussian
from jensen.flows import AffineCoupling, Autoregressive, Flow, Planar, SplineCoupling, Stack
from jensen.guides import Amortized, Deterministic, Exact, Flowing
from jensen.models.conditionals import Given, Unconditional
from jensen.models.draw import weigh
from jensen.models.guide import Guide
from jensen.nets import MLP
from tests.identities.models import amortized, linear_model, scrambled

Z, H = 3, 2


def flows(dim: int = Z, context: int = H, size: float = 0.5) -> list[Flow]:
    """Each kind, with weights that are far from zero."""
    with drawing_from(stream(0, "flows")):
        made = [
            AffineCoupling(dim, context, (7,)),
            AffineCoupling(dim, context, (7,), flip=True),
            Autoregressive(dim, context, (7, 8)),
            Autoregressive(dim, context, (7,), flip=True),
            Planar(dim, context),
            SplineCoupling(dim, context, 4, 3.0, (7,)),
            Stack([SplineCoupling(dim, context, 4, 3.0, (7,)), AffineCoupling(dim, context, (7,), flip=True)]),
            Stack([Autoregressive(dim, context, (7,)), Planar(dim), Autoregressive(dim, context, (7,), flip=True)]),
        ]
    return [scrambled(flow, f"flow {i}", size) for i, flow in enumerate(made)]


def points(*shape: int, name: str = "u") -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=stream(0, name))


EACH = pytest.mark.parametrize("flow", flows(), ids=lambda f: f.phrase)
INVERTIBLE = pytest.mark.parametrize("flow", [f for f in flows() if f.invertible], ids=lambda f: f.phrase)


@EACH
def test_the_log_determinant_is_autograds(flow):
    u, h = 2 * points(6, Z), points(6, H, name="h")
    z, log_det = flow(u, h)
    assert (z - u).abs().max() > 0.1, "the flow under test does nothing"
    for i in range(6):
        jacobian = torch.autograd.functional.jacobian(lambda v, i=i: flow(v, h[i])[0], u[i])
        torch.testing.assert_close(log_det[i], torch.linalg.slogdet(jacobian)[1], rtol=1e-9, atol=1e-9)


@INVERTIBLE
def test_the_inverse_undoes_the_map(flow):
    """Also outside a spline's interval and on its edges, and with the negative log-determinant."""
    u, h = 3 * points(200, Z), points(200, H, name="h")
    u[0], u[1] = 3.0, -3.0
    z, log_det = flow(u, h)
    back, inverse_log_det = flow.inverse(z, h)
    torch.testing.assert_close(back, u, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(inverse_log_det, -log_det, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("flow", flows(size=0.0), ids=lambda f: f.phrase)
def test_an_untrained_flow_is_the_identity(flow):
    u = 2 * points(50, Z)
    z, log_det = flow(u, points(50, H, name="h"))
    torch.testing.assert_close(z, u, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(log_det, torch.zeros_like(log_det), rtol=0, atol=1e-12)


@EACH
def test_leading_shapes_broadcast(flow):
    u, h = points(4, 5, Z), points(5, H, name="h")
    z, log_det = flow(u, h)
    assert (z.shape, log_det.shape) == ((4, 5, Z), (4, 5))
    torch.testing.assert_close(z[2, 3], flow(u[2, 3], h[3])[0])
    wide, _ = flow(u[0, :1], h)  # one point under five contexts
    torch.testing.assert_close(wide[4], flow(u[0, 0], h[4])[0])
    if flow.invertible:
        torch.testing.assert_close(flow.inverse(z[:, None], h)[0][2, 0, 3], u[2, 3])


def test_an_autoregressive_flow_looks_back_only():
    flow = scrambled(Autoregressive(4, 0, (9, 9)), "order", 1.0)
    jacobian = torch.autograd.functional.jacobian(lambda u: flow(u)[0], points(4))
    assert (jacobian.triu(1) == 0).all()
    net = torch.autograd.functional.jacobian(flow.net, points(4))  # [2, 4, 4]: shift and scale
    assert (net.triu(0) == 0).all(), "a feature's own shift and scale do not depend on it"
    assert (jacobian.tril(-1).abs() > 1e-6).sum() == 6, "each feature depends on all those before it"


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", [1e4, 1e15, 1e37])
def test_no_finite_input_makes_a_nan(flow, dtype, size):
    flow = build(spec_of(flow))[0].to(dtype)
    with torch.no_grad():
        for p in flow.parameters():
            p.copy_(torch.where(torch.rand(p.shape, generator=stream(0, "sign")) < 0.5, -3.0, 3.0))
    signs = torch.sign(points(30, Z)).to(dtype)
    h = points(30, H, name="h").to(dtype) * size
    for u in (signs * size, signs, signs * torch.tensor([size, 1.0, 0.0], dtype=dtype)):
        u = u.requires_grad_()
        z, log_det = flow(u, h)
        assert not z.isnan().any()
        assert torch.isfinite(log_det).all()
        gradients = torch.autograd.grad(
            z.clamp(-1, 1).sum() + log_det.sum(), [u, *flow.parameters()], allow_unused=True
        )
        assert not any(g.isnan().any() for g in gradients if g is not None)
        if flow.invertible:
            back, log_det = flow.inverse(u, h)
            assert not back.isnan().any()
            assert torch.isfinite(log_det).all()


@EACH
def test_a_flow_is_rebuilt_from_its_specification(flow):
    again = build(spec_of(flow))[0].double()
    again.load_state_dict(flow.state_dict())
    u, h = points(3, Z), points(3, H, name="h")
    assert torch.equal(again(u, h)[0], flow(u, h)[0])
    assert again.phrase == flow.phrase


@pytest.mark.parametrize("flow", [f for f in flows(2, 0, 0.4) if f.invertible], ids=lambda f: f.phrase)
def test_a_flowed_law_integrates_to_one(flow):
    """On a grid with cells of 0.025; the spline's second derivative jumps at its knots, hence 1e-4."""
    t = torch.arange(-10, 10, 0.025, dtype=torch.float64)
    base = Independent(Normal(torch.zeros(2).double(), torch.full((2,), 0.8).double()), 1)
    with torch.no_grad():
        log_p = Flowed(base, flow, flow.inverse).log_prob(torch.cartesian_prod(t, t))
    assert float(log_p.exp().sum() * 0.025**2) == pytest.approx(1.0, abs=1e-4)


@INVERTIBLE
def test_the_kept_density_is_that_of_the_inverse(flow):
    h = points(5, H, name="h")
    base = Independent(Normal(points(5, Z), torch.ones(5, Z).double()), 1)
    q = Flowed(base, lambda u: flow(u, h), lambda z: flow.inverse(z, h))
    z = q.rsample((4,))
    torch.testing.assert_close(q.log_prob(z), q.log_prob(z.clone()), rtol=1e-9, atol=1e-9)
    assert q.log_prob(z).shape == (4, 5)


def test_moments_are_close_to_the_samples():
    """20,000 samples; the fixed points' own error is below 0.02 here."""
    flow = flows(2, 0, 0.3)[0]
    base = MultivariateNormal(torch.ones(2).double(), torch.tensor([[1.0, 0.6], [0.6, 1.0]]).double())
    q = Flowed(base, flow, flow.inverse)
    with drawing_from(stream(0, "moments")):
        z = q.sample((20_000,))
    stderr = z.std(0) / math.sqrt(20_000)
    assert ((q.mean - z.mean(0)).abs() < 4 * stderr + 0.02).all()
    assert ((q.variance / z.var(0) - 1).abs() < 0.08).all()


def guide_of(flow: Flow, dim: int = 5) -> Guide:
    with drawing_from(stream(0, "guide of a flow")):
        return Flowing(Amortized(Given(MLP(dim, 2 * Z, (4,)), Gaussian(Z))), flow, MLP(dim, H, (4,))).double()


X = points(4, 5, name="x")


@EACH
def test_a_flow_guide_scores_its_own_draw(flow):
    """log q by the change of variables, one datum at a time, from the base's own density and autograd's Jacobian."""
    guide, model = guide_of(flow), linear_model(Z)
    draw = Pathwise(3).draw(model, guide, Batch(X), stream(0, "noise"))
    base, h = guide.guide(Batch(X)), guide.context(X)
    with drawing_from(stream(0, "noise")):
        u = base.rsample((3,))
    for k, b in ((0, 0), (2, 3)):
        jacobian = torch.autograd.functional.jacobian(lambda v, b=b: flow(v, h[b])[0], u[k, b])
        expected = base.log_prob(u)[k, b] - torch.linalg.slogdet(jacobian)[1]
        torch.testing.assert_close(draw.log_guide[k, b, 0], expected, rtol=1e-9, atol=1e-9)
    gradients = torch.autograd.grad(draw.log_evidence.sum(), list(guide.parameters()), allow_unused=True)
    assert all(g is not None and torch.isfinite(g).all() for g in gradients)


def test_a_flow_without_inverse_refuses_foreign_points():
    guide, model = guide_of(flows()[2]), linear_model(Z)
    assert not guide.scores_any_point
    q = guide(Batch(X))
    z = q.rsample((2,))
    with pytest.raises(NotInvertible, match="--start prior"):
        weigh(model, q, z + 1, Batch(X)).log_weight  # noqa: B018
    with pytest.raises(NotInvertible, match="--start prior"):
        Annealed(2, 1, 1).check(model, guide)
    Annealed(2, 1, 1, start="prior").check(model, guide)
    assert guide_of(flows()[0]).scores_any_point
    Annealed(2, 1, 1).check(model, guide_of(flows()[0]))


def test_what_does_not_go_together_is_refused():
    model = linear_model(Z)
    gaussian = amortized(5, Gaussian(Z))
    for guide in (Exact(model), Deterministic(MLP(5, Z))):
        with pytest.raises(CompositionError, match="with a density that is not exact"):
            Flowing(guide, AffineCoupling(Z))
    with pytest.raises(CompositionError, match="or neither"):
        Flowing(gaussian, AffineCoupling(Z, H))
    with pytest.raises(CompositionError, match="or neither"):
        AffineCoupling(Z, H)(torch.zeros(2, Z))
    with pytest.raises(CompositionError, match="as many features"):
        Flowing(gaussian, AffineCoupling(2))(Batch(X))
    with pytest.raises(CompositionError, match="as many features"):
        Flowing(amortized(5, Categorical(Z)), AffineCoupling(Z))(Batch(X))
    with pytest.raises(CompositionError, match="--recipe iaf"):
        AffineCoupling(1)
    with pytest.raises(CompositionError, match="one size"):
        Stack([AffineCoupling(2), AffineCoupling(3)])
    with pytest.raises(CompositionError, match="one size"):
        Stack([])
    with pytest.raises(UsageError, match="positive bound"):
        SplineCoupling(2, bound=0.0)


def test_a_guide_of_flows_is_described():
    assert (
        "then 2 x affine coupling with MLP"
        in guide_of(Stack([AffineCoupling(Z, H), AffineCoupling(Z, H, flip=True)])).phrase
    )
    assert Unconditional(Gaussian(2)).phrase


def test_a_plain_evaluation_anneals_from_the_prior_where_it_must():
    """Its annealing never asks a one-way flow for a foreign point, and a calibration is refused at once."""
    guide, model = guide_of(flows()[2]), linear_model(Z)
    estimate = Importance(20)(model, guide, Rows(X))
    settings = TightnessSettings(rows=4, temperatures=4, leapfrog_steps=1, chains=2, simulated=2, refine=0)
    fine = assess(model, guide, Rows(X), estimate, settings).annealed
    assert fine.settings is not None
    assert fine.settings["start"] == "prior"
    with pytest.raises(NotInvertible, match="SplineCoupling"):
        calibrate(model, guide, n=200, l=19)
