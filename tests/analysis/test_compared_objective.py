"""The objective of a run, rebuilt from the trees of its record for a comparison of gradients."""

from __future__ import annotations

import json

import pytest

from jensen.analysis.compared_objective import COMPARED, REASONS, compared_objective
from jensen.core.errors import CompositionError
from jensen.core.parts import spec_of
from jensen.objectives import (
    DIP,
    MMD,
    Capacity,
    CustomObjective,
    Distortion,
    Elbo,
    FreeBits,
    ImportanceWeighted,
    LogRatio,
    Objective,
    Ramp,
    Rate,
    Renyi,
    TotalCorrelation,
)
from jensen.objectives.wake_sleep import Inclusive
from tests.contracts.members import ALL_COUPLED, ALL_OBJECTIVES, GAMES, OF_CODES, OF_CODES_ALONE, OF_LABELS_ALONE


def recorded(*objectives: Objective) -> list[dict]:
    """Players as they come back from a file."""
    return [
        {"objective": str(objective), "parts": {"objective": json.loads(json.dumps(spec_of(objective)))[0]}}
        for objective in objectives
    ]


@pytest.mark.parametrize(
    "objective",
    [
        *(ImportanceWeighted(), Renyi(-0.5), Renyi(1e-05), -Distortion(), -Distortion() - 2.5 * Rate()),
        -Distortion() - 0.5 * Rate() - 100 * MMD(),
        -Distortion() - Rate() - 1e-05 * MMD((0.5, 2.0)),
        -Distortion() - Rate() - DIP("points", 1e06, 0.0),
    ],
    ids=str,
)
def test_a_sum_of_plain_terms_is_read_back(objective):
    assert compared_objective(recorded(objective)) == objective


@pytest.mark.parametrize(
    ("objectives", "words"),
    [
        ([Elbo()], "-Distortion - Rate"),
        ([Elbo(0.5)], "-Distortion - 0.5 Rate"),
        ([-Distortion() - Ramp(4.0, 10, every=20) * Rate()], "-Distortion - 4 Rate"),
        ([-Distortion() - Ramp(0.5, 10, 1e-5) * Rate() - 2 * MMD()], "-Distortion - 0.5 Rate - 2 MMD"),
        ([-Rate(), -Distortion() - 2 * Rate()], "-Distortion - 2 Rate"),
        ([-Distortion() - Rate(), ImportanceWeighted()], "ImportanceWeighted"),
    ],
)
def test_what_stands_for_a_run(objectives, words):
    assert str(compared_objective(recorded(*objectives))) == words


@pytest.mark.parametrize(
    ("objective", "why"),
    [
        (
            -Distortion() - FreeBits(0.25, 1),
            r"FreeBits reads densities of the whole batch.*only Pathwise\(k\) gives its gradient",
        ),
        (-Distortion() - Capacity(Ramp(25.0, 10), 10.0), "Capacity reads"),
        (-Distortion() - Rate() - 3.0 * TotalCorrelation(), "TotalCorrelation reads"),
        (-Distortion() - Rate() - 10.0 * LogRatio(OF_CODES), "LogRatio needs a critic"),
        (
            Elbo() + CustomObjective(lambda draw: draw.log_lik[0], "Energy"),
            "Energy is not a known term.*Compare a run of vae",
        ),
        (
            Elbo() + CustomObjective(lambda draw: draw.log_lik[0], "mine, in words"),
            "mine, in words is not a known term",
        ),
        (Inclusive(), "Inclusive trains the guide alone"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_says_why(objective, why):
    with pytest.raises(CompositionError, match=why):
        compared_objective(recorded(objective))


def test_every_term_is_compared_or_has_a_reason():
    terms = (*ALL_OBJECTIVES, *ALL_COUPLED, *GAMES, *OF_CODES_ALONE, *OF_LABELS_ALONE)
    names = {type(term).__name__ for term in terms} - {"CustomObjective", "Sum"}
    assert names == COMPARED | REASONS.keys()
