"""Mean, variance and scale of the columns of data, over their observed entries, in float64."""

from __future__ import annotations

import numpy as np

from ..core.errors import DataError
from .agreement import extremes
from .column_statistics import column_statistics
from .dataset import chunks
from .file_rows import Array, FileRows

__all__ = ["center_and_scale", "column_means", "row_sums"]

MOST = float(np.finfo(np.float32).max)  # of a mean or a scale
ROWS = 2**14  # of a mask that are made numbers of eight bytes at a time
ORDINARY = 400  # exponents of 2, below which neither squares nor their sums overflow or vanish


def column_means(x: Array, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | int]:
    """Return the mean [D] of the observed entries of each column in float64, and their number.

    Missing entries hold 0, and do not change a sum.
    """
    if isinstance(x, FileRows):
        return column_statistics(x).mean, len(x)
    n, powers = len(x) if mask is None else mask.sum(axis=0), _powers(x, mask)
    total = sum((_scaled(part, powers).sum(axis=0, dtype=np.float64) for _, part in chunks(x)), np.zeros(x.shape[1]))
    return _rescaled(total / n, powers), n


def _powers(x: np.ndarray, mask: np.ndarray | None) -> np.ndarray | None:
    """Return powers of 2 [D] by which columns are divided, since their squares or sums would overflow or vanish.

    None if no column is such, as nearly always; otherwise 0 for the columns that are not.
    """
    if x.dtype.itemsize < 8:
        return None
    low, high = extremes(x, mask)
    exponents = np.frexp(np.maximum(np.abs(low), np.abs(high)))[1]
    powers = np.where(np.abs(exponents) > ORDINARY, exponents, 0)
    return powers if powers.any() else None


def _scaled(x: np.ndarray, powers: np.ndarray | None) -> np.ndarray:
    """Return x divided by powers of 2 of each column, which changes no digit of ordinary numbers."""
    return x if powers is None else np.ldexp(x.astype(np.float64), -powers)


def _rescaled(x: np.ndarray, powers: np.ndarray | None) -> np.ndarray:
    """Return x [D] multiplied by the powers of 2 again."""
    return x if powers is None else np.ldexp(x, powers)


def _moments(x: Array, mask: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return mean and variance of the observed entries of each column in float64, in two passes over rows.

    Both are of columns that are divided by the powers of 2 that come third. Rows in files are read in one pass, and
    divided by none.
    """
    if isinstance(x, FileRows):
        statistics = column_statistics(x)
        return statistics.mean.copy(), statistics.variance, None
    powers = _powers(x, mask)
    mean, n = column_means(x, mask)
    mean = mean if powers is None else np.ldexp(mean, -powers)
    squares = np.zeros(x.shape[1])
    for start, part in chunks(x):
        difference = _scaled(part, powers) - mean
        if mask is not None:
            difference = np.where(mask[start : start + len(part)], difference, 0)
        squares += (difference**2).sum(axis=0)
    return mean, squares / n, powers


def center_and_scale(
    x: Array, mask: np.ndarray | None, dequantize: bool, standardize: str, floor: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return centre [D] and scale, [] or [D], of the observed entries.

    Raises:
        DataError: they overflow.
    """
    mean, variance, powers = _moments(x, mask)
    center = _rescaled(mean, powers)
    low, high = extremes(x, mask)
    constant = low == high
    # rounding may move the mean of equal numbers: a constant column is centred at its value
    center[constant], variance[constant] = low[constant], 0
    if dequantize:
        center, variance = center + 1 / 2, variance + 1 / 12
    if standardize == "global":
        scale = _root_mean_square(variance, powers)
        scale = np.asarray(1.0 if scale == 0 else max(scale, floor or 0.0))
    else:
        scale = _rescaled(np.sqrt(variance), powers)
        scale = np.where(scale == 0, 1.0, np.maximum(scale, floor or 0.0))
    largest = np.maximum(np.abs(center), scale)
    if not (largest <= MOST).all():
        column = int(np.argmax(~(largest <= MOST)))
        raise DataError(
            f"the data are too large: column {column} (from 0) has the mean {center[column]:.3g} and values from"
            f" {low[column]:.3g} to {high[column]:.3g}, beyond the range of single precision",
            "Divide them by a constant first.",
        )
    return center, scale


def _root_mean_square(variance: np.ndarray, powers: np.ndarray | None) -> float:
    """Return the square root of the mean of variances, of columns that are divided by powers of 2."""
    if powers is None:
        return float(np.sqrt(variance.mean()))
    deviations = np.ldexp(np.sqrt(variance), powers)
    largest = deviations.max()
    return 0.0 if largest == 0 else float(largest * np.sqrt(((deviations / largest) ** 2).mean()))


def row_sums(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return for each row the sum [N] of the values [D] of the columns where a mask [N, D] is True.

    The sums have the same bits as those of all rows at once, which would need eight times the memory of the mask.

    Example:
        >>> row_sums(np.array([[True, True], [False, True]]), np.array([1.0, 2.0])).tolist()
        [3.0, 2.0]
    """
    n, sums = len(mask), np.empty(len(mask))
    for start in range(0, max(n - 1, 1), ROWS):
        stop = start + ROWS if start + ROWS < n - 1 else n  # a row by itself would be summed in another order
        sums[start:stop] = mask[start:stop] @ values
    return sums
