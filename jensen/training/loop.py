"""The training loop: permutation and index_select on the device, no DataLoader, no wrapper between step and step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

from ..core.errors import NumericalError
from ..core.random import stream
from ..objectives import rate_weight
from .callbacks import StepCallbacks
from .events import EpochEnded, Event, Progressed, Started, Stopped
from .history import History
from .measurement import CHUNK, measure, train_measures, validate
from .nonfinite import REMEDY, first_nonfinite
from .pace import Pace, Rehearsal
from .setup import TrainingSetup
from .shared_steps import SharedRows, shared_batches
from .state import TrainingState
from .step import OptimizerSteps

__all__ = ["Ending", "TrainingLoop"]


class Ending(NamedTuple):
    """The reason for an end ("finished", "early stopping", "converged" or "interrupted"), and the last epoch."""

    reason: str
    epoch: int


def _since(start: float) -> float:
    """Return the seconds since a time; never zero, even where the clock is coarse."""
    return max(time.monotonic() - start, 1e-9)


class TrainingLoop:
    """Trains the epochs of a setup, emits events and has snapshots kept.

    Recovery from non-finite values wraps it (`recovery.Recovery`): it calls `train` again after going back to an
    earlier snapshot (`rewind`), and looks into repeated steps by callbacks of its own (`observed_by`).

    Attributes:
        setup: everything given.
        state: everything that changes.
        steps: takes optimiser steps.
        pace: times steps, and chooses the number of threads.
        callbacks: of every step.
        lead: the player whose objective is reported in this epoch.
    """

    def __init__(self, setup: TrainingSetup) -> None:
        self.setup, self.state = setup, TrainingState.initial(setup)
        self.steps = OptimizerSteps(setup, self.state)
        self.pace = Pace(setup, self.state, Rehearsal(setup, self.state, self.steps), self.emit)
        self.shared = self.steps.shared
        self.rows = SharedRows(setup.data, setup.plan.processes)
        self.callbacks = StepCallbacks()
        self.lead = setup.lead(1)

    # --- for whoever runs it, and for recovery ---

    def run(self, train: Callable[[], Ending] | None = None) -> History:
        """Train to the end and leave the module in evaluation mode.

        Args:
            train: `TrainingLoop.train`, or a function that calls it and recovers from its errors.

        Raises:
            NumericalError: something is not finite.
        """
        self.begin()
        try:
            return self.finish((train or self.train)())
        except NumericalError:
            self.fail()
            raise

    def begin(self) -> None:
        """Go into training mode, choose the number of threads, and emit the first events."""
        self.state.module.train()
        self.emit(Started(self.setup.budget.epochs, self.setup.steps_per_epoch, len(self.setup.data)))
        self.pace.start()

    def fail(self) -> None:
        """Emit that training has failed, in the epoch after the last complete one."""
        done = len(self.state.history.epochs)
        self.emit(Stopped("failed", done + 1, done, self.state.clock.seconds))

    def train(self) -> Ending:
        """Train from the present state until the budget is spent, or training stops or converges.

        Raises:
            NumericalError: something is not finite.
        """
        setup, state, budget = self.setup, self.state, self.setup.budget
        while state.epoch <= budget.epochs:
            epoch = state.epoch
            if state.index == 0 and self.is_out_of_patience(epoch - 1):
                return Ending("early stopping", epoch - 1)
            self.lead = setup.lead(epoch)
            if setup.is_closed:
                self.shared.agree()
                if self.shared.should_stop():
                    return Ending("interrupted", epoch)
            speed = self._run_epoch()
            if speed is None:
                return Ending("interrupted", epoch)
            if self.complete_epoch(speed):
                return Ending("converged", epoch)
        return Ending("finished", state.epoch - 1)

    def complete_epoch(self, speed: float) -> bool:
        """Measure an epoch whose steps are taken, begin the next one, and return whether closed forms have converged.

        Args:
            speed: data per second.

        Raises:
            NumericalError: something is not finite.
        """
        setup, state = self.setup, self.state
        ended = self._end_epoch(speed)
        previous, state.previous = state.previous, ended.train.objective
        state.begin_epoch(state.epoch + 1, setup.plan.seed, setup.data.device)
        if setup.is_closed and self._has_converged(ended.train.objective, previous):
            return True
        self.callbacks.step_ended()
        self.shared.agree()
        self.keep_snapshot()
        return False

    @contextmanager
    def observed_by(self, callbacks: StepCallbacks) -> Iterator[None]:
        """A scope in which steps call other callbacks."""
        usual, self.callbacks = self.callbacks, callbacks
        try:
            yield
        finally:
            self.callbacks = usual

    def is_finite(self) -> bool:
        """Return whether measures, parameters and the optimisers' own tensors are finite."""
        try:
            self.check_finite()
        except NumericalError:
            return False
        return True

    def check_finite(self) -> None:
        """Check measures, parameters and the optimisers' own tensors: the objective of a step is measured before it.

        Raises:
            NumericalError: something is not finite.
        """
        train = train_measures(self.setup, self.lead, self.state.measures)
        bad = first_nonfinite(self.state.finite_required())
        if bad is None and math.isfinite(train.objective) and math.isfinite(train.distortion or 0.0):
            return
        where = "the parameters are still finite" if bad is None else f"the first bad parameter is {bad}"
        raise NumericalError(f"the objective is {train.objective} at step {self.state.step}; {where}", REMEDY)

    def emit(self, event: Event) -> None:
        """Call every listener."""
        for listener in self.setup.plan.listeners:
            listener(event)

    # --- epochs ---

    def _run_epoch(self) -> float | None:
        """Run the rest of one pass over the data in a fresh order; return data per second, None if interrupted."""
        setup, state = self.setup, self.state
        plan, data, already = setup.plan, setup.data, state.measures.n
        start, speed = time.monotonic(), 0.0
        for player in setup.players if state.index == 0 else ():
            if player.closed and player.is_active_in(state.epoch, setup.budget.epochs):
                player.closed(setup.model, data)
        if setup.is_closed:
            self.pace.step_begins()
            for batch in shared_batches(data, CHUNK, state.noise, plan.processes):
                measure(setup, self.lead, setup.guide, batch, state.noise, state.measures)
            self.pace.step_ended()
            return len(data) / _since(start)
        batches = data.order(setup.batch_size, stream(plan.seed, f"order:{state.epoch}"))
        while state.index < len(batches):
            with self.rows.taken(batches[state.index], state.noise) as batch, self.shared.step():
                self.pace.step_begins()
                self.steps.take(batch, self.lead, self.callbacks)
                self.pace.step_ended()
            state.index += 1
            self.callbacks.step_ended()
            if self.shared.should_stop():
                return None
            speed = (state.measures.n - already) / _since(start)
            self.report_progress(speed)
            self.keep_snapshot()
        return speed

    def _end_epoch(self, speed: float) -> EpochEnded:
        """Measure an epoch that is complete, keep the weights if they are the best, and emit its event."""
        setup, state, lead = self.setup, self.state, self.lead
        train = train_measures(setup, lead, state.measures)
        self.check_finite()
        self.callbacks.epoch_ended(train)
        with nullcontext() if state.average is None else state.average.in_place():
            valid = validate(setup, lead, state.module)
        followed = None if valid is None else (valid.objective if valid.bound is None else valid.bound)
        is_best = followed is not None and followed > state.best.bound
        if followed is not None and is_best:
            state.best.bound, state.best.epoch = followed, state.epoch
            if setup.plan.keep_best:
                state.keep_best()
        seconds = state.clock.seconds
        ended = EpochEnded(
            epoch=state.epoch,
            step=state.step,
            train=train,
            valid=valid,
            learning_rate=self.steps.learning_rate(lead, max(state.step - 1, 0)),  # of the last step that was taken
            beta=rate_weight(lead.objective),
            data_per_second=speed,
            seconds=seconds,
            seconds_left=seconds / state.epoch * (setup.budget.epochs - state.epoch),
            is_best=is_best,
            spikes=None if state.spikes is None else state.spikes.count,
        )
        if not self.callbacks.silent:
            state.history.epochs.append(ended)
            self.emit(ended)
        return ended

    def is_out_of_patience(self, done: int) -> bool:
        """Return whether the validation bound has not risen for long enough to stop after so many epochs."""
        patience, since = self.setup.budget.patience, max(self.state.best.epoch, self.setup.settled)
        return patience is not None and done - since >= patience

    def _has_converged(self, objective: float, previous: float) -> bool:
        exact = all(p.closed.reaches_optimum for p in self.setup.players if p.closed)
        return exact or objective - previous < self.setup.budget.tolerance

    def report_progress(self, speed: float) -> None:
        """Emit the averages so far, at most every quarter of a second."""
        setup, state = self.setup, self.state
        if self.callbacks.silent or not self.shared.should_report():
            return
        train = train_measures(setup, self.lead, state.measures)
        if not math.isfinite(train.objective + (train.distortion or 0.0)):
            self.check_finite()
        seconds, done = state.clock.seconds, state.step / (setup.steps_per_epoch * setup.budget.epochs)
        self.emit(
            Progressed(
                epoch=state.epoch,
                step=state.step,
                train=train,
                data_per_second=speed,
                seconds=seconds,
                seconds_left=seconds * (1 / done - 1),
                beta=rate_weight(self.lead.objective),
            )
        )

    def keep_snapshot(self, *, last: bool = False) -> None:
        """Have a snapshot kept if one is due; never one from which training could not continue."""
        keeper, alone = self.setup.plan.keeper, self.setup.plan.processes.is_alone
        if self.callbacks.silent or (alone and keeper is None) or not (last or self.shared.should_keep()):
            return
        self.check_finite()
        snapshot = self.state.snapshot()  # in all processes, which sum their measures for it
        if keeper is not None:
            keeper.keep(snapshot, last=last)

    def finish(self, ending: Ending) -> History:
        """Keep the last snapshot, load the best weights if they were kept, and emit the last event."""
        state, reason = self.state, ending.reason
        state.ended = None if reason == "interrupted" else reason
        self.keep_snapshot(last=True)
        kept = ending.epoch if state.best.tensors is None else state.best.epoch
        state.load_best()
        state.module.eval()
        stopped = Stopped(reason, ending.epoch, kept, state.clock.seconds)
        state.history.stopped, state.history.average = stopped, state.average
        self.emit(stopped)
        return state.history
