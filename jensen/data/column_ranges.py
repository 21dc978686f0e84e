"""The ranges of the observed numbers of a table of mixed columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .column_statistics import pieces
from .columns import Column
from .file_rows import Array

__all__ = ["column_ranges"]


def column_ranges(
    columns: Sequence[Column], x: Array, mask: np.ndarray | None = None
) -> list[tuple[float, float] | None]:
    """Return the smallest and the largest observed number of each column; None of names, circles and empty columns.

    Args:
        columns: the D columns.
        x: [N, D], as a data set stores them.
        mask: [N, D], True where observed; None if everything is.

    Example:
        >>> columns = [Column("age", "count"), Column("sex", "boolean", levels=("F", "M"))]
        >>> column_ranges(columns, np.array([[31.0, 0.0], [0.0, 1.0]]), np.array([[True, True], [False, True]]))
        [(31.0, 31.0), None]
    """
    low, high = np.full(len(columns), np.inf), np.full(len(columns), -np.inf)
    for start, part in pieces(x):
        known = np.ones(part.shape, dtype=bool) if mask is None else np.asarray(mask[start : start + len(part)])
        low = np.minimum(low, np.where(known, part, np.inf).min(0, initial=np.inf))
        high = np.maximum(high, np.where(known, part, -np.inf).max(0, initial=-np.inf))
    ends = zip(columns, low.tolist(), high.tolist(), strict=True)
    return [None if c.is_levelled or c.kind == "circular" or a > b else (a, b) for c, a, b in ends]
