"""Rows that stay in files, and are read in pieces: plainly, since pages of a map would stay in memory.

They stand in the place of an array [N, ...] in a `Dataset`: a slice or an array of row numbers gives an array.
"""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from .regular_files import open_regular

__all__ = [
    "Array",
    "ColumnRows",
    "ConvertedRows",
    "FileRows",
    "JoinedRows",
    "NpyRows",
    "column_of",
    "flattened",
    "gathered",
    "piece_rows",
]

PIECE = 2**22  # bytes that are read at a time, where all rows are read in order
GAP = 16  # rows between two wanted ones that are read with them, which costs less than another read


class FileRows(ABC):
    """Rows [N, ...] that are read from files when they are asked for.

    Attributes:
        shape: N and the shape of a row.
        dtype: of the entries.
        statistics: of the columns, where they have been computed (see `statistics.column_statistics`).
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    statistics: object = None

    @abstractmethod
    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the rows from `start` to `stop` - 1, as an array of their own.

        Raises:
            DataError: a file has changed, or cannot be read.
        """

    @abstractmethod
    def take(self, index: np.ndarray) -> np.ndarray:
        """Return the rows of these numbers [M], in this order, as an array of their own."""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """The bytes of all rows."""
        return self.size * self.dtype.itemsize

    def __getitem__(self, key: int | slice | np.ndarray | tuple[int, int]) -> np.ndarray:
        """Return a row, rows in order, rows of these numbers, or one entry, as an array has them."""
        if isinstance(key, tuple):
            return self[int(key[0])][key[1]]
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            rows = self.read(start, max(start, stop))
            return rows if step == 1 else rows[::step]
        if isinstance(key, np.ndarray):
            return self.take(key)
        row = int(key) + (len(self) if key < 0 else 0)
        if not 0 <= row < len(self):
            raise IndexError(key)
        return self.read(row, row + 1)[0]


class ColumnRows(FileRows):
    """Rows [N, D] of files that are read by columns; rows of any numbers, in any order, are rows of the same kind.

    What a model sees of them is held in memory, so that they are split and shuffled as rows in memory are.
    """

    @abstractmethod
    def column(self, number: int) -> np.ndarray:
        """Return a column [N]."""

    @abstractmethod
    def rows(self, index: np.ndarray) -> ColumnRows:
        """Return the rows of these numbers [M], which stay in their files."""

    @abstractmethod
    def let_go(self) -> None:
        """Return to the system the memory that is kept for reading on, and what reading took."""


Array = np.ndarray | FileRows  # in memory, or in files


def column_of(x: Array, number: int) -> np.ndarray:
    """Return a column [N] of rows [N, D] in memory, or of those that are read by columns.

    Example:
        >>> column_of(np.array([[1, 2], [3, 4]]), 1).tolist()
        [2, 4]
    """
    return x.column(number) if isinstance(x, ColumnRows) else x[:][:, number]


def piece_rows(x: Array) -> int:
    """Return how many rows are read at a time where all are read in order."""
    return max(1, PIECE // max(1, x.nbytes // max(1, len(x))))


def gathered(
    read: Callable[[int, int], np.ndarray], index: np.ndarray, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Return the rows [M, ...] of these numbers, in this order; neighbours are read together.

    Args:
        read: returns the rows from a number up to another.
        index: [M] numbers of rows.
        shape: of a row.
        dtype: of the entries.
    """
    rows = np.empty((len(index), *shape), dtype)
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    breaks = np.flatnonzero(np.diff(ordered) > GAP) + 1
    for first, last in zip(np.r_[0, breaks], np.r_[breaks, len(index)], strict=True):
        if first < last:
            start = int(ordered[first])
            rows[order[first:last]] = read(start, int(ordered[last - 1]) + 1)[ordered[first:last] - start]
    return rows


class NpyRows(FileRows):
    """The rows of a .npy file in C order.

    Args:
        path: of the file.
        shape: of the array.
        dtype: of its entries.
        offset: bytes before the first of them.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype, offset: int) -> None:
        self.path, self.shape, self.dtype, self.offset = path, shape, dtype, offset
        self.row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        self.handle = open_regular(path, follow=True)
        weakref.finalize(self, os.close, self.handle)

    def take(self, index: np.ndarray) -> np.ndarray:
        return gathered(self.read, index, self.shape[1:], self.dtype)

    def read(self, start: int, stop: int) -> np.ndarray:
        rows = np.empty((max(stop - start, 0), *self.shape[1:]), self.dtype)
        content, at = rows.reshape(-1).view(np.uint8).data, self.offset + start * self.row_bytes
        while len(content):
            n = os.preadv(self.handle, [content], at)
            if n == 0:
                raise DataError(f"{self.path} ends before its row {stop - 1}: it was cut short", "Write it again.")
            content, at = content[n:], at + n
        return rows


class JoinedRows(FileRows):
    """The rows of several sources, one after another.

    Args:
        parts: at least one, all of rows of one shape and type.
    """

    def __init__(self, parts: Sequence[FileRows]) -> None:
        self.parts, self.dtype = list(parts), parts[0].dtype
        self.starts = [0]
        for part in parts:
            self.starts.append(self.starts[-1] + len(part))
        self.shape = (self.starts[-1], *parts[0].shape[1:])

    def take(self, index: np.ndarray) -> np.ndarray:
        return gathered(self.read, index, self.shape[1:], self.dtype)

    def read(self, start: int, stop: int) -> np.ndarray:
        pieces, number = [], max(bisect_right(self.starts, start) - 1, 0)
        while start < stop:
            first, last = self.starts[number], min(self.starts[number + 1], stop)
            if start < last:
                pieces.append(self.parts[number].read(start - first, last - first))
                start = last
            number += 1
        if not pieces:
            return np.empty((0, *self.shape[1:]), self.dtype)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


class ConvertedRows(FileRows):
    """Rows that become others as they are read.

    Args:
        rows: as they are in the files.
        convert: makes one row of each row.
        shape: of a row that is made.
        dtype: of its entries.
    """

    def __init__(
        self, rows: FileRows, convert: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], dtype: np.dtype
    ) -> None:
        self.rows, self.convert, self.shape, self.dtype = rows, convert, (len(rows), *shape), dtype

    def take(self, index: np.ndarray) -> np.ndarray:
        return self.convert(self.rows.take(index))

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.convert(self.rows.read(start, stop))


def flattened(x: Array, dtype: np.dtype) -> Array:
    """Return rows [N, ...] as rows [N, D] of a type."""
    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(x, dtype=dtype).reshape(len(x), -1)
    size = int(np.prod(x.shape[1:], dtype=np.int64))
    return ConvertedRows(x, lambda part: np.ascontiguousarray(part, dtype=dtype).reshape(-1, size), (size,), dtype)
