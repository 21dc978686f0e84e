"""`jensen evaluate`: what kind of number it chose, how sure it is, and the same again."""

from __future__ import annotations

import json

from tests.cli.conftest import TINY


def timeless(text: str) -> dict:
    found = json.loads(text)
    inner = found["assessment"] and {**found["assessment"], "seconds": 0}
    return {**found, "seconds": 0, "assessment": inner}


def test_two_latent_features_are_integrated(jensen, run):
    """Nothing is left to chance, so there is nothing to anneal; the error of the rule is told."""
    answer = jensen("evaluate", "run")
    assert answer.code == 0
    assert "(quadrature; ± over data)" in answer.out
    assert "quadrature error" in answer.out
    assert "verdict: quadrature: error" in answer.out
    told = timeless(jensen("evaluate", "run", "--json").out)
    assert (told["kind"], told["k"], told["stderr_mc"]) == ("quadrature", None, 0.0)
    assert (told["assessment"]["annealed"], told["assessment"]["sandwich"]) == (None, None)
    assert 0 <= told["quadrature_error"] < 1e-3
    assert told["elbo"] < told["log_px"]
    assert told == timeless(jensen("evaluate", "run", "--json").out)
    assert timeless((run / "evaluation.json").read_text()) == told
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
    told = json.loads(jensen("evaluate", "run", "--json").out)
    assert (told["kind"], told["log_px"]) == ("unnormalised", None)
    told = json.loads(jensen("evaluate", "run", "--method", "quadrature", "--json").out)
    assert (told["kind"], told["elbo"]) == ("quadrature", None)
