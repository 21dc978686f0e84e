"""Graphs as programs of torch.export, which open with torch alone."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.distributions import Distribution

from ..core.errors import CompositionError
from .ports import BATCH, Arrays, Graph

__all__ = ["computed_by_torch", "program_bytes"]


@contextlib.contextmanager
def _exporting() -> Iterator[None]:
    """A scope in which distributions do not look at their values, which a program has none of yet, and torch says
    nothing: of a graph that fails it logs all operations, and prints them to stderr."""
    logger = logging.getLogger("torch")
    others = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("torch.")]
    levels = [(own, own.level) for own in (logger, *others)]
    is_validating = Distribution._validate_args
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for own, _ in levels:
            own.setLevel(logging.CRITICAL + 1)
        Distribution.set_default_validate_args(False)
        try:
            yield
        finally:
            Distribution.set_default_validate_args(is_validating)
            for own, level in levels:
                own.setLevel(level)


def program_bytes(graph: Graph, arrays: Arrays, metadata: Mapping[str, str]) -> bytes:
    """Return a graph as a program (.pt2), with a dynamic batch axis; texts about it are in the file metadata.json.

    Args:
        graph: whose module is exported.
        arrays: inputs of two rows or more.
        metadata: texts by name.

    Raises:
        CompositionError: torch cannot export an operation.
    """
    tensors = graph.tensors(arrays)
    axes = {name: {0: torch.export.Dim(BATCH, min=1)} for name in tensors}
    module = graph.module.eval()
    buffer = io.BytesIO()
    try:
        with torch.no_grad(), _exporting():
            module(**tensors)  # constants that are made once are then no part of the export
            program = torch.export.export(module, (), tensors, dynamic_shapes=axes, strict=False)
            torch.export.save(program, buffer, extra_files={"metadata.json": metadata["about"]})
    except Exception as error:  # the errors of torch.export share no class
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CompositionError(
            f"the {graph.name} of this run cannot be exported by torch: {reason}", "Export a run of another recipe."
        ) from error
    return buffer.getvalue()


def computed_by_torch(content: bytes, graph: Graph) -> Any:
    """Return the function from inputs to outputs that a program computes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = torch.export.load(io.BytesIO(content)).module()

    def compute(arrays: Arrays) -> Arrays:
        with torch.no_grad():
            values = module(**graph.tensors(arrays))
        return {port.name: value.numpy() for port, value in zip(graph.outputs, values, strict=True)}

    return compute
