"""The running averages of an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..draw import Draw
from .events import Measures

__all__ = ["Tally"]


@dataclass
class Tally:
    """Values of an epoch's data, kept on the device as they come: nothing waits for them until somebody looks."""

    n: int = 0
    has_rate: bool = True
    sums: Tensor = field(default_factory=lambda: torch.zeros(4, dtype=torch.float64))
    waiting: list[tuple[Tensor, ...]] = field(default_factory=list)

    def add(self, value: Tensor, bound: Tensor | None, draw: Draw, exact: bool = False) -> None:
        """One batch; under an exact posterior the rate is what adds up to the evidence."""
        distortion = draw.distortion
        if bound is None:
            parts = (value, distortion, distortion, distortion)
        else:
            parts = (value, bound, -bound - distortion if exact else draw.rate, distortion)
        self.waiting.append(tuple(p.detach() for p in parts))
        self.n += len(value)
        self.has_rate = bound is not None

    def measures(self, shift: float, weight: float) -> Measures:
        """Averages so far, in the data's own units: `shift` more nats of log p(x | z), `weight` times in the
        objective."""
        if self.waiting:
            columns = torch.stack([torch.cat(column) for column in zip(*self.waiting, strict=True)])
            self.sums += columns.cpu().double().sum(1)
            self.waiting.clear()
        objective, bound, rate, distortion = (self.sums / max(self.n, 1)).tolist()
        objective, bound, distortion = objective + weight * shift, bound + shift, distortion - shift
        return Measures(objective, bound if self.has_rate else None, rate if self.has_rate else None, distortion)
