"""Averaged weights: an exponential moving average of the parameters along training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..core.errors import UsageError

__all__ = ["Average"]


class Average:
    r"""An exponential moving average of parameters, updated after every step and started at the initial ones.

    .. math:: \bar\theta \leftarrow d \bar\theta + (1 - d) \theta

    The decay is warmed up as :math:`\min(d, (1 + t) / (10 + t))`, so that the first weights soon have little influence.

    Args:
        parameters: to average.
        decay: d, in [0, 1).

    Raises:
        UsageError: the decay is out of range.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise UsageError(
                f"--average must be at least 0 and below 1, got {decay:g}", "Give --average a decay such as 0.999."
            )
        self.parameters, self.decay, self.steps = list(parameters), decay, 0
        self.values: list[Tensor] = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present parameters."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for value, parameter in zip(self.values, self.parameters, strict=True):
            value.lerp_(parameter.detach(), 1.0 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """A scope in which the parameters are the averaged ones."""
        present = [p.detach().clone() for p in self.parameters]
        self._assign(self.values)
        try:
            yield
        finally:
            self._assign(present)

    @torch.no_grad()
    def _assign(self, values: Sequence[Tensor]) -> None:
        for p, v in zip(self.parameters, values, strict=True):
            p.copy_(v)
