"""No verdict contradicts the numbers that it quotes: all words, over a grid of measured values."""

from __future__ import annotations

import itertools
import math
import re

import pytest
import torch

from jensen.analysis.findings import Diagnosis, Finding, overall_verdict
from jensen.analysis.reliability import (
    Trained,
    evaluation_findings,
    more_points_help,
    points_remedy,
    worse_than_uniform,
)
from jensen.evaluate import Estimate, Gaps, GeneralisationGap, Kind
from jensen.evaluate.gaps import Bounds
from jensen.evaluate.generalisation import ERRORS


def record(ess=60.0, k=1000, share=0.0, converged=None, loss=0.1, **others):
    assessed = None if converged is None else {"verdict": "not converged: x; raise --budget", "converged": converged}
    if assessed is not None:
        assessed |= {"loss": loss, "verdict": assessed["verdict"] if not converged else f"loose by about {loss}: y"}
    return {
        "log_px": -90.0,
        "kind": "stochastic lower bound",
        "k": k,
        "ess": ess,
        "stderr": 0.8,
        "stderr_mc": 0.01,
        "k_hat": None if share is None else {"share_above": share},
        "assessment": assessed,
        "settings": {},
        **others,
    }


POINTS, SHARES, CONVERGED, LOSSES = (
    [2, 4, 10, 20, 1000, 5000],
    [None, 0.0, 0.05, 0.06, 0.84],
    [None, True, False],
    [0, 0.6],
)


@pytest.mark.parametrize("ess", [1.0, 2.9, 3.0, 9.9, 10.0, 500.0])
def test_no_finding_contradicts_its_numbers(ess):
    for k, share, converged, loss in itertools.product(POINTS, SHARES, CONVERGED, LOSSES):
        check_findings(ess, k, share, converged, loss)


def check_findings(ess, k, share, converged, loss):
    e = record(min(ess, k), k, share, converged, loss)
    share, enough = None if k < 50 else share, min(10, 0.8 * k)  # of few points the limit of k-hat is 0
    findings = evaluation_findings(e)
    words = " ".join(f"{f.what} {f.cause} {f.remedy}" for f in findings)
    verdict = overall_verdict(
        [f.title for f in findings if f.severity == "problem"], [f.title for f in findings if f.severity == "note"]
    )
    if (match := re.search(r"-k (\d+)", words)) is not None:  # a larger K is advised where it can help
        assert int(match[1]) == 10 * k
        assert e["ess"] >= min(3, k / 2)
        assert share is None or share <= 0.05
    if verdict == "nothing alarming":
        assert share is None or share <= 0.05
        assert converged is not False
        assert converged or e["ess"] >= enough
        assert not (converged and loss >= 0.5)
    if share is not None and share > 0.05:
        assert f"{100 * share:.0f} % of rows" in words or converged is False
    if converged is False or (converged is None and (e["ess"] < min(3, k / 2) or (share or 0) > 0.05)):
        assert verdict.startswith("to look at: ")
    elif converged is None and e["ess"] < enough:  # more points are all that is needed
        assert verdict == "no problem, but to note: a bound that may be loose"
        assert f"-k {10 * k}" in words


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, set()),
        ({"log_px": None}, set()),
        ({"log_px": -math.inf}, {"number-not-finite"}),
        ({"kind": "exact", "k": None, "ess": None}, set()),
        ({"stderr_mc": 1.0}, {"monte-carlo-error"}),
        ({"stderr": None, "stderr_mc": None}, set()),
        ({"kind": "quadrature", "quadrature_error": 1.0}, {"inexact-quadrature"}),
        ({"train_test": {"over_fitting": True, "difference": 9.0, "stderr": 1.0}}, {"over-fitting"}),
        ({"train_test": {"over_fitting": False, "difference": 9.0, "stderr": 1.0}}, set()),
        ({"settings": {"temperatures": 200}, "k": 16, "ess": 2.0, "stderr_mc_reliable": False}, {"loose-bound"}),
        ({"settings": {"temperatures": 200}, "k": 16, "ess": 8.0, "stderr_mc_reliable": True}, set()),
    ],
)
def test_what_an_evaluation_shows(changes, names):
    assert {f.name for f in evaluation_findings(record() | changes)} == names


def test_nothing_is_found_without_a_record():
    assert evaluation_findings(None) == ()
    assert evaluation_findings({}) == ()
    assert not more_points_help(None, 5.0, None)
    assert not more_points_help(10, math.nan, None)


