"""The time of an evaluation: a budget for all its phases, the present one's name, and what was left out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..core.divided import processes_now
from ..models.model import LatentVariableModel
from .estimate import ProgressCallback

__all__ = ["LeftOut", "Schedule"]

MARGIN = 1.1  # of a predicted time: it must fit with a tenth to spare
SLACK = 1.25  # of a budget that is advised, over what is predicted
LIMIT = 1.05  # of the budget, after which a phase that was begun is given up


class _OutOfTimeError(Exception):
    """The budget is used up."""


@dataclass(frozen=True)
class LeftOut:
    """A phase that did not fit into the time left.

    Attributes:
        what: in words.
        seconds: that it would take.
        room: seconds that must be left for it to be begun.
    """

    what: str
    seconds: float
    room: float


@dataclass
class Schedule:
    """A budget of wall time for the phases of an evaluation, which begins when this is made.

    A phase is begun only if its predicted time `fits`; one that does not is recorded by `leave_out`. One that takes
    longer than predicted is given up where `completes` runs it.

    Attributes:
        seconds: the budget; infinite for none.
        watch: called with the fraction of the whole that is done, 0 to 1, which never falls; without a budget with that
            of the phase.
        name: called with the name of each phase as it begins.
        clock: the time in seconds, from any zero.
        left_out: the phases that did not fit.

    Example:
        >>> now = [0.0]
        >>> schedule = Schedule(10.0, clock=lambda: now[0])
        >>> now[0] = 4.0
        >>> schedule.left, schedule.fits(5.0), schedule.fits(5.9)
        (6.0, True, False)
    """

    seconds: float = float("inf")
    watch: ProgressCallback | None = None
    name: Callable[[str], None] | None = None
    clock: Callable[[], float] = time.monotonic
    left_out: list[LeftOut] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began, self.whole, self.shown = self.clock(), self.seconds, 0.0

    @property
    def spent(self) -> float:
        """The seconds since the beginning."""
        return self.clock() - self.began

    @property
    def left(self) -> float:
        """The seconds that are left of the budget; at least 0."""
        return max(self.seconds - self.spent, 0.0)

    def fits(self, seconds: float) -> bool:
        """Return whether a phase of this length fits into the time left, with a tenth to spare."""
        return MARGIN * seconds <= self.left

    def leave_out(self, what: str, seconds: float, room: float | None = None) -> None:
        """Record a phase that does not fit.

        Args:
            what: the phase, in words.
            seconds: that it would take.
            room: seconds that must be left for it to be begun; by default, with a tenth to spare.
        """
        if all(part.what != what for part in self.left_out):
            self.left_out.append(LeftOut(what, seconds, MARGIN * seconds if room is None else room))

    def begin(self, phase: str, seconds: float = 0.0) -> None:
        """Name the phase that begins now.

        Args:
            phase: its name.
            seconds: that it will take; where this exceeds the budget, the whole is longer.
        """
        self.whole = max(self.whole, self.spent + seconds)
        if self.name is not None:
            self.name(phase)
        self.progress(0.0)

    def progress(self, done: float) -> None:
        """Report progress within the present phase: the fraction of it that is done, 0 to 1."""
        if self.watch is None:
            return
        if self.whole < float("inf"):
            done = self.shown = max(self.shown, min(self.spent / max(self.whole, 1e-9), 1.0))
        self.watch(done)

    def timed(self, work: Callable[[], object]) -> float:
        """Do the work, and return the seconds that it took."""
        before = self.clock()
        work()
        return self.clock() - before

    def completes(self, work: Callable[[], object], model: LatentVariableModel) -> bool:
        """Do the work, or give it up where it is not done soon after the budget; return whether it is done.

        The time is looked at whenever a network of the model is evaluated. What is given up leaves nothing behind.
        What several processes do together is never given up: their clocks differ, and some would wait for the others.
        """
        if not processes_now().is_alone:
            work()
            return True

        def look(*_: Any) -> None:
            if self.spent > LIMIT * self.seconds:
                raise _OutOfTimeError

        hooks = [module.register_forward_pre_hook(look) for module in model.modules()]
        try:
            work()
        except _OutOfTimeError:
            return False
        finally:
            for hook in hooks:
                hook.remove()
        return True

    @property
    def sentence(self) -> str | None:
        """The phases that were left out, with the time that they would take; None if there are none."""
        if not self.left_out:
            return None
        parts = ", ".join(f"{part.what} (about {_seconds(part.seconds)})" for part in self.left_out)
        room = sum(part.room for part in self.left_out)
        # with a larger budget the number may take a third of it, and every phase may take longer than predicted
        needed = SLACK * max(self.spent + room, 1.5 * room)
        return f"left out for lack of time: {parts}; --budget {_rounded_up(needed)} has room for them"


def _seconds(seconds: float) -> str:
    """Return a time with two digits."""
    return f"{seconds:.2g} s" if seconds < 100 else f"{seconds:.0f} s"


def _rounded_up(seconds: float) -> int:
    """Return a budget that suffices, a multiple of 10 from 20 on."""
    step = 1 if seconds < 20 else 10
    return int(-(-seconds // step) * step)
