"""The pace of a training: it chooses the number of threads, and looks again when steps slow down.

Another process on the machine can make steps many times slower, above all where several threads wait for one another.
A trial (see `core.thread_trial`) then finds the number of threads that is best beside it, and later ones find whether
the machine has become idle again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cached_property

import torch
from torch import nn

from ..core.batch import Batch
from ..core.errors import JensenError
from ..core.modules import joined, unchanged_buffers
from ..core.processors import processors
from ..core.random import stream
from ..core.thread_trial import try_threads
from ..core.threads import planned_threads, thread_numbers
from .events import Event, ThreadsChosen
from .measurement import CHUNK, measure
from .running_measures import RunningMeasures
from .setup import TrainingSetup
from .state import TrainingState
from .step import OptimizerSteps

__all__ = ["Pace", "Rehearsal"]

WINDOW, STEPS = 1.0, 3  # seconds of steps, and steps, over which their pace is an average: at least as many
SLOW = 2.0  # times the seconds of a step that it once took: a trial follows
STAY = 1.2  # times the shortest time: the present number of threads is kept in later trials, so that it rarely changes
WAIT, RISE, LONGEST = 5.0, 30.0, 300.0  # seconds between trials at a slow pace, and until more threads are tried again
COST = 50.0  # seconds of training for each second of a trial, at least
RUNNING = 0.75  # of the time: below this share, the processor has run other processes


class Pace:
    """The number of threads of one training.

    Args:
        setup: of the training.
        state: of the training, which records the number.
        work: a step that changes nothing.
        emit: called with an event when the number changes, and when the machine becomes busy or idle.
        clock: in seconds.
        running: seconds for which a processor has run this thread.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        state: TrainingState,
        work: Callable[[], object],
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.perf_counter,
        running: Callable[[], float] = time.thread_time,
    ) -> None:
        self.setup, self.state, self.work, self.emit = setup, state, work, emit
        self.clock, self.running = clock, running
        on_cpu = setup.data.device.type == "cpu"
        # several processes wait for one another in every step: none of them may look by itself
        self.is_free = setup.plan.threads == "auto" and on_cpu and setup.plan.processes.is_alone
        self.most = planned_threads("auto", setup.data.device)
        self.fastest: dict[int, float] = {}  # seconds of a step, by number of threads
        self.busy = self.is_disturbed = False  # by the last steps, and by the last trial alone
        self.began, self.seconds, self.steps = 0.0, 0.0, 0
        self.window = (0.0, 0.0)  # time and running time at which the present window began
        self.wait, self.rise = WAIT, RISE
        self.next_slow, self.next_rise = -math.inf, math.inf

    # --- for the loop ---

    def start(self) -> None:
        """Choose the number of threads, or go on with the one of a training that is resumed; emit it."""
        record, asked = self.state.threads, self.setup.plan.threads
        before = record.now or None
        if asked != "auto":
            chosen = planned_threads(asked, self.setup.data.device)
        elif before is not None:
            chosen = min(before, processors())
        else:
            chosen = self._tried() if self.is_free and self.most > 1 else self.most
        record.chosen = record.chosen or chosen
        self._set(chosen)
        self.next_rise = self.clock() + RISE
        self.busy = self.is_disturbed
        self.window = (self.clock(), self.running())
        self.emit(ThreadsChosen(self.state.step, chosen, before, self.busy))

    def step_begins(self) -> None:
        """Begin to time a step."""
        self.began = self.clock()

    def step_ended(self) -> None:
        """End to time a step; after a second of them, look whether the number of threads should change."""
        self.seconds += self.clock() - self.began
        self.steps += 1
        if self.seconds >= WINDOW and self.steps >= STEPS:
            pace, self.seconds, self.steps = self.seconds / self.steps, 0.0, 0
            if self.is_free and self.state.threads.now:
                self._look(pace)
            self.window = (self.clock(), self.running())

    def change(self, work: Callable[[], object]) -> None:
        """Choose the number of threads anew, for steps that are other work from now on.

        Args:
            work: such a step, which changes nothing.
        """
        self.work, record, before = work, self.state.threads, self.state.threads.now
        self.fastest.clear()
        if self.is_free and self.most > 1:
            record.now = 0  # what was best for the earlier work has no advantage
            chosen = self._tried()
            record.now = before
            self._set(chosen)
            record.chosen = chosen

    # --- looking again ---

    def _look(self, pace: float) -> None:
        """Hold a trial if one is due by the pace of the last steps, in seconds per step; emit what has changed."""
        now, record, was_busy = self.clock(), self.state.threads, self.busy
        before = record.now
        share = (self.running() - self.window[1]) / max(now - self.window[0], 1e-9)
        fastest = self.fastest[before] = min(pace, self.fastest.get(before, math.inf))
        is_slow = pace > SLOW * fastest
        if not is_slow:
            self.wait = WAIT
        may_rise = before < self.most and now >= self.next_rise
        if self.most > 1 and ((is_slow and now >= self.next_slow) or may_rise):
            self._set(self._tried())
            self._schedule(self.clock() - now, is_slow, record.now == before)
        self.busy = record.now < record.chosen or self.is_disturbed or (is_slow and share < RUNNING)
        if (self.busy, record.now) != (was_busy, before):
            self.emit(ThreadsChosen(self.state.step, record.now, before, self.busy))

    def _schedule(self, cost: float, is_slow: bool, is_same: bool) -> None:
        """Set the times of the next trials: later ones, the less the last has changed."""
        now, least = self.clock(), COST * cost
        self.next_slow = now + max(self.wait, least)
        self.wait = min(2 * self.wait, LONGEST) if is_slow else WAIT
        lasting = is_same and not is_slow and not self.is_disturbed and not self.busy
        self.rise = min(2 * self.rise, LONGEST) if lasting else RISE
        self.next_rise = now + max(self.rise, least)

    def _set(self, number: int) -> None:
        """Set the number of threads, and record a change of it."""
        record = self.state.threads
        if record.now not in (0, number):
            record.changes.append([self.state.step, number])
        record.now = number
        torch.set_num_threads(number)

    def _tried(self) -> int:
        """Return the best number of threads by a trial; the present one if the work fails, which training reports."""
        setup, present = self.setup, self.state.threads.now or None
        numbers = sorted({*thread_numbers(self.most), present or self.most})
        to_come = setup.steps_per_epoch * setup.budget.epochs - self.state.step
        with unchanged_buffers(_modules(setup)) as module:
            module.train()
            try:
                trial = try_threads(self.work, numbers, max(to_come, 1), self.clock)
            except (RuntimeError, ValueError, JensenError):
                return present or self.most
        best = trial.best() if present is None else trial.best(present, STAY)
        self.is_disturbed = trial.is_disturbed(best)
        return best


