"""Running averages of an epoch's measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..core.processes import ALONE, Processes
from ..core.shares import current_share
from ..models.draw import Draw
from .events import Measures

__all__ = ["RunningMeasures", "Sums", "sums_of"]


@dataclass(frozen=True)
class Sums:
    """Sums over the data of a batch.

    Attributes:
        values: of objective, bound, rate and distortion [4], in double precision where the device has it.
        has_rate: True if there is a bound, and so a rate.
        has_distortion: True if the likelihood has a density.
    """

    values: Tensor
    has_rate: bool
    has_distortion: bool


def sums_of(value: Tensor, bound: Tensor | None, draw: Draw, exact: bool = False) -> Sums:
    """Return the sums of a batch.

    Args:
        value: the objective [B].
        bound: on log p(x) [B]; None without densities.
        draw: that they are of.
        exact: True under an exact posterior: the rate is then what adds up to the evidence.
    """
    scored = draw.model.likelihood.has_density
    distortion = draw.distortion if scored else torch.zeros_like(value)
    if bound is None:
        parts = (value, distortion, distortion, distortion)
    else:
        parts = (value, bound, -bound - distortion if exact else draw.rate, distortion)
    return Sums(torch.stack([p.detach() for p in parts]).double().sum(1), bound is not None, scored)


@dataclass
class RunningMeasures:
    """Sums of objective, bound, rate and distortion over an epoch's data.

    Batches wait on the device until the averages are read, so that no step waits for them; several processes, of which
    each has added its rows of every batch, then read them together.

    Attributes:
        n: data so far.
        has_rate: True if there is a bound, and so a rate.
        has_distortion: True if the likelihood has a density.
        sums: of objective, bound, rate and distortion [4], of the batches that no longer wait.
        waiting: the same four [4] of each batch that waits.
        processes: that read the averages together.
    """

    n: int = 0
    has_rate: bool = True
    has_distortion: bool = True
    sums: Tensor = field(default_factory=lambda: torch.zeros(4, dtype=torch.float64))
    waiting: list[Tensor] = field(default_factory=list)
    processes: Processes = ALONE

    def add(self, sums: Sums, rows: int) -> None:
        """Add one batch of this many rows."""
        share = current_share()
        self.waiting.append(sums.values if share is None or share.counts else torch.zeros_like(sums.values))
        self.n += rows if share is None else share.of
        self.has_rate, self.has_distortion = sums.has_rate, sums.has_distortion

    def _add_waiting(self) -> None:
        """Add what waits to the sums, batch after batch: the result does not depend on when it is read."""
        if self.waiting:
            for batch in self.processes.sum_(torch.stack(self.waiting).cpu()):
                self.sums += batch
            self.waiting.clear()

    def to_list(self) -> list[float | str]:
        """Return all of it as JSON-serialisable values; infinities and NaN as words."""
        self._add_waiting()
        sums = [x if math.isfinite(x) else str(x) for x in self.sums.tolist()]
        return [self.n, self.has_rate, self.has_distortion, *sums]

    @classmethod
    def from_list(cls, values: Sequence[float | str], processes: Processes = ALONE) -> RunningMeasures:
        """Return the averages that `to_list` wrote."""
        n, has_rate, has_distortion, *sums = values
        numbers = torch.tensor([float(x) for x in sums], dtype=torch.float64)
        return cls(int(n), bool(has_rate), bool(has_distortion), numbers, processes=processes)

    def averages(self, shift: float, weight: float) -> Measures:
        """Return the averages so far in the data's own units.

        Args:
            shift: nats to add to log p(x | z), for the change of units.
            weight: of log p(x | z) in the objective.
        """
        self._add_waiting()
        objective, bound, rate, distortion = (self.sums / max(self.n, 1)).tolist()
        objective, bound, distortion = objective + weight * shift, bound + shift, distortion - shift
        bounds = (bound, rate) if self.has_rate else (None, None)
        return Measures(objective, *bounds, distortion if self.has_distortion else None)
