"""How good is it: every number that was measured is drawn once, stated in words, and is in the JSON."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

import jensen
from jensen.evaluate import TightnessSettings
from jensen.evaluate.generalisation import ERRORS, VISIBLE
from jensen.plot.tightness import bounds_over_k
from jensen.report.evidence import _weights, evidence, verdict
from jensen.report.facts import Facts, gather
from jensen.report.settings import estimates
from jensen.runs.resume import resume
from jensen.storage.files import digest
from tests.report.pages import page_of

SETTINGS = TightnessSettings(rows=8, temperatures=6, leapfrog_steps=2, chains=3, simulated=6, refine=10)


@pytest.fixture(scope="module")
def assessed(run, tmp_path_factory):
    """The run, evaluated with annealing behind it."""
    folder = shutil.copytree(run.path, tmp_path_factory.mktemp("assessed") / "run")
    opened = jensen.load(folder)
    opened.keep(opened.evaluate(settings=SETTINGS))
    return opened


@pytest.fixture(scope="module")
def assessed_page(assessed, tmp_path_factory):
    return page_of(assessed, tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture(scope="module")
def facts(assessed) -> Facts:
    return gather(assessed, examples=True)


def labels(page) -> list[str]:
    return [p.get("aria-label") or "" for p in page.all("svg")]


def test_everything_measured_is_on_the_page(assessed_page):
    numbers = assessed_page.numbers["evaluation"]
    chain, split = numbers["assessment"]["annealed"], numbers["assessment"]["gaps"]
    assert f"Verdict: {numbers['assessment']['verdict']}." in assessed_page.said
    assert split["advice"] in assessed_page.said
    assert "log p(x) ≥, annealed" in assessed_page.said
    assert "8 rows weighted to all, 6 temperatures, from the guide, corrected" in assessed_page.said
    assert f"But {numbers['assessment']['caveat']}." in assessed_page.said
    assert chain["stderr_mc_reliable"] in (True, False)
    assert "on simulated data" in assessed_page.said
    assert any(f"annealing gives {chain['log_px']:.2f}" in label for label in labels(assessed_page))
    assert any(label.startswith("The gap of the ELBO: encoder") for label in labels(assessed_page))
    assert any(label.startswith("Effective sample size: median") for label in labels(assessed_page))
    assert any(label.startswith("The gap goes from") for label in labels(assessed_page))


def test_the_headline_says_how_tight(assessed_page):
    short = assessed_page.numbers["evaluation"]["assessment"]["verdict"].split(":")[0]
    assert f"nats per datum, {short}; " in assessed_page.numbers["headline"]


def test_every_number_is_in_the_json(assessed_page):
    numbers = assessed_page.numbers
    assert numbers["doctor"]["measures"]["score_train"]
    assert [s["epoch"] for s in numbers["along"]["stages"]] == [1, 2]
    assert numbers["along"]["n"] == 24
    assert {"q05", "q25", "median", "q75", "q95", "max", "limit", "share_above"} == numbers["evaluation"][
        "k_hat"
    ].keys()


def test_what_was_not_measured_is_left_out(page):
    assert "the tightness of the bound was not measured" in page.said
    assert "on simulated data" not in page.said
    assert not any("The gap of the ELBO" in label for label in labels(page))
    assert not any("annealing gives" in label for label in labels(page))


def changed(facts: Facts, **assessment) -> Facts:
    evaluation = dict(facts.evaluation)
    evaluation["assessment"] = {**evaluation["assessment"], **assessment}
    return replace(facts, evaluation=evaluation)


@pytest.mark.usefixtures("unrendered")
def test_a_wide_sandwich_is_not_drawn(facts):
    pair = {**facts.evaluation["assessment"]["sandwich"], "lower": -100.0}
    narrow, wide = (changed(facts, sandwich={**pair, "upper": -100 + g, "gap": g}) for g in (0.5, 500.0))
    drawn = [
        [b for p in evidence(f).expert_panels for b in p.bodies if "On simulated data" in b] for f in (narrow, wide)
    ]
    assert [len(d) for d in drawn] == [1, 0]
    assert "500" in str(evidence(wide).expert_tables)


@pytest.mark.usefixtures("unrendered")
def test_the_bar_of_a_sandwich_is_the_error_of_its_gap(facts):
    pair = {**facts.evaluation["assessment"]["sandwich"], "lower": -100.0, "upper": -99.5, "gap": 0.5}
    known, unknown = (changed(facts, sandwich={**pair, "gap_stderr": e}) for e in (0.125, None))
    captions = [next(p.caption for p in evidence(f).expert_panels if "sandwich" in p.caption) for f in (known, unknown)]
    assert "0.500 ± 0.125 nats wide (bar at the upper end: two standard errors of this gap, over rows)" in captions[0]
    assert "0.500 nats wide. A" in captions[1]


def test_no_band_is_drawn_where_the_error_is_not_known():
    """An unknown error is not zero; nor is one that is unreliable."""
    curve = [{"k": 1, "log_px": -3.0, "stderr_mc": None}, {"k": 9, "log_px": -2.0, "stderr_mc": 0.5}]
    estimate = {"curve": curve, "stderr_mc": 0.25, "stderr_mc_reliable": True}
    assert np.isnan(bounds_over_k(estimate)[0][2])
    assert bounds_over_k(estimate)[1] == (9, -2.0, 0.25)
    for unknown in ({"stderr_mc_reliable": False}, {"stderr_mc": None}):
        assert np.isnan(bounds_over_k({**estimate, **unknown})[1][2])


def test_an_unreliable_error_of_annealing_is_called_so(facts):
    chain = facts.evaluation["assessment"]["annealed"]
    rows = [
        next(r for r in estimates(changed(facts, annealed={**chain, "stderr_mc_reliable": sure})).rows if "ann" in r[0])
        for sure in (True, False)
    ]
    assert float(rows[0][3]) > 0
    assert rows[1][3] == "unreliable"


def test_the_elbo_says_how_it_was_found(facts):
    """Of a Gaussian guide beside an integral it is a rule's, without chance; else samples are in it."""
    for kind, by, said in (
        ("quadrature", "quadrature", "lower bound, by quadrature"),
        ("quadrature", "samples", "stochastic lower bound"),
        ("exact", None, "stochastic lower bound"),
    ):
        table = estimates(replace(facts, evaluation={**facts.evaluation, "kind": kind, "settings": {"elbo": by}}))
        assert [r[-1] for r in table.rows if r[0] == "ELBO"] == [said]


