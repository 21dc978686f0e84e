"""The two gaps of a bound against their closed forms on probabilistic PCA, and the advice that follows from them."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from jensen.core.batch import Batch, Rows
from jensen.core.random import drawing_from, stream
from jensen.evaluate import Estimate, Exact, Gaps, Kind, gaps
from jensen.evaluate.gaps import Bounds, describe_gaps, elbo_per_datum, elbos
from jensen.evaluate.importance import widest
from jensen.families import Gaussian
from jensen.flows import SplineCoupling
from jensen.guides import Amortized, Flowing, Shared
from jensen.guides import Exact as ExactGuide
from jensen.models.conditionals import Given, Unconditional
from jensen.models.guide import Guide
from jensen.models.model import LatentVariableModel
from tests.evaluate.instance import instance
from tests.identities.models import close, normal_guide
from tests.models.test_ladder import made as made_ladder

gaps_module = sys.modules["jensen.evaluate.gaps"]  # its name is also that of a function

SMALL = {"n": 12, "dim": 20, "latent": 4, "common": 1.5, "off": 0.6, "wide": 0.6}


@pytest.fixture(scope="module")
def measured():
    given = instance(**SMALL)
    truth = Exact()(given.model, given.guide, given.rows)
    return given, gaps(given.model, given.guide, given.rows, truth, steps=200)


def noise_of(given, guide) -> float:
    """Standard error of the mean over data of an ELBO by 256 points for each."""
    batch = Batch(given.rows.stored)
    q = guide(batch)
    with drawing_from(stream(0, "noise of")):
        z = q.sample((256,))
    log_w = given.model.log_joint(batch, z) - q.log_prob(z)
    return float((log_w.var(0) / 256).sum().sqrt() / len(batch))


def test_each_gap_is_its_closed_form(measured):
    """The family's is that of the best diagonal Gaussian, 0.5 (sum log diag P - log det P) with P the precision."""
    given, found = measured
    lik = given.model.likelihood
    precision = torch.eye(4).double() + lik.W.mT @ lik.W / lik.noise_variance
    family = 0.5 * float(precision.diagonal().log().sum() - torch.logdet(precision))
    assert given.family == pytest.approx(family, rel=1e-9)
    error = 4 * noise_of(given, given.guide)
    assert float(found.approximation.mean()) == pytest.approx(family, abs=0.02 + error / 2)
    assert float(found.amortisation.mean()) == pytest.approx(given.lost - family, abs=0.02 + 1.2 * error)
    assert family > 0.3
    assert given.lost - family > 0.3
    assert error < 0.3


def test_the_parts_add_up(measured):
    given, found = measured
    close(found.approximation + found.amortisation, given.truth - found.bounds.amortised)
    record = found.to_dict()
    assert record["approximation"]["mean"] + record["amortisation"]["mean"] == pytest.approx(
        given.mean - record["elbo"]["mean"]
    )
    assert record["against"] == "exact"
    assert record["n"] == 12
    assert record["elbo_refined"]["stderr"] > 0


def test_an_exact_guide_loses_nothing():
    given = instance(**SMALL)
    close(elbo_per_datum(given.model, ExactGuide(given.model), given.rows, points=32), given.truth, 1e-8)


def test_the_elbo_of_many_points_is_the_elbo():
    """Its expectation is log p(x) - KL(q || p), in closed form here; within four standard errors."""
    given = instance(**SMALL)
    found = elbo_per_datum(given.model, given.guide, given.rows, points=2048)
    error = noise_of(given, given.guide) / math.sqrt(8)
    assert abs(float((given.truth - found).mean()) - given.lost) < 4 * error


def test_other_units_leave_the_gaps(measured):
    _, found = measured
    moved = found.shifted(-7.0)
    close(moved.approximation, found.approximation)
    close(moved.amortisation, found.amortisation)
    close(moved.bounds.amortised, found.bounds.amortised - 7)


def split(family: float, encoder: float) -> Gaps:
    truth = torch.zeros(5).double()
    none = torch.zeros_like(truth)
    return Gaps(Estimate(Kind.EXACT, truth), Bounds(truth - family - encoder, none, truth - family, none))


@pytest.mark.parametrize(
    ("family", "encoder", "words"),
    [
        (0.04, 0.05, "The bound is tight"),
        (0.2, 3.0, "enlarge the encoder"),
        (3.0, 0.2, "use a richer guide"),
    ],
)
def test_the_advice_names_the_larger_part(family, encoder, words):
    assert words in split(family, encoder).advice
    assert split(family, encoder).to_dict()["advice"] == split(family, encoder).advice


@pytest.mark.parametrize(("family", "encoder"), [(1.0, 0.2), (0.6, 0.6), (0.2, 1.0)])
def test_the_bound_that_was_maximised_is_not_advised(family, encoder):
    gaps = replace(split(family, encoder), weighted=True)
    assert "importance-weighted" not in gaps.advice
    assert "importance-weighted" not in gaps.shifted(1.0).advice


