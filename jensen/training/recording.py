"""A function of tensors is recorded once as a straight line of tensor operations, and repeated without Python.

The recorded operations are the function's own, forward and backward, one after another: the result is the same to the
bit, without autograd, distributions and modules in between. Random numbers are drawn before the operations run, in the
order in which the function draws them.

A function is refused where this would not be the same function: if it draws random numbers that depend on tensors, or
from another generator than the one it is given, or if its operations depend on the values of tensors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.overrides import TorchFunctionMode

from ..core.random import drawing_generator
from .simplify import simplify

__all__ = ["RandomDraw", "Recording", "Unrecordable", "recorded"]

Function = Callable[..., Sequence[Tensor]]

_MAKERS = {torch.randn, torch.rand, torch.randint, torch.randperm}
_LIKE = {torch.randn_like: torch.randn, torch.rand_like: torch.rand}
_FILLERS = {torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.exponential_, torch.Tensor.random_}


class Unrecordable(Exception):
    """A function that cannot be recorded; the message is the reason."""


@dataclass(frozen=True)
class RandomDraw:
    """One call that draws random numbers, whose arguments do not depend on tensors.

    Attributes:
        function: draws, given a generator by keyword.
        arguments, options: of the call.
    """

    function: Callable[..., Tensor]
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    def __call__(self, generator: torch.Generator) -> Tensor:
        """Return the random numbers."""
        return self.function(*self.arguments, **self.options, generator=generator)


@dataclass(frozen=True)
class Recording:
    """A recorded function.

    Attributes:
        graph: takes the function's tensors, then its random numbers; returns its results.
        draws: make the random numbers, in this order.
    """

    graph: GraphModule
    draws: tuple[RandomDraw, ...]

    def drawn(self, generator: torch.Generator) -> list[Tensor]:
        """Return the random numbers of one call."""
        return [draw(generator) for draw in self.draws]


class _Draws(TorchFunctionMode):
    """Watches the random calls of a function; with `given`, hands out these numbers instead."""

    def __init__(self, generator: torch.Generator, given: Sequence[Tensor] | None = None) -> None:
        super().__init__()
        self.generator, self.given = generator, given
        self.draws: list[RandomDraw] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if func in _LIKE:
            like = args[0]
            options = {"dtype": like.dtype, "device": like.device} | options
            return self._numbers(_LIKE[func], (tuple(like.shape),), options)
        if func in _MAKERS:
            return self._numbers(func, args, options)
        if func in _FILLERS:
            target = args[0]
            shape, kind = tuple(target.shape), {"dtype": target.dtype, "device": target.device}
            generator = options.pop("generator", None)

            def fill(*arguments: Any, generator: torch.Generator, **named: Any) -> Tensor:
                return func(torch.empty(shape, **kind), *arguments, **named, generator=generator)

            with torch.no_grad():
                return target.copy_(self._numbers(fill, args[1:], options | {"generator": generator}))
        return func(*args, **options)

    def _numbers(self, function: Callable[..., Tensor], args: tuple[Any, ...], options: dict[str, Any]) -> Tensor:
        if (options.pop("generator", None) or drawing_generator()) is not self.generator:
            raise Unrecordable("random numbers come from a generator of their own")
        draw = RandomDraw(function, args, options)
        self.draws.append(draw)
        if self.given is None:
            return draw(self.generator)
        if len(self.draws) > len(self.given):
            raise Unrecordable("two calls draw different random numbers")
        return self.given[len(self.draws) - 1]


@contextmanager
def _quiet() -> Iterator[None]:
    """A scope without the warnings of torch's tracer, which is told the truth by a comparison afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def recorded(function: Function, tensors: Sequence[Tensor], generator: torch.Generator) -> Recording:
    """Return the recording of a function of tensors.

    Args:
        function: takes the tensors, one by one, and returns tensors; it is called twice, and may change its tensors.
        tensors: examples, of the shapes of later calls.
        generator: the one that the function draws from; its state is left as it was.

    Raises:
        Unrecordable: it would not be the same function.

    Example:
        >>> noise = torch.Generator().manual_seed(0)
        >>> twice = recorded(lambda x: (2 * x + torch.randn(2, generator=noise),), [torch.ones(2)], noise)
        >>> len(twice.draws)
        1
    """
    state = generator.get_state()
    try:
        with _Draws(generator) as watched:
            function(*(t.clone() for t in tensors))
        generator.set_state(state)
        numbers, n = [draw(generator) for draw in watched.draws], len(tensors)

        def replayed(*inputs: Tensor) -> list[Tensor]:
            with _Draws(generator, inputs[n:]) as again:
                results = list(function(*inputs[:n]))
            if len(again.draws) != len(numbers):
                raise Unrecordable("two calls draw different random numbers")
            return results

        with _quiet(), torch.enable_grad():
            graph = make_fx(replayed)(*(t.clone() for t in tensors), *numbers)
    except Unrecordable:
        raise
    except Exception as error:  # of any kind: torch's tracer raises many
        raise Unrecordable(str(error).partition("\n")[0]) from error
    finally:
        generator.set_state(state)
    _refuse_random(graph)
    simplify(graph)
    return Recording(graph, tuple(watched.draws))


def _refuse_random(graph: GraphModule) -> None:
    """Refuse random operations: they were not drawn before.

    Raises:
        Unrecordable: naming the first.
    """
    for node in graph.graph.nodes:
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise Unrecordable(f"random numbers of {node.target} depend on tensors")
