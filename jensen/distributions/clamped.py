"""A class that is observed for some data, and random for the others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import OneHotCategorical

from ..core.shapes import broadcast_shapes

__all__ = ["Clamped"]


class Clamped(OneHotCategorical):
    """The known class with probability one where it is known, elsewhere a class by its logits.

    Args:
        logits: [..., C].
        known: [..., C], one-hot rows, all zero where the class is not known.

    Attributes:
        free: the distribution by the logits alone, known classes ignored.

    Example:
        >>> q = Clamped(torch.zeros(2, 2), torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        >>> q.probs
        tensor([[0.0000, 1.0000],
                [0.5000, 0.5000]])
    """

    def __init__(self, logits: Tensor, known: Tensor) -> None:
        self.free, self.known = OneHotCategorical(logits=logits, validate_args=False), known
        certain = torch.where(known > 0, torch.zeros_like(logits), -torch.inf)
        super().__init__(logits=torch.where(known.any(-1, keepdim=True), certain, logits), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> Clamped:  # pyright: ignore[reportIncompatibleMethodOverride]
        shape = (*batch_shape, *self.event_shape)
        return Clamped(self.free.logits.expand(shape), self.known.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log q of one-hot states [..., C]; minus infinity where a known class excludes them."""
        shape = broadcast_shapes(value.shape, self.logits.shape)
        index = value.expand(shape).argmax(-1, keepdim=True)
        return self.logits.expand(shape).gather(-1, index)[..., 0]
