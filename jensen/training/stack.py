"""Trainings of one shape that take their steps together: one recorded program over the stacked tensors of all members.

The recorded gradient of one member (`program`) is mapped over a first axis, of members, and recorded again. Parameters,
buffers and the state of the optimiser of every member become parts of stacked tensors, so that a member's own modules
and its optimiser see every step: measuring, keeping and writing them is as if it were trained alone. Every member draws
its own rows and its own noise, as alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx

from ..core.batch import Batch
from ..core.modules import unchanged_buffers
from ..core.random import copied
from .compiled import compiled
from .fused import FusedAdam, adam_step
from .gradient import Gradient, gradient
from .loop import TrainingLoop
from .program import GradientProgram, is_own_code, shape_of
from .recording import Unrecordable
from .running_measures import Sums
from .simplify import simplify
from .slots import Slots

__all__ = ["Stack", "reason_against"]

ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-3}  # of a gradient, relative to its largest entry


def reason_against(loop: TrainingLoop) -> str | None:
    """Return why a training cannot take its steps together with others; None where it can be tried."""
    setup = loop.setup
    if len(setup.players) > 1:
        return "it has several players"
    player = setup.players[0]
    if player.closed is not None:
        return "its steps have a closed form"
    optimizer = loop.state.optimizers[0]
    if optimizer is None or not FusedAdam(optimizer).is_fused:
        return f"{player.optimizer.name} takes the steps of each by itself"
    if is_own_code(setup, player):
        return "parts of your own may do more in a step than to compute"
    return None


@dataclass(frozen=True)
class _Program:
    """The gradients of all members on batches of one shape.

    Attributes:
        alone: the recording of the first member.
        run: takes the stacked tensors, batches and random numbers; returns sums, losses and gradients.
    """

    alone: GradientProgram
    run: Callable[..., tuple[Tensor, ...]]


class Stack:
    """The stacked tensors of several trainings, and their joint steps.

    Args:
        loops: the trainings, after their first step, and with equal shapes.

    Attributes:
        loops: of all members, in their order; one that was released keeps its place until half of them are.
        live: whether each is still trained here.

    Raises:
        Unrecordable: shapes differ.
    """

    def __init__(self, loops: Sequence[TrainingLoop]) -> None:
        self.loops = list(loops)
        self.optimizers = [_optimizer(loop) for loop in loops]
        self.players = [loop.setup.players[0] for loop in loops]
        self.trained = [player.trained for player in self.players]
        self._stack()

    # --- tensors ---

    def _stack(self) -> None:
        """Copy the tensors of all members into stacked ones, and let them be parts of these."""
        tensors = [_slots(loop).tensors for loop in self.loops]
        if len({tuple((t.shape, t.dtype) for t in own) for own in tensors}) > 1:
            raise Unrecordable("their shapes differ")
        places = {id(t): i for i, t in enumerate(tensors[0])}
        if any(id(p) not in places for p in self.trained[0]):
            raise Unrecordable("a parameter is in no module")
        self.live, self.programs = [True] * len(self.loops), {}
        self.leaves = [places[id(p)] for p in self.trained[0]]
        self.held = [_joined(parts) for parts in zip(*tensors, strict=True)]
        states = [
            [optimizer.state[p] for p in own] for optimizer, own in zip(self.optimizers, self.trained, strict=True)
        ]
        each = list(zip(*states, strict=True))  # of every parameter, the states of all members
        self.means, self.squares = ([_joined([own[k] for own in s]) for s in each] for k in ("exp_avg", "exp_avg_sq"))
        self.steps = [members[0]["step"].clone() for members in each]
        for members, step in zip(each, self.steps, strict=True):
            for own in members:
                own["step"].data = step  # the number of steps is the same for all

    def release(self, loop: TrainingLoop) -> None:
        """Give a member tensors of its own again, and leave it out of further steps."""
        place = self.loops.index(loop)
        for tensor in _slots(loop).tensors:
            tensor.data = tensor.data.clone()
        for parameter in self.trained[place]:
            for tensor in self.optimizers[place].state[parameter].values():
                tensor.data = tensor.data.clone()
        loop.steps.fused.clear()  # which holds on to the tensors that it has seen
        self.live[place] = False
        if any(self.live) and sum(self.live) <= len(self.live) // 2:  # recording anew costs less than what it saves
            kept = [i for i, lives in enumerate(self.live) if lives]
            for name in ("loops", "optimizers", "players", "trained"):
                setattr(self, name, [getattr(self, name)[i] for i in kept])
            self._stack()

    # --- steps ---

    def take(self, batch: Batch, noises: Sequence[torch.Generator]) -> None:
        """Take a step of every member.

        Args:
            batch: the batches of all members: [S, B, D].
            noises: of the members.

        Raises:
            Unrecordable: batches of this shape cannot be taken together.
        """
        for loop in self._living():
            if loop.state.ramps:
                loop.state.advance_ramps(loop.state.step)
        if shape_of(_member(batch, 0)) not in self.programs and self.differing(batch, noises):
            raise Unrecordable("its results differ from those of the steps themselves")
        program = self._program(batch, noises)
        for turn in range(self.players[0].steps):
            results = program.run(*self.held, *self._inputs(program.alone, batch, noises))
            sums, gradients = results[0], list(results[2:])
            self._clip(program.alone.reached, gradients)
            self._update(program.alone.reached, gradients)
            if turn == 0:
                kinds = program.alone.has_rate, program.alone.has_distortion
                for loop, own, lives in zip(self.loops, sums.unbind(0), self.live, strict=True):
                    if lives:
                        loop.state.measures.add(Sums(own, *kinds), batch.x.shape[1])
        for loop in self._living():
            loop.state.step += 1
            if loop.state.average is not None:
                loop.state.average.update()

    def rehearse(self, batch: Batch, noises: Sequence[torch.Generator]) -> None:
        """Compute the joint gradient on a batch, and discard it; nothing is changed but the state of the noises.

        Args:
            batch: the batches of all members.
            noises: of the members.
        """
        program = self._program(batch, noises)
        with self._unchanged():
            program.run(*self.held, *self._inputs(program.alone, batch, noises))

    def _living(self) -> list[TrainingLoop]:
        return [loop for loop, lives in zip(self.loops, self.live, strict=True) if lives]

    def _update(self, reached: Sequence[int], gradients: list[Tensor]) -> None:
        """Take the steps of Adam: in one call, or one per member where learning rates differ."""
        rates = [lp.steps.learning_rate(p, lp.state.step) for lp, p in zip(self.loops, self.players, strict=True)]
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate
        tensors = [self.held[self.leaves[i]] for i in reached]
        means, squares, steps = ([own[i] for i in reached] for own in (self.means, self.squares, self.steps))
        torch._foreach_add_(steps, 1)  # pyright: ignore[reportPrivateImportUsage]
        if len({rate for rate, lives in zip(rates, self.live, strict=True) if lives}) == 1:
            adam_step(self.optimizers[self.live.index(True)], tensors, gradients, means, squares, steps)
            return
        for place, optimizer in enumerate(self.optimizers):
            own = [[t[place] for t in several] for several in (tensors, gradients, means, squares)]
            adam_step(optimizer, own[0], own[1], own[2], own[3], steps)

    def _clip(self, reached: Sequence[int], gradients: Sequence[Tensor]) -> None:
        """Clip the gradients of every member, as the step of one does."""
        plan = self.loops[0].setup.plan
        if plan.clip is None and plan.spikes is None:
            return
        for place, (loop, trained) in enumerate(zip(self.loops, self.trained, strict=True)):
            if not self.live[place]:
                continue
            for i, part in zip(reached, gradients, strict=True):
                trained[i].grad = part[place]
            if loop.state.spikes is not None:
                loop.state.spikes.clip(0, trained)
            if plan.clip is not None:
                torch.nn.utils.clip_grad_norm_(trained, plan.clip)

    # --- programs ---

    def _inputs(self, alone: GradientProgram, batch: Batch, noises: Sequence[torch.Generator]) -> list[Tensor]:
        numbers = zip(*(alone.recording.drawn(noise) for noise in noises), strict=True)
        return [*(getattr(batch, name) for name in alone.given), *map(torch.stack, numbers)]

    def _program(self, batch: Batch, noises: Sequence[torch.Generator]) -> _Program:
        """Return the joint program for batches of this shape, recorded at their first."""
        first = _member(batch, 0)
        shape = shape_of(first)
        if shape not in self.programs:
            with self._unchanged():
                alone = GradientProgram(self.loops[0].setup, self.players[0], first, noises[0])
                inputs = [*self.held, *self._inputs(alone, batch, [copied(noise) for noise in noises])]
                graph = _mapped(alone.recording.graph, inputs)
                self.programs[shape] = _Program(alone, compiled(graph, inputs))
        return self.programs[shape]

    def differing(self, batch: Batch, noises: Sequence[torch.Generator]) -> list[TrainingLoop]:
        """Return the members whose joint gradient on a batch is not their own, but for rounding; nothing is changed.

        Raises:
            Unrecordable: batches of this shape cannot be taken together.
        """
        for loop in self._living():
            loop.state.advance_ramps(loop.state.step)
        program, wrong = self._program(batch, noises), []
        with self._unchanged():
            copies = [copied(noise) for noise in noises]
            joint = program.run(*self.held, *self._inputs(program.alone, batch, copies))
        for place, (loop, noise, after) in enumerate(zip(self.loops, noises, copies, strict=True)):
            if not self.live[place]:
                continue
            again = copied(noise)
            with unchanged_buffers(loop.state.module):
                own = gradient(loop.setup, self.players[place], _member(batch, place), again, self.trained[place])
            same_noise = torch.equal(again.get_state(), after.get_state())
            if not (same_noise and _is_near(own, [part[place] for part in joint], program.alone.reached)):
                wrong.append(loop)
        return wrong

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """A scope after which the stacked tensors have the values that they had before."""
        values = [t.clone() for t in self.held]
        try:
            yield
        finally:
            for tensor, value in zip(self.held, values, strict=True):
                tensor.copy_(value)


def _optimizer(loop: TrainingLoop) -> torch.optim.Optimizer:
    """Return the only optimiser of a training.

    Raises:
        Unrecordable: its steps have a closed form.
    """
    optimizer = loop.state.optimizers[0]
    if optimizer is None:
        raise Unrecordable("its steps have a closed form")
    return optimizer


def _slots(loop: TrainingLoop) -> Slots:
    return Slots.of(loop.setup.model, loop.setup.guide, loop.setup.players[0])


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Return tensors stacked along a first axis, of which they become parts."""
    whole = torch.stack([part.detach() for part in parts])
    for part, own in zip(parts, whole.unbind(0), strict=True):
        part.data = own
    return whole


