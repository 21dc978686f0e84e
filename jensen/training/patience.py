"""Early stopping: the epoch from which patience counts, and the patience that a training has by default."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .players import Player

__all__ = ["default_patience", "settled_after"]

SHARE = 5  # a fifth of all epochs
LEAST = 5  # epochs; validation is measured too seldom in a short training to be sure of less


def settled_after(players: Sequence[Player], epochs: int, steps_per_epoch: int) -> int:
    """Return the number of epochs after which nothing changes but parameters and learning rates.

    By then every weight has warmed up (in cycles: once), and the last player has come or gone. Before that a bound that
    falls says nothing about the end.

    Example:
        >>> from jensen.objectives import Distortion, Ramp, Rate
        >>> settled_after([Player(-Distortion() - Ramp(1.0, 45) * Rate(), [])], 100, 10)
        5
    """
    ramps = [ramp for player in players for ramp in player.objective.ramps if ramp.start != ramp.target]
    risen = [math.ceil(ramp.steps / steps_per_epoch) for ramp in ramps]
    changes = [epoch for player in players for epoch in player.span(epochs) if epoch < epochs]
    return max([0, *risen, *changes])


def default_patience(players: Sequence[Player], epochs: int, steps_per_epoch: int) -> int:
    """Return a fifth of all epochs, at least five, and at least a whole cycle of weights that rise in cycles.

    Example:
        >>> default_patience([], 300, 10), default_patience([], 12, 10)
        (60, 5)
    """
    ramps = [ramp for player in players for ramp in player.objective.ramps if ramp.every is not None]
    cycles = [math.ceil(ramp.every / steps_per_epoch) for ramp in ramps if ramp.every is not None]
    return max([LEAST, math.ceil(epochs / SHARE), *cycles])
