"""Anchors: states that training can return to after a fault.

They lie at places that the number of steps alone decides, so that every repetition has the same ones. A training that
was not stopped returns to an anchor well before the fault. One that was resumed in between has no such anchor in
memory, but the same steps, repeated from an older state or from the first, lead to it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

from ..core.errors import NumericalError
from ..models.draw import Draw
from .callbacks import StepCallbacks
from .events import Measures
from .loop import TrainingLoop
from .nonfinite import REMEDY
from .players import Player
from .shared_steps import mean_loss
from .snapshot import Snapshot
from .state import RecoveryRecord

__all__ = ["APART", "AnchorKeeper", "anchor_before", "at_anchor", "is_anchor", "is_far_before", "last_anchor", "older"]

APART = 100  # steps between anchors, and from a fault back to one: what explodes takes some steps to overflow
WITHIN = 1000  # steps between anchors within a long epoch
REPEATED = 10_000  # steps that are repeated to reach an anchor, at most
SHARE = 0.01  # of the time that training takes, for copies, at most


def is_anchor(step: int, steps_per_epoch: int, apart: int, within: int) -> bool:
    """Return whether the place after so many steps is an anchor.

    Args:
        step: steps taken.
        steps_per_epoch: of the training.
        apart: the least number of steps between anchors at ends of epochs.
        within: steps between anchors within a long epoch.

    Example:
        >>> [step for step in range(15) if is_anchor(step, 4, 6, 3)]
        [0, 3, 7, 8, 11, 12]
    """
    index = step % steps_per_epoch
    if index:
        return index % within == 0
    return step // apart > (step - steps_per_epoch) // apart


def anchor_before(step: int, steps_per_epoch: int, apart: int, within: int) -> int:
    """Return the last anchor that is not after a step; 0 is always one."""
    return next((s for s in range(step, 0, -1) if is_anchor(s, steps_per_epoch, apart, within)), 0)


def last_anchor(step: int, steps_per_epoch: int) -> int:
    """Return the anchor to which a training that was never stopped returns from a fault at this step."""
    return anchor_before(step - APART, steps_per_epoch, APART, WITHIN)


def at_anchor(loop: TrainingLoop) -> bool:
    """Return whether training is at an anchor; at its end an epoch is yet to be measured, so that it is none."""
    state, length = loop.state, loop.setup.steps_per_epoch
    return state.index < length and is_anchor(state.step, length, APART, WITHIN)


def is_far_before(anchor: Snapshot, step: int) -> bool:
    """Return whether an anchor is so long before a step that a fault there had not begun."""
    return anchor.facts["step"] <= step - APART


def older(states: Iterable[Snapshot], recovery: RecoveryRecord, given: Snapshot, place: int) -> Snapshot | None:
    """Return the newest state from which steps can be repeated to an anchor, and from there to a later state.

    Args:
        states: to choose from.
        recovery: of this training; steps before the last recovery had other learning rates.
        given: the later state.
        place: the step of the anchor.
    """
    first, step = recovery.step, given.facts["step"]
    near = [s for s in states if first <= s.facts["step"] <= place and step - s.facts["step"] <= REPEATED]
    same = [s for s in near if s.facts["step"] == first or RecoveryRecord.of(s.facts).count == recovery.count]
    return max(same, key=lambda s: s.facts["step"], default=None)


@dataclass
class AnchorKeeper(StepCallbacks):
    """Copies states at anchors and checks every epoch for an exploded objective.

    Attributes:
        loop: of the training.
        copies: the last two anchors, so that one is well before any fault.
        cost: seconds that the last copy took.
        copied: when it was made.
        exploded: True once an objective has exploded.
        size: this process's part of the mean size of the objective at the first step, until it is known.
    """

    loop: TrainingLoop
    copies: list[Snapshot] = field(default_factory=list)
    cost: float = 0.0
    copied: float = 0.0
    exploded: bool = False
    size: Tensor | None = None

    def step_ended(self) -> None:
        if not at_anchor(self.loop) or self.loop.state.step - self.copies[-1].facts["step"] < APART:
            return
        # several processes copy whatever it costs, since their clocks differ and their anchors must not
        alone = self.loop.setup.plan.processes.is_alone
        if not alone or time.monotonic() - self.copied >= self.cost / SHARE:
            self.loop.check_finite()
            self.copy()

    def objective_evaluated(self, player: Player, draw: Draw, value: Tensor) -> None:
        if self.loop.state.initial_size is None and player is self.loop.lead:
            self.size = -mean_loss(value.detach().abs())

    def gradient_computed(self, player: Player) -> None:
        if self.size is not None:
            size = float(self.loop.setup.plan.processes.sum_(self.size))
            self.loop.state.initial_size = size if math.isfinite(size) else None
            self.size = None

    def epoch_ended(self, train: Measures) -> None:
        state, limit = self.loop.state, self.loop.state.exploded_below
        # some trainings recover by themselves: two such epochs in a row, or no epoch left
        lasts = state.epoch == self.loop.setup.budget.epochs or (state.epoch > 1 and state.previous < limit)
        if train.objective < limit and lasts:
            self.exploded = True
            raise NumericalError(f"the objective is {train.objective:.3g}", REMEDY)

    def copy(self) -> None:
        """Copy the present state, and drop all copies but the last."""
        start = time.monotonic()
        self.copies = [*self.copies[-1:], self.loop.state.copy()]
        self.copied = time.monotonic()
        self.cost = self.copied - start

    def restart(self) -> None:
        """Copy the present state, and drop all others."""
        self.copies = []
        self.copy()