def test_the_remedy_beside_a_comparison():
    kind, nats = Kind.STOCHASTIC_LOWER, torch.zeros(20)
    few = Estimate(kind, nats, k=10, ess=torch.full((20,), 4.0), k_hat=torch.full((20,), -1.0))
    one = Estimate(kind, nats, k=1000, ess=torch.full((20,), 1.0), k_hat=torch.full((20,), 3.0))
    good = Estimate(kind, nats, k=1000, ess=torch.full((20,), 500.0), k_hat=torch.full((20,), 0.1))
    assert (few.reliable, one.reliable, good.reliable) == (False, False, True)
    assert points_remedy([few, good]) == "raise -k"
    assert points_remedy([few, one]) == "more points do not help: --method annealed"


@pytest.mark.parametrize(
    ("n", "difference", "spread"),
    list(itertools.product([1, 2, 20, 500], [-400.0, -1.0, 0.0, 0.3, 40.0, 367.0], [0.01, 5.0, 1700.0])),
)
def test_no_sentence_on_over_fitting_contradicts_its_error(n, difference, spread):
    unit = torch.linspace(-1, 1, max(n, 2)).double()[:n] * spread
    gap = GeneralisationGap(unit + difference, unit)
    error, words = gap.stderr, gap.sentence
    if error is None:
        assert words == "too few rows to detect over-fitting"
        return
    if words.startswith("no sign"):
        assert abs(difference) <= ERRORS * error + 1e-9
        assert difference <= error + 1e-9 or gap.deviations * (1 + ERRORS * error / difference) <= 0.3
    assert gap.over_fitting == words.startswith("over-fitting: ")
    assert ("not clear" in words) == gap.is_unclear
    if "not clear" in words:
        assert error < difference <= ERRORS * error
        assert "less than 3 standard errors" in words
    assert (difference < -ERRORS * error) == words.startswith("the opposite of over-fitting")


def test_an_uncertain_gap_is_called_so():
    """367 ± 171 nats: two standard errors."""
    spread = torch.linspace(-1, 1, 200).double()
    spread = spread / spread.std() * 171 * math.sqrt(100)
    gap = GeneralisationGap(spread + 367, spread)
    assert gap.stderr == pytest.approx(171)
    assert gap.sentence == (
        "over-fitting is not clear: training rows score 367 ± 171 nats higher than other rows, which is less than 3 "
        "standard errors"
    )
    broken = GeneralisationGap(torch.tensor([math.inf, 1.0]), torch.tensor([0.0, 1.0]))
    assert "not finite" in broken.sentence


@pytest.mark.parametrize(
    ("whole", "share", "noise", "n"),
    list(itertools.product([-5.0, 0.0, 0.05, 3.0, math.nan], [0.1, 0.5, 0.9], [1e-4, 1.0, 400.0], [1, 50])),
)
def test_no_advice_on_gaps_contradicts_them(whole, share, noise, n):
    """`share` of the gap is the encoder's; rows scatter as their noise."""
    jitter = noise * torch.linspace(-1, 1, max(n, 2)).double()[:n]
    truth = torch.full((n,), whole).double()
    amortised, variance = torch.zeros(n).double(), torch.full((n,), noise**2).double()
    refined = share * truth + jitter
    gaps = Gaps(Estimate(Kind.EXACT, truth), Bounds(amortised, variance, refined, variance))
    mean, error, advice = float(gaps.whole.mean()), noise / math.sqrt(n), gaps.advice
    if math.isnan(whole):
        assert advice == "No gap is known: a value is not finite."
        return
    if "The bound is tight" in advice:
        assert abs(mean) < 0.1 + 3 * error
        assert 3 * error < 0.5
    if "above the estimate" in advice:
        assert mean < -3 * error
    if "Most of the gap" in advice:
        part = gaps.amortisation - gaps.approximation
        assert n == 1 or abs(float(part.mean())) > 3 * float(part.std()) / math.sqrt(n)
        assert ("encoder's" in advice) == (float(part.mean()) > 0)