def test_an_unconverged_answer_is_a_finding(facts):
    from jensen.report.findings import findings

    facts = replace(facts, diagnosis=None)  # which has those of evaluation.json
    texts = {f.short for f in findings(changed(facts, converged=False, verdict="not converged: raise --budget"))}
    assert "a bound of unknown tightness" in texts
    assert "a bound of unknown tightness" not in {f.short for f in findings(changed(facts, converged=True))}


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        (None, "the data cannot be read"),
        ({"log_px": None, "kind": "unnormalised"}, "no density"),
        ({"log_px": -1.0, "kind": "exact"}, "log p(x) itself"),
        ({"log_px": -1.0, "kind": "exact", "assessment": {"verdict": "exact"}}, "log p(x) itself"),
        ({"log_px": -1.0, "kind": "quadrature"}, "the number is a quadrature"),
        (
            {"log_px": -1.0, "kind": "quadrature", "quadrature_error": 4.8e-6, "assessment": {"converged": True}},
            "Verdict: by quadrature, with an error of 4.8e-06 nats at most.",
        ),
        (
            {
                "log_px": -1.0,
                "kind": "quadrature",
                "quadrature_error": 0.3,
                "assessment": {"converged": False, "verdict": "not converged: use --method importance"},
            },
            "Verdict: not converged: use --method importance.",
        ),
    ],
)
def test_verdicts(evaluation, said, facts):
    assert said in verdict(replace(facts, evaluation=evaluation))


