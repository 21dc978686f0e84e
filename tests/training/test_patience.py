"""Early stopping: after exactly so many epochs without a rise, and never before weights have warmed up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from unittest.mock import patch

import pytest

from jensen.objectives import Distortion, Elbo, Ramp, Rate
from jensen.training import Budget, Optimizer, Player, Trainer, loop
from jensen.training.events import Measures, Stopped
from jensen.training.patience import default_patience, settled_after
from tests.training.test_loop import data, everyone, pair

RISE, FALL = [-5.0, -4.0, -3.0], [-3.5] * 40
STEPS = 3  # of an epoch: 9 rows in batches of 4


def stopped(curve: Sequence[float], patience: int | None, epochs: int = 20, **settings) -> Stopped:
    """Train with a validation bound that follows a script."""
    script = iter(curve)

    def validate(*_: object) -> Measures:
        bound = next(script)
        return Measures(bound, bound, 1.0, -bound - 1.0)

    model, guide = pair()
    players = settings.pop("players", None) or everyone(model, guide, **settings)
    with patch.object(loop, "validate", validate):
        history = Trainer(keep_best=True).fit(model, guide, players, data(), Budget(epochs, 4, patience), data(5))
    assert history.stopped is not None
    assert history.stopped.epoch == len(history.epochs)
    return history.stopped


@pytest.mark.parametrize(
    ("curve", "patience", "epoch", "kept", "reason"),
    [
        ([*RISE, *FALL], 4, 7, 3, "early stopping"),
        ([*RISE, *FALL], 1, 4, 3, "early stopping"),
        ([*RISE, -3.0, -3.0, -3.0, -2.0, *FALL], 4, 11, 7, "early stopping"),  # an equal bound has not risen
        ([*RISE, -3.0, -3.0, -3.0, -3.0, -2.0, *FALL], 4, 7, 3, "early stopping"),
        ([*RISE, math.nan, math.nan, *FALL], 4, 7, 3, "early stopping"),  # nor has one that is no number
        ([*RISE, -math.inf, math.nan, math.nan, -2.9, *FALL], 4, 11, 7, "early stopping"),
        ([math.nan] * 40, 4, 4, 4, "early stopping"),  # with nothing to keep but the last
        ([-math.inf] * 40, 3, 3, 3, "early stopping"),
        ([*RISE, *FALL], None, 20, 3, "finished"),
        ([*RISE, *FALL], 17, 20, 3, "finished"),  # which would have stopped after the last epoch
        ([*RISE, *FALL], 500, 20, 3, "finished"),
        (range(-40, 0), 1, 20, 20, "finished"),
    ],
)
def test_training_stops_after_exactly_so_many_epochs_without_a_rise(curve, patience, epoch, kept, reason):
    end = stopped([float(bound) for bound in curve], patience)
    assert (end.epoch, end.kept_epoch, end.reason) == (epoch, kept, reason)


@pytest.mark.parametrize(
    ("weight", "settled"),
    [
        (Ramp(1.0, 8 * STEPS), 8),
        (Ramp(1.0, 8 * STEPS - 1), 8),
        (Ramp(4.0, 6 * STEPS, start=2.0), 6),
        (Ramp(1.0, 8 * STEPS, start=1.0), 0),  # which never changes
        (Ramp(1.0, 2 * STEPS, every=5 * STEPS), 2),
        (1.0, 0),
    ],
)
def test_a_fall_of_the_bound_during_warm_up_is_no_reason_to_stop(weight, settled):
    objective = -Distortion() - weight * Rate()
    end = stopped([-1.0, *FALL], 4, objective=objective)
    assert (end.epoch, end.kept_epoch) == (max(1, settled) + 4, 1)


def test_patience_counts_from_the_beginning_of_the_last_stage():
    model, guide = pair()
    first = Player(Elbo(), list(model.parameters()), optimizer=Optimizer("Adam", 1e-3), during=(0.0, 0.5))
    for second, settled in (((0.5, 1.0), 10), ((0.2, 1.0), 10), ((0.7, 1.0), 14), ((0.0, 0.25), 10)):
        players = [first, Player(Elbo(), list(guide.parameters()), during=second)]
        assert settled_after(players, 20, STEPS) == settled
    halves = [
        first,
        Player(Elbo(), list(guide.parameters()), during=(0.5, 1.0)),
    ]  # of another model: the script decides
    assert stopped([-1.0, *FALL], 3, players=halves).epoch == 13


@pytest.mark.parametrize(
    ("epochs", "patience"), [(300, 60), (100, 20), (101, 21), (26, 6), (25, 5), (24, 5), (3, 5), (1, 5)]
)
def test_the_default_is_a_fifth_and_no_short_training_stops_early(epochs, patience):
    assert default_patience(everyone(*pair()), epochs, STEPS) == patience


def test_the_default_is_no_shorter_than_a_cycle_of_the_weights():
    objective = -Distortion() - Ramp(1.0, 20 * STEPS, every=50 * STEPS) * Rate()
    assert default_patience(everyone(*pair(), objective), 100, STEPS) == 50
    assert default_patience(everyone(*pair(), objective), 500, STEPS) == 100
