"""Behind a number that is log p(x) itself: its verdict, and the gaps of the guide's own bound against it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from jensen.core.errors import JensenError
from jensen.core.random import drawing_from, stream
from jensen.estimators.enumeration import Enumerate
from jensen.evaluate import (
    Enumerated,
    Estimate,
    Exact,
    ExactTightness,
    Importance,
    Kind,
    Quadrature,
    Schedule,
    Tightness,
    TightnessSettings,
    assess_tightness,
    measure_gaps,
)
from jensen.families import Categorical
from jensen.guides import Amortized, Shared
from jensen.guides import Exact as ExactGuide
from jensen.models.conditionals import Given, Unconditional
from tests.evaluate.instance import instance
from tests.evaluate.test_tightness import verdict
from tests.identities.models import close, mixture_model, rows, simulated

NOTHING = TightnessSettings(rows=0, temperatures=0, leapfrog_steps=0, chains=0, simulated=0, refine=0)


def wrong_guide() -> Amortized:
    """A categorical guide of three classes that nobody trained."""
    with drawing_from(stream(0, "guide")):
        return Amortized(Given(nn.Linear(2, 3), Categorical(3))).double()


@pytest.fixture(scope="module")
def mixture():
    model = mixture_model()
    data = rows(simulated(model, 150))
    return model, data, Enumerated()(model, wrong_guide(), data)


def test_of_a_finite_latent_the_whole_gap_is_the_encoders(mixture):
    """KL(q || posterior), summed by hand; the family's part is zero without error."""
    model, data, truth = mixture
    found = measure_gaps(model, wrong_guide(), data, truth)
    record = found.to_dict()["gaps"]
    with torch.no_grad():
        draw = Enumerate().draw(model, wrong_guide(), next(data.batches(150)))
        posterior = draw.log_lik + draw.log_prior.sum(-1) - draw.log_evidence
        q = draw.log_guide.sum(-1)
        divergence = (q.exp() * (q - posterior)).sum(0)
    assert len(found.gaps.log_px.nats) == record["n"] == 100
    assert record["approximation"] == {"mean": 0.0, "stderr": 0.0, "stderr_mc": 0.0}
    assert found.to_dict()["verdict"] == "exact"
    whole = measure_gaps(model, wrong_guide(), data, truth, replace(found.settings, rows=150))
    close(whole.gaps.amortisation, divergence, 1e-8)
    assert float(divergence.mean()) > 0.5
    assert record["amortisation"]["mean"] == pytest.approx(float(divergence.mean()), rel=0.2)
    assert record["amortisation"]["stderr_mc"] == 0.0
    assert "any distribution over the states" in record["advice"]
    assert (found.loss, found.converged) == (0.0, True)


def test_a_guide_for_all_data_is_told_to_read_them(mixture):
    model, data, truth = mixture
    shared = Shared(Unconditional(Categorical(3))).double()
    assert "does not read x" in measure_gaps(model, shared, data, truth).gaps.advice


def test_an_exact_guide_has_no_gaps(mixture):
    model, data, truth = mixture
    found = measure_gaps(model, ExactGuide(model), data, truth)
    assert (found.gaps, found.verdict) == (None, "exact")
    assert found.to_dict()["gaps"] is None


def test_gaps_against_a_quadrature_are_those_against_the_closed_form():
    """Two latent features with a wrong diagonal guide: the family's part in closed form."""
    given = instance(n=20, dim=10, latent=2, common=1.5, off=0.5, wide=0.6)
    truth = Quadrature()(given.model, given.guide, given.rows)
    found = measure_gaps(given.model, given.guide, given.rows, truth)
    record = found.to_dict()
    assert record["verdict"].startswith("quadrature: error ")
    assert record["loss"] == truth.error < 1e-4
    for part, expected in (("approximation", given.family), ("amortisation", given.lost - given.family)):
        assert abs(record["gaps"][part]["mean"] - expected) < 0.02 + 4 * record["gaps"][part]["stderr_mc"]
    assert record["gaps"]["against"] == "quadrature"
    assert record["gaps"]["gap"]["mean"] > 0.3


def test_the_same_settings_give_the_same_numbers(mixture):
    model, data, truth = mixture
    a, b, c = (measure_gaps(model, wrong_guide(), data, truth, None, seed) for seed in (3, 3, 4))
    assert {**a.to_dict(), "seconds": 0} == {**b.to_dict(), "seconds": 0}
    assert not torch.equal(a.gaps.whole, c.gaps.whole)
    none = measure_gaps(model, wrong_guide(), data, truth, NOTHING)
    assert none.gaps is None


def test_an_integral_that_still_moves_is_said_to():
    rough = Estimate(Kind.QUADRATURE, torch.zeros(3), error=0.4)
    found = ExactTightness(NOTHING, rough, None, 0.0)
    assert not found.converged
    assert found.verdict == "not converged: the quadrature is off by up to 0.4 nats; use --method importance"


def test_other_units_move_the_number_and_no_gap(mixture):
    model, data, truth = mixture
    found = measure_gaps(model, wrong_guide(), data, truth)
    moved = found.shifted(-5.0)
    close(moved.estimate.nats, truth.nats - 5)
    close(moved.gaps.whole, found.gaps.whole)
    assert moved.to_dict()["gaps"]["elbo"]["mean"] == pytest.approx(found.to_dict()["gaps"]["elbo"]["mean"] - 5)


def test_what_stands_behind_which_number(mixture):
    """Exact numbers are settled, bounds assessed; without a budget there is nothing."""
    model, data, truth = mixture
    assert isinstance(assess_tightness(model, wrong_guide(), data, truth, Schedule(1e6)), ExactTightness)
    assert assess_tightness(model, wrong_guide(), data, truth, Schedule(0.0)) is None
    assert assess_tightness(model, wrong_guide(), data, Estimate(Kind.UNNORMALISED, None), Schedule(1e6)) is None
    given = instance(n=10, dim=8, latent=2)
    bound = Importance(20)(given.model, given.guide, given.rows)
    quick = TightnessSettings(rows=8, temperatures=4, leapfrog_steps=2, chains=3, simulated=0, refine=0)
    assert assess_tightness(given.model, given.guide, given.rows, bound, Schedule(), quick).annealed.k == 3
    with pytest.raises(JensenError, match="log p\\(x\\) itself"):
        measure_gaps(given.model, given.guide, given.rows, bound)
    assert Exact()(given.model, given.guide, given.rows).kind is Kind.EXACT


def test_both_measurements_are_a_tightness():
    exact = ExactTightness(NOTHING, Estimate(Kind.EXACT, torch.zeros(2)), None, 0.0)
    for tightness in (exact, verdict(0.1, 0.02, 0.01)):
        assert isinstance(tightness, Tightness)
        record = tightness.to_dict()
        assert record["verdict"] == tightness.verdict
        assert (record["loss"], record["converged"]) == (tightness.loss, tightness.converged)
        assert {"annealed", "sandwich", "gaps", "seconds"} <= record.keys()
        assert type(tightness.shifted(1.0)) is type(tightness)
