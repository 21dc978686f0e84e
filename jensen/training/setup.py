"""Everything that a training is given and does not change: configuration, parts, players and data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ..core.batch import Rows
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .optimizers import schedule_factor
from .patience import settled_after
from .plan import Budget, Plan
from .players import Player

__all__ = ["TrainingSetup"]


@dataclass(frozen=True)
class TrainingSetup:
    """The arguments of `Trainer.fit`, and what follows from them.

    Args:
        plan: how to train.
        model, guide: trained in place.
        players: with what objectives.
        data: training rows.
        budget: for how long.
        valid: validation rows, if any.
    """

    plan: Plan
    model: LatentVariableModel
    guide: Guide
    players: Sequence[Player]
    data: Rows
    budget: Budget
    valid: Rows | None = None

    @cached_property
    def batch_size(self) -> int:
        """Rows per step."""
        return min(self.budget.batch, len(self.data))

    @cached_property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the data."""
        return math.ceil(len(self.data) / self.batch_size)

    @cached_property
    def is_closed(self) -> bool:
        """True if all players have closed-form steps, so that no optimiser is needed."""
        return all(p.closed for p in self.players)

    @cached_property
    def settled(self) -> int:
        """Epochs after which patience counts: weights have warmed up, and the last stage has begun."""
        return settled_after(self.players, self.budget.epochs, self.steps_per_epoch)

    def lead(self, epoch: int) -> Player:
        """Return the player whose objective is reported: the first that takes optimiser steps in this epoch."""
        active = [p for p in self.players if p.is_active_in(epoch, self.budget.epochs)] or self.players
        return next((p for p in active if p.closed is None), active[0])

    def number_of(self, player: Player) -> int:
        """Return the place of a player; by identity, since players with equal objectives cannot be compared."""
        return next(i for i, other in enumerate(self.players) if other is player)

    def schedule_factor(self, player: Player, step: int) -> float:
        """Return the factor of a player's learning rate; its schedule runs over the epochs in which it is active."""
        first, last = player.span(self.budget.epochs)
        progress = (step / self.steps_per_epoch - first) / (last - first)
        return schedule_factor(self.plan.schedule, min(max(progress, 0.0), 1.0))
