"""Ladders: one way down for prior, guide and likelihood, held to the generic path and to exact integrals."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError
from jensen.core.parts import build, spec_of
from jensen.core.random import stream
from jensen.estimators.reparameterized import Pathwise
from jensen.families import Bernoulli, Gaussian
from jensen.models.draw import place, weigh
from jensen.models.ladder import FromLadder, Ladder, LadderDistribution, LadderGuide, LadderPrior, Rung
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import Elbo, ImportanceWeighted, Rate

D, H = 6, 5


def made(sizes=(1, 1), family=None, seed=0):
    torch.manual_seed(seed)
    rungs = [Rung(d, MLP(H, 2 * d, (8,)), MLP(H + d, H, (8,))) for d in sizes]
    ladder = Ladder(H, rungs)
    up = [MLP(D if i == 0 else 4, 4, (8,)) for i in range(len(sizes))]
    guide = LadderGuide(ladder, up, [MLP(H + 4, 2 * d, (8,)) for d in sizes])
    model = LatentVariableModel(LadderPrior(ladder), FromLadder(ladder, MLP(H, D, (8,)), family or Bernoulli(D)))
    with torch.no_grad():
        ladder.start.normal_()
    return model.double(), guide.double()


def data(n=3):
    return Batch((torch.rand(n, D, generator=torch.Generator().manual_seed(1)) < 0.5).double())


def grid(n=401, far=9.0):
    t = torch.linspace(-far, far, n, dtype=torch.float64)
    return torch.cartesian_prod(t, t), (2 * far / (n - 1)) ** 2


def test_prior_and_guide_are_densities():
    """On a grid over both features: the trapezoid rule is exact to rounding for smooth functions that
    vanish outside."""
    model, guide = made()
    z, cell = grid()
    with torch.no_grad():
        assert float(model.prior.log_prob(z).exp().sum() * cell) == pytest.approx(1.0, abs=1e-8)
        q = guide(data())
        total = q.log_prob(z[:, None].expand(-1, 3, -1)).exp().sum(0) * cell
        torch.testing.assert_close(total, torch.ones(3, dtype=torch.float64), atol=1e-8, rtol=0)


def test_the_importance_weighted_bound_reaches_the_integral():
    """log p(x) by the grid; the bound with 20,000 points is below it by some variance / 2K < 1e-3, and its own standard
    error (delta method) is printed in the comparison: four of them."""
    model, guide = made()
    batch, (z, cell) = data(), grid()
    with torch.no_grad():
        log_joint = model.log_joint(batch, z[:, None].expand(-1, 3, -1))
        exact = torch.logsumexp(log_joint, 0) + math.log(cell)
        draw = Pathwise(20_000).draw(model, guide, batch, stream(0, "test", "cpu"))
        share = torch.softmax(draw.log_weight, 0)
        error = (share.square().sum(0) - 1 / 20_000).sqrt()
        assert bool(((draw.log_evidence - exact).abs() < 4 * error + 1e-3).all())


def test_one_walk_is_the_generic_path():
    """Densities, state and gradients of a draw that remembers its walk equal those found from its points alone."""
    model, guide = made((2, 3, 1), seed=2)
    batch, results = data(), {}
    parameters = [*model.parameters(), *guide.parameters()]
    for name in ("walk", "generic"):
        q = guide(batch)
        z, noise = place(q, 4, stream(3, "test", "cpu"))
        if name == "generic":
            draw = weigh(model, q, z + 0.0, batch, noise=noise)
            assert draw.walk is not None  # of a second way down
            value = model.likelihood.log_prob(batch.x, z) + model.prior.log_prob(z) - guide(batch).log_prob(z + 0.0)
            torch.testing.assert_close(draw.log_weight, value, atol=1e-12, rtol=0)
        else:
            draw = weigh(model, q, z, batch, noise=noise)
            assert draw.walk is q.last
        loss = ImportanceWeighted()(draw).sum()
        results[name] = (draw.log_weight.detach(), torch.autograd.grad(loss, parameters, allow_unused=True))
    torch.testing.assert_close(results["walk"][0], results["generic"][0], atol=1e-12, rtol=0)
    for a, b in zip(results["walk"][1], results["generic"][1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=1e-10)


def test_groups_add_up():
    model, guide = made((2, 3), seed=4)
    draw = Pathwise(5).draw(model, guide, data(), stream(0, "test", "cpu"))
    assert draw.log_prior.shape == draw.log_guide.shape == (5, 3, 2)
    torch.testing.assert_close(draw.log_prior.sum(-1), model.prior.log_prob(draw.z))
    torch.testing.assert_close(draw.log_guide.sum(-1), draw.guide.log_prob(draw.z + 0.0))


def test_the_rate_by_rungs_is_the_rate_by_points():
    """Means over 50,000 points; the difference of the two has the standard error of their difference."""
    model, guide = made((1, 2), seed=5)
    draw = Pathwise(50_000).draw(model, guide, data(), stream(0, "test", "cpu"))
    sampled = (draw.log_guide - draw.log_prior).sum(-1)
    rungs = draw.walk.rate.sum(-1)
    error = (sampled - rungs).std(0) / math.sqrt(50_000)
    assert bool(((sampled.mean(0) - rungs.mean(0)).abs() < 4 * error).all())
    torch.testing.assert_close(Rate()(draw), rungs.mean(0))
    assert bool((rungs >= 0).all())


def test_a_guide_with_nothing_to_say_is_the_prior():
    model, guide = made((2, 2))
    for head in guide.heads:
        for p in head.parameters():
            p.data.zero_()
    draw = Pathwise(3).draw(model, guide, data(), stream(0, "test", "cpu"))
    assert float(Rate()(draw).detach().abs().max()) == 0.0
    torch.testing.assert_close(Elbo()(draw), draw.log_lik.mean(0))


def test_a_single_rung_without_steps_is_an_amortised_gaussian():
    """One group: the prior is a Gaussian whatever the walk, and the closed-form rate is torch's."""
    model, guide = made((3,), seed=6)
    draw = Pathwise(2).draw(model, guide, data(), stream(0, "test", "cpu"))
    h = model.prior.ladder.start
    prior = Gaussian(3)(model.prior.ladder.rungs[0].prior(h))
    features = guide.up[0](data().x)
    q = Gaussian(3)(model.prior.ladder.rungs[0].prior(h) + guide.heads[0](torch.cat([h.expand(3, -1), features], -1)))
    torch.testing.assert_close(draw.rate, torch.distributions.kl_divergence(q, prior.expand((3,))))


