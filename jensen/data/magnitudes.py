"""Values that are too large for the precision in which a model computes: named before anything is computed of them."""

from __future__ import annotations

import numpy as np

from ..core.errors import DataError
from ..core.wording import plural
from .agreement import extremes
from .dataset import chunks
from .file_rows import Array
from .hashed_split import RowNumbers

__all__ = ["are_safe", "check_magnitudes", "dominating_entries"]

MARGIN = 1e4  # between the largest square of a prepared value and the largest number
ALIKE = 1e-6  # standard deviations, below which values are equal in single precision
MOST = 5  # entries that are named


def _limit(dtype: np.dtype) -> float:
    """Return the largest prepared value whose square, and a sum of such, does not overflow."""
    return float(np.sqrt(float(np.finfo(dtype).max))) / MARGIN


def are_safe(low: np.ndarray, high: np.ndarray) -> bool:
    """Return whether no square of prepared values between these ends [D] overflows."""
    return bool((np.maximum(np.abs(low), np.abs(high)) <= _limit(low.dtype)).all())


def _place(row: int, column: int, numbers: np.ndarray | RowNumbers | None, names: tuple[str, ...] | None) -> str:
    """Return row and column of an entry in words."""
    number = row if numbers is None else int(numbers[row])
    return f"row {number}, column {names[column]!r}" if names else f"row {number}, column {column}"


def check_magnitudes(
    prepared: np.ndarray,
    x: Array,
    mask: np.ndarray | None,
    numbers: np.ndarray | RowNumbers | None,
    names: tuple[str, ...] | None,
    what: str,
) -> None:
    """Refuse observed values whose squares overflow when they are prepared.

    Args:
        prepared: rows [N, D] as the model sees them.
        x: the same rows in the data's own units.
        mask: [N, D], True where observed.
        numbers: [N] of the rows in their file, from 0.
        names: of the columns.
        what: the name of the data.

    Raises:
        DataError: naming the number of such entries, and the first of them.
    """
    limit, count, entries = _limit(prepared.dtype), 0, list[str]()
    for start, part in chunks(prepared):
        is_bad = ~(np.abs(part) <= limit)
        if mask is not None:
            is_bad &= mask[start : start + len(part)]
        count += int(is_bad.sum())
        for row, column in np.argwhere(is_bad)[: MOST - len(entries)]:
            place = _place(start + int(row), int(column), numbers, names)
            entries.append(f"{x[start + row, column]:g} in {place}")
    if count:
        listed = "; ".join(entries) + ("; ..." if count > len(entries) else "")
        precision = "single" if prepared.dtype.itemsize == 4 else "double"
        raise DataError(
            f"{what} hold {plural(count, 'value')} so far from the training data that squares overflow in {precision}"
            f" precision: {listed} (from 0)",
            "Correct or drop these rows, or standardise the data.",
        )


def dominating_entries(
    x: Array,
    mask: np.ndarray | None,
    center: np.ndarray,
    scale: np.ndarray,
    names: tuple[str, ...] | None,
    numbers: np.ndarray | RowNumbers | None = None,
) -> list[str]:
    """Return notes on columns in which a few values are so large that all others are equal after standardisation.

    Args:
        x: rows [N, D].
        mask: [N, D], True where observed.
        center, scale: of each column, as it is standardised.
        names: of the columns.
        numbers: [N] of the rows in their file, from 0.
    """
    notes, scales = [], np.broadcast_to(scale, x.shape[1:])
    low, high = (bound / scales for bound in extremes(x, mask))
    farthest = np.maximum(np.abs(low - center / scales), np.abs(high - center / scales))
    few = (low < high) & (farthest > 0.4 * np.sqrt(len(x) if mask is None else mask.sum(axis=0)))  # carry the variance
    for column in np.flatnonzero(few):
        entries = np.concatenate([part[:, column] for _, part in chunks(x)])
        scaled = entries / scales[column]
        values = scaled if mask is None else scaled[mask[:, column]]
        middle = np.median(values)
        if len(values) > 3 and np.quantile(np.abs(values - middle), 0.75) < ALIKE and _has_many(values):
            row = int(np.abs(np.where(True if mask is None else mask[:, column], scaled - middle, 0)).argmax())
            place = _place(row, int(column), numbers, names)
            notes.append(
                f"{entries[row]:g} in {place} (from 0) is so large that most other values of the column are equal"
                " after standardisation: correct or drop such rows"
            )
    return notes


def _has_many(values: np.ndarray) -> bool:
    """Return whether more than a quarter of values differ: a column of zeros with a few others has no spread of its
    own."""
    return len(np.unique(values)) > len(values) / 4
