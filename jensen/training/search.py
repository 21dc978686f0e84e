"""Who looks on for first aid: good states are copied along the way, and the first bad step is searched for."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.errors import NumericalError
from ..models.draw import Draw
from .earlier import anchor_before, copied, is_anchor, same_parameters
from .events import Measures
from .fit import Fit
from .forensics import dominant
from .players import Player
from .snapshot import Snapshot
from .verdict import GROWN, REMEDIES, Jump
from .watch import Watch

__all__ = ["APART", "AnchorKeeper", "Found", "Search", "last_anchor", "limit_of"]

APART = 100  # steps between anchors, and from a fault back to one: what explodes takes some steps to overflow
WITHIN = 1000  # steps between anchors within a long epoch
WORSE = 1e9  # times the size of the objective at the first step
SHARE = 0.01  # of the time that training takes, for copies, at most


@dataclass
class AnchorKeeper(Watch):
    """Copies good states as training passes them; two are held, so that one lies well before any fault to come."""

    fit: Fit
    copies: list[Snapshot] = field(default_factory=list)
    cost: float = 0.0
    copied: float = 0.0
    exploded: bool = False

    def after(self) -> None:
        if not _is_anchor(self.fit) or self.fit.step - self.copies[-1].facts["step"] < APART:
            return
        if time.monotonic() - self.copied >= self.cost / SHARE:
            self.fit.check_finite()
            self.copy()

    def valued(self, player: Player, draw: Draw, value: Tensor) -> None:
        fit = self.fit
        if fit.first is None and player is fit.lead:
            fit.first = _finite(float(value.detach().abs().mean()))

    def ended(self, train: Measures) -> None:
        fit, limit = self.fit, limit_of(self.fit)
        # some find back by themselves: two epochs, or no epoch left
        stays = fit.epoch == fit.budget.epochs or (fit.epoch > 1 and fit.previous < -limit)
        if train.objective < -limit and stays:
            self.exploded = True
            raise NumericalError(f"the objective is {train.objective:.3g}", REMEDIES["rate"])

    def copy(self) -> None:
        began = time.monotonic()
        self.copies = [*self.copies[-1:], copied(self.fit)]
        self.copied = time.monotonic()
        self.cost = self.copied - began


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def limit_of(fit: Fit) -> float:
    """An objective below minus this has exploded: no training that works comes near."""
    return math.inf if fit.first is None else WORSE * (fit.first + 1.0)


class Found(Exception):
    """The first bad step has been made, or there is none."""


@dataclass
class Search(Watch):
    """Looks at everything after every step, and keeps the anchors on the way.

    Attributes:
        limit: steps behind which the fault must have shown.
        anchors: that may be gone back to.
        exploded: the epoch whose objective may first have; None looks for what is not finite.
        jump: the last step that made the largest parameter far larger.
        through: a later state, at which the search ends; `reached` if the steps led to it.
    """

    fit: Fit
    limit: int
    anchors: list[Snapshot]
    exploded: int | None = None
    jump: Jump | None = None
    size: float = math.inf
    last: tuple[Tensor, Tensor | None] | None = None
    through: Snapshot | None = None
    reached: bool = False

    quiet = True

    def before(self, epoch: int, batch: Batch, noise: torch.Generator) -> None:
        if self.fit.step > self.limit:
            raise Found
        self.size = self._size()

    def valued(self, player: Player, draw: Draw, value: Tensor) -> None:
        if player is self.fit.lead:
            self.last = value.detach(), draw.batch.index

    def after(self) -> None:
        try:
            self.fit.check_finite()
        except NumericalError as error:
            raise Found from error
        if self.through is not None and self.fit.step == self.through.facts["step"]:
            self.reached = same_parameters(self.fit, self.through)
            raise Found
        size = self._size()
        if size > GROWN * max(self.size, 1.0) and self.last is not None:
            value, index = self.last
            rows = () if index is None else tuple(int(index[i]) for i in dominant(value))
            self.jump = Jump(self.fit.step, self.size, size, rows)
        if self.exploded is not None and self.fit.index and self._has_exploded(self.exploded):
            raise Found
        if _is_anchor(self.fit) and self._is_behind(self.anchors[-1]):
            far = [a for a in self.anchors if a.facts["step"] <= self.fit.step - APART]
            self.anchors = [*far[-1:], *self.anchors[len(far) :], copied(self.fit)]

    def _is_behind(self, state: Snapshot) -> bool:
        """Whether training has come further than a state, if only by the end of an epoch, which is no step."""
        return (self.fit.epoch, self.fit.index) > (state.facts["epoch"], state.facts["index"])

    def _has_exploded(self, since: int) -> bool:
        low = self.last is not None and float(self.last[0].mean()) < -limit_of(self.fit)
        return (low and self.fit.epoch >= since) or self.fit.step >= self.limit

    def _size(self) -> float:
        return float(nn.utils.get_total_norm(list(self.fit.module.parameters()), math.inf))

    def before_fault(self, step: int) -> Snapshot:
        """The anchor to go back to from a fault at this step, counted from 1."""
        return next((a for a in reversed(self.anchors) if a.facts["step"] <= step - APART), self.anchors[0])


def last_anchor(fit: Fit, step: int) -> int:
    """The last place to go back to from a fault at this step, in a training that was never stopped."""
    return anchor_before(step - APART, fit.steps_per_epoch, APART, WITHIN)


def _is_anchor(fit: Fit) -> bool:
    """Whether this place between two steps is one to go back to; at its end an epoch is yet to be measured."""
    return fit.index < fit.steps_per_epoch and is_anchor(fit.step, fit.steps_per_epoch, APART, WITHIN)
