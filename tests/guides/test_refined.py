"""Refinement: each datum gets the best member of the guide's family, and never a worse one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from jensen.core.batch import Batch
from jensen.core.errors import CompositionError
from jensen.core.parts import build, spec_of
from jensen.core.random import drawing_from, stream
from jensen.evaluate.gaps import elbo_per_datum
from jensen.families import Categorical, Gaussian, Mixture
from jensen.guides import Amortized
from jensen.guides import Exact as ExactGuide
from jensen.guides.refined import Refined, Schedule, refined_params
from jensen.models.conditionals import Given
from tests.evaluate.instance import instance
from tests.identities.models import amortized, close, curved_model, rows, simulated

SMALL = {"n": 10, "dim": 20, "latent": 3, "common": 1.0, "off": 0.8, "wide": 0.5}


def test_it_finds_the_best_diagonal_gaussian():
    """Mean and scale of each datum's best member, which are known in closed form on probabilistic PCA."""
    given = instance(**SMALL)
    batch = Batch(given.rows.stored)
    q = Refined(given.model, given.guide, steps=300).eval()(batch).base_dist
    lik = given.model.likelihood
    precision = torch.eye(3).double() + lik.W.mT @ lik.W / lik.noise_variance
    best = precision.diagonal().rsqrt()
    exact = ExactGuide(given.model)(batch).mean
    assert float(((q.loc - exact) / best).abs().max()) < 0.1
    assert float((q.scale / best).log().abs().max()) < 0.1
    start = given.guide(batch).base_dist
    assert float(((start.loc - exact) / best).abs().min()) > 0.3


@pytest.mark.parametrize("steps", [5, 60])
def test_it_is_never_worse(steps):
    """On a nonlinear model too, within the noise of both bounds: their points are the same noise."""
    model, guide = curved_model(), amortized(3, Gaussian(1))
    data = rows(simulated(model, 12))
    before = elbo_per_datum(model, guide, data)
    after = elbo_per_datum(model, Refined(model, guide, steps=steps).eval(), data)
    assert float((after - before).mean()) > -0.01
    if steps == 60:
        assert float((after - before).mean()) > 0.1
        assert float((after - before).min()) > -0.2


def test_no_steps_beyond_the_last_quarter_count():
    """The average is of the last quarter's steps: with one step it is that step."""
    given = instance(**SMALL)
    batch = Batch(given.rows.stored)
    one = refined_params(given.model, given.guide, batch, stream(0, "one"), Schedule(1, 0.5))
    before = given.guide.conditional.params(batch.x)
    close((one - before).abs(), 0.5, 1e-4)  # Adam's first step is its rate, whatever the gradient


def test_model_and_guide_are_left_as_they_are():
    model, guide = curved_model(), amortized(3, Gaussian(1))
    batch = simulated(model, 5)
    before = [p.detach().clone() for p in (*model.parameters(), *guide.parameters())]
    state = torch.get_rng_state()
    with torch.no_grad():
        q = Refined(model, guide, steps=4).eval()(batch)
    assert not q.base_dist.loc.requires_grad
    after = [*model.parameters(), *guide.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for p in after)
    assert torch.equal(state, torch.get_rng_state())


def test_a_seed_gives_the_same_guide():
    model, guide = curved_model(), amortized(3, Gaussian(1))
    batch = simulated(model, 5)
    a, b, c = (Refined(model, guide, steps=4, seed=s).eval()(batch).base_dist.loc for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_it_can_be_written_down_and_rebuilt():
    model, guide = curved_model(), amortized(3, Gaussian(1))
    again, refined = build(spec_of(model, Refined(model, guide, steps=7, lr=0.1)))
    assert refined.model is again
    assert refined.schedule == Schedule(7, 0.1, 8)
    assert "refined by 7 steps" in refined.phrase


def test_a_guide_that_sees_a_context_is_refined_from_there():
    """A step of next to no length leaves what the network says of x and the context."""
    model, context = curved_model(), torch.eye(4, dtype=torch.float64)
    batch = replace(simulated(model, 4), context=context)
    guide = Amortized(amortized(7, Gaussian(1)).conditional, context=True)
    near, far = (Refined(model, guide, steps=s, lr=lr).eval()(batch) for s, lr in ((1, 1e-12), (200, 0.03)))
    close(near.mean, guide(batch).mean)
    close(near.stddev, guide(batch).stddev)
    assert not torch.allclose(far.mean, guide(batch).mean, atol=1e-3)
    with pytest.raises(CompositionError, match="needs a context c, and none was given"):
        Refined(model, guide).eval()(simulated(model, 4))


def test_what_cannot_be_refined_is_refused():
    model = curved_model()
    batch = simulated(model, 4)
    with drawing_from(stream(0, "net")):
        shared = Amortized(Given(nn.Linear(3, 1), Gaussian(1, "shared"))).double()
        mixture = Amortized(Given(nn.Linear(3, 6), Mixture(Gaussian(1), 2))).double()
        classes = Amortized(Given(nn.Linear(3, 4), Categorical(4))).double()
    with pytest.raises(CompositionError, match='scale="each"'):
        Refined(model, shared).eval()(batch)
    for guide in (mixture, classes):
        with pytest.raises(CompositionError, match="Use a Gaussian guide"):
            Refined(model, guide).eval()(batch)
