"""Bidirectional Monte Carlo: the evidence lies between its two ends, which meet."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.batch import Rows
from jensen.errors import NotNormalised, NotReparameterizable
from jensen.evaluate import Annealed, Exact, Kind, Sandwich
from jensen.guides import Deterministic
from jensen.guides import Exact as ExactGuide
from jensen.randomness import stream
from tests.evaluate.instance import instance
from tests.identities.models import mixture_model

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
        lower, upper = Sandwich(Annealed(temperatures=6, leaps=4, chains=8), 40)(given.model, given.guide, seed)
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
        lower, upper = Sandwich(Annealed(temperatures=temperatures, leaps=5), 40)(given.model, given.guide)
        apart.append(upper.mean - lower.mean)
    assert apart[0] > 0.3
    assert apart[1] < 0.1


def test_each_end_says_what_it_is():
    given = instance(n=4, **SMALL)
    lower, upper = Sandwich(Annealed(temperatures=5, leaps=2, chains=4), 7)(given.model, given.guide)
    assert (lower.kind, upper.kind) == (Kind.STOCHASTIC_LOWER, Kind.STOCHASTIC_UPPER)
    assert len(lower.nats) == len(upper.nats) == 7
    assert lower.stderr_mc > 0
    assert upper.stderr_mc > 0
    assert str(upper).startswith("log p(x) <=")
    again = Sandwich(Annealed(temperatures=5, leaps=2, chains=4), 7)(given.model, given.guide)
    assert torch.equal(again[1].nats, upper.nats)


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
    assert abs(upper.mean - lower.mean) < 0.1
