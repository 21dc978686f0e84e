"""Adaptive quadrature against fine grids, closed forms and annealing: any guide, narrow posteriors, several modes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from benchmarks import pictures
from jensen.core.batch import Batch, Rows
from jensen.core.errors import CompositionError, UsageError
from jensen.core.random import drawing_from, stream
from jensen.evaluate import Annealed, Exact, Importance, Kind, Quadrature, Unnormalised, choose, quadrature
from jensen.families import Bernoulli, Categorical, Gaussian, Mixture
from jensen.guides import Amortized, Deterministic, Shared
from jensen.guides import Exact as ExactGuide
from jensen.models.conditionals import Given, Unconditional
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from tests.identities.models import (
    amortized,
    close,
    curved_model,
    linear_model,
    normal_guide,
    rows,
    scrambled,
    simulated,
)
from tests.models.test_ladder import made as ladder


def brute(model: LatentVariableModel, batch: Batch, n: int, reach: float = 9.0) -> torch.Tensor:
    """log p(x) [B] by the trapezoidal rule on a fine grid over the prior."""
    line = torch.linspace(-reach, reach, n, dtype=torch.float64)
    z = line[:, None] if model.latent == 1 else torch.cartesian_prod(line, line)
    with torch.no_grad():
        log_f = torch.cat(
            [model.log_joint(batch, some[:, None].expand(-1, len(batch), -1)) for some in z.split(20_000)]
        )
    return torch.logsumexp(log_f, 0) + model.latent * math.log(float(line[1] - line[0]))


def curved(latent: int, dim: int = 6, binary: bool = False) -> LatentVariableModel:
    """A small nonlinear decoder."""
    family = Bernoulli(dim) if binary else Gaussian(dim, "shared")
    with drawing_from(stream(0, f"curved {latent}")):
        net = MLP(latent, dim, (8,), "tanh")
        model = LatentVariableModel(Unconditional(Gaussian(latent)), Given(net, family))
    return scrambled(model, f"curved {latent}", 0.8)


def guides(latent: int, dim: int) -> dict[str, Guide]:
    zero, one = torch.zeros(latent).double(), torch.ones(latent).double()
    with drawing_from(stream(0, "guides")):
        point = Deterministic(nn.Linear(dim, latent).double())
        mixture = Amortized(Given(nn.Linear(dim, 2 * (1 + 2 * latent)), Mixture(Gaussian(latent), 2))).double()
    return {
        "a network": amortized(dim, Gaussian(latent)),
        "far away": normal_guide(zero + 5, one),
        "much too wide": normal_guide(zero, 30 * one),
        "much too narrow": normal_guide(zero, 0.01 * one),
        "narrow and far away": normal_guide(zero - 4, 0.01 * one),
        "a mixture": mixture,
        "a point": point,
    }


@pytest.mark.parametrize("latent", [1, 2])
@pytest.mark.parametrize("name", guides(1, 6))
@pytest.mark.sampled(5)
def test_whatever_the_guide_it_is_the_integral(latent, name):
    model = curved(latent)
    batch = simulated(model, 9)
    found = Quadrature()(model, guides(latent, 6)[name], rows(batch))
    close(found.nats, brute(model, batch, 20_001 if latent == 1 else 251), 1e-6)
    assert (found.kind, found.k, found.stderr_mc, found.reliable) == (Kind.QUADRATURE, None, 0.0, None)
    assert found.error < 1e-6
    assert str(found).startswith("log p(x) = ")


@pytest.mark.parametrize("latent", [1, 2])
@pytest.mark.parametrize("off", [0.0, 5.0, 50.0])
def test_narrow_posteriors(latent, off):
    """Standard deviations of about 0.01, and a guide off by that many of them."""
    model = linear_model(latent, 4)
    lik = model.likelihood
    lik.assign(lik.W, lik.b, torch.tensor([2e-4]).double())
    batch = simulated(model, 8)
    q = ExactGuide(model)(batch)
    sd = q.variance.sqrt().detach()
    assert float(sd.max()) < 0.02
    found = Quadrature()(model, normal_guide((q.mean + off * sd).detach(), sd), rows(batch))
    close(found.nats, Exact()(model, ExactGuide(model), rows(batch)).nats, 1e-7)
    assert found.error < 1e-6


class Square(nn.Module):
    """Both roots of x explain it."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z.square()


