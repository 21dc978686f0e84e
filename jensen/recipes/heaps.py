"""Whole numbers that are far more frequent than those beside them: zeros, rounded answers, codes for "unknown"."""

from __future__ import annotations

import numpy as np

from ..data.number_kinds import LARGEST

__all__ = ["heaps_of"]

MOST = 12
SHARE, FEWEST = 0.005, 10  # of the values, and how many of them, that a heap has at least
TIMES = 3.0  # the frequency of the numbers beside it
REACH, NEAR = 20, 3  # numbers beside it are within a standard deviation by this, and this many at least


def heaps_of(values: np.ndarray) -> tuple[float, ...]:
    """Return the most frequent of the values that are heaps, in their order.

    A heap has 0.5 % of the values, ten of them, and three times as many as the median whole number near it has. None is
    so large that it is another number too in single precision, and would have its mass twice.

    Args:
        values: [N] whole numbers.

    Example:
        >>> heaps_of(np.array([*range(20, 60), *[40] * 30]))
        (40.0,)
    """
    numbers, counts = np.unique(values, return_counts=True)
    reach = max(NEAR, int(np.std(values) / REACH)) if len(values) else NEAR
    enough = np.flatnonzero((counts >= max(FEWEST, SHARE * len(values))) & (np.abs(numbers) < LARGEST))
    heaps = [i for i in enough if counts[i] >= TIMES * _beside(numbers, counts, int(i), reach)]
    most = sorted(heaps, key=lambda i: -counts[i])[:MOST]
    return tuple(sorted(float(numbers[i]) for i in most))


def _beside(numbers: np.ndarray, counts: np.ndarray, i: int, reach: int) -> float:
    """Return the median frequency of the whole numbers within reach of one, between the least and the largest."""
    low, high = max(numbers[0], numbers[i] - reach), min(numbers[-1], numbers[i] + reach)
    first, last = np.searchsorted(numbers, [low, high + 1])
    own = np.delete(counts[first:last], i - first)
    never = int(high - low) - len(own)
    return float(np.median(np.concatenate([own, np.zeros(min(never, len(own) + 1))]))) if len(own) + never > 0 else 0.0
