"""Callbacks of a training step."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.batch import Batch
from ..models.draw import Draw
from .events import Measures
from .players import Player

__all__ = ["StepCallbacks"]


class StepCallbacks:
    """Called at fixed places of every step; these do nothing.

    Attributes:
        silent: True if steps are repeated, so that no event is emitted and no snapshot kept.
    """

    silent = False

    def step_begins(self, epoch: int, batch: Batch, noise: torch.Generator) -> None:
        """Called before a step on this batch."""

    def objective_evaluated(self, player: Player, draw: Draw, value: Tensor) -> None:
        """Called with the player's objective [B] on a draw."""

    def gradient_computed(self, player: Player) -> None:
        """Called once the player's parameters have their gradients."""

    def step_ended(self) -> None:
        """Called after a step, and when a new epoch begins."""

    def epoch_ended(self, train: Measures) -> None:
        """Called with the measures of an epoch, which are finite."""
