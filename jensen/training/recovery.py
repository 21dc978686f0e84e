"""Recovery from non-finite values: training goes back, the cause is found, and it continues with smaller steps.

Good states are copied in memory, at places that the steps alone decide (anchors). Training then continues from the last
anchor a hundred steps before the fault, or from the start, at half its learning rates: at most three times, and not at
all where the anchor's own parameters meet the fault on the same batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from ..core.errors import JensenError, NumericalError
from .anchors import AnchorKeeper
from .events import Diagnosed, Fault, Recovered
from .fault_diagnosis import REMEDIES, with_sentence
from .fault_inspector import examined, extreme_values
from .fault_trace import FaultTracer, TracedFault, TraceInterrupted
from .loop import Ending, TrainingLoop
from .nonfinite import first_nonfinite
from .snapshot import Snapshot

__all__ = ["MOST", "Recovery"]

MOST = 3  # recoveries of one training
FACTOR = 0.5  # of all learning rates, at each


class Recovery:
    """Wraps one training loop and recovers from its faults.

    Args:
        loop: to train.
        first: the initial state, where training is resumed from a later one.
    """

    def __init__(self, loop: TrainingLoop, first: Snapshot | None = None) -> None:
        self.loop, self.anchors, self.first = loop, AnchorKeeper(loop), first

    def train(self) -> Ending:
        """Train as `TrainingLoop.train` does, with recoveries.

        Raises:
            NumericalError: recovery is impossible; it names the culprit.
        """
        loop, anchors = self.loop, self.anchors
        with loop.observed_by(anchors):
            loop.check_finite()
            anchors.copy()
            tracer, alone = None, loop.setup.plan.processes.is_alone
            if alone:
                tracer = FaultTracer(loop, self.first, None if self.first is None else anchors.copies[0])
            while True:
                try:
                    return self._train_once()
                except (NumericalError, RuntimeError, ValueError) as error:
                    if isinstance(error, torch.OutOfMemoryError) or (
                        isinstance(error, JensenError) and not isinstance(error, NumericalError)
                    ):
                        raise
                    if not (alone or isinstance(error, NumericalError)):  # which the other processes do not know of
                        raise
                    try:
                        self._recover(error, tracer)
                    except TraceInterrupted as interrupted:
                        return interrupted.ending

    def _train_once(self) -> Ending:
        """Train until training ends or something is not finite."""
        loop = self.loop
        ending = loop.train()
        if ending.reason != "interrupted":
            loop.check_finite()
        elif not loop.is_finite():
            loop.state.rewind(self.anchors.copies[-1])  # the fault will show again when training is resumed
        return ending

    def _recover(self, error: Exception, tracer: FaultTracer | None) -> None:
        """Find the cause of an error, and go back to a good state.

        Raises:
            NumericalError: recovery is impossible.
            TraceInterrupted: training was interrupted meanwhile.
        """
        setup, state, anchors = self.loop.setup, self.loop.state, self.anchors
        if setup.is_closed:
            self._give_up_closed(error)
        exploded = state.epoch - 1 if anchors.exploded else None
        anchors.exploded = False
        fault, good = self._untraced(error) if tracer is None else tracer.trace(error, anchors.copies[:1], exploded)
        record = state.recovery
        record.rows = list(fault.rows) if record.rows is None else sorted({*record.rows} & {*fault.rows})
        if record.count == MOST or fault.hopeless:
            self._give_up(fault, error)
        self._continue_from(good, fault)

    def _untraced(self, error: Exception) -> TracedFault:
        """Return a fault of several processes, of which each sees other rows: none can repeat the steps by itself."""
        loop, good, words = self.loop, self.anchors.copies[0], str(error).splitlines()[0]
        what = error.what if isinstance(error, NumericalError) else words
        fault = Fault(
            number=loop.state.recovery.count + 1,
            step=loop.state.step + 1,
            epoch=loop.state.epoch,
            found_in="objective",
            culprit="rate",
            hopeless=False,
            what=f"{what}; to find the cause, resume in one process",
            player=str(loop.lead.objective),
            learning_rates=loop.steps.learning_rates(loop.state.step),
            back_to=good.facts["step"],
        )
        return TracedFault(fault, good)

    def _continue_from(self, good: Snapshot, fault: Fault) -> None:
        """Continue from the good state, with smaller steps."""
        loop, state, record = self.loop, self.loop.state, self.loop.state.recovery
        loop.emit(Diagnosed(fault))
        state.rewind(good)
        record.count, record.step, record.factor = record.count + 1, state.step, record.factor * FACTOR
        state.history.epochs = [e for e in state.history.epochs if e.epoch < state.epoch]
        self.anchors.restart()
        keeper = loop.setup.plan.keeper
        if keeper is not None:  # before listeners drop the epochs that are void: this state has them behind it
            keeper.keep(state.snapshot())
        event = Recovered(state.epoch, state.step, fault.step, record.count, record.factor, fault.what)
        state.history.recoveries.append(event)
        loop.emit(event)

    def _give_up(self, fault: Fault, error: Exception) -> None:
        """Leave the last good parameters in place, and raise what is wrong."""
        record = self.loop.state.recovery
        same = record.rows  # bad at every fault
        if not fault.hopeless and fault.culprit != "rate" and same and len(same) < len(fault.batch):
            fault = with_sentence(replace(fault, culprit="row", rows=tuple(same)))
        self.loop.emit(Diagnosed(replace(fault, back_to=None)))
        tried = f" after {record.count} recoveries" if record.count else ""
        raise NumericalError(f"{fault.what}{tried}", REMEDIES[fault.culprit]) from error

    def _give_up_closed(self, error: Exception) -> None:
        """Raise what is wrong in a closed form, of which no steps could be smaller."""
        if not isinstance(error, NumericalError):
            raise error
        loop, (data, numbers) = self.loop, examined(self.loop.setup.data)
        rows = (~data.isfinite().all(-1)).nonzero().flatten().tolist()
        culprit: Literal["row", "unknown"] = "row" if rows else "unknown"
        fault = Fault(
            number=1,
            step=0,
            epoch=loop.state.epoch,
            found_in="closed form",
            culprit=culprit,
            hopeless=True,
            what=error.what,
            player=str(loop.lead.objective),
            parameter=first_nonfinite(loop.state.finite_required()),
            rows=tuple(numbers[i] for i in rows),
            values=extreme_values(data, rows, numbers),
        )
        loop.emit(Diagnosed(fault))
        raise error
