"""The comparison of a graph, as another runtime computes it, with the run itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import NumericalError
from .ports import Arrays, Graph, Port

__all__ = ["BATCHES", "MOST", "Agreement", "check_graph"]

BATCHES = (1, 7, 64)  # numbers of rows
MOST = 1e-5  # relative error that is accepted
TINY = 1e-30

Runtime = Callable[[Arrays], Arrays]


@dataclass(frozen=True)
class Agreement:
    """The errors of one graph.

    Attributes:
        graph: its name.
        batches: the numbers of rows that were compared.
        errors: the largest relative error of each output, by name.
    """

    graph: str
    batches: tuple[int, ...]
    errors: Mapping[str, float]

    @property
    def largest(self) -> float:
        """The largest relative error."""
        return max(self.errors.values())

    @property
    def worst(self) -> str:
        """The output that has it."""
        return max(self.errors, key=lambda name: self.errors[name])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record."""
        return {"graph": self.graph, "batches": list(self.batches), "largest_relative_errors": dict(self.errors)}


def check_graph(graph: Graph, arrays: Arrays, runtime: Runtime, batches: tuple[int, ...] = BATCHES) -> Agreement:
    """Compare the outputs of a graph with those of the run, on several numbers of rows.

    An error is relative to the value itself, or to what is usual where the value is smaller: the port's unit, or the
    root mean square of the output. Whole numbers must be equal.

    Args:
        graph: with the outputs that the run gives.
        arrays: inputs, of as many rows as the batches have together.
        runtime: computes the graph.
        batches: numbers of rows.

    Raises:
        NumericalError: an output differs by more than 1e-5, has another shape or type, or is not finite.
    """
    errors = dict.fromkeys((port.name for port in graph.outputs), 0.0)
    start = 0
    for n in batches:
        own = {name: values[start : start + n] for name, values in arrays.items()}
        start += n
        expected, actual = graph.expected(own), runtime(own)
        for port in graph.outputs:
            unit = expected[port.unit] if isinstance(port.unit, str) else port.unit
            error = _error(graph, port, actual[port.name], expected[port.name], unit)
            errors[port.name] = max(errors[port.name], error)
    agreement = Agreement(graph.name, batches, errors)
    if not agreement.largest <= MOST:
        raise NumericalError(
            f"the {graph.name} as exported differs from the run: {agreement.worst!r} by {agreement.largest:.1e} of its"
            f" value, and at most {MOST:g} is accepted",
            "Nothing was written. Report it, with the recipe; the run itself is intact.",
        )
    return agreement


def _error(graph: Graph, port: Port, actual: np.ndarray, expected: np.ndarray, unit: Any) -> float:
    """Return the largest relative error of an output.

    Raises:
        NumericalError: it has another shape or type, or is not finite.
    """
    if actual.shape != expected.shape or str(actual.dtype) != port.dtype:
        raise NumericalError(
            f"the {graph.name} as exported gives {port.name!r} as {actual.dtype} {actual.shape}, and the run as"
            f" {port.dtype} {expected.shape}",
            "Nothing was written. Report it, with the recipe; the run itself is intact.",
        )
    if np.issubdtype(expected.dtype, np.integer):
        return float((actual != expected).mean())
    difference = np.abs(actual.astype(np.float64) - expected)
    usual = np.sqrt(np.square(expected.astype(np.float64)).mean()) if unit is None else unit
    error = float((difference / np.maximum(np.maximum(np.abs(expected), usual), TINY)).max(initial=0.0))
    return error if np.isfinite(actual).all() else float("inf")
