"""Gradient spikes: gradients far above their running norm are clipped on the device, without waiting for it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..core.errors import UsageError

__all__ = ["Spikes"]

FIRST = 20  # steps whose norms are only averaged: gradients fall fast at the start of training
MEMORY = 0.01  # the weight of one step in the running average


class Spikes:
    """Clips gradients above a multiple of their running norm, and counts them.

    The first 20 steps of a player only update the running norm. Later the clipped norm is averaged, so that one spike
    does not permit the next. A norm that is not finite is left as it is, for the checks of finite numbers.

    Args:
        times: the multiple of the running norm above which a gradient is clipped.
        players: how many running norms are kept.
        device: of the gradients.

    Raises:
        UsageError: not above 1.

    Example:
        >>> weight = nn.Parameter(torch.zeros(1))
        >>> spikes = Spikes(10.0, 1, torch.device("cpu"))
        >>> for gradient in (*[1.0] * 20, 500.0):
        ...     weight.grad = torch.tensor([gradient])
        ...     spikes.clip(0, [weight])
        >>> float(weight.grad), spikes.count
        (10.0, 1)
    """

    def __init__(self, times: float, players: int, device: torch.device) -> None:
        self.check(times)
        self.times = times
        # of each player: the running norm, the number of steps it averages, the number of gradients clipped
        self.values = torch.zeros(players, 3, device=device)

    @staticmethod
    def check(times: float) -> None:
        """Refuse a multiple by which usual gradients would be clipped."""
        if not (math.isfinite(times) and times > 1):
            what = f"--spikes must be a finite number above 1, got {times:g}"
            raise UsageError(what, "Give --spikes a number above 1, such as 10.")

    @torch.no_grad()
    def clip(self, player: int, parameters: Iterable[nn.Parameter]) -> None:
        """Clip the gradient of a player's parameters in place, if it is a spike."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if not gradients:
            return
        norm = nn.utils.get_total_norm(gradients).to(self.values)
        average, seen, clipped = self.values[player].unbind()
        limit = torch.where(seen < FIRST, torch.inf, self.times * average)
        finite = torch.isfinite(norm)
        factor = torch.where(finite & (norm > limit), limit / norm, 1.0)
        clipped.add_(factor < 1.0)
        seen.add_(finite)
        weight = seen.clamp_min(1.0).reciprocal().clamp_min(MEMORY)
        average.copy_(torch.where(finite, torch.lerp(average, torch.minimum(norm, limit), weight), average))
        for gradient in gradients:
            gradient.mul_(factor.to(gradient))

    @property
    def count(self) -> int:
        """The number of gradients clipped so far, of all players."""
        return int(self.values[:, 2].sum())

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Running norms and counts, by name."""
        return {"values": self.values}