def test_a_gap_within_its_noise_has_no_parts():
    """872 ± 505 nats of Monte Carlo error says nothing on encoder and family."""
    gaps = split(12.0, 860.0)
    loud = torch.full_like(gaps.bounds.amortised, 505.0**2 * len(gaps.bounds.amortised))
    assert "within the noise" in replace(gaps, bounds=replace(gaps.bounds, amortised_mc=loud)).advice
    assert "encoder's" in gaps.advice


def test_a_guide_that_fits_already_needs_no_advice():
    """The best diagonal guide of a posterior that is diagonal."""
    given = instance(n=6, dim=20, latent=1, off=0.0, wide=1.0)
    truth = Exact()(given.model, given.guide, given.rows)
    exact = ExactGuide(given.model)(Batch(given.rows.stored))
    guide = normal_guide(exact.mean, exact.variance.sqrt())
    found = elbo_per_datum(given.model, guide, given.rows, points=32)
    close(found, truth.nats, 1e-6)
    measured = gaps(given.model, guide, given.rows, truth, steps=5)
    assert measured.advice == "The bound is tight: encoder and guide's family together cost less than 0.1 nats."
    told = replace(measured, converged=False).to_dict()["advice"]
    assert told == "The estimate has not converged, so the gap may be larger than measured."
    assert replace(split(3.0, 0.2), converged=False).advice.startswith("Most of the gap is the guide's family")
    assert "has not converged" in replace(split(3.0, 0.2), converged=False).advice


def flowing(guide: Guide, context: bool = False) -> Flowing:
    """A guide of two features, then a flow."""
    with drawing_from(stream(0, "flow")):
        flow = SplineCoupling(2, context=3) if context else SplineCoupling(2)
        return Flowing(guide, flow, nn.Linear(6, 3) if context else None).double()


def advised(model: LatentVariableModel, guide: Guide, x: torch.Tensor) -> str:
    """Against a log p(x) that is surely more than 0.1 nats higher."""
    own, _ = elbos(model, guide, Rows(x), points=32)
    return gaps(model, guide, Rows(x), Estimate(Kind.EXACT, own + 5), steps=1).advice


def test_guides_that_read_x_are_never_told_to():
    """Flows and ladders read x, and are not split; one law for all data does not, unless a flow after it does."""
    given = instance(n=6, dim=6, latent=2)
    with drawing_from(stream(0, "guide")):
        network = Amortized(Given(nn.Linear(6, 4), Gaussian(2))).double()
    one, blind = Shared(Unconditional(Gaussian(2))).double(), "does not read x"
    whole = "This guide's family is not refined datum by datum yet, so the gap is not split"
    x = given.rows.stored
    assert advised(given.model, flowing(network), x).startswith(whole)
    assert blind in advised(given.model, one, x)
    assert blind in advised(given.model, flowing(one), x)
    assert advised(given.model, flowing(one, context=True), x).startswith(whole)
    ladder, guide = made_ladder()
    assert advised(ladder, guide, (x > 0).double()).startswith(whole)


def test_a_wide_layer_takes_fewer_rows_at_once(monkeypatch):
    """Points times rows times the widest layer stay within the memory's limit, whatever the size asked for."""
    given, seen = instance(**SMALL), []
    forward = given.guide.forward
    monkeypatch.setattr(given.guide, "forward", lambda batch: seen.append(len(batch)) or forward(batch))
    limit = 3 * 32 * widest(given.model)
    monkeypatch.setattr(gaps_module, "NUMBERS", limit)
    value, variance = elbos(given.model, given.guide, given.rows)
    assert seen == [3] * 4
    assert abs(float((given.truth - value).mean()) - given.lost) < 4 * float(variance.sum().sqrt() / 12)


def test_errors_over_rows_and_over_the_monte_carlo(measured):
    """The family's gap of these posteriors is one number for all rows; the noise of 256 points is what there is."""
    given, found = measured
    record = found.to_dict()
    for part in ("approximation", "amortisation", "gap"):
        assert 0 < record[part]["stderr_mc"] < 0.1
        assert record[part]["stderr"] > 0
    repeats = [elbos(given.model, given.guide, given.rows, seed) for seed in range(60)]
    means = torch.stack([value.mean() for value, _ in repeats])
    error = math.sqrt(sum(float(v.sum()) / 12**2 for _, v in repeats) / 60)
    assert float(means.std()) == pytest.approx(error, rel=4 / math.sqrt(2 * 60))


def test_one_row_has_a_gap_and_no_error_over_rows():
    given = instance(n=1, dim=8, latent=2)
    record = gaps(
        given.model, given.guide, given.rows, Exact()(given.model, given.guide, given.rows), steps=5
    ).to_dict()
    assert record["approximation"]["stderr"] is None
    assert "nan" not in str(record)
    assert "a single row has no error over rows" in describe_gaps(record)


def test_in_words_each_error_says_what_it_is_over(measured):
    words = describe_gaps(measured[1].to_dict())
    assert words.startswith("family ")
    assert words.count("±") == 3
    assert "(12 rows; ± over rows, and at most 0.0" in words
