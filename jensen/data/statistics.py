"""Mean, variance and scale of the columns of data, over their observed entries, in float64."""

from __future__ import annotations

import numpy as np

from ..core.errors import DataError
from .conform import extremes
from .dataset import chunks

__all__ = ["center_and_scale", "column_means"]


def column_means(x: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | int]:
    """Return the mean [D] of the observed entries of each column in float64, and their number.

    Missing entries hold 0, and do not change a sum.
    """
    n = len(x) if mask is None else mask.sum(axis=0)
    return sum((part.sum(axis=0, dtype=np.float64) for _, part in chunks(x)), np.zeros(x.shape[1])) / n, n


def _moments(x: np.ndarray, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of the observed entries of each column in float64, in two passes over rows."""
    mean, n = column_means(x, mask)
    squares = np.zeros(x.shape[1])
    for start, part in chunks(x):
        difference = part - mean
        if mask is not None:
            difference = np.where(mask[start : start + len(part)], difference, 0)
        squares += (difference**2).sum(axis=0)
    return mean, squares / n


def center_and_scale(
    x: np.ndarray, mask: np.ndarray | None, dequantize: bool, standardize: str, floor: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return centre [D] and scale, [] or [D], of the observed entries.

    Raises:
        DataError: the variance overflows.
    """
    center, variance = _moments(x, mask)
    low, high = extremes(x, mask)
    constant = low == high
    # rounding may move the mean of equal numbers: a constant column is centred at its value
    center[constant], variance[constant] = low[constant], 0
    if dequantize:
        center, variance = center + 1 / 2, variance + 1 / 12
    if standardize == "global":
        scale = np.sqrt(variance.mean())
        scale = np.asarray(1.0 if scale == 0 else max(scale, floor or 0.0))
    else:
        scale = np.sqrt(variance)
        scale = np.where(scale == 0, 1.0, np.maximum(scale, floor or 0.0))
    if not (np.isfinite(scale).all() and np.isfinite(center).all()):
        raise DataError("the data are too large: their variance overflows", "Divide them by a constant first.")
    return center, scale
