"""A budget of time chooses rows and temperatures; what cannot be annealed is named."""

from __future__ import annotations

import pytest
from torch import nn

from jensen.core.batch import Rows
from jensen.core.random import drawing_from, stream
from jensen.evaluate import tightness_plan
from jensen.evaluate.tightness_plan import TightnessSettings, plan, refusal, start_of
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
    # a temperature takes 11 steps in 11 annealings of a millisecond; refinement takes 0.3 s; four fifths may be used
    [(1e6, (100, 200)), (32.0, (100, 200)), (29.0, (100, 100)), (8.0, (16, 50)), (5.0, (16, 25)), (3.0, None)],
)
def test_a_budget_buys_rows_and_temperatures(given, steady, seconds, settings):
    chosen = plan(given.model, given.guide, given.rows, seconds)
    assert chosen == (None if settings is None else TightnessSettings(*settings))


def test_there_are_no_more_rows_than_data(given, steady):
    few = Rows(given.rows.stored[:7])
    assert plan(given.model, given.guide, few, 1e6) == TightnessSettings(7, 200)


def test_chains_start_from_a_guide_that_scores_any_point(given):
    assert start_of(given.guide) == "guide"


def test_the_reason_why_nothing_can_be_annealed(given):
    mixture = mixture_model()
    with drawing_from(stream(0, "guide")):
        guide = Amortized(Given(nn.Linear(2, 3), mixture.prior.family)).double()
    assert "Gibbs" in refusal(mixture, guide)
    assert "no density" in refusal(given.model, Deterministic(nn.Linear(12, 3).double()))
    assert refusal(given.model, given.guide) is None
