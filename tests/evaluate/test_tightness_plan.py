"""A budget of time chooses rows and temperatures; what cannot be annealed is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from jensen.core.random import drawing_from, stream
from jensen.evaluate import tightness_plan
from jensen.evaluate.tightness_plan import (
    LEAST,
    LESS,
    LITTLE,
    Costs,
    TightnessSettings,
    costs,
    least_seconds,
    plan,
    refusal,
    start_of,
)
from jensen.guides import Amortized, Deterministic
from jensen.models.conditionals import Given
from tests.evaluate.instance import instance
from tests.identities.models import mixture_model


@pytest.fixture(scope="module")
def given():
    return instance(n=120, dim=12, latent=3)


@pytest.fixture
def steady(monkeypatch):
    """A machine on which a leapfrog step takes a millisecond, however many its points."""
    monkeypatch.setattr(tightness_plan, "_seconds", lambda *_: 1e-3)


@pytest.mark.parametrize(
    ("seconds", "settings"),
    # a temperature takes 11 steps in 11 annealings of a millisecond, scouts and refinement 0.575 s; 0.85 may be used
    [
        (1e6, (100, 200)),
        (32.0, (100, 200)),
        (29.0, (100, 100)),
        (8.0, (16, 50)),
        (5.0, (16, 25)),
        (3.0, LESS),
        (2.0, LITTLE),
        (1.0, LEAST),
        (0.7, None),
    ],
)
def test_a_budget_buys_rows_and_temperatures(given, steady, seconds, settings):
    chosen = plan(costs(given.model, given.guide, given.rows), len(given.rows), seconds)
    assert chosen == (TightnessSettings(*settings) if isinstance(settings, tuple) else settings)


def test_there_are_no_more_rows_than_data():
    assert plan(Costs(1e-3, 0.0), 7, 1e6) == TightnessSettings(7, 200)


@pytest.mark.parametrize("cost", [Costs(1e-3, 0.0), Costs(0.0, 1e-6), Costs(2e-3, 3e-6)])
def test_the_least_budget_is_the_smallest_that_buys_something(cost):
    assert plan(cost, 100, 1.001 * least_seconds(cost)) == LEAST
    assert plan(cost, 3, 1.001 * least_seconds(cost)).rows == 3
    assert plan(cost, 100, 0.999 * least_seconds(cost)) is None


def test_the_parts_by_hand():
    """Calls of a second and points of a thousandth, counted: pilots have 3 passes, and 4 chains for at most 32 rows."""
    cost, settings = Costs(1.0, 1e-3), TightnessSettings(7, 10, 3, 5, 40, 60, 2)
    assert cost.annealing(settings) == pytest.approx(10 * 4 * (4 + 1e-3 * (7 * (5 + 2) + 3 * 7 * 8)))
    assert cost.scouts(settings) == pytest.approx(25 * 4 * (1 + 1e-3 * 7 * 16))
    alone = replace(settings, prior_chains=0)
    assert cost.annealing(alone) == pytest.approx(10 * 4 * (4 + 1e-3 * (7 * 5 + 3 * 7 * 4)))
    assert cost.scouts(alone) == 0
    assert cost.sandwich(settings) == pytest.approx(10 * 4 * (5 + 1e-3 * (2 * 40 * 5 + 3 * 32 * 4)))
    assert cost.gaps(settings) == pytest.approx(60 + 7 * (8 * 60 + 2 * 256) * 1e-3)
    assert cost.whole(settings) == pytest.approx(
        cost.scouts(settings) + 1.5 * cost.annealing(settings) + cost.sandwich(settings) + cost.gaps(settings)
    )
    assert cost.scaled(3.0).annealing(settings) == pytest.approx(3 * cost.annealing(settings))


def test_a_slow_step_is_timed_with_few_rows(given, monkeypatch):
    sizes = []

    def seconds(ends, z, *_):
        sizes.append(tuple(z.shape[:2]))
        return 0.001 * z.shape[0] * z.shape[1]

    monkeypatch.setattr(tightness_plan, "_seconds", seconds)
    measured = costs(given.model, given.guide, given.rows)
    assert sizes == [(16, 4), (1, 4)]  # 64 ms is slow
    assert measured.point == pytest.approx(1e-3)
    assert measured.call == pytest.approx(0.0, abs=1e-9)


def test_chains_start_from_a_guide_that_scores_any_point(given):
    assert start_of(given.guide) == "guide"


def test_the_reason_why_nothing_can_be_annealed(given):
    mixture = mixture_model()
    with drawing_from(stream(0, "guide")):
        guide = Amortized(Given(nn.Linear(2, 3), mixture.prior.family)).double()
    assert "Gibbs" in refusal(mixture, guide)
    assert "no density" in refusal(given.model, Deterministic(nn.Linear(12, 3).double()))
    assert refusal(given.model, given.guide) is None
