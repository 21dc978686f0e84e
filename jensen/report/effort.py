"""The effort of a report: how many rows and points its own estimates may have, so that a page takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from ..core.batch import Rows
from ..core.random import stream
from ..estimators.reparameterized import Pathwise
from ..models.guide import Guide
from ..models.model import LatentVariableModel

__all__ = ["EVALUATING", "EXAMINING", "FOLLOWING", "QUICK", "Effort", "Work", "affordable", "work_of"]

# multiplications of a perceptron, of which one core does about 3e10 in a second
EVALUATING, EXAMINING, FOLLOWING = 3.0e10, 1.0e11, 2.0e10
QUICK = 0.1  # of these, in a quick report
CONVOLUTION = 2.0  # multiplications of a perceptron that take as long as one of a convolution
PER_VALUE = 700.0  # multiplications that take as long as one value of a density with special functions
STEPS = (1, 2, 5)  # times powers of ten, so that numbers of points read well


@dataclass(frozen=True)
class Effort:
    """Rows, and points for each of them.

    Attributes:
        rows: at most.
        points: K of importance weighting.
    """

    rows: int
    points: int


@dataclass(frozen=True)
class Work:
    """Multiplications, about, of an estimate: for each row, and for each latent point of a row."""

    row: float
    point: float


@torch.no_grad()
def work_of(model: LatentVariableModel, guide: Guide, rows: Rows) -> Work:
    """Count the multiplications of a draw: layers as they run, and the values of the density.

    The count does not depend on the machine, so that a run gives the same page everywhere.
    """
    batch = next(iter(rows.subset(torch.arange(min(2, len(rows)), device=rows.device)).batches(2)))
    counts = []
    for k in (1, 3):
        with _counted(model, guide) as counted:
            Pathwise(k).draw(model, guide, batch, stream(0, "report:work", rows.device)).log_lik  # noqa: B018
        counts.append(sum(counted) / len(batch))
    point = (counts[1] - counts[0]) / 2
    return Work(counts[0] - point, point + PER_VALUE * model.likelihood.family.dim)


@contextmanager
def _counted(*modules: nn.Module) -> Iterator[list[float]]:
    """Collect the multiplications of every layer that runs, once for each use of each of its weights."""
    counted: list[float] = [0.0]

    def count(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        weight = getattr(layer, "weight", None)
        seen = inputs[0] if inputs and isinstance(layer, _ConvTransposeNd) else output
        if isinstance(weight, Tensor) and weight.dim() > 1 and isinstance(seen, Tensor):
            counted.append(float(weight[0].numel() * seen.numel()) * (CONVOLUTION if weight.dim() > 2 else 1.0))

    layers = dict.fromkeys(layer for module in modules for layer in module.modules())  # shared ones once
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        yield counted
    finally:
        for hook in hooks:
            hook.remove()


def affordable(budget: float, work: Work, n: int, most: Effort, least: Effort) -> Effort:
    """Return the rows and points of an estimate that takes about so much work, between `least` and `most`.

    Rows come first, as far as each can have the least number of points; then more points for each.

    Args:
        budget: multiplications.
        work: of a row and of a point.
        n: rows that there are.
        most, least: of both.

    Example:
        >>> affordable(2e9, Work(0, 1e5), 180, Effort(1000, 1000), Effort(50, 20))
        Effort(rows=180, points=100)
    """
    rows = int(budget / (work.row + least.points * work.point))
    rows = min(max(rows, least.rows), most.rows, n)
    points = int((budget / max(rows, 1) - work.row) / work.point)
    points = min(max(points, least.points), most.points)
    return Effort(rows, max(s * 10**e for e in range(9) for s in STEPS if s * 10**e <= points))