def test_few_effective_points_alarm_only_where_nobody_measured_what_they_cost(facts):
    from jensen.report.findings import findings

    few = {**facts.evaluation, "ess": 2.0, "k": 20, "kind": "stochastic lower bound"}
    measured = replace(facts, evaluation=few)
    alone = replace(facts, evaluation={**few, "assessment": None})
    assert "a bound that may be loose" in {f.short for f in findings(alone)}
    assert "a bound that may be loose" not in {f.short for f in findings(measured)}


@pytest.mark.usefixtures("unrendered")
def test_training_rows_are_told_beside_the_others(facts):
    sides = {
        "score": "log p(x) (exact)",
        "train": -80.0,
        "test": -88.0,
        "difference": 8.0,
        "stderr": 1.0,
        "train_rows": 500,
        "test_rows": 48,
        "sentence": "over-fitting: training rows score 8 nats higher than other rows",
    }
    result = evidence(replace(facts, evaluation={**facts.evaluation, "train_test": sides}))
    assert "Over-fitting: training rows score 8 nats higher than other rows." in result.text
    table = next(t for t in result.expert_tables if t.head[0] == "over-fitting")
    assert f"above {ERRORS:g} standard errors and {VISIBLE:g} standard deviations" in table.caption
    assert table.rows == (("500 training rows", "-80", ""), ("48 other rows", "-88", ""), ("difference", "8", "1"))


@pytest.mark.usefixtures("unrendered")
def test_a_gap_that_is_not_split_is_one_bar(facts):
    split = {**facts.evaluation["assessment"]["gaps"], "approximation": None, "amortisation": None}
    drawn = [b for p in evidence(changed(facts, gaps=split)).expert_panels for b in p.bodies]
    assert any("The gap of the ELBO: family and encoder" in b for b in drawn)


def test_an_evaluation_of_earlier_weights_is_not_told_of_those_that_trained_on(run, tmp_path):
    folder = shutil.copytree(run.path, tmp_path / "run")
    assert gather(jensen.load(folder), examples=False).stored
    longer = resume(folder, epochs=run.spec["choices"]["epochs"] + 1)
    result = gather(longer, examples=False)
    assert not result.stored
    assert result.evaluation["replay"]["weights_sha256"] == digest(folder / "model.safetensors")
    assert result.evaluation["log_px"] != gather(run, examples=False).evaluation["log_px"]
    longer.keep(longer.evaluate(k=2))
    assert gather(longer, examples=False).stored


@pytest.mark.parametrize(
    ("k", "limit", "few"), [(5, None, "4"), (20, None, "10"), (49, None, "10"), (50, 0.41, "10"), (1000, 0.67, "10")]
)
def test_tails_are_shown_of_enough_points_only(facts, k, limit, few):
    """Of few points k-hat has no meaning (1000000 where none can be fitted), nor has a size of ten of five points."""
    shape = dict.fromkeys(("q05", "q25", "median", "q75", "q95"), 0.25 if limit else 1e6)
    shape |= {"limit": limit or 0.0, "share_above": 0.08 if limit else 1.0}
    size = dict.fromkeys(("q05", "q25", "median", "q75", "q95"), 3.0)
    evaluation = {**facts.evaluation, "k": k, "k_hat": shape, "ess_quantiles": size}
    panel = _weights(replace(facts, evaluation=evaluation))
    drawn = "".join(panel.bodies)
    assert f"Effective sample size: median 3 of {k:,}." in drawn
    assert f"{few}: too few below" in drawn
    assert ("k-hat" in drawn + panel.caption) == (limit is not None)
    assert limit is None or f"k-hat: median 0.25; 8 % of rows lie beyond {limit}." in drawn
    assert "1000000" not in drawn