def two_roots(latent: int, sd: float) -> tuple[LatentVariableModel, Rows, torch.Tensor]:
    model = LatentVariableModel(Unconditional(Gaussian(latent)), Given(Square(), Gaussian(latent, sd))).double()
    x = torch.tensor([[1.0], [2.0], [0.3], [0.0]], dtype=torch.float64)
    line = LatentVariableModel(Unconditional(Gaussian(1)), Given(Square(), Gaussian(1, sd))).double()
    return model, Rows(x.expand(-1, latent).contiguous()), latent * brute(line, Batch(x), 200_001)


@pytest.mark.parametrize(("latent", "sd"), [(1, 0.5), (1, 0.1), (1, 0.02), (2, 0.5), (2, 0.2)])
@pytest.mark.parametrize("where", [0.0, 1.0], ids=["between", "at one of them"])
@pytest.mark.sampled(4)
def test_several_modes(latent, sd, where):
    """Two modes, or four, of which the guide knows one or none; what is left to be desired is told."""
    model, data, truth = two_roots(latent, sd)
    one = torch.ones(latent, dtype=torch.float64)
    found = Quadrature()(model, normal_guide(where * one, (1.0 if where == 0 else 0.1) * one), data)
    off = float((found.nats - truth).abs().max())
    assert off <= max(found.error, 1e-6)
    assert off < 1e-3


def test_too_few_points_say_so():
    """Four narrow modes that few cells cannot resolve: the error is told, not hidden, and the rows are counted."""
    model, data, truth = two_roots(2, 0.02)
    one = torch.ones(2, dtype=torch.float64)
    found = Quadrature(most=1600)(model, normal_guide(0 * one, one), data)
    assert found.error > 1e-3
    assert 0 < found.settings["unsettled"] <= 4
    assert 1e-8 < float((found.nats - truth).abs().max()) <= found.error


def test_a_tolerance_is_kept_and_costs_points():
    model = curved(2)
    batch = simulated(model, 9)
    truth = brute(model, batch, 401)
    rough, fine = (Quadrature(t, 1 << 16)(model, amortized(6, Gaussian(2)), rows(batch)) for t in (1e-2, 1e-7))
    assert rough.error <= 1e-2
    assert fine.error <= 1e-7
    assert rough.settings["points"] <= fine.settings["points"]
    close(fine.nats, truth, 1e-7)


def test_a_single_precision_model_is_integrated_to_its_own_precision():
    model = curved(2)
    batch = simulated(model, 9)
    truth = brute(model, batch, 401)
    found = Quadrature()(model.float(), amortized(6, Gaussian(2)).float(), Rows(batch.x.float()))
    close(found.nats, truth, 1e-5)
    assert found.error < 1e-4


def test_a_binary_likelihood_sums_to_one():
    """Over all 64 x, p(x) adds up to 1."""
    model = curved(2, binary=True)
    x = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 6)
    found = Quadrature()(model, guides(2, 6)["a network"], Rows(x))
    close(found.nats.exp().sum(), 1.0, 1e-6)


@pytest.mark.slow
def test_annealing_and_importance_agree_on_a_nonlinear_model():
    """Two latent features under a wrong guide: both bounds within their errors, and on average not above."""
    model, guide = curved(2, binary=True), amortized(6, Gaussian(2))
    data = rows(simulated(model, 30))
    truth = Quadrature()(model, guide, data)
    off = []
    for seed in range(4):
        found = Annealed(temperatures=25, leapfrog_steps=4)(model, guide, data, seed)
        off.append(found.mean - truth.mean)
        assert abs(off[-1]) < 0.02 + 4 * found.stderr_mc
    off = torch.tensor(off)
    assert float(off.mean()) < 3 * float(off.std()) / 2
    bound = Importance(5000)(model, guide, data)
    assert abs(bound.mean - truth.mean) < 0.01 + 4 * bound.stderr_mc
    assert float(truth.elbo.mean()) < truth.mean - 0.05


