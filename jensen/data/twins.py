"""Columns that determine each other in every row, so that one of them tells all that the other does."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .file_rows import Array, column_of

__all__ = ["Twins", "exceptions", "telling", "twins"]

FEW = 256  # rows that rule out most pairs
MOST = 1_000  # values of two columns that determine each other without being equal
ODD = 0.005  # of the rows, up to which others are exceptions
EVIDENCE = 20.0  # nats against both dividing the rows in the same way by chance


class Twins(NamedTuple):
    """Two columns that determine each other in every row in which both are observed.

    Attributes:
        first, second: their numbers, in this order.
        own, other: the values of the first, and those of the second for them; both empty where the columns are equal
            and have many values, or some that are not seen in both.
    """

    first: int
    second: int
    own: tuple[float, ...]
    other: tuple[float, ...]


def twins(x: Array, mask: np.ndarray) -> list[Twins]:
    r"""Return pairs of columns that are equal up to the names of their values, each with the first of its kind.

    Where both are observed, each value of one must occur with a single value of the other, every observed value must
    occur so, and the n rows must not be divided so by chance: among all rearrangements of one column the share that
    divides them in the same way, \prod_k n_k! / n! for equal values that occur n_k times and \prod_j m_j! times that
    for others of which m_j occur equally often, must be below e^-20.

    Args:
        x: [N, D] numbers.
        mask: [N, D], where they are observed.

    Example:
        >>> x = np.array([[0.0, 5.0, 1.0], [1.0, 3.0, 1.0], [0.0, 5.0, 2.0]] * 15)
        >>> twins(x, np.ones_like(x, dtype=bool))
        [Twins(first=0, second=1, own=(0.0, 1.0), other=(5.0, 3.0))]
    """
    pairs, taken, n_columns = list[Twins](), set[int](), x.shape[1]
    few = [np.where(mask[:FEW, j], column_of(x, j)[:FEW], np.nan) for j in range(n_columns)]
    for i in range(n_columns):
        if i in taken:
            continue
        near = [j for j in range(i + 1, n_columns) if j not in taken and _may_be(few[i], few[j])]
        first = column_of(x, i) if near else None
        for j in near:
            pair = None if first is None else _pair(first, column_of(x, j), mask[:, i], mask[:, j])
            if pair is not None:
                taken.add(j)
                pairs.append(Twins(i, j, *pair))
    return pairs


def telling(x: Array, mask: np.ndarray, labels: np.ndarray) -> list[int]:
    """Return the columns that determine labels, and are determined by them, as `twins` judges it.

    Args:
        x: [N, D] numbers.
        mask: [N, D], where they are observed.
        labels: [N] numbers of classes; below 0 where there is none.

    Example:
        >>> telling(np.array([[7.0], [9.0]] * 20), np.ones((40, 1), dtype=bool), np.array([1, 0] * 20))
        [0]
    """
    y, known, columns = labels.astype(np.float64), labels >= 0, list[int]()
    few = np.where(known, y, np.nan)[:FEW]
    for j in range(x.shape[1]):
        own = column_of(x, j)
        if _may_be(np.where(mask[:FEW, j], own[:FEW], np.nan), few) and _pair(own, y, mask[:, j], known):
            columns.append(j)
    return columns


def exceptions(a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
    """Return the few rows of two columns [N] without which they would determine each other; None if none or many are.

    Args:
        a, b: [N] numbers, NaN where missing.

    Example:
        >>> a = np.arange(400.0) % 4
        >>> exceptions(a, np.where(np.arange(400) == 7, 1.0, 3 - a)).tolist()
        [7]
    """
    rows = np.flatnonzero(~(np.isnan(a) | np.isnan(b)))
    first = rows[: 4 * FEW]  # which rule out most pairs of columns
    kinds = max(len(np.unique(v[first])) for v in (a, b)) if len(rows) else 0
    if not len(rows) or len(np.unique(a[first] + 1j * b[first])) > kinds + 2 + 4 * ODD * len(first):
        return None
    (own, x), (other, y) = (np.unique(v[rows], return_inverse=True) for v in (a, b))
    if len(own) != len(other) or len(own) > FEW:
        return None
    counts = np.zeros((len(own), len(own)), dtype=np.int64)
    np.add.at(counts, (x.reshape(-1), y.reshape(-1)), 1)
    best = counts.argmax(1)
    odd = rows[best[x.reshape(-1)] != y.reshape(-1)]
    if len(set(best.tolist())) < len(own) or not 0 < len(odd) <= max(1, ODD * len(rows)):
        return None
    left = counts[np.arange(len(own)), best]
    alike = sum(math.lgamma(m + 1) for m in np.bincount(left).tolist())
    return odd if _ways(left) - alike - len(odd) * math.log(len(rows)) >= EVIDENCE else None


def _may_be(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether two columns [n] determine each other in these rows; NaN is missing."""
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    return bool((a == b).all()) or len(np.unique(a)) == len(np.unique(b)) == len(np.unique(a + 1j * b))


def _pair(
    a: np.ndarray, b: np.ndarray, known_a: np.ndarray, known_b: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return the values of two columns [N] that go together; None if they do not."""
    both = known_a & known_b
    values, codes = np.unique(a[both], return_inverse=True)
    counts = np.bincount(codes.reshape(-1), minlength=1)
    are_equal = bool((a[both] == b[both]).all())
    alike = 0.0 if are_equal else sum(math.lgamma(m + 1) for m in np.bincount(counts).tolist())
    if _ways(counts) - alike < EVIDENCE:
        return None
    if len(values) > MOST:
        return ((), ()) if are_equal else None
    pairs = np.unique(a[both] + 1j * b[both])
    own, other = pairs.real, np.unique(pairs.imag)
    seen = (len(np.unique(v[known])) for v, known in ((a, known_a), (b, known_b)))
    if len(values) == len(other) and all(n == len(own) for n in (len(values), *seen)):
        return tuple(own.tolist()), tuple(pairs.imag.tolist())
    return ((), ()) if are_equal else None


def _ways(counts: np.ndarray) -> float:
    """Return the logarithm of the number of ways to divide rows into parts of these sizes."""
    return math.lgamma(counts.sum() + 1) - sum(math.lgamma(n + 1) for n in counts.tolist())
