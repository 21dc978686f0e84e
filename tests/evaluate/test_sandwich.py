"""Bidirectional Monte Carlo: the evidence lies between its two ends, which meet."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.core.batch import Rows
from jensen.core.errors import NotNormalised, NotReparameterizable, UsageError
from jensen.core.random import drawing_from, stream
from jensen.evaluate import Annealed, Exact, Importance, Kind, Quadrature, Sandwich
from jensen.families import Gaussian
from jensen.guides import Deterministic
from jensen.guides import Exact as ExactGuide
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from tests.evaluate.instance import instance
from tests.identities.models import amortized, mixture_model, scrambled

SMALL = {"dim": 24, "latent": 6}


def simulated_truth(given, n: int, seed: int) -> float:
    """Exact log p(x) of the very data that the sandwich simulates."""
    x = given.model.simulate(n, stream(seed, "simulation"))[1].x
    return Exact()(given.model, given.guide, Rows(x)).mean


def test_the_evidence_lies_between():
    """Lower end, exact value and upper end in order, on average over four seeds and by their standard errors."""
    given = instance(n=4, **SMALL)
    below, above = [], []
    for seed in range(4):
        lower, upper = Sandwich(Annealed(temperatures=6, leapfrog_steps=4, chains=8), 40)(
            given.model, given.guide, seed
        )
        truth = simulated_truth(given, 40, seed)
        below.append(lower.mean - truth)
        above.append(upper.mean - truth)
    below, above = torch.tensor(below), torch.tensor(above)
    assert float(below.mean()) < 3 * float(below.std()) / math.sqrt(4)
    assert float(above.mean()) > -3 * float(above.std()) / math.sqrt(4)
    assert float(above.mean()) > float(below.mean())


def test_its_ends_meet():
    """Far apart with few temperatures, at most 0.1 nats with more."""
    given = instance(n=4, **SMALL)
    apart = []
    for temperatures in (1, 40):
        lower, upper = Sandwich(Annealed(temperatures=temperatures, leapfrog_steps=5), 40)(given.model, given.guide)
        apart.append(upper.mean - lower.mean)
    assert apart[0] > 0.3
    assert apart[1] < 0.1


def test_each_end_says_what_it_is():
    given = instance(n=4, **SMALL)
    lower, upper = Sandwich(Annealed(temperatures=5, leapfrog_steps=2, chains=4), 7)(given.model, given.guide)
    assert (lower.kind, upper.kind) == (Kind.STOCHASTIC_LOWER, Kind.STOCHASTIC_UPPER)
    assert len(lower.nats) == len(upper.nats) == 7
    assert lower.stderr_mc > 0
    assert upper.stderr_mc is None
    assert upper.stderr > 0
    assert str(upper).startswith("log p(x) <=")
    again = Sandwich(Annealed(temperatures=5, leapfrog_steps=2, chains=4), 7)(given.model, given.guide)
    assert torch.equal(again.upper.nats, upper.nats)


def test_the_gap_has_the_error_of_its_rows():
    """Its standard error over rows is the spread over 30 seeds (each with data of its own); the ends' own are wider."""
    given = instance(n=4, **SMALL)
    chain = Annealed(temperatures=3, leapfrog_steps=2, chains=4)
    pairs = [Sandwich(chain, 12)(given.model, given.guide, seed) for seed in range(30)]
    spread = float(torch.tensor([pair.gap for pair in pairs], dtype=torch.float64).std())
    told = math.sqrt(sum(pair.gap_stderr**2 for pair in pairs) / 30)
    assert 0.75 < told / spread < 1.35
    assert pairs[0].upper.stderr > 2 * pairs[0].gap_stderr


def test_it_can_be_written_down():
    """Every number, in any units, and what it does not say."""
    given, done = instance(n=4, **SMALL), []
    pair = Sandwich(Annealed(temperatures=3, leapfrog_steps=2, chains=4), 5)(
        given.model, given.guide, watch=done.append
    )
    record, moved = pair.to_dict(), pair.shifted(10.0).to_dict()
    assert done == [1.0]
    assert record["gap"] == pytest.approx(record["upper"] - record["lower"])
    assert record["gap_largest"] == pytest.approx(float((pair.upper.nats - pair.lower.nats).max()))
    assert "share the z" in record["errors"]
    assert "not on the test set" in record["certifies"]
    assert moved["upper"] == pytest.approx(record["upper"] + 10)
    assert moved["gap"] == pytest.approx(record["gap"])
    alone = Sandwich(Annealed(temperatures=2, leapfrog_steps=1, chains=2), 1)(given.model, given.guide).to_dict()
    assert (alone["gap_stderr"], alone["stderr"]) == (None, [None, None])
    with pytest.raises(UsageError, match=r"^--simulated must be a whole number of at least 1, got 0"):
        Sandwich(n=0)


@pytest.mark.slow
def test_a_nonlinear_model_lies_between():
    """Two latent features through a network, against quadrature: in order within three standard errors, and close."""
    with drawing_from(stream(0, "nonlinear")):
        net = MLP(2, 8, (10,), "tanh")
        model = LatentVariableModel(Unconditional(Gaussian(2)), Given(net, Gaussian(8, "shared")))
    scrambled(model, "nonlinear", 0.6)
    guide = amortized(8, Gaussian(2))
    pair = Sandwich(Annealed(temperatures=40, leapfrog_steps=4), 60)(model, guide)
    x = model.simulate(60, stream(0, "simulation"))[1].x
    truth = Quadrature()(model, guide, Rows(x))
    assert truth.error < 1e-3
    below = pair.lower.nats.double() - truth.nats.double()
    above = pair.upper.nats.double() - truth.nats.double()
    assert float(below.mean()) < 3 * float(below.std()) / math.sqrt(60)
    assert float(above.mean()) > -3 * float(above.std()) / math.sqrt(60)
    assert abs(pair.gap) < 0.05 + 3 * pair.gap_stderr
    assert pair.gap_stderr < 0.08
    elbo = Importance(1)(model, guide, Rows(x)).elbo
    assert float(elbo.mean()) < truth.mean - 1  # the guide is a bad one


def test_it_refuses_what_annealing_refuses():
    mixture = mixture_model()
    with pytest.raises(NotReparameterizable):
        Sandwich()(mixture, ExactGuide(mixture))
    given = instance(n=4, **SMALL)
    with pytest.raises(NotNormalised):
        Sandwich()(given.model, Deterministic(torch.nn.Linear(24, 6).double()))


@pytest.mark.slow
def test_the_committed_instance():
    """100 simulated data, T=200, L=10, 16 chains: a gap of at most 0.1 nats."""
    given = instance(dtype=torch.float32)
    lower, upper = Sandwich(Annealed(), 100)(given.model, given.guide)
    assert abs(upper.mean - lower.mean) < 0.05
