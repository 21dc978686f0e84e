"""The policy: rows chosen by difficulty stand for all, what was done can be repeated, and the verdict is a sentence."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from jensen.core.errors import JensenError, UsageError
from jensen.core.random import drawing_from, stream
from jensen.evaluate import (
    Assessment,
    Estimate,
    Exact,
    Importance,
    Kind,
    TightnessSettings,
    Unnormalised,
    assess,
)
from jensen.evaluate.missed_modes import SecondStart
from jensen.evaluate.sandwich import Sandwiched
from jensen.evaluate.strata import stratified, stratified_stderr
from jensen.families import Gaussian, Mixture
from jensen.guides import Amortized, Deterministic, Shared
from jensen.models.conditionals import Given, Unconditional
from tests.evaluate.instance import instance
from tests.identities.models import close

N = 103  # no multiple of four: strata of 26 and 25 rows
QUICK = TightnessSettings(rows=12, temperatures=8, leapfrog_steps=3, chains=8, simulated=6, refine=0)


def planted() -> tuple[torch.Tensor, torch.Tensor]:
    """What would be gained on each row, and how difficult it is: the hard rows gain most."""
    noise = stream(0, "planted")
    difficulty = torch.randn(N, dtype=torch.float64, generator=noise)
    return difficulty.exp() + 0.3 * torch.randn(N, dtype=torch.float64, generator=noise), difficulty


def test_shares_add_up_to_the_whole():
    _, difficulty = planted()
    for count in (4, 10, 40, 103, 1000):
        index, share = stratified(difficulty, count, 0)
        assert len(index) == len(index.unique()) <= max(count, 8)
        assert float(share.sum()) == pytest.approx(1.0, abs=1e-12)
        assert (len(index) == N) == (count > N)  # 103 rows are 25 from each stratum
    for n in (1, 2, 3, 5):
        index, share = stratified(difficulty[:n], 8, 0)
        assert sorted(index.tolist()) == list(range(n))
        assert float(share.sum()) == pytest.approx(1.0, abs=1e-12)


def test_the_correction_is_unbiased_and_its_error_that_of_repeats():
    """Over 2,000 choices of 20 of 103 rows, with Monte Carlo noise of each value; spread within ten per cent."""
    gain, difficulty = planted()
    found, errors, noise = [], [], stream(0, "noise")
    for seed in range(2000):
        index, share = stratified(difficulty, 20, seed)
        values = gain[index] + 0.2 * torch.randn(len(index), dtype=torch.float64, generator=noise)
        found.append(float((share * values).sum()))
        errors.append(stratified_stderr(values, share, torch.full_like(values, 0.04), N) ** 2)
    mean, spread = torch.tensor(found).double().mean(), torch.tensor(found).double().std()
    assert abs(float(mean - gain.mean())) < 4 * float(spread) / math.sqrt(2000)
    assert math.sqrt(sum(errors) / 2000) == pytest.approx(float(spread), rel=0.1)
    assert float(spread) < 0.8 * float(gain.std()) * math.sqrt((1 - 20 / N) / 20)  # strata are worth it


def test_of_all_rows_only_the_noise_is_left():
    gain, difficulty = planted()
    index, share = stratified(difficulty, 200, 0)
    assert len(index) == N
    close(stratified_stderr(gain[index], share, torch.full((N,), 0.04).double(), N), 0.2 / math.sqrt(N), 1e-9)


def test_the_noise_of_importance_weighting_cancels_in_the_annealed_mean():
    """Over 1,000 repeats of 60 of 103 rows the record's error is the spread, within ten per cent.

    The importance-weighted values of all rows are noisy too (0.05 nats in the mean), which changes nothing.
    """
    truth, difficulty = planted()
    found, errors, noise = [], [], stream(0, "noise")
    for seed in range(1000):
        index, share = stratified(difficulty, 60, seed)
        rough = 0.5 * torch.randn(N, dtype=torch.float64, generator=noise)
        fine = truth[index] + 0.2 * torch.randn(len(index), dtype=torch.float64, generator=noise)
        importance = Estimate(Kind.STOCHASTIC_LOWER, rough, k=9, variance_mc=torch.full((N,), 0.25))
        annealed = Estimate(Kind.STOCHASTIC_LOWER, fine, k=9, variance_mc=torch.full((len(index),), 0.04))
        gain = fine - rough[index]
        error = stratified_stderr(gain, share, annealed.variance_mc, N)
        told = Assessment(
            QUICK, index, share, importance, annealed, annealed, float((share * gain).sum()), error, 0, 0, None, None, 0
        ).to_dict()["annealed"]
        found.append(told["log_px"])
        errors.append(told["stderr_mc"] ** 2)
    mean, spread = torch.tensor(found).double().mean(), float(torch.tensor(found).double().std())
    assert abs(float(mean - truth.mean())) < 4 * spread / math.sqrt(1000)
    assert math.sqrt(sum(errors) / 1000) == pytest.approx(spread, rel=0.1)


def test_the_annealed_mean_is_the_exact_one():
    """End to end: a poor bound on 40 rows, 16 of them annealed, weighted back to the whole."""
    given = instance(n=40, dim=24, latent=4, common=1.5, off=0.5, wide=0.7)
    bound = Importance(10)(given.model, given.guide, given.rows)
    settings = TightnessSettings(rows=16, temperatures=40, leapfrog_steps=4, simulated=0, refine=0)
    found = assess(given.model, given.guide, given.rows, bound, settings)
    record = found.to_dict()["annealed"]
    assert given.mean - bound.mean > 0.3
    assert abs(record["log_px"] - given.mean) < 0.05 + 4 * record["stderr_mc"]
    assert abs(found.correction - (given.mean - bound.mean)) < 0.05 + 4 * record["stderr_mc"]
    assert record["rows"] == 16
    assert (found.sandwich, found.gaps, found.sandwich_gap) == (None, None, None)
    assert found.converged


@pytest.fixture(scope="module")
def small():
    given = instance(n=30, dim=12, latent=3)
    return given, Importance(30)(given.model, given.guide, given.rows)


def same(a: Assessment, b: Assessment) -> bool:
    return {**a.to_dict(), "seconds": 0} == {**b.to_dict(), "seconds": 0}


@pytest.mark.slow
def test_recorded_settings_give_the_same_numbers(small):
    given, bound = small
    job = (given.model, given.guide, given.rows, bound)
    first, again = (assess(*job, replace(QUICK, refine=8), 5) for _ in range(2))
    assert same(first, again)
    assert torch.equal(first.annealed.nats, again.annealed.nats)
    assert not same(first, assess(*job, replace(QUICK, refine=8), 6))
    record = first.to_dict()
    assert record["sandwich"]["simulated_rows"] == 6
    assert "not on the test set" in record["sandwich"]["certifies"]
    assert record["gaps"]["n"] == 12


@pytest.mark.parametrize("few", [{"temperatures": 1}, {"chains": 1}])
def test_what_cannot_tell_its_error_is_refused(few, small):
    given, bound = small
    with pytest.raises(UsageError, match="at least 2"):
        assess(given.model, given.guide, given.rows, bound, replace(QUICK, **few))


def test_a_point_has_no_bound_to_assess(small):
    given, _ = small
    point = Deterministic(nn.Linear(12, 3).double())
    nothing = Unnormalised()(given.model, point, given.rows)
    with pytest.raises(JensenError, match="no importance-weighted bound"):
        assess(given.model, point, given.rows, nothing, QUICK)


@pytest.mark.slow
def test_a_guide_that_cannot_be_refined_is_annealed_all_the_same(small):
    """A mixture has no pathwise gradient: its gap is told whole, and the rest is as ever."""
    given, bound = small
    with drawing_from(stream(0, "guide")):
        guide = Amortized(Given(nn.Linear(12, 14), Mixture(Gaussian(3), 2))).double()
    found = assess(given.model, guide, given.rows, bound, replace(QUICK, refine=8))
    assert (found.gaps.approximation, found.gaps.amortisation) == (None, None)
    record = found.to_dict()["gaps"]
    assert (record["approximation"], record["amortisation"], record["elbo_refined"]) == (None, None, None)
    assert record["gap"]["mean"] == pytest.approx(found.annealed.mean - record["elbo"]["mean"])
    assert "the gap is not split" in record["advice"]
    shared = Shared(Unconditional(Gaussian(3))).double()
    found = assess(given.model, shared, given.rows, bound, replace(QUICK, refine=8))
    assert "does not read x" in found.gaps.advice
    assert assess(given.model, guide, given.rows, bound, QUICK).gaps is None


def verdict(correction: float, error: float, unfinished: float, ends: tuple[float, float] | None = None) -> Assessment:
    one = Estimate(Kind.STOCHASTIC_LOWER, torch.zeros(1).double(), k=2, variance_mc=torch.zeros(1))
    pair = None if ends is None else Sandwiched(*(replace(one, nats=torch.tensor([e]).double()) for e in ends))
    index = torch.zeros(1, dtype=torch.long)
    numbers = (correction, error, unfinished, 0.01)
    return Assessment(QUICK, index, torch.ones(1), one, one, one, *numbers, pair, None, 1.0)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        # 0.1 + 2 x 0.02 + 0.01 + 2 x 0.01
        ((0.1, 0.02, 0.01), "tight to about 0.17 nats, according to annealed importance sampling"),
        ((-0.1, 0.02, -0.01), "tight to about 0.17 nats, according to annealed importance sampling"),
        ((-0.3, 0.02, 0.01), "not converged: annealing is 0.3 nats below importance weighting; raise --budget"),
        (
            (2.0, 0.1, 0.05),
            "loose by about 2.3 nats, according to annealed importance sampling: report the annealed bound",
        ),
        ((2.0, 0.1, 0.7), "not converged: annealing still changed by 0.7 nats; raise --budget"),
        # what annealing adds is little of it: the annealed bound would be hardly better
        (
            (0.1, 0.02, 0.01, (-3.0, -2.5)),
            "loose by about 0.6 nats, according to annealed importance sampling: raise --budget",
        ),
        (
            (0.6, 0.02, 0.01, (-3.0, -2.5)),
            "loose by about 1.1 nats, according to annealed importance sampling: report the annealed bound",
        ),
    ],
)
def test_the_verdict(numbers, words):
    found = verdict(*numbers)
    assert found.verdict == words
    assert found.to_dict()["verdict"] == words
    assert found.converged == found.to_dict()["converged"] == (not words.startswith("not converged"))


def test_a_missed_mode_comes_first():
    """It is named, never called tight, and not converged; what the second start is still ahead counts as loss."""
    found = replace(verdict(0.6, 0.02, 0.01), second=SecondStart(4, 0.55, 0.03, 0.05))
    missed = "a start at the prior finds 0.55 nats more than the guide: the guide misses a mode; "
    assert found.verdict == (
        f"{missed}loose by at least 0.56 nats, according to annealed importance sampling: "
        "report the annealed bound, or use a richer guide"
    )
    assert not found.converged
    assert found.loss == pytest.approx(verdict(0.6, 0.02, 0.01).loss + 0.05)
    assert found.to_dict()["annealed"]["prior_gain"] == 0.55
    # importance weighting sees the mode all the same
    wide = replace(found, correction=0.01)
    assert wide.verdict == f"{missed}not converged: chains may find more modes; raise --budget"
    noise = replace(found, second=SecondStart(4, 0.07, 0.05, 0.05))
    assert noise.verdict == verdict(0.6, 0.02, 0.01).verdict
    assert noise.loss == verdict(0.6, 0.02, 0.01).loss
    doubt = replace(found, second=SecondStart(4, 0.1, 0.05, 0.05))
    assert "misses" not in doubt.verdict
    assert doubt.loss == found.loss


def test_the_loss_holds_two_standard_errors_of_each_part():
    found = verdict(0.1, 0.02, 0.01)
    ends = [replace(found.importance, nats=torch.tensor(v).double()) for v in ([-3.0, -3.0], [-2.9, -2.7])]
    wide = replace(found, sandwich=Sandwiched(*ends))
    assert found.loss == pytest.approx(0.1 + 0.04 + 0.01 + 0.02)
    assert wide.loss == pytest.approx(0.1 + 0.04 + 0.2 + 2 * 0.1)
    assert replace(wide, unfinished_stderr=0.5).loss == pytest.approx(0.1 + 0.04 + 0.01 + 1.0)


def test_the_caveat_says_what_no_measurement_here_can():
    assert verdict(0.1, 0.02, 0.01).to_dict()["caveat"] == "nothing bounds the evidence of these rows from above"
    told = verdict(0.1, 0.02, 0.01, (-3.0, -2.9)).to_dict()["caveat"]
    assert told.endswith("the sandwich certifies the estimator on the model's own data, not on the test set")


def test_chains_that_cannot_tell_their_error_are_not_converged():
    """Of 16 chains an effective 3 are fewer than 0.3 of them; 5 are enough."""
    found = verdict(0.1, 0.02, 0.01)
    few, enough = (
        replace(found, annealed=replace(found.annealed, k=16, acceptance=0.8, ess=torch.tensor([e])))
        for e in (3.0, 5.0)
    )
    assert enough.converged
    assert enough.to_dict()["annealed"]["stderr_mc_reliable"] is True
    assert not few.converged
    assert few.to_dict()["annealed"]["stderr_mc_reliable"] is False
    assert few.verdict == (
        "not converged: annealing has an unreliable error: an effective 3.0 of 16 chains; raise --budget"
    )


@pytest.mark.slow
def test_what_doubling_adds_has_the_error_of_pairs():
    """Over 40 seeds, all rows annealed: the error is the spread, within 4 / sqrt(2 x 40) of it."""
    given = instance(n=16, dim=12, latent=3)
    bound = Importance(30)(given.model, given.guide, given.rows)
    settings = TightnessSettings(rows=16, temperatures=4, leapfrog_steps=1, chains=16, simulated=0, refine=0)
    found = [assess(given.model, given.guide, given.rows, bound, settings, seed) for seed in range(40)]
    added = torch.tensor([f.unfinished for f in found]).double()
    error = math.sqrt(sum(f.unfinished_stderr**2 for f in found) / 40)
    assert error == pytest.approx(float(added.std()), rel=4 / math.sqrt(2 * 40))
    assert found[0].to_dict()["annealed"]["unfinished_stderr"] == found[0].unfinished_stderr > 0
    noise = found[0].annealed.variance_mc + found[0].coarse.variance_mc
    assert found[0].unfinished_stderr == pytest.approx(float(noise.sum().sqrt()) / 16)


def test_no_gap_is_called_tight_against_what_has_not_converged(small):
    """Gaps measured against a bound that still moves: however small, they say nothing of how tight the ELBO is."""
    given, bound = small
    found = assess(given.model, given.guide, given.rows, bound, replace(QUICK, refine=8))
    assert found.gaps.converged == found.converged
    shy = replace(QUICK, temperatures=2, leapfrog_steps=1, refine=8)
    poor = instance(n=30, dim=24, latent=6, common=3.0, off=0.5, wide=0.7)
    rough = Importance(10)(poor.model, poor.guide, poor.rows)
    far = assess(poor.model, poor.guide, poor.rows, rough, shy)
    assert not far.converged
    assert not far.gaps.converged
    assert "has not converged" in far.to_dict()["gaps"]["advice"]
    assert not far.shifted(-3.0).gaps.converged


def test_a_sandwich_that_does_not_meet_is_not_converged():
    found = verdict(0.1, 0.02, 0.01, (-5.0, -3.0))
    assert found.sandwich_gap == 2.0
    assert not found.converged
    assert found.verdict.startswith("not converged")


def test_other_units_move_every_log_density_and_no_difference(small):
    """A log-Jacobian: bounds, sandwich and ELBOs move; correction, gaps and verdict do not."""
    given, bound = small
    found = assess(given.model, given.guide, given.rows, bound, replace(QUICK, refine=8))
    before, after = found.to_dict(), found.shifted(-10.0).to_dict()
    assert after["annealed"]["log_px"] == pytest.approx(before["annealed"]["log_px"] - 10)
    assert after["sandwich"]["lower"] == pytest.approx(before["sandwich"]["lower"] - 10)
    assert after["sandwich"]["gap"] == pytest.approx(before["sandwich"]["gap"])
    assert after["gaps"]["elbo"]["mean"] == pytest.approx(before["gaps"]["elbo"]["mean"] - 10)
    for key in ("approximation", "amortisation"):
        assert after["gaps"][key]["mean"] == pytest.approx(before["gaps"][key]["mean"])
    for key in ("correction", "correction_stderr", "unfinished", "stderr_mc"):
        assert after["annealed"][key] == before["annealed"][key]
    assert after["verdict"] == before["verdict"]
    close(found.shifted(-10.0).importance.nats, bound.nats - 10)
    assert Exact()(given.model, given.guide, given.rows).mean < 0
