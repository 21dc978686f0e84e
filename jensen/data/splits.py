"""Random splits of rows into training, validation and test parts: by a permutation, or by hashes of row numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..core.errors import UsageError
from .hashed_split import RowNumbers, hashed_parts
from .repeats import duplicates

__all__ = ["Split", "duplicates", "parse_fractions", "split"]


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, in random order; those of a split by a hash are in rising order, and computed.

    Attributes:
        train: [n] int64, training rows.
        valid: validation rows; may be empty.
        test: test rows; may be empty. If `test_source` is "file" they are rows of a second data set.
        fractions: of train, validation and test.
        seed: of the permutation.
        test_source: "split" or "file".
    """

    train: np.ndarray | RowNumbers
    valid: np.ndarray | RowNumbers
    test: np.ndarray | RowNumbers
    fractions: tuple[float, float, float]
    seed: int
    test_source: Literal["split", "file"] = "split"


_REMEDY = "Give three fractions that sum to 1: --split 0.8,0.1,0.1"


def _check(fractions: tuple[float, float, float]) -> None:
    """Refuse what is not three fractions that sum to 1, the first above 0.

    Raises:
        UsageError: naming them.
    """
    text = ",".join(f"{f:g}" for f in fractions)
    if len(fractions) != 3 or not all(0 <= f <= 1 for f in fractions):
        raise UsageError(f"--split must be three fractions from 0 to 1, got {text}", _REMEDY)
    if abs(math.fsum(fractions) - 1) > 1e-6:
        raise UsageError(f"the fractions of --split must sum to 1, got {text} (sum {math.fsum(fractions):g})", _REMEDY)
    if fractions[0] == 0:
        raise UsageError(f"the training fraction of --split must be above 0, got {text}", _REMEDY)


def parse_fractions(text: str) -> tuple[float, float, float]:
    """Return three fractions from text.

    Raises:
        UsageError: they are not three numbers from 0 to 1 that sum to 1, the first above 0.

    Example:
        >>> parse_fractions("0.8,0.1,0.1")
        (0.8, 0.1, 0.1)
    """
    try:
        train, valid, test = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--split must be three fractions from 0 to 1, got {text!r}", _REMEDY) from error
    _check((train, valid, test))
    return train, valid, test


def _sizes(n: int, fractions: tuple[float, float, float]) -> list[int]:
    """Return whole sizes by largest remainder; every fraction above 0 gets a row if there are enough."""
    shares = [f * n for f in fractions]
    sizes = [math.floor(share + 1e-9) for share in shares]
    order = sorted(range(3), key=lambda i: sizes[i] - shares[i])
    for i in order[: n - sum(sizes)]:
        sizes[i] += 1
    for i in range(3):
        largest = sizes.index(max(sizes))
        if fractions[i] > 0 and sizes[i] == 0 and sizes[largest] > 1:
            sizes[i], sizes[largest] = 1, sizes[largest] - 1
    return sizes


def split(
    n: int,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    *,
    test_rows: int | None = None,
    hashed: bool = False,
) -> Split:
    """Split n rows at random, by a permutation that depends on n and the seed only.

    Args:
        n: number of rows.
        fractions: of train, validation and test.
        seed: of `numpy.random.default_rng`.
        test_rows: size of a separate test set; the test fraction is then divided between the others in proportion.
        hashed: split by a hash of the seed and each row's number, which takes no memory; sizes are then those of the
            fractions up to chance.

    Raises:
        UsageError: the fractions are not three that sum to 1, or there are no rows.

    Example:
        >>> parts = split(10)
        >>> len(parts.train), len(parts.valid), len(parts.test)
        (8, 1, 1)
    """
    _check(fractions)
    if n < 1 or seed < 0:
        raise UsageError(
            f"a split needs at least one row and a seed from 0, got {n} rows and seed {seed}",
            "Give at least one row, and a seed from 0.",
        )
    if test_rows is not None:
        total = fractions[0] + fractions[1]
        fractions = (fractions[0] / total, fractions[1] / total, 0.0)
    if hashed:
        return Split(*hashed_parts(n, fractions, seed), fractions, seed)
    train, valid, _ = _sizes(n, fractions)
    order = np.random.default_rng(seed).permutation(n).astype(np.int64)
    parts = order[:train], order[train : train + valid], order[train + valid :]
    if test_rows is None:
        return Split(*parts, fractions, seed)
    return Split(*parts[:2], np.arange(test_rows, dtype=np.int64), fractions, seed, "file")
