"""Columns that determine each other in every row, so that one of them tells all that the other does."""

from __future__ import annotations

import hashlib

import numpy as np

from .file_rows import Array, column_of

__all__ = ["twins"]

ROWS = 100_000  # that are looked at first
REPEATED = 0.2  # different values for each row, up to which two columns do not determine each other by being different


def twins(x: Array, mask: np.ndarray) -> list[list[int]]:
    """Return groups of columns that are equal up to the names of their values.

    Args:
        x: [N, D] numbers.
        mask: [N, D], where they are observed.

    Example:
        >>> x = np.array([[0.0, 5.0, 1.0], [1.0, 3.0, 1.0], [0.0, 5.0, 2.0]] * 5)
        >>> twins(x, np.ones_like(x, dtype=bool))
        [[0, 1]]
    """
    groups = [list(range(x.shape[1]))]
    for n in dict.fromkeys((min(ROWS, len(x)), len(x))):
        groups = [group for together in groups for group in _alike(x, mask, together, n)]
    return groups


def _alike(x: Array, mask: np.ndarray, columns: list[int], n: int) -> list[list[int]]:
    """Return the groups of two or more of these columns that divide the first n rows in the same way."""
    by_digest: dict[bytes, list[int]] = {}
    for j in columns:
        values = np.where(mask[:n, j], column_of(x, j)[:n], np.nan)
        _, first, numbers = np.unique(values, return_index=True, return_inverse=True)
        if len(first) > 1:  # a constant column says nothing of others
            codes = values
            if len(first) <= REPEATED * n:  # others are all different in most rows, and only equal ones are alike
                order = np.empty(len(first), dtype=np.int32)
                order[np.argsort(first)] = np.arange(len(first), dtype=np.int32)  # by first occurrence
                codes = order[numbers.reshape(-1)]
            own = hashlib.sha256(codes.tobytes()).digest()
            by_digest.setdefault(own, []).append(j)
    return [group for group in by_digest.values() if len(group) > 1]
