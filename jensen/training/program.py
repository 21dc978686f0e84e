"""The gradient of one player on batches of one shape, recorded as tensor operations (see `recording`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType

import torch
from torch import Tensor, nn

from ..core.batch import Batch
from ..core.random import copied
from ..core.shares import Share, current_share, sharing
from .captured import captured
from .compiled import compiled
from .gradient import Gradient, gradient
from .players import Player
from .recording import Recording, Unrecordable, recorded
from .running_measures import Sums
from .setup import TrainingSetup
from .slots import Slots

__all__ = ["GradientProgram", "Shape", "is_own_code", "shape_of"]

Shape = tuple[object, ...]

_TENSORS = tuple(f.name for f in fields(Batch) if f.name != "n_data")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_KNOWN = ("builtins", "functools", "jensen", "torch", "None")  # packages, and what has none as it is written in C


def shape_of(batch: Batch) -> Shape:
    """Return what a program is for: shapes and types of a batch, and the share of it that this process computes."""
    share, tensors = current_share(), (getattr(batch, name) for name in _TENSORS)
    rows = None if share is None else (share.start, share.stop, share.of, share.counts)
    return (*(None if t is None else (t.shape, t.dtype) for t in tensors), batch.n_data, rows)


def is_own_code(setup: TrainingSetup, player: Player) -> bool:
    """Return whether a step runs code of the user's own, which may do more in a step than to compute."""
    return any(_is_own(part) for part in _parts([setup.model, setup.guide, player]))


def _is_own(part: object) -> bool:
    """Return whether a part has a hook, or is called and is not of this package or of torch."""
    if isinstance(part, nn.Module) and any(getattr(part, name) for name in _HOOKS):
        return True
    own = part if isinstance(part, FunctionType | BuiltinFunctionType | type) else type(part)
    return callable(part) and str(own.__module__).partition(".")[0] not in _KNOWN


def _parts(roots: Sequence[object]) -> Iterator[object]:
    """Yield these objects and all that they hold: families and corruptions are no modules, and are called too."""
    waiting, seen = list(roots), set[int]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, Tensor | str | int | float):
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, list | tuple | set | frozenset):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, partial):
            waiting += (part.func, *part.args, *part.keywords.values())
        elif isinstance(part, MethodType):
            waiting += (part.__self__, part.__func__)
        elif not isinstance(part, type):
            waiting += getattr(part, "__dict__", {}).values()


class GradientProgram:
    """The objective's gradient and the measures of one player, for batches of one shape.

    Args:
        setup: of the training.
        player: whose gradient it is.
        batch: an example.
        noise: that the player draws from; its state is left as it was.

    Attributes:
        recording: the operations. They take the tensors of `slots` and of the batch, then random numbers, and return
            the sums of the measures [4], the loss [], and the gradients of `reached`.
        slots: the tensors that are read beside the batch.
        reached: places, among the player's trained parameters, of those that have a gradient.
        has_rate, has_distortion: see `RunningMeasures`.

    Raises:
        Unrecordable: the step is no fixed sequence of operations.
    """

    def __init__(self, setup: TrainingSetup, player: Player, batch: Batch, noise: torch.Generator) -> None:
        self.setup, self.player, self.n_data = setup, player, batch.n_data
        self.noise = noise  # of the recording; later calls give theirs
        self.slots, self.trained = Slots.of(setup.model, setup.guide, player), player.trained
        self.given = [name for name in _TENSORS if getattr(batch, name) is not None]
        self.reached: list[int] = []
        self.has_rate = self.has_distortion = True
        held = self.slots.tensors
        numbers = {id(t): i for i, t in enumerate(held)}
        missing = [p for p in self.trained if id(p) not in numbers]
        if missing:
            raise Unrecordable("a parameter is in no module")
        self.leaves = [numbers[id(p)] for p in self.trained]
        tensors = [*held, *self._tensors_of(batch)]
        with sharing(_without_exchange(current_share())):
            self.recording: Recording = recorded(self._gradient, tensors, noise)
        inputs = [*tensors, *self.recording.drawn(copied(noise))]
        on_cuda = batch.x.device.type == "cuda"
        self.fixed = held if on_cuda else []  # a CUDA graph reads them where they were
        graph = self.recording.graph
        self.run = captured(graph, inputs, len(held)) if on_cuda else compiled(graph, inputs)

    def __call__(self, batch: Batch, noise: torch.Generator) -> Gradient:
        """Return the gradient on a batch of this shape, to the same bits as without a recording.

        Raises:
            Unrecordable: the recording can no longer be used; nothing was drawn.
        """
        held = self.slots.tensors
        if self.fixed and any(now is not then for now, then in zip(held, self.fixed, strict=True)):
            raise Unrecordable("other tensors are in the place of parameters")
        numbers = self.recording.drawn(noise)
        sums, loss, *parts = self.run(*held, *self._tensors_of(batch), *numbers)
        by_parameter: list[Tensor | None] = [None] * len(self.trained)
        for place, part in zip(self.reached, parts, strict=True):
            by_parameter[place] = part
        return Gradient(Sums(sums, self.has_rate, self.has_distortion), loss, by_parameter)

    def _tensors_of(self, batch: Batch) -> list[Tensor]:
        return [getattr(batch, name) for name in self.given]

    def _gradient(self, *tensors: Tensor) -> Sequence[Tensor]:
        """Return sums, loss and gradients, by the code that an unrecorded step runs."""
        setup, player, n = self.setup, self.player, len(self.slots.tensors)
        held = list(tensors[:n])
        batch = Batch(**dict(zip(self.given, tensors[n:], strict=True)), n_data=self.n_data)  # pyright: ignore
        with torch.enable_grad():
            for place in self.leaves:
                held[place] = held[place].detach().requires_grad_()
            with self.slots.holding(held):
                result = gradient(setup, player, batch, self.noise, [held[place] for place in self.leaves])
                if any(now is not then for now, then in zip(self.slots.tensors, held, strict=True)):
                    raise Unrecordable("a step puts other tensors in the place of buffers")
        self.reached = [i for i, g in enumerate(result.parts) if g is not None]
        self.has_rate, self.has_distortion = result.sums.has_rate, result.sums.has_distortion
        return [result.sums.values, result.loss, *(g.detach() for g in result.parts if g is not None)]


def _without_exchange(share: Share | None) -> Share | None:
    """Return a share that refuses to exchange anything: other processes do not record at the same time."""

    def refuse(tensors: Sequence[Tensor]) -> None:
        raise Unrecordable("statistics of the batch are summed over processes")

    return None if share is None else replace(share, sum_all=refuse)
