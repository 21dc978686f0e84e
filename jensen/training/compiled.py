"""A recorded graph as torch's interpreter runs it: the same operations, without Python between them."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from .recording import Unrecordable

__all__ = ["compiled"]

_as_they_are: Any = torch.jit.optimized_execution  # pyright: ignore[reportPrivateImportUsage]


@cache
def _scripted() -> Callable[..., Any]:
    """Return the gradients of a convolution as a function that torch's tracer can call."""

    def convolution_backward(
        g: Tensor,
        x: Tensor,
        w: Tensor,
        bias: list[int] | None,
        stride: list[int],
        padding: list[int],
        dilation: list[int],
        transposed: bool,
        output_padding: list[int],
        groups: int,
        of_x: bool,
        of_w: bool,
        of_bias: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        asked = [of_x, of_w, of_bias]
        r = torch.ops.aten.convolution_backward(
            g, x, w, bias, stride, padding, dilation, transposed, output_padding, groups, asked
        )
        # any tensor in the place of one that is not asked for: nobody reads it
        return r[0] if of_x else g, r[1] if of_w else g, r[2] if of_bias else g

    return torch.jit.script(inspect.unwrap(convolution_backward))  # it is read as source: without decorators


def _call_scripted(*arguments: Any) -> Any:
    return _scripted()(*arguments)


def _traceable(graph: GraphModule) -> GraphModule:
    """Return the graph with calls that torch's tracer understands: it knows no lists of truth values."""
    graph = copy.copy(graph)
    graph.graph = copy.deepcopy(graph.graph)
    for node in graph.graph.nodes:
        if node.target == torch.ops.aten.convolution_backward.default:
            *arguments, mask = node.args
            node.target, node.args = _call_scripted, (*arguments, *mask)
    graph.recompile()
    return graph


def compiled(graph: GraphModule, tensors: Sequence[Tensor]) -> Callable[..., tuple[Tensor, ...]]:
    """Return the operations of a graph as torch's interpreter runs them, none rearranged.

    Args:
        graph: returns a list of tensors.
        tensors: examples of all its inputs; nothing of theirs is changed.

    Raises:
        Unrecordable: the interpreter cannot run them.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad(), _as_they_are(False):
            warnings.simplefilter("ignore")
            called = _traceable(graph)
            traced: Any = torch.jit.trace(
                lambda *inputs: tuple(called.forward(*inputs)), tuple(t.clone() for t in tensors), check_trace=False
            )
    except Exception as error:  # of any kind: torch's tracer raises many
        raise Unrecordable(str(error).partition("\n")[0]) from error

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad(), _as_they_are(False):
            return traced(*inputs)

    return run