def _member(batch: Batch, place: int) -> Batch:
    """Return the batch of one member."""
    mask, context, index = (None if t is None else t[place] for t in (batch.mask, batch.context, batch.index))
    return Batch(batch.x[place], mask, context, index, batch.n_data)


def _mapped(graph: GraphModule, inputs: Sequence[Tensor]) -> GraphModule:
    """Return the operations of a graph for inputs with a first axis more, of members.

    Raises:
        Unrecordable: an operation cannot be mapped.
    """
    for node in graph.graph.nodes:
        other = _out_of_place(node)
        if other is not None:
            node.target = other
    graph.recompile()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of operations that are mapped one by one
            joint = make_fx(vmap(lambda *own: tuple(graph(*own))))(*(t.clone() for t in inputs))
    except Exception as error:  # of any kind: torch's transformations raise many
        raise Unrecordable(str(error).partition("\n")[0]) from error
    simplify(joint)
    return joint


def _out_of_place(node: Node) -> Any:
    """Return the operation that gives what this one writes into its first argument, where nothing else reads that.

    Operations in place often have no rule for an axis more, and would be repeated for each member.
    """
    schema = getattr(node.target, "_schema", None)
    if schema is None or not schema.name.endswith("_") or not schema.is_mutable:
        return None
    place = node.args[0]
    while isinstance(place, Node) and place.op == "call_function" and len(place.users) == 1:
        arguments = getattr(getattr(place.target, "_schema", None), "arguments", ())
        if not arguments or arguments[0].alias_info is None:  # no view of another tensor
            name, overload = schema.name.removeprefix("aten::").removesuffix("_"), schema.overload_name or "default"
            return getattr(getattr(torch.ops.aten, name, None), overload, None)
        place = place.args[0]
    return None


def _is_near(own: Gradient, joint: Sequence[Tensor], reached: Sequence[int]) -> bool:
    """Return whether a gradient, and its measures, are those of the joint program but for rounding."""
    if [i for i, part in enumerate(own.parts) if part is not None] != list(reached):
        return False
    mine = [own.sums.values, own.loss, *(part for part in own.parts if part is not None)]
    least = ROUNDING.get(own.loss.dtype, 1e-2)
    return all(
        a.shape == b.shape and bool((a - b).abs().max() <= least * a.abs().max() + torch.finfo(a.dtype).tiny)
        for a, b in zip(mine, joint, strict=True)
    )
