"""Averaged weights: an exponential moving average of the parameters along training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..core.errors import UsageError

__all__ = ["Average"]


class Average:
    """theta_bar <- d theta_bar + (1 - d) theta after every step, started at the first one.

    The decay is warmed up as min(d, (1 + t) / (10 + t)), so that the first weights are soon forgotten.

    Args:
        parameters: what is averaged.
        decay: d, in [0, 1).
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise UsageError(f"an averaging decay of {decay:g} cannot work", "Give --average a number such as 0.999.")
        self.parameters, self.decay, self.steps = list(parameters), decay, 0
        self.values: list[Tensor] = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the present weights."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for value, parameter in zip(self.values, self.parameters, strict=True):
            value.lerp_(parameter.detach(), 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the scope, the parameters are the averaged ones."""
        present = [p.detach().clone() for p in self.parameters]
        self._put(self.values)
        try:
            yield
        finally:
            self._put(present)

    @torch.no_grad()
    def _put(self, values: Sequence[Tensor]) -> None:
        for p, v in zip(self.parameters, values, strict=True):
            p.copy_(v)
