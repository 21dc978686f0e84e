"""A random split of many rows in little memory: a hash of seed and row number says to which part a row belongs.

The numbers of the rows of a part are not kept. Those of a stretch of rows are computed when it is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from .file_rows import FileRows

__all__ = ["PartRows", "RowNumbers", "hashed_parts"]

BLOCK = 2**14  # rows, of which only the number that belong to the part is kept
_ODD = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def _uniform(seed: int, start: int, stop: int) -> np.ndarray:
    """Return a number in [0, 1) for each row from `start` to `stop` - 1, by the seed and the row's number alone.

    Source: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014 (the finaliser of SplitMix64).
    """
    key = np.uint64(int.from_bytes(np.random.SeedSequence(seed).generate_state(2).tobytes(), "little"))
    with np.errstate(over="ignore"):
        z = (np.arange(start + 1, stop + 1, dtype=np.uint64) * _ODD[0]) + key
        z = (z ^ (z >> np.uint64(30))) * _ODD[1]
        z = (z ^ (z >> np.uint64(27))) * _ODD[2]
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)) * 2.0**-53


@dataclass(frozen=True)
class RowNumbers:
    """The numbers of the rows of a part, in rising order, as an array of them would give them.

    Args:
        n: rows in all.
        low, high: the part has the rows whose hash is at least `low` and below `high`.
        seed: of the hash.

    Example:
        >>> train = RowNumbers(10, 0.0, 0.8, 0)
        >>> train[:].tolist() == [i for i in range(10) if i in set(train[:])]
        True
    """

    n: int
    low: float
    high: float
    seed: int
    ends: np.ndarray = field(init=False, repr=False, compare=False)

    @classmethod
    def all_of(cls, n: int) -> RowNumbers:
        """Return the numbers of all rows."""
        return cls(n, 0.0, 1.0, 0)

    def __post_init__(self) -> None:
        counts = [int(self._chosen(i, min(i + BLOCK, self.n)).sum()) for i in range(0, self.n, BLOCK)]
        object.__setattr__(self, "ends", np.cumsum([0, *counts]))

    def _chosen(self, start: int, stop: int) -> np.ndarray:
        if self.low <= 0 and self.high >= 1:
            return np.ones(stop - start, bool)
        u = _uniform(self.seed, start, stop)
        return (u >= self.low) & (u < self.high)

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, key: int | np.integer | slice | np.ndarray) -> np.ndarray:
        """Return the numbers of rows of the part, by their places in it: of one, of a slice, or of an array [M]."""
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            return self._stretch(start, max(start, stop))[::step]
        if isinstance(key, np.ndarray):
            blocks = np.searchsorted(self.ends, key, side="right") - 1
            numbers = np.empty(len(key), np.int64)
            for block in np.unique(blocks):
                here = blocks == block
                numbers[here] = self._block(int(block))[key[here] - self.ends[block]]
            return numbers
        place = int(key) + (len(self) if key < 0 else 0)
        if not 0 <= place < len(self):
            raise IndexError(key)
        return self._stretch(place, place + 1)[0]

    def _block(self, block: int) -> np.ndarray:
        start = block * BLOCK
        return np.flatnonzero(self._chosen(start, min(start + BLOCK, self.n))) + start

    def _stretch(self, start: int, stop: int) -> np.ndarray:
        if stop <= start:
            return np.arange(0)
        first = int(np.searchsorted(self.ends, start, side="right")) - 1
        last = int(np.searchsorted(self.ends, stop - 1, side="right")) - 1
        numbers = np.concatenate([self._block(block) for block in range(first, last + 1)])
        return numbers[start - self.ends[first] : stop - self.ends[first]]


def hashed_parts(n: int, fractions: tuple[float, float, float], seed: int) -> tuple[RowNumbers, RowNumbers, RowNumbers]:
    """Return the rows of the three parts of a split; their sizes are the fractions of n up to chance."""
    second = 1.0 if fractions[2] == 0 else fractions[0] + fractions[1]
    first = second if fractions[1] == 0 else fractions[0]
    ends = (0.0, first, second, 1.0)
    train, valid, test = (RowNumbers(n, low, high, seed) for low, high in pairwise(ends))
    return train, valid, test


class PartRows(FileRows):
    """The rows of a part of others that are in files.

    Args:
        rows: all of them.
        numbers: of those that belong to the part.
    """

    def __init__(self, rows: FileRows, numbers: RowNumbers) -> None:
        self.rows, self.numbers = rows, numbers
        self.shape, self.dtype = (len(numbers), *rows.shape[1:]), rows.dtype

    def take(self, index: np.ndarray) -> np.ndarray:
        return self.rows.take(self.numbers[index])

    def read(self, start: int, stop: int) -> np.ndarray:
        numbers = self.numbers[start:stop]
        if not len(numbers):
            return np.empty((0, *self.shape[1:]), self.dtype)
        first = int(numbers[0])
        return self.rows.read(first, int(numbers[-1]) + 1)[numbers - first]
