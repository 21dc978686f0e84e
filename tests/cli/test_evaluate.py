"""`jensen evaluate`: what kind of number it chose, how sure it is, and the same again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jensen.cli.evaluate import _tightness_lines
from jensen.evaluate.quantity import EVIDENCE, Quantity
from tests.cli.conftest import TINY
from tests.evaluate.test_tightness import verdict


def timeless(text: str) -> dict:
    record = json.loads(text)
    inner = record["assessment"] and {**record["assessment"], "seconds": 0}
    return {**record, "seconds": 0, "assessment": inner}


@pytest.mark.usefixtures("unrendered")
def test_two_latent_features_are_integrated(jensen, run):
    """Nothing is left to chance, so there is nothing to anneal; the error of the rule is told."""
    answer = jensen("evaluate", "run")
    assert answer.code == 0
    assert "(quadrature; ± over data)" in answer.out
    assert "quadrature error" in answer.out
    assert "verdict: quadrature: error" in answer.out
    record = timeless(jensen("evaluate", "run", "--json").out)
    assert (record["kind"], record["k"], record["stderr_mc"]) == ("quadrature", None, 0.0)
    assert (record["assessment"]["annealed"], record["assessment"]["sandwich"]) == (None, None)
    assert 0 <= record["quadrature_error"] < 1e-3
    assert record["elbo"] < record["log_px"]
    assert record == timeless(jensen("evaluate", "run", "--json").out)
    assert timeless((run / "evaluation.json").read_text()) == record
    assert jensen("report", "run").code == 0
    assert "quadrature" in (run / "report.html").read_text(encoding="utf-8")


def test_with_points_it_is_importance_weighting(jensen, run):
    exact = json.loads(jensen("evaluate", "run", "--json").out)
    bound = json.loads(jensen("evaluate", "run", "-k", 2000, "--json").out)
    assert (bound["kind"], bound["k"]) == ("stochastic lower bound", 2000)
    assert abs(bound["log_px"] - exact["log_px"]) < 0.02 + 4 * bound["stderr_mc"]


def test_too_few_effective_points_are_said_to_be_unreliable(jensen, run):
    answer = jensen("evaluate", "run", "-k", 5)
    assert "over Monte Carlo unreliable; median effective sample size" in answer.out
    assert json.loads(jensen("evaluate", "run", "-k", 5, "--json").out)["stderr_mc_reliable"] is False


def test_an_autoencoder_has_a_number_where_it_is_asked_for(jensen, data):
    """Its guide forms no bound; the integral needs none."""
    assert jensen("train", "real.npy", "--recipe", "autoencoder", *TINY, "--out", "run").code == 0
    record = json.loads(jensen("evaluate", "run", "--json").out)
    assert (record["kind"], record["log_px"]) == ("unnormalised", None)
    record = json.loads(jensen("evaluate", "run", "--method", "quadrature", "--json").out)
    assert (record["kind"], record["elbo"]) == ("quadrature", None)


def test_beside_the_verdict_is_what_it_does_not_say():
    """Nothing bounds test rows from above; an error that is unreliable is not printed; the start is named."""
    assessment = verdict(0.1, 0.02, 0.01, (-3.0, -2.9))
    assessment = replace(
        assessment, annealed=replace(assessment.annealed, settings={"start": "guide", "corrected": True})
    )
    lines = _tightness_lines(assessment, EVIDENCE)
    assert lines[0] == "verdict: tight to about 0.24 nats, according to annealed importance sampling"
    assert lines[1].startswith("but nothing bounds the evidence of these rows from above: the sandwich certifies")
    assert lines[1].endswith("not on the test set (open by 0.1 nats on 1 simulated row)")
    assert lines[2].startswith("log p(x) >= 0.10 ± 0.02 by annealing 1 row (from the guide, corrected; 8 temperatures;")
    given = _tightness_lines(assessment, Quantity("label"))
    assert given[2].startswith("log p(x | label) >= 0.10 ± 0.02 by annealing")
    few = replace(assessment.annealed, k=16, acceptance=0.8, ess=assessment.annealed.nats + 3)
    assert _tightness_lines(replace(assessment, annealed=few), EVIDENCE)[2].endswith("error unreliable)")
    assert "± 0.02" not in _tightness_lines(replace(assessment, annealed=few), EVIDENCE)[2]
    assert (
        _tightness_lines(replace(assessment, sandwich=None), EVIDENCE)[1]
        == "but nothing bounds the evidence of these rows from above"
    )
