"""Which rows are trained on, which choose the model, and which judge it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..core.errors import UsageError
from .conform import duplicates

__all__ = ["Split", "duplicates", "parse_fractions", "split"]


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, in the order of the draw.

    Attributes:
        train: [n] int64, rows that are learned from.
        valid: rows that choose among models; may be empty.
        test: rows that judge; may be empty. Where `test_source` is "file" they are rows of a second data set.
        fractions: of train, validation and test.
        seed: of the permutation.
        test_source: "split" or "file".
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    fractions: tuple[float, float, float]
    seed: int
    test_source: Literal["split", "file"] = "split"


_REMEDY = "Give three fractions that sum to 1: --split 0.8,0.1,0.1"


def _check(fractions: tuple[float, float, float]) -> None:
    told = ",".join(f"{f:g}" for f in fractions)
    if len(fractions) != 3 or not all(0 <= f <= 1 for f in fractions):
        raise UsageError(f"{told} are not fractions for train, validation and test", _REMEDY)
    if abs(math.fsum(fractions) - 1) > 1e-6:
        raise UsageError(f"the fractions {told} sum to {math.fsum(fractions):g} instead of 1", _REMEDY)
    if fractions[0] == 0:
        raise UsageError(f"the fractions {told} leave nothing to train on", _REMEDY)


def parse_fractions(text: str) -> tuple[float, float, float]:
    """Three fractions from text.

    Raises:
        UsageError: not three numbers from 0 to 1 that sum to 1, the first above 0.

    Example:
        >>> parse_fractions("0.8,0.1,0.1")
        (0.8, 0.1, 0.1)
    """
    try:
        train, valid, test = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{text!r} is not three fractions", _REMEDY) from error
    _check((train, valid, test))
    return train, valid, test


def _sizes(n: int, fractions: tuple[float, float, float]) -> list[int]:
    """Whole sizes by largest remainder; every fraction above 0 gets a row if there are enough."""
    shares = [f * n for f in fractions]
    sizes = [math.floor(share + 1e-9) for share in shares]
    order = sorted(range(3), key=lambda i: sizes[i] - shares[i])
    for i in order[: n - sum(sizes)]:
        sizes[i] += 1
    for i in range(3):
        richest = sizes.index(max(sizes))
        if fractions[i] > 0 and sizes[i] == 0 and sizes[richest] > 1:
            sizes[i], sizes[richest] = 1, sizes[richest] - 1
    return sizes


def split(
    n: int, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0, *, test_rows: int | None = None
) -> Split:
    """Split n rows at random, by a permutation that depends on n and the seed only.

    Args:
        n: how many rows there are.
        fractions: of train, validation and test.
        seed: of `numpy.random.default_rng`.
        test_rows: the size of a test set of its own; the fraction for test then goes to the others in proportion.

    Raises:
        UsageError: the fractions are not three that sum to 1, or there are no rows.

    Example:
        >>> parts = split(10)
        >>> len(parts.train), len(parts.valid), len(parts.test)
        (8, 1, 1)
    """
    _check(fractions)
    if n < 1 or seed < 0:
        raise UsageError(f"{n} rows cannot be split with seed {seed}", "Give at least one row, and a seed from 0.")
    if test_rows is not None:
        rest = fractions[0] + fractions[1]
        fractions = (fractions[0] / rest, fractions[1] / rest, 0.0)
    train, valid, _ = _sizes(n, fractions)
    order = np.random.default_rng(seed).permutation(n).astype(np.int64)
    parts = order[:train], order[train : train + valid], order[train + valid :]
    if test_rows is None:
        return Split(*parts, fractions, seed)
    return Split(*parts[:2], np.arange(test_rows, dtype=np.int64), fractions, seed, "file")
