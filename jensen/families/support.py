"""The support of a family: the values that one feature can have, in words and as a check."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "ABOVE_ZERO",
    "ANGLES",
    "BITS",
    "COUNTS",
    "INTEGERS",
    "OPEN_UNIT",
    "REALS",
    "UNIT",
    "Support",
    "Supports",
    "at_least",
    "levels",
]


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

    def column(self, number: int) -> Support:
        """Return the support of one feature: all have this one."""
        return self


@dataclass(frozen=True)
class Supports:
    """The supports of features that differ in it.

    Attributes:
        each: [D] of each feature.

    Example:
        >>> Supports((REALS, COUNTS)).contains(torch.tensor([-1.0, -1.0])).tolist()
        [True, False]
    """

    each: tuple[Support, ...]

    @staticmethod
    def of(each: Sequence[Support]) -> Support | Supports:
        """Return the supports of some features; the one support, if all have the same."""
        return each[0] if len(set(each)) == 1 else Supports(tuple(each))

    @property
    def words(self) -> str:
        """The values in words; those of a feature are in the words of its own support, see `column`."""
        return "the values of each column's kind"

    @property
    def low(self) -> float:
        """The lowest value of any feature."""
        return min(s.low for s in self.each)

    @property
    def high(self) -> float:
        """The highest value of any feature."""
        return max(s.high for s in self.each)

    def contains(self, x: Tensor) -> Tensor:
        """Return, for each entry of x [..., D], whether it belongs to the support of its feature; NaN does not."""
        return torch.stack([s.contains(x[..., d]) for d, s in enumerate(self.each)], -1)

    def outside(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the places [M, 2] (row, column) of the observed entries of x [N, D] outside the support."""
        inside = self.contains(x)
        return (~(inside if mask is None else inside | ~mask)).nonzero()

    def column(self, number: int) -> Support:
        """Return the support of one feature."""
        return self.each[number]


REALS = Support("finite numbers", is_open=True)
ABOVE_ZERO = Support("values above 0", 0.0, is_open=True)
UNIT = Support("values from 0 to 1", 0.0, 1.0)
OPEN_UNIT = Support("values between 0 and 1, both excluded", 0.0, 1.0, is_open=True)
COUNTS = Support("whole numbers from 0", 0.0, is_whole=True)
INTEGERS = Support("whole numbers", is_whole=True)
BITS = Support("values 0 and 1", 0.0, 1.0, is_whole=True)
ANGLES = Support("angles from -pi to pi", -math.pi - 1e-6, math.pi + 1e-6)  # single precision rounds pi up


def levels(n: int) -> Support:
    """Return the support of n levels.

    Example:
        >>> levels(17).words
        'whole numbers from 0 to 16'
    """
    return Support(f"whole numbers from 0 to {n - 1}", 0.0, n - 1.0, is_whole=True)


def at_least(low: float) -> Support:
    """Return the support of whole numbers from a lowest one.

    Example:
        >>> at_least(0.0).words
        'whole numbers from 0'
    """
    return Support(f"whole numbers from {low:g}", low, is_whole=True)