def _modules(setup: TrainingSetup) -> nn.Module:
    """Return all modules that a step may change: model, guide and critics."""
    owned = [o for player in setup.players for o in player.parameters if isinstance(o, nn.Module)]
    return nn.ModuleList([joined(setup.model, setup.guide), *owned])


class Rehearsal:
    """The passes of one step on the first rows, which change nothing but buffers; of closed forms, those of one chunk.

    Args:
        setup: of the training.
        state: of the training.
        steps: of the training.
    """

    def __init__(self, setup: TrainingSetup, state: TrainingState, steps: OptimizerSteps) -> None:
        self.setup, self.state, self.steps = setup, state, steps
        self.noise = stream(0, "threads", setup.data.device)

    @cached_property
    def batch(self) -> Batch:
        """The first rows, as many as a step takes."""
        setup = self.setup
        rows = min(len(setup.data), CHUNK) if setup.is_closed else setup.batch_size
        return setup.data.take(torch.arange(rows, device=setup.data.device), self.noise)

    def __call__(self) -> None:
        setup, epoch = self.setup, self.state.epoch
        if setup.is_closed:
            measure(setup, setup.lead(epoch), setup.guide, self.batch, self.noise, RunningMeasures())
            return
        for player in setup.players:
            if player.closed is None and player.is_active_in(epoch, setup.budget.epochs):
                for _ in range(player.steps):
                    self.steps.rehearse(self.batch, player)
