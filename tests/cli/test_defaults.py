"""The defaults that help shows are those of the functions that use them."""

from __future__ import annotations

import inspect
from dataclasses import fields

from jensen.analysis import imputation
from jensen.cli import defaults
from jensen.evaluate import Annealed, Importance
from jensen.evaluate.choose import METHODS
from jensen.runs import rate_distortion, verify
from jensen.runs.run import Run
from jensen.runs.sandwich import certify


def test_defaults_of_evaluation():
    assert defaults.EVALUATION_METHODS == METHODS
    assert Importance.k == defaults.POINTS
    assert defaults.CHAIN.items() <= {f.name: f.default for f in fields(Annealed)}.items()
    assert inspect.signature(Run.evaluate).parameters["budget"].default == defaults.BUDGET
    assert inspect.signature(certify).parameters["rows"].default == defaults.SIMULATED_ROWS
    assert defaults.TOLERANCE == verify.TOLERANCE


def test_defaults_of_imputation():
    sizes = {"points": imputation.POINTS, "chains": imputation.CHAINS, **imputation.STEPS}
    assert defaults.IMPUTATION_METHODS == imputation.METHODS
    assert sizes == defaults.IMPUTATION_SIZES


def test_defaults_of_rate_distortion():
    assert defaults.BETAS == rate_distortion.BETAS
