"""From an error to its fault: the same steps are repeated, the first bad one is inspected, and a good state is chosen.

Training repeats itself bit by bit, so that from an earlier copy of its state the same steps lead to the same fault.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch

from ..core.errors import NumericalError
from .anchors import last_anchor, older
from .events import Fault
from .fault_diagnosis import diagnose, with_sentence
from .fault_inspector import FaultInspector, examined, extreme_values, outlying_rows
from .fault_search import FaultSearch, SearchDone
from .loop import Ending, TrainingLoop
from .snapshot import Snapshot

__all__ = ["FaultTracer", "TraceInterrupted", "TracedFault"]


class TraceInterrupted(Exception):
    """Training was interrupted while steps were repeated.

    Attributes:
        ending: of the training.
    """

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


class TracedFault(NamedTuple):
    """A fault, and the state from which training can continue with smaller steps."""

    fault: Fault
    good: Snapshot


class FaultTracer:
    """Traces the errors of one training; each trace leaves the state in disorder, to be rewound.

    Args:
        loop: of the training.
        first: the initial state, where training is resumed from a later one.
        given: the state that it was resumed from.
    """

    def __init__(self, loop: TrainingLoop, first: Snapshot | None, given: Snapshot | None) -> None:
        self.loop, self.first, self.given = loop, first, given

    def trace(self, error: Exception, anchors: list[Snapshot], exploded: int | None) -> TracedFault:
        """Repeat the steps from an anchor to an error, and inspect the first bad one.

        Args:
            error: that ended training.
            anchors: of which the first is repeated from.
            exploded: the first epoch whose objective may have exploded; None if something is not finite.

        Raises:
            TraceInterrupted: training was interrupted meanwhile.
        """
        search = FaultSearch(self.loop, self.loop.state.step, anchors, exploded)
        step = self._repeat(search, error)
        given = self.given
        if given is not None and (earlier := self._earlier_state(search, step, given)) is not None:
            search, step = self._repeat_from(earlier, given, search, step, error)
        good = search.anchor_for(step)
        bad = self._inspect_step(search, step)
        if bad.found_in == "nowhere" and not isinstance(error, NumericalError):
            raise error  # an error of the user's own code, which has nothing to do with numbers
        return TracedFault(self._fault(bad, search, good, step), good)

    # --- repeated steps ---

    def _repeat(self, search: FaultSearch, error: Exception) -> int:
        """Repeat the same steps up to the first bad one, and return its number."""
        loop = self.loop
        loop.state.rewind(search.anchors[0])
        try:
            with loop.observed_by(search):
                ending = loop.train()
        except SearchDone:
            return loop.state.step
        except (NumericalError, RuntimeError, ValueError) as repeated:
            if type(repeated) is not type(error):
                raise
            return loop.state.step + 1
        self._stop_if_interrupted(ending)
        return loop.state.step

    def _earlier_state(self, search: FaultSearch, step: int, given: Snapshot) -> Snapshot | None:
        """Return an older state than the one that training was resumed from, where a fault so soon needs one."""
        setup, recovery = self.loop.setup, self.loop.state.recovery
        if self.first is None or search.anchors[0] is not given:
            return None
        place = max(last_anchor(step, setup.steps_per_epoch), recovery.step)
        if place >= given.facts["step"]:
            return None
        kept = () if setup.plan.keeper is None else setup.plan.keeper.earlier()
        return older([self.first, *kept], recovery, given, place)

    def _repeat_from(
        self, earlier: Snapshot, given: Snapshot, search: FaultSearch, step: int, error: Exception
    ) -> tuple[FaultSearch, int]:
        """Search from an older state on, if the same steps lead from it to the state that was given.

        They do not where training was configured otherwise then: for fewer epochs, say.
        """
        check = replace(search, anchors=[earlier], exploded=None, through=given)
        try:
            self._repeat(check, error)
            if check.reached:
                search = replace(search, anchors=[earlier], jump=None, size=math.inf, last=None)
                step = self._repeat(search, error)
        except TraceInterrupted as interrupted:
            self.loop.state.rewind(given)  # from which it can be resumed as well
            raise TraceInterrupted(Ending(interrupted.ending.reason, self.loop.state.epoch)) from None
        return search, step

    def _stop_if_interrupted(self, ending: Ending | None) -> None:
        """End the trace if training was interrupted; later epochs will be repeated by whoever resumes it."""
        if ending is not None and ending.reason == "interrupted":
            state = self.loop.state
            state.history.epochs = [e for e in state.history.epochs if e.epoch < state.epoch]
            raise TraceInterrupted(ending)

    # --- inspections ---

    def _inspect_step(self, search: FaultSearch, step: int) -> FaultInspector:
        """Inspect the first bad step."""
        loop, state = self.loop, self.loop.state
        state.rewind(search.anchor_before(step))
        limit = -math.inf if search.exploded is None else state.exploded_below
        inspector, ending = FaultInspector(state, step - 1, exploded_below=limit), None
        with loop.observed_by(inspector), inspector.hooked():
            ending = loop.train()
        self._stop_if_interrupted(ending)
        return inspector

    def _inspect_at(self, good: Snapshot, bad: FaultInspector) -> FaultInspector:
        """Inspect the same batch at the good state: what is bad there is not due to the steps in between."""
        loop, state = self.loop, self.loop.state
        inspector = FaultInspector(state, None, gradient_only=True, exploded_below=bad.exploded_below)
        state.rewind(good)
        player = bad.player or loop.lead
        optimizer = state.optimizers[loop.setup.number_of(player)]
        if bad.batch is None or bad.noise is None or optimizer is None:
            return inspector
        state.advance_ramps(max(state.step - 1, 0) if bad.step is None else bad.step)
        noise = torch.Generator(loop.setup.data.device)
        noise.set_state(bad.noise)
        with inspector.hooked():
            inspector.step_begins(bad.epoch, bad.batch, noise)
            loop.steps.maximise(player, optimizer, bad.batch, noise, inspector)
        state.rewind(good)
        return inspector

    def _fault(self, bad: FaultInspector, search: FaultSearch, good: Snapshot, step: int) -> Fault:
        """Describe the fault and diagnose it."""
        loop, batch = self.loop, bad.batch
        fault = Fault(
            number=loop.state.recovery.count + 1,
            step=step,
            epoch=bad.epoch,
            found_in=bad.found_in,
            culprit="unknown",
            hopeless=False,
            what="",
            player=str((bad.player or loop.lead).objective),
            learning_rates=loop.steps.learning_rates(max(step - 1, 0)),
            terms=tuple(dict.fromkeys(bad.terms)),
            part=bad.part,
            tensor=bad.tensor,
            parameter=bad.parameter,
            gradient=bad.gradient,
            batch=() if batch is None or batch.index is None else tuple(batch.index.tolist()),
            features=tuple(bad.features),
            back_to=good.facts["step"],
        )
        jump = search.jump
        jump = None if jump is None or jump.step <= good.facts["step"] else jump
        fault = diagnose(bad, self._inspect_at(good, bad), jump, fault)
        if fault.culprit == "part" and fault.found_in == "update":  # at good parameters: look for the cause in the data
            data, numbers = examined(loop.setup.data)
            rows = outlying_rows(data)
            values = extreme_values(data, rows, numbers)
            rows = [numbers[i] for i in rows]
            fault = with_sentence(replace(fault, culprit="row", rows=tuple(rows), values=values)) if rows else fault
        return fault
