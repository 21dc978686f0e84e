"""Preparation of the columns of a table of mixed kinds: centre, scale, and a value inside each support.

Each column has an affine map x' = (x - center) / scale with a constant log-Jacobian, so that a density of x' gives one
of x in the data's own units. Names and whole numbers are masses: they stay as they are, but for a whole number that is
subtracted from large ones, before these are rounded to single precision.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .columns import Column
from .file_rows import Array, column_of
from .number_kinds import LARGEST

__all__ = ["column_scales", "inside_ends", "location_scale", "shifted_columns"]

HEAVY = 4.0  # times the spread of the middle half: a standard deviation above it is one of outliers
NORMAL = 1.349  # standard deviations between the quartiles of a Gaussian
CLOSEST = 2.0**-24  # of a bounded value to its ends, in units of its range: single precision knows no closer one


def column_scales(
    x: Array, mask: np.ndarray | None, columns: Sequence[Column]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centre, scale and fill [D] of the columns of training rows [N, D], float64.

    Args:
        x: stored numbers, see `Column`.
        mask: [N, D], True where observed; every column has an observed entry.
        columns: D of them.

    Returns:
        The centre and the scale of the affine map, and a value of the prepared column that stands for missing ones.

    Example:
        >>> x = np.array([[1.0, 4.0], [3.0, 16.0]])
        >>> center, scale, fill = column_scales(x, None, (Column("a", "real"), Column("b", "positive")))
        >>> center.tolist(), scale.round(6).tolist(), fill.tolist()
        ([2.0, 0.0], [1.0, 8.0], [0.0, 1.0])
    """
    each = (column_of(x, i) for i in range(len(columns)))
    observed = (values if mask is None else values[mask[:, i]] for i, values in enumerate(each))
    triples = [_scale(np.asarray(values, dtype=np.float64), c) for values, c in zip(observed, columns, strict=True)]
    center, scale, fill = (np.array(values, dtype=np.float64) for values in zip(*triples, strict=True))
    return center, scale, fill


def _scale(values: np.ndarray, column: Column) -> tuple[float, float, float]:
    """Return centre, scale and fill of the observed values [N] of a column."""
    low, high = column.low or 0.0, column.high or 0.0
    match column.kind:
        case "positive":
            return 0.0, math.exp(float(np.log(np.maximum(values, np.finfo(np.float64).tiny)).mean())), 1.0
        case "bounded":
            return low, high - low, 0.5
        case "circular":
            return (low + high) / 2, (high - low) / (2 * math.pi), 0.0
        case "real" | "datetime":
            return *location_scale(values), 0.0
        case "integer" | "count":
            origin = _origin(values) if column.kind == "integer" else 0.0
            return origin, 1.0, float(np.floor(np.median(values))) - origin
        case _:
            return 0.0, 1.0, float(np.bincount(values.astype(np.int64)).argmax())


def _origin(values: np.ndarray) -> float:
    """Return the whole number that is subtracted from whole ones [N]: 0; of large ones the one next to 0.

    Numbers up to 2^24 from it are told apart in single precision.
    """
    low, high = float(values.min()), float(values.max())
    return 0.0 if max(-low, high) <= LARGEST else min(max(0.0, low), high)


def location_scale(values: np.ndarray) -> tuple[float, float]:
    """Return mean and standard deviation; of a column whose outliers make most of it, median and spread of the bulk."""
    mean, deviation = float(values.mean()), float(values.std())
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    bulk = (upper - lower) / NORMAL
    if 0 < HEAVY * bulk < deviation:
        return median, bulk
    return mean, deviation if deviation > 0 else 1.0


def shifted_columns(columns: Sequence[Column], center: np.ndarray) -> tuple[Column, ...]:
    """Return the D columns as the model sees them: whole numbers from which `center` [D] is subtracted have another
    lowest value.

    Example:
        >>> shifted_columns([Column("n", "integer", low=0)], np.array([10.0]))[0].low
        -10.0
    """
    pairs = zip(columns, center.tolist(), strict=True)
    return tuple(
        replace(c, low=c.low - own) if own and c.kind == "integer" and c.low is not None else c for c, own in pairs
    )


def inside_ends(prepared: np.ndarray, x: np.ndarray, columns: Sequence[Column]) -> np.ndarray:
    """Return prepared rows [N, D] whose bounded values are inside their ends, where those of x are, after rounding.

    Example:
        >>> share = Column("share", "bounded", low=0, high=1)
        >>> x = np.array([[1 - 1e-12]])
        >>> bool(inside_ends(x.astype(np.float32), x, [share])[0, 0] < 1)
        True
    """
    for i, column in enumerate(columns):
        if column.kind == "bounded" and column.low is not None and column.high is not None:
            is_inside = (x[:, i] > column.low) & (x[:, i] < column.high)
            prepared[is_inside, i] = prepared[is_inside, i].clip(CLOSEST, 1 - CLOSEST)
    return prepared