def test_sampling_scoring_and_codes_agree_in_shape():
    model, guide = made((2, 3))
    z, batch = model.simulate(7, stream(0, "test", "cpu"))
    assert z.shape == (7, 5)
    assert batch.x.shape == (7, D)
    q = guide(data())
    assert isinstance(q, LadderDistribution)
    assert q.mean.shape == q.scale.shape == (3, 5)
    assert bool((q.scale > 0).all())
    assert q.expand((3,)).sample((2,)).shape == (2, 3, 5)


def test_it_is_written_down_and_rebuilt():
    model, guide = made((2, 3))
    again, other = build(spec_of(model, guide))
    again.double().load_state_dict(model.state_dict())
    other.double().load_state_dict(guide.state_dict())
    assert other.ladder is again.prior.ladder is again.likelihood.ladder
    batch = data()
    torch.testing.assert_close(other(batch).mean, guide(batch).mean)


def test_extreme_points_and_data_give_no_nan():
    model, guide = made((2, 2))
    z = torch.tensor([[1e6, -1e6, 1e12, -1e12]], dtype=torch.float64)
    assert not bool(torch.isnan(model.prior.log_prob(z)).any())
    assert not bool(torch.isnan(guide(Batch(torch.full((1, D), 1e8, dtype=torch.float64))).log_prob(z)).any())


def test_what_cannot_work_is_refused():
    with pytest.raises(CompositionError, match="rung"):
        Ladder(3, [])
    model, guide = made()
    with pytest.raises(CompositionError, match="rungs"):
        LadderGuide(guide.ladder, list(guide.up)[:1], list(guide.heads)[:1])
    with pytest.raises(CompositionError, match="flat"):
        model.prior.params()


def test_points_made_without_gradients_are_scored_with_them():
    """As by an estimator that keeps its points fixed: the densities at them train model and guide all the same."""
    from tests.models.test_ladder import data, made

    _, guide = made()
    q = guide(data())
    with torch.no_grad():
        z = q.rsample((2,))
    assert q.log_prob(z).requires_grad
    torch.testing.assert_close(q.log_prob(z), guide(data()).log_prob(z))
