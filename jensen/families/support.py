"""The support of a family: the values that one feature can have, in words and as a check."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

__all__ = ["ABOVE_ZERO", "BITS", "COUNTS", "OPEN_UNIT", "REALS", "UNIT", "Support", "levels"]


@dataclass(frozen=True)
class Support:
    """An interval of real or whole numbers.

    Attributes:
        words: which values these are.
        low, high: the ends.
        is_open: whether the ends are left out.
        is_whole: whether only whole numbers belong to it.

    Example:
        >>> import torch
        >>> COUNTS.contains(torch.tensor([0.0, 1.5, -2.0, 173.0])).tolist()
        [True, False, False, True]
    """

    words: str
    low: float = -math.inf
    high: float = math.inf
    is_open: bool = False
    is_whole: bool = False

    def contains(self, x: Tensor) -> Tensor:
        """Return, for each entry of x [...], whether it belongs to the support; NaN does not."""
        within = (x > self.low) & (x < self.high) if self.is_open else (x >= self.low) & (x <= self.high)
        return within & (x == x.floor()) if self.is_whole else within

    def outside(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the places [M, 2] (row, column) of the observed entries of x [N, D] outside the support."""
        inside = self.contains(x)
        return (~(inside if mask is None else inside | ~mask)).nonzero()


REALS = Support("finite numbers", is_open=True)
ABOVE_ZERO = Support("values above 0", 0.0, is_open=True)
UNIT = Support("values from 0 to 1", 0.0, 1.0)
OPEN_UNIT = Support("values between 0 and 1, both excluded", 0.0, 1.0, is_open=True)
COUNTS = Support("whole numbers from 0", 0.0, is_whole=True)
BITS = Support("values 0 and 1", 0.0, 1.0, is_whole=True)


def levels(n: int) -> Support:
    """Return the support of n levels.

    Example:
        >>> levels(17).words
        'whole numbers from 0 to 16'
    """
    return Support(f"whole numbers from 0 to {n - 1}", 0.0, n - 1.0, is_whole=True)
