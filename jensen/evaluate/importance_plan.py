"""The number of points per datum of importance weighting that fits into a time, in fixed steps."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..core.batch import Rows
from ..core.divided import divided, processes_now
from ..core.processes import ALONE
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .importance import NUMBERS, Importance, widest
from .schedule import Schedule

__all__ = ["STEPS", "Speed", "fitting_points"]

STEPS = (Importance.k, 1000, 100, 10)
ROWS = 64  # as many as importance weighting takes at once
SHARE = 1 / 3  # of the time left that the number may take: training rows and tightness have the rest


@dataclass(frozen=True)
class Speed:
    """The time of importance weighting.

    Attributes:
        row: seconds of a row apart from its points: its guide.
        point: seconds of a point of a row.
    """

    row: float
    point: float

    def seconds(self, rows: int, k: int) -> float:
        """Return the time of these rows with K points each."""
        return rows * (self.row + k * self.point)


def fitting_points(
    model: LatentVariableModel, guide: Guide, data: Rows, schedule: Schedule, seed: int = 0
) -> tuple[int, Speed]:
    """Return the most points per datum, of 5000, 1000, 100 and 10, that take a third of the time left, and the speed.

    The smallest is returned whatever it takes. Of several processes the first one decides; the speed is that of all.
    """
    processes = processes_now()
    chosen = None
    if processes.is_first:
        with divided(ALONE):
            one = _speed(model, guide, data, schedule, seed)
        speed = Speed(one.row / processes.size, one.point / processes.size)
        k = next((k for k in STEPS if speed.seconds(len(data), k) <= SHARE * schedule.left), STEPS[-1])
        chosen = [k, speed.row, speed.point]
    k, row, point = processes.broadcast_object(chosen)
    return k, Speed(row, point)


def _speed(model: LatentVariableModel, guide: Guide, data: Rows, schedule: Schedule, seed: int) -> Speed:
    """Return the speed of this process: a few rows are weighted with few points, once to warm up, and twice to tell the
    time of a row from that of its points."""
    points = max(NUMBERS // widest(model), 1)
    rows = max(min(ROWS, points, len(data)), 1)
    few, chunk = data.subset(torch.arange(rows, device=data.device)), max(points // rows, 1)
    once, often = min(chunk, Importance.k), min(3 * chunk, Importance.k)
    times = [schedule.timed(lambda k=k: Importance(k)(model, guide, few, seed)) for k in (min(once, 2), once, often)]
    point = max(times[2] - times[1], 0.0) / (rows * max(often - once, 1))
    return Speed(max(times[1] / rows - once * point, 0.0), point)
