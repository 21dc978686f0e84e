"""Several trainings in lockstep: each is a loop of its own, and their steps are taken together (see `stack`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..core.batch import Batch
from ..core.errors import NumericalError
from ..core.precision import matmul_precision
from ..core.random import copied, stream
from ..core.threads import restored_threads
from ..core.wording import plural
from .anchors import AnchorKeeper
from .history import History
from .loop import Ending, TrainingLoop
from .recording import Unrecordable
from .recovery import Recovery
from .shared_steps import draws_noise
from .snapshot import Snapshot
from .stack import Stack, reason_against

__all__ = ["LEAST_STEPS", "Lockstep", "Partition", "partition"]

TOO_FEW = "steps are too few to be recorded"
LEAST_STEPS = 200  # of a training, for which recording them together is worth its cost


@dataclass(frozen=True)
class Partition:
    """Trainings that can take their steps together, and those that cannot.

    Attributes:
        together: the places of those in each stack, of two or more.
        reasons: why the others cannot, by their places.
    """

    together: tuple[tuple[int, ...], ...]
    reasons: dict[int, str]

    @property
    def worth_saying(self) -> bool:
        """True if a reason is another than that there are few steps."""
        return any(not reason.endswith(TOO_FEW) for reason in self.reasons.values())


def partition(loops: Sequence[TrainingLoop], least: int = LEAST_STEPS) -> Partition:
    """Return which trainings can take their steps together; nothing about them is changed.

    Args:
        loops: before their first step.
        least: number of steps of a training from which on it is worth recording them together.
    """
    reasons: dict[int, str] = {}
    groups: dict[object, list[int]] = {}
    for place, loop in enumerate(loops):
        steps = loop.setup.steps_per_epoch * loop.setup.budget.epochs
        reason = reason_against(loop)
        if reason is None and steps < least:
            reason = f"{steps:,} {TOO_FEW}"
        if reason is not None:
            reasons[place] = reason
            continue
        groups.setdefault(_kind(loop), []).append(place)
    together = []
    for places in groups.values():
        if len(places) > 1:
            together.append(tuple(places))
        else:
            reasons[places[0]] = "no other member has its shape"
    return Partition(tuple(together), reasons)


def _kind(loop: TrainingLoop) -> object:
    """Return what trainings share that can take their steps together; learning rates and ramps may differ."""
    setup, plan, player = loop.setup, loop.setup.plan, loop.setup.players[0]
    shapes = tuple((name, t.shape, t.dtype) for name, t in loop.state.module.state_dict().items())
    objective = str(player.objective)
    for ramp in loop.state.ramps:
        objective = objective.replace(str(ramp), "ramp")
    optimizer = (player.optimizer.name, player.optimizer.options, player.steps)
    rest = (plan.precision, plan.threads, plan.clip, plan.spikes, objective, str(player.estimator))
    return shapes, len(setup.data), setup.batch_size, *optimizer, *rest


class _Watcher(AnchorKeeper):
    """Notices an objective that explodes; states are copied once per epoch instead of at anchors."""

    def step_ended(self) -> None:
        return


class Lockstep:
    """Trains loops together, from their first step to the end of each.

    Each keeps its own state, events, best weights and patience. One that has ended leaves; one whose numbers stop being
    finite leaves too, goes back to the beginning of the epoch, and is trained to its end by itself, with recoveries.

    Args:
        loops: with equal shapes, before their first step.
        notice: called with what the user should know.
    """

    def __init__(self, loops: Sequence[TrainingLoop], notice: Callable[[str], None] = lambda text: None) -> None:
        self.loops, self.notice = list(loops), notice
        data = self.loops[0].setup.data
        self.shares_rows = all(loop.setup.data is data for loop in loops) and not draws_noise(data)
        self.results: dict[int, History | NumericalError] = {}
        self.stack: Stack | None = None
        self.alone: list[TrainingLoop] = []  # to be trained by themselves afterwards
        self.first: dict[int, Snapshot] = {}
        self.start: dict[int, Snapshot] = {}  # of the present epoch
        self.spare = torch.Generator(self.loops[0].setup.data.device)  # of what is computed for those that have left

    def run(self) -> list[History | NumericalError]:
        """Train all of them, and return the history of each, or the error that it failed with."""
        with matmul_precision(self.loops[0].setup.plan.precision), restored_threads():
            for loop in self.loops:
                loop.state.threads.now = self.loops[0].state.threads.now  # the trial of one is of the machine
                loop.begin()
                loop.callbacks = _Watcher(loop)
                self.first[id(loop)] = loop.state.copy()
            self._train([loop for loop in self.loops if self._tried(loop, loop.check_finite)])
            for loop in self.alone:
                self._finish_alone(loop)
        return [self.results[id(loop)] for loop in self.loops]

    # --- together ---

    def _train(self, active: list[TrainingLoop]) -> None:
        """Train from epoch to epoch, until all have left."""
        while active:
            active = [loop for loop in active if not self._has_ended(loop)]
            for loop in active:
                loop.lead = loop.setup.lead(loop.state.epoch)
                self.start[id(loop)] = loop.state.copy()
            if active and not self._run_epoch(active):
                return
            active = [loop for loop in active if id(loop) not in self.results and loop not in self.alone]

    def _has_ended(self, loop: TrainingLoop) -> bool:
        """Return whether a training is over, after it has left."""
        state, budget = loop.state, loop.setup.budget
        if state.epoch > budget.epochs:
            self._leave(loop, Ending("finished", state.epoch - 1))
        elif loop.is_out_of_patience(state.epoch - 1):
            self._leave(loop, Ending("early stopping", state.epoch - 1))
        else:
            return False
        return True

    def _leave(self, loop: TrainingLoop, ending: Ending) -> None:
        """End the training of a loop, with tensors of its own."""
        if self.stack is not None:
            self.stack.release(loop)
        if ending.reason == "interrupted" and not loop.is_finite():
            loop.state.rewind(self.start[id(loop)])  # the fault will show again when training is resumed
        self.results[id(loop)] = loop.finish(ending)

    def _run_epoch(self, active: list[TrainingLoop]) -> bool:
        """Run one pass over the data; return False if training was interrupted."""
        started, lead = time.monotonic(), active[0]
        orders, speed = {id(loop): _order(loop) for loop in active}, 0.0
        for step in range(lead.setup.steps_per_epoch):
            lead.pace.step_begins()
            self._step(active, {place: order[step] for place, order in orders.items()})
            lead.pace.step_ended()
            active = [loop for loop in active if loop not in self.alone]  # which are no longer trained here
            speed = lead.state.measures.n / max(time.monotonic() - started, 1e-9)
            if lead.shared.should_stop():
                for loop in active:
                    self._leave(loop, Ending("interrupted", loop.state.epoch))
                return False
            for loop in active:
                self._tried(loop, partial(_look, loop, speed))
            active = [loop for loop in active if loop not in self.alone]
            if not active:
                return True
            lead = active[0]
        for loop in active:
            self._tried(loop, partial(loop.complete_epoch, speed))
        return True

    def _step(self, active: Sequence[TrainingLoop], index: Mapping[int, Tensor]) -> None:
        """Take a step of every member: together, but for the first."""
        stack = self.stack
        if stack is None:
            for loop in active:
                loop.steps.take(loop.setup.data.take(index[id(loop)], loop.state.noise), loop.lead, loop.callbacks)
        else:
            try:
                stack.take(*self._batches(stack, active[0], index))
            except Unrecordable as error:
                self._set_aside(active, str(error))
                return
        for loop in active:
            loop.state.index += 1
        if stack is None:
            self._build(active, index)

    def _build(self, active: Sequence[TrainingLoop], index: Mapping[int, Tensor]) -> None:
        """Stack the members whose joint gradient is their own; the others are trained by themselves."""
        try:
            self.stack = Stack(active)
            noises = [copied(loop.state.noise) for loop in active]
            batch = _stacked([lp.setup.data.take(index[id(lp)], n) for lp, n in zip(active, noises, strict=True)])
            wrong, reason = self.stack.differing(batch, noises), "their objectives or networks differ"
        except Unrecordable as error:
            wrong, reason = list(active), str(error)
        is_joint = self.stack is not None and len(wrong) < len(active) - 1
        self._set_aside(wrong if is_joint else active, reason)
        if is_joint and self.stack is not None:
            self._choose_threads(self.stack, [loop for loop in active if loop not in self.alone], index)

    def _choose_threads(self, stack: Stack, active: Sequence[TrainingLoop], index: Mapping[int, Tensor]) -> None:
        """Choose the number of threads by the joint step, for which more may pay than for the step of one."""
        noises = [copied(loop.state.noise) for loop in stack.loops]
        batch = _stacked([lp.setup.data.take(index[id(lp)], n) for lp, n in zip(stack.loops, noises, strict=True)])
        active[0].pace.change(partial(stack.rehearse, batch, noises))
        for loop in active[1:]:
            loop.state.threads.now = loop.state.threads.chosen = active[0].state.threads.now

    def _batches(
        self, stack: Stack, lead: TrainingLoop, index: Mapping[int, Tensor]
    ) -> tuple[Batch, list[torch.Generator]]:
        """Return the batches of all places of a stack, and the noise of each; those that were released have any."""
        numbers = [index.get(id(loop), index[id(lead)]) for loop in stack.loops]
        noises = [lp.state.noise if lives else self.spare for lp, lives in zip(stack.loops, stack.live, strict=True)]
        data = lead.setup.data
        if self.shares_rows:
            return _split(data.take(torch.cat(numbers)), len(numbers)), noises
        rows = [lp.setup.data.take(i, noise) for lp, i, noise in zip(stack.loops, numbers, noises, strict=True)]
        return _stacked(rows), noises

    # --- alone ---

    def _tried(self, loop: TrainingLoop, work: Callable[[], object]) -> bool:
        """Return whether work on a member went well; one whose numbers are not finite is set aside."""
        try:
            work()
        except NumericalError as error:
            self._set_aside([loop], error.what)
            return False
        return True

    def _set_aside(self, loops: Sequence[TrainingLoop], reason: str) -> None:
        """Let members have tensors of their own, to be trained by themselves from the beginning of this epoch."""
        if loops:
            self.notice(f"{plural(len(loops), 'member')} of {len(self.loops)} trained alone: {reason}")
        for loop in loops:
            if self.stack is not None and loop in self.stack.loops:
                self.stack.release(loop)
            self.alone.append(loop)

    def _finish_alone(self, loop: TrainingLoop) -> None:
        """Train a member from the beginning of the epoch in which it was set aside to its end, with recoveries."""
        start = self.start.get(id(loop), self.first[id(loop)])
        loop.state.rewind(start)
        first = self.first[id(loop)] if start.facts["step"] else None
        try:
            self.results[id(loop)] = loop.finish(Recovery(loop, first).train())
        except NumericalError as error:
            loop.fail()
            self.results[id(loop)] = error


def _order(loop: TrainingLoop) -> Sequence[Tensor]:
    """Return the numbers of the rows of each batch of the present epoch."""
    setup = loop.setup
    return setup.data.order(setup.batch_size, stream(setup.plan.seed, f"order:{loop.state.epoch}"))


def _look(loop: TrainingLoop, speed: float) -> None:
    """Report progress, and keep a snapshot, where either is due."""
    loop.report_progress(speed)
    loop.keep_snapshot()


def _stacked(batches: Sequence[Batch]) -> Batch:
    """Return batches along a first axis."""
    fields = {name: [getattr(batch, name) for batch in batches] for name in ("mask", "context", "index")}
    others = {name: None if own[0] is None else torch.stack(own) for name, own in fields.items()}
    return Batch(torch.stack([batch.x for batch in batches]), **others, n_data=batches[0].n_data)


def _split(batch: Batch, several: int) -> Batch:
    """Return a batch as several along a first axis."""
    fields = {"mask": batch.mask, "context": batch.context, "index": batch.index}
    others = {name: None if t is None else t.unflatten(0, (several, -1)) for name, t in fields.items()}
    return Batch(batch.x.unflatten(0, (several, -1)), **others, n_data=batch.n_data)
