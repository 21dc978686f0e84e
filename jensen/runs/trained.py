"""The training of a run, as far as findings about its numbers depend on it."""

from __future__ import annotations

import math

from ..analysis.reliability import Trained
from .data import RunData
from .players import weighted_points

__all__ = ["trained"]


def trained(run: RunData) -> Trained:
    """Return the bound that was maximised, the steps that were taken, and the score of the uniform distribution."""
    schema = run.schema
    levels = 2 if schema.kind == "binary" or run.preparation.binarize is not None else schema.levels
    steps = max((line["step"] for line in run.metrics if line.get("event") == "epoch" and "step" in line), default=None)
    return Trained(
        run=str(run.path),
        points=weighted_points(run.spec),
        steps=steps,
        uniform=None if levels is None else -schema.size * math.log(levels),
    )