def test_the_elbo_beside_it_is_the_guides():
    model, guide = curved(2), amortized(6, Gaussian(2))
    data = rows(simulated(model, 9))
    found, many = Quadrature()(model, guide, data), Importance(20_000)(model, guide, data)
    close(found.rate, many.rate)
    close(found.elbo, many.elbo, 0.02)
    point = Quadrature()(model, guides(2, 6)["a point"], data)
    assert (point.rate, point.elbo) == (None, None)
    assert torch.isfinite(point.distortion).all()


def test_masks_are_respected():
    """Without its last three features, a datum has the evidence of a model without them."""
    model = curved(2)
    batch = simulated(model, 5)
    mask = torch.arange(6).expand(5, -1) < 3
    found = Quadrature()(model, normal_guide(*[torch.ones(2).double()] * 2), Rows(batch.x, mask=mask))
    close(found.nats, brute(model, Batch(batch.x, mask), 401), 1e-6)
    assert float((found.nats - brute(model, batch, 401)).abs().min()) > 0.1


def test_an_impossible_datum_has_no_evidence():
    model = curved(1)
    x = torch.zeros(3, 6, dtype=torch.float64)
    x[1, 0] = 1e200
    found = Quadrature()(model, normal_guide(torch.zeros(1).double(), torch.ones(1).double()), Rows(x))
    assert found.nats[1] == -torch.inf
    assert torch.isfinite(found.nats[[0, 2]]).all()
    assert math.isfinite(found.error)


def test_it_is_chosen_where_it_can_be():
    one, guide = curved_model(), amortized(3, Gaussian(1))
    assert choose(one, guide) == choose(one, guide, "quadrature") == Quadrature()
    assert choose(one, guide, "auto", 50) == Importance(50)
    assert choose(one, guides(1, 3)["a point"]) == Unnormalised()
    assert choose(one, guides(1, 3)["a point"], "quadrature") == Quadrature()
    assert choose(one, guide, "annealed") == Annealed()
    assert choose(curved(3), amortized(6, Gaussian(3))) == Importance(5000)
    assert choose(linear_model(2, 4), amortized(4, Gaussian(2))) == Exact()


def test_remedies():
    data = Rows(torch.zeros(2, 6, dtype=torch.float64))
    with pytest.raises(CompositionError, match="this latent has 3"):
        Quadrature()(curved(3), amortized(6, Gaussian(3)), data)
    finite = LatentVariableModel(Unconditional(Categorical(2)), Unconditional(Gaussian(6)))
    with pytest.raises(CompositionError, match="this latent is discrete"):
        Quadrature()(finite, Shared(Unconditional(Categorical(2))), data)
    tower, guide = ladder()
    with pytest.raises(CompositionError, match="this latent is a ladder of 2 levels, whose prior has no mean"):
        Quadrature()(tower, guide, data)
    with pytest.raises(CompositionError, match="this latent has none"):
        Quadrature().check(LatentVariableModel(Unconditional(Gaussian(0)), Unconditional(Gaussian(6))))
    with pytest.raises(UsageError, match="tolerance"):
        Quadrature(0.0)
    with pytest.raises(UsageError, match="at least 1600"):
        Quadrature(most=100)


@pytest.mark.parametrize("name", ["a network", "a mixture"])
@pytest.mark.sampled(1)
def test_few_numbers_are_in_memory_at_once(monkeypatch, name):
    """A wide layer sees few points at once, those that tell the ELBO too; what is told stays the same."""
    with drawing_from(stream(0, "wide")):
        net = MLP(1, 6, (500,), "tanh")
    model = LatentVariableModel(Unconditional(Gaussian(1)), Given(net, Gaussian(6, "shared"))).double()
    guide, data, seen = guides(1, 6)[name], rows(simulated(model, 9)), []
    whole = Quadrature()(model, guide, data)
    net.layers[0].register_forward_hook(lambda m, given, out: seen.append(out.numel()))
    monkeypatch.setattr(quadrature, "NUMBERS", 64 * 500)
    found = Quadrature()(model, guide, data)
    assert max(seen) <= 64 * 500
    close(found.nats, whole.nats, 1e-9)
    close(found.elbo, whole.elbo, 1e-9 if name == "a network" else 0.3)


# ---------------------------------------------------------------- posteriors with known evidence

