"""The search for the first bad step, while the steps that led to a fault are repeated."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.errors import NumericalError
from ..models.draw import Draw
from .anchors import at_anchor, is_far_before
from .callbacks import StepCallbacks
from .fault_inspector import dominant_rows
from .loop import TrainingLoop
from .players import Player
from .snapshot import Snapshot

__all__ = ["GROWN", "FaultSearch", "Jump", "SearchDone"]

GROWN = 100.0  # times the largest parameter of a good state: steps were too large


class SearchDone(Exception):
    """Raised to end a search: the first bad step has been taken, or there is none."""


@dataclass(frozen=True)
class Jump:
    """A single step by which the largest parameter grew a hundredfold.

    Attributes:
        step: counted from 1.
        before, after: sizes of the largest parameter.
        rows: training rows that alone decided the direction of the step.
    """

    step: int
    before: float
    after: float
    rows: tuple[int, ...]


@dataclass
class FaultSearch(StepCallbacks):
    """Checks everything after every repeated step, and keeps the anchors on the way.

    Attributes:
        loop: of the training.
        limit: steps by which the fault must have shown.
        anchors: that training can return to.
        exploded: the first epoch whose objective may have exploded; None searches for what is not finite.
        jump: the last step by which the largest parameter grew a hundredfold.
        size: of the largest parameter before the step.
        last: the leading player's objective [B] in this step, and the rows' places among the training rows.
        through: a later state at which the search ends; `reached` is True if the steps led to it.
    """

    loop: TrainingLoop
    limit: int
    anchors: list[Snapshot]
    exploded: int | None = None
    jump: Jump | None = None
    size: float = math.inf
    last: tuple[Tensor, Tensor | None] | None = None
    through: Snapshot | None = None
    reached: bool = False

    silent = True

    def step_begins(self, epoch: int, batch: Batch, noise: torch.Generator) -> None:
        if self.loop.state.step > self.limit:
            raise SearchDone
        self.size = self._largest_parameter()

    def objective_evaluated(self, player: Player, draw: Draw, value: Tensor) -> None:
        if player is self.loop.lead:
            self.last = value.detach(), draw.batch.index

    def step_ended(self) -> None:
        state = self.loop.state
        try:
            self.loop.check_finite()
        except NumericalError as error:
            raise SearchDone from error
        if self.through is not None and state.step == self.through.facts["step"]:
            self.reached = state.has_parameters_of(self.through)
            raise SearchDone
        self._note_jump()
        if self.exploded is not None and state.index and self._has_exploded(self.exploded):
            raise SearchDone
        if at_anchor(self.loop) and self._is_beyond(self.anchors[-1]):
            far = [anchor for anchor in self.anchors if is_far_before(anchor, state.step)]
            self.anchors = [*far[-1:], *self.anchors[len(far) :], state.copy()]

    def anchor_for(self, step: int) -> Snapshot:
        """Return the anchor from which training continues after a fault at this step, counted from 1."""
        return next((a for a in reversed(self.anchors) if is_far_before(a, step)), self.anchors[0])

    def anchor_before(self, step: int) -> Snapshot:
        """Return the last anchor before a step, counted from 1."""
        return next(a for a in reversed(self.anchors) if a.facts["step"] < max(step, 1))

    def _note_jump(self) -> None:
        size = self._largest_parameter()
        if size > GROWN * max(self.size, 1.0) and self.last is not None:
            value, index = self.last
            rows = () if index is None else tuple(int(index[i]) for i in dominant_rows(value))
            self.jump = Jump(self.loop.state.step, self.size, size, rows)

    def _is_beyond(self, snapshot: Snapshot) -> bool:
        """Return whether training is further than a snapshot, if only by the end of an epoch, which is no step."""
        state = self.loop.state
        return (state.epoch, state.index) > (snapshot.facts["epoch"], snapshot.facts["index"])

    def _has_exploded(self, since: int) -> bool:
        state = self.loop.state
        low = self.last is not None and float(self.last[0].mean()) < state.exploded_below
        return (low and state.epoch >= since) or state.step >= self.limit

    def _largest_parameter(self) -> float:
        return float(nn.utils.get_total_norm(list(self.loop.state.module.parameters()), math.inf))