@pytest.mark.parametrize("problems", [0, 1, 3])
@pytest.mark.parametrize("notes", [0, 1, 2])
def test_the_verdict_of_all_findings(problems, notes):
    findings = [Finding(f"ill-{i}", "problem", "a", "b", "c") for i in range(problems)]
    findings += [Finding(f"odd-{i}", "note", "a", "b", "c") for i in range(notes)]
    diagnosis = Diagnosis(tuple(findings), {}, {})
    verdict = diagnosis.to_dict()["verdict"]
    assert (verdict == "nothing alarming") == (problems + notes == 0)
    assert verdict.startswith("to look at") == (problems > 0)
    assert diagnosis.healthy == (problems == 0)
    assert ("1 problem," in diagnosis.verdict + ",") == (problems == 1)
    assert "1 notes" not in diagnosis.verdict
    assert "1 problems" not in diagnosis.verdict


def test_of_two_findings_of_a_name_the_more_serious_counts():
    note, problem = (Finding("over-fitting", s, "a", "b", "c") for s in ("note", "problem"))
    assert Diagnosis((note,), {}, {}).with_others([problem]).findings == (problem,)
    assert Diagnosis((problem,), {}, {}).with_others([note]).findings == (problem,)
    assert overall_verdict([], looked=False) == "not examined"
    assert overall_verdict(["x", "x"]) == "to look at: x"


@pytest.mark.parametrize(("k", "ess"), [(10, 9.0), (10, 8.0), (2, 1.9), (20, 12.0), (1, 1.0)])
def test_few_points_of_nearly_even_weights_are_no_finding(k, ess):
    """Of K up to 10 points the limit of k-hat is 0, and every row is beyond it."""
    assert evaluation_findings(record(ess, k, 1.0)) == ()


@pytest.mark.parametrize(("k", "ess", "share"), [(60, 58.0, 0.13), (100, 96.0, 0.07), (5000, 4900.0, 0.5)])
def test_heavy_tails_of_even_weights_are_no_finding(k, ess, share):
    """An effective 96 of 100 points are no few points that carry the weight."""
    assert evaluation_findings(record(ess, k, share, stderr_mc_reliable=True)) == ()
    (note,) = evaluation_findings(record(ess, k, share, stderr_mc_reliable=False))  # a few rows are less even
    assert note.severity == "note"
    assert "some data" in note.cause


LEFT_OUT = "left out for lack of time: annealing (about 70 s); --budget 120 has room for them"


@pytest.mark.parametrize(
    ("method", "k", "notes", "expected"),
    [
        ("auto", None, [LEFT_OUT], "jensen evaluate 'my run' --budget 120"),
        ("auto", None, [], ": train with a richer guide"),
        ("auto", 100, [], "(jensen evaluate 'my run')"),
        ("importance", None, [], "(jensen evaluate 'my run')"),
    ],
)
def test_advice_does_not_repeat_the_command_that_was_run(method, k, notes, expected):
    e = record(1.0, 1000, 1.0, replay={"method": method, "k": k}, notes=notes)
    (finding,) = evaluation_findings(e, Trained("my run"))
    assert expected in finding.remedy
    assert "RUN" not in finding.remedy
    assert ("jensen evaluate 'my run'" in finding.remedy) == (k is not None or method != "auto" or bool(notes))


@pytest.mark.parametrize("advice", ["raise --budget", "report the annealed bound"])
def test_the_remedy_of_a_loose_bound_is_that_of_its_verdict(advice):
    e = record(converged=True, loss=0.8)
    e["assessment"]["verdict"] = f"loose by about 0.8 nats, according to annealed importance sampling: {advice}"
    (finding,) = evaluation_findings(e)
    assert finding.remedy.lower().startswith(f"{advice}, or")
    assert advice not in finding.what


@pytest.mark.parametrize(("size", "levels"), [(3072, 256), (64, 17), (10, 2), (1, 5)])
def test_a_model_worse_than_uniform_is_a_problem(size, levels):
    """Bits per dimension above log2(levels), in nats."""
    uniform = -size * math.log(levels)
    trained = Trained(steps=5, uniform=uniform)
    (finding,) = worse_than_uniform(uniform - 0.01, trained)
    assert finding.severity == "problem"
    assert "5 steps taken" in finding.remedy
    assert worse_than_uniform(uniform + 0.01, trained) == ()
    assert worse_than_uniform(uniform - 0.01, Trained(steps=5)) == ()


def test_the_best_bound_is_compared_with_uniform():
    """An annealed bound above the uniform distribution acquits the model."""
    e, trained = record(converged=True), Trained(uniform=-89.0)
    assert [f.name for f in evaluation_findings(e, trained)] == ["worse-than-uniform"]
    e["assessment"]["annealed"] = {"log_px": -88.0}
    assert evaluation_findings(e, trained) == ()