GUIDES = ("over-sure", "biased", "wide")
UNDERSTATED = ("outlier, 20 scales away", "step", "Student prior, 3 degrees", "mode of width 0.004")
SMOOTH = (
    "two roots, sd 0.001",
    "sine, 170 modes",
    "Poisson count 0",
    "Student against Student",
    "log-normal prior",
    "narrow part of the prior",
    "ring of width 0.1",
    "banana of width 0.1",
    "four roots",
    "funnel",
    "spot of width 0.05",
    "correlation 0.9998",
    "Student prior, two features",
)
ROUGH = ("staircase", "window", "cusp", "uniform prior", "step along an axis", "Laplace prior, two features")


@pytest.fixture(scope="session")
def zoo():
    """The posteriors of the benchmark."""
    from benchmarks import quadrature_zoo

    return quadrature_zoo


@pytest.fixture(scope="session")
def cases(zoo):
    return {case.name: case for case in zoo.ZOO}


@pytest.mark.parametrize(
    ("name", "guide"),
    [
        pytest.param(name, guide, marks=[] if i % 3 == j else [pytest.mark.slow])
        for i, name in enumerate(UNDERSTATED)
        for j, guide in enumerate(GUIDES)
    ],
)
def test_the_error_was_once_understated(name, guide, zoo, cases):
    """A row far from its guide, a step, a heavy tail, a narrow mode: off by up to 2e4 nats with errors below 1e-6."""
    outcome, _ = zoo.measure(cases[name], guide)
    assert outcome.covered
    assert outcome.converged
    assert outcome.actual < 1e-6


@pytest.mark.parametrize(("name", "guide"), [(n, GUIDES[i % 3]) for i, n in enumerate(SMOOTH + ROUGH)])
@pytest.mark.sampled(6)
def test_the_stated_error_covers_the_actual_one(name, guide, zoo, cases):
    """Evidence in closed form or by scipy: several modes, heavy tails, ridges and discontinuities."""
    outcome, _ = zoo.measure(cases[name], guide)
    assert outcome.covered
    assert outcome.converged
    assert outcome.actual < 1e-6
    assert outcome.stated < 4e-6


@pytest.mark.parametrize("name", ["disc", "slanted step"])
def test_what_has_not_converged_says_so(name, zoo, cases):
    """A discontinuity across both features: covered, and counted as unsettled."""
    outcome, estimate = zoo.measure(cases[name], "over-sure")
    assert outcome.covered
    assert outcome.stated > 1e-4
    assert estimate.settings["unsettled"] == 1


def test_a_thin_ridge_is_settled_or_says_that_it_is_not(zoo, cases):
    """It depends on the last bits whether the points suffice."""
    outcome, estimate = zoo.measure(cases["ring of width 0.03"], "over-sure")
    assert outcome.covered
    assert estimate.settings["unsettled"] == int(not outcome.converged)
    assert outcome.actual < 1e-6 if outcome.converged else outcome.stated > 1e-4


def test_the_limit_that_the_page_states(zoo):
    """A mode far narrower than the prior's grid is missed."""
    assert [zoo.measure(case, "biased")[0].covered for case in zoo.LIMITS] == [False, False]


def test_fifty_posteriors_stand_on_the_page(zoo, cases):
    page = (pictures.DOCS / "quadrature.md").read_text(encoding="utf-8")
    assert len(cases) == len(zoo.ZOO) == 50
    assert zoo.GUIDES == GUIDES
    assert "in 150 of 150 cases" in page
    assert [name for name in cases if page.count(f"\n| {name} | ") != 3] == []
    plain = [line for line in zoo.PAGE.strip().splitlines() if "{" not in line]
    assert [line for line in plain if line not in page] == []


def test_rows_of_a_batch_do_not_depend_on_each_other():
    """An easy row beside a hard one: the same integrals as alone, within their errors."""
    model, data, truth = two_roots(2, 0.1)
    q = normal_guide(torch.zeros(2).double(), torch.ones(2).double())
    together = Quadrature()(model, q, data)
    close(together.nats, truth, 1e-5)
    for i, row in enumerate(data.stored):
        alone = Quadrature()(model, q, Rows(row[None])).nats
        assert abs(float(alone[0] - together.nats[i])) < 1e-6


def test_the_prior_ends_where_its_support_does(zoo, cases):
    """Families score values outside of their support as if they were inside; they count as impossible."""
    outcome, _ = zoo.measure(cases["uniform prior, two features"], "wide")
    assert outcome.actual < 1e-6
