"""Gradients that are far larger than usual, shortened on the device and counted: nothing waits for it."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..core.errors import UsageError

__all__ = ["Spikes"]

FIRST = 20  # steps whose norms are only averaged: at the start gradients fall fast
MEMORY = 0.01  # the weight of one step in the running average


class Spikes:
    """Shortens a gradient to `times` the running average of its own norms, and counts how often.

    The first 20 steps of a player only tell the average; what is averaged later is the shortened norm, so that one
    spike does not excuse the next. A norm that is not finite is left as it is, to be found by who looks for it.

    Args:
        times: how many times the usual norm a gradient may be long.
        players: how many averages are kept.
        device: where the gradients are.

    Raises:
        UsageError: not above 1.

    Example:
        >>> weight = nn.Parameter(torch.zeros(1))
        >>> spikes = Spikes(10.0, 1, torch.device("cpu"))
        >>> for slope in (*[1.0] * 20, 500.0):
        ...     weight.grad = torch.tensor([slope])
        ...     spikes.shorten(0, [weight])
        >>> float(weight.grad), spikes.count
        (10.0, 1)
    """

    def __init__(self, times: float, players: int, device: torch.device) -> None:
        self.check(times)
        self.times = times
        # of each player: the average norm, how many steps it has seen, how many were shortened
        self.values = torch.zeros(players, 3, device=device)

    @staticmethod
    def check(times: float) -> None:
        """Refuse a factor that would shorten usual gradients."""
        if not (math.isfinite(times) and times > 1):
            raise UsageError(f"--spikes {times:g} cannot work", "Give --spikes a number above 1, such as 10.")

    @torch.no_grad()
    def shorten(self, player: int, parameters: Iterable[nn.Parameter]) -> None:
        """Shorten the gradient of these parameters in place, if it is a spike."""
        slopes = [p.grad for p in parameters if p.grad is not None]
        if not slopes:
            return
        norm = nn.utils.get_total_norm(slopes).to(self.values)
        average, seen, shortened = self.values[player].unbind()
        limit = torch.where(seen < FIRST, torch.inf, self.times * average)
        sound = torch.isfinite(norm)
        factor = torch.where(sound & (norm > limit), limit / norm, 1.0)
        shortened.add_(factor < 1.0)
        seen.add_(sound)
        weight = seen.clamp_min(1.0).reciprocal().clamp_min(MEMORY)
        average.copy_(torch.where(sound, torch.lerp(average, torch.minimum(norm, limit), weight), average))
        for slope in slopes:
            slope.mul_(factor.to(slope))

    @property
    def count(self) -> int:
        """Gradients shortened so far, of all players."""
        return int(self.values[:, 2].sum())

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All that it has come to, by name."""
        return {"values": self.values}
