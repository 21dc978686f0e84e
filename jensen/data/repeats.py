"""Rows that occur more than once, found by hashes of whole rows and then compared."""

from __future__ import annotations

import numpy as np

from .dataset import chunks
from .file_rows import Array, ColumnRows, FileRows

__all__ = ["count_duplicates", "duplicates"]

TABLE = 2**23  # entries of a table of hashes
Rows = tuple[Array, np.ndarray | None]  # x [N, D] and mask [N, D]


def _words(x: np.ndarray, mask: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """Return rows [N, D] and their mask as words of 64 bits [N, W]; equal rows, and they alone, have equal words."""
    rows = np.ascontiguousarray(x, dtype=dtype) + dtype.type(0)  # adding zero maps -0.0 to 0.0
    content = rows.view(np.uint8).reshape(len(rows), x.shape[1] * dtype.itemsize)
    if mask is not None:
        content = np.concatenate([content, np.packbits(mask, axis=1)], axis=1)
    spare = -content.shape[1] % 8
    content = np.pad(content, ((0, 0), (0, spare))) if spare else np.ascontiguousarray(content)
    return content.view(np.uint64)


def _hashes(rows: Rows, dtype: np.dtype) -> np.ndarray:
    """Return a hash [N] of each row; equal rows have equal ones, and others nearly always different ones."""
    (x, mask), odd = rows, np.zeros(0, np.uint64)
    if isinstance(x, ColumnRows):
        return _hashes_by_columns(x, mask, dtype)
    result = np.empty(len(x), np.uint64)
    for start, part in chunks(x):
        words = _words(part, None if mask is None else mask[start : start + len(part)], dtype)
        if len(odd) != words.shape[1]:
            odd = _odd(words.shape[1])
        words = words ^ (words >> np.uint64(31))
        result[start : start + len(part)] = (words * odd).sum(axis=1, dtype=np.uint64)
    return result


def _odd(n: int) -> np.ndarray:
    """Return the random odd factors [n] of the words of a row."""
    return np.random.default_rng(0).integers(0, 2**63, n, dtype=np.uint64) * 2 + 1


def _hashes_by_columns(x: ColumnRows, mask: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """Return the same hash [N] of each row of numbers of eight bytes, which are words, read by columns."""
    holes = np.zeros((len(x), 0), np.uint64) if mask is None else _words(np.zeros((len(x), 0), dtype), mask, dtype)
    odd, result = _odd(x.shape[1] + holes.shape[1]), np.zeros(len(x), np.uint64)
    for number, factor in enumerate(odd):
        is_cell = number < x.shape[1]
        words = _words(x.column(number)[:, None], None, dtype)[:, 0] if is_cell else holes[:, number - x.shape[1]]
        result += (words ^ (words >> np.uint64(31))) * factor
    return result


def _are_equal(a: Rows, index_a: np.ndarray, b: Rows, index_b: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return whether pairs of rows are equal [M], by their numbers in a and in b."""
    equal, step = np.empty(len(index_a), bool), max(1, 2**20 // max(1, a[0].shape[1]))
    for start in range(0, len(index_a), step):
        pair = []
        for (x, mask), index in ((a, index_a), (b, index_b)):
            some = index[start : start + step]
            pair.append(_words(x[some], None if mask is None else mask[some], dtype))
        equal[start : start + step] = (pair[0] == pair[1]).all(axis=1)
    return equal


def duplicates(
    x_a: Array, x_b: Array, mask_a: np.ndarray | None = None, mask_b: np.ndarray | None = None
) -> np.ndarray:
    """Return a mask [M] of the rows of x_b [M, D] that occur in x_a [N, D], with the same entries observed.

    Args:
        x_a: in memory or in files.
        x_b: in memory, or read by columns.
        mask_a, mask_b: of the observed entries, where some are not; None of rows in files.

    Example:
        >>> duplicates(np.array([[1, 2], [3, 4]]), np.array([[3, 4], [4, 3]]))
        array([ True, False])
    """
    if not len(x_a) or not len(x_b):
        return np.zeros(len(x_b), bool)
    if isinstance(x_a, FileRows) and not isinstance(x_a, ColumnRows):
        return _occurring(x_a, x_b[:], mask_b)
    if (mask_a is None) != (mask_b is None):
        mask_a, mask_b = (np.ones(x.shape, bool) if m is None else m for x, m in ((x_a, mask_a), (x_b, mask_b)))
    a, b, dtype = (x_a, mask_a), (x_b, mask_b), np.result_type(x_a.dtype, x_b.dtype)
    known, first = np.unique(_hashes(a, dtype), return_index=True)
    hashes = _hashes(b, dtype)
    place = np.searchsorted(known, hashes).clip(0, len(known) - 1)
    alike = np.flatnonzero(known[place] == hashes)
    result = np.zeros(len(x_b), bool)
    result[alike] = _are_equal(a, first[place[alike]], b, alike, dtype)
    for row in alike[~result[alike]]:  # another row has the same hash: nearly never
        result[row] = _are_equal(a, np.arange(len(x_a)), b, np.full(len(x_a), row), dtype).any()
    return result


def _occurring(x_a: FileRows, x_b: np.ndarray, mask_b: np.ndarray | None) -> np.ndarray:
    """Return a mask [M] of the rows of x_b that occur among rows in files.

    A table of the last bits of hashes leaves few of them to compare.
    """
    result, dtype = np.zeros(len(x_b), bool), np.result_type(x_a.dtype, x_b)
    whole = np.flatnonzero(np.ones(len(x_b), bool) if mask_b is None else mask_b.all(axis=1))
    hashes, last = _hashes((x_b[whole], None), dtype), np.uint64(TABLE - 1)
    table = np.zeros(TABLE, bool)
    table[hashes & last] = True
    for _, part in chunks(x_a):
        own = _hashes((part, None), dtype)
        near = np.flatnonzero(table[own & last])
        alike = whole[np.isin(hashes, own[near])]
        if len(alike):
            result[alike] |= duplicates(part[near], x_b[alike])
    return result


def count_duplicates(x: Array, mask: np.ndarray | None = None) -> int:
    """Return the number of rows of x [N, D] that are equal to an earlier one, with the same entries observed.

    Example:
        >>> count_duplicates(np.array([[1, 2], [3, 4], [1, 2], [1, 2]]))
        2
    """
    x = x[:]  # as rows in files are read for this alone
    rows, dtype = (x, mask), x.dtype
    _, first, group = np.unique(_hashes(rows, dtype), return_index=True, return_inverse=True)
    equal = _are_equal(rows, first[group.reshape(-1)], rows, np.arange(len(x)), dtype)
    unlike = np.flatnonzero(~equal)  # of another row with the same hash: nearly never
    different = {_words(x[[i]], None if mask is None else mask[[i]], dtype).tobytes() for i in unlike}
    return len(x) - len(first) - len(different)
