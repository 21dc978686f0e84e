"""A recorded graph as one CUDA graph: all its kernels are launched by a single call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule

from .recording import Unrecordable

__all__ = ["captured"]

WARM = 3  # calls before the capture, as libraries choose their kernels in the first ones


def captured(graph: GraphModule, tensors: Sequence[Tensor], held: int) -> Callable[..., tuple[Tensor, ...]]:
    """Return the operations of a graph as a CUDA graph.

    The first two results are the caller's own; the others are overwritten by the next call.

    Args:
        graph: returns a list of tensors.
        tensors: examples of all its inputs, on one CUDA device.
        held: the number of inputs, from the first, that are the same tensors in every call; the others are copied in.

    Raises:
        Unrecordable: an operation cannot be captured, as one that waits for the device.
    """
    own, given = list(tensors[:held]), [t.clone() for t in tensors[held:]]
    try:
        with torch.no_grad(), torch.cuda.device(tensors[0].device):
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARM):
                    graph.forward(*(t.clone() for t in own), *given)
            torch.cuda.current_stream().wait_stream(side)
            capture = torch.cuda.CUDAGraph()
            with torch.cuda.graph(capture):
                results = tuple(graph.forward(*own, *given))
    except RuntimeError as error:
        raise Unrecordable(str(error).partition("\n")[0]) from error

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.no_grad():
            for place, value in zip(given, inputs[held:], strict=True):
                place.copy_(value, non_blocking=True)
            capture.replay()
            first, second, *others = results
            return first.clone(), second.clone(), *others

    return run
