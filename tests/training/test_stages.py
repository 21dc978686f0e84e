"""Stages follow from when players are active; the measures of a stage are those of its last epoch."""

from __future__ import annotations

from typing import Any

import pytest

from jensen.training.stages import finished_stages, stage_ends, stage_lines

TWO: list[dict[str, Any]] = [{"objective": "Elbo", "during": [0, 0.6]}, {"objective": "-Rate", "during": [0.6, 1]}]


@pytest.mark.parametrize(("epochs", "ends"), [(10**18, (6 * 10**17, 10**18)), (10, (6, 10)), (5, (3, 5)), (1, ())])
def test_ends(epochs, ends):
    assert stage_ends(TWO, epochs) == ends


def test_players_that_are_always_active_make_one_stage():
    assert stage_ends([{"objective": "Elbo"}, {"objective": "CriticLoss"}], 10) == ()
    assert stage_ends([], 10) == ()


def line(epoch: int, valid: float | None) -> dict[str, Any]:
    def measures(bound: float) -> dict[str, float]:
        return {"bound": bound, "rate": 1.0, "distortion": -bound - 1.0}

    return {
        "event": "epoch",
        "epoch": epoch,
        "train": measures(-float(epoch)),
        "valid": None if valid is None else measures(valid),
    }


def test_measures_are_those_of_the_last_epoch_of_validation_where_there_is_any():
    spec = {"players": TWO, "choices": {"epochs": 10}}
    metrics = [{"event": "start"}, *(line(epoch, -10.0 * epoch) for epoch in range(1, 8))]
    (first,) = finished_stages(spec, metrics)  # the second has not ended
    assert (first.first, first.last, first.part, first.bound) == (1, 6, "validation", -60.0)
    assert stage_lines([first]) == ()
    both = finished_stages(spec, [line(epoch, None) for epoch in range(1, 11)])
    assert [(s.part, s.bound, s.objective) for s in both] == [("training", -6.0, "Elbo"), ("training", -10.0, "-Rate")]
    assert stage_lines(both) == (
        "stages (ELBO of training rows): -6.00 after epoch 6 of Elbo, -10.00 after epoch 10 of -Rate",
    )


def test_players_with_the_same_objective_are_stages_of_their_own():
    two = [{"objective": "Elbo", "during": [0, 0.5]}, {"objective": "Elbo", "during": [0.5, 1]}]
    assert stage_ends(two, 10) == (5, 10)
    stages = finished_stages({"players": two, "choices": {"epochs": 10}}, [line(e, -float(e)) for e in range(1, 11)])
    assert [(s.first, s.last, s.bound) for s in stages] == [(1, 5, -5.0), (6, 10, -10.0)]
