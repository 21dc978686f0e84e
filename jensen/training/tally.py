"""The running averages of an epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..models.draw import Draw
from .events import Measures

__all__ = ["Tally"]


@dataclass
class Tally:
    """Values of an epoch's data, kept on the device as they come: nothing waits for them until somebody looks."""

    n: int = 0
    has_rate: bool = True
    has_distortion: bool = True
    sums: Tensor = field(default_factory=lambda: torch.zeros(4, dtype=torch.float64))
    waiting: list[tuple[Tensor, ...]] = field(default_factory=list)

    def add(self, value: Tensor, bound: Tensor | None, draw: Draw, exact: bool = False) -> None:
        """One batch; under an exact posterior the rate is what adds up to the evidence."""
        scored = draw.model.likelihood.has_density
        distortion = draw.distortion if scored else torch.zeros_like(value)
        if bound is None:
            parts = (value, distortion, distortion, distortion)
        else:
            parts = (value, bound, -bound - distortion if exact else draw.rate, distortion)
        self.waiting.append(tuple(p.detach() for p in parts))
        self.n += len(value)
        self.has_rate, self.has_distortion = bound is not None, scored

    def _count(self) -> None:
        """Add up what waits, batch after batch: the sum is the same to the bit whenever somebody looks."""
        if self.waiting:
            for batch in torch.stack([torch.stack(parts).double().sum(1) for parts in self.waiting]).cpu():
                self.sums += batch
            self.waiting.clear()

    def state(self) -> list[float | str]:
        """All that it has come to, as plain numbers; those that are not finite as words, for which JSON has none."""
        self._count()
        sums = [x if math.isfinite(x) else str(x) for x in self.sums.tolist()]
        return [self.n, self.has_rate, self.has_distortion, *sums]

    @classmethod
    def of(cls, state: list[float | str]) -> Tally:
        """The tally that had this state."""
        n, has_rate, has_distortion, *sums = state
        numbers = torch.tensor([float(x) for x in sums], dtype=torch.float64)
        return cls(int(n), bool(has_rate), bool(has_distortion), numbers)

    def measures(self, shift: float, weight: float) -> Measures:
        """Averages so far, in the data's own units: `shift` more nats of log p(x | z), `weight` times in the
        objective."""
        self._count()
        objective, bound, rate, distortion = (self.sums / max(self.n, 1)).tolist()
        objective, bound, distortion = objective + weight * shift, bound + shift, distortion - shift
        bounds = (bound, rate) if self.has_rate else (None, None)
        return Measures(objective, *bounds, distortion if self.has_distortion else None)
