"""Counts among whole numbers: many zeros and a long tail, or a wide range; grey levels, ages and incomes are none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["MOST", "are_counts", "is_measure"]

FEW = 10  # rows, below which there is no telling
ZEROS = 0.2  # share of zeros, from which they are many
TAIL = 3  # times the mean of what is not 0 that the largest count reaches at least
WIDE = 256  # a count that no level of grey reaches
NEAR = 4  # the smallest entry of a column of counts is below a part of the largest that is this small
PLACE = 0.45  # of the mean between the smallest and the largest entry, at most: counts have a tail above only
MOSTLY = 0.75  # of the columns look like counts, where the table holds them
MOST = 2**31 - 1  # the largest count that is kept in an integer type
GREY, SQUARE = (255, 1023, 4095, 65535), 16  # the last level of grey, in images of at least so many pixels
_MEASURES = re.compile(
    "ages?|years?|date|month|day|time|zip|zipcode|postcode|postal|code|prices?|cost|income|salary|wage|rent|amount"
    "|balance|revenue|fee|tax|usd|eur|gbp|height|weight|width|length|depth|distance|area|sqft|elevation|altitude"
    "|temperature|temp|pressure|humidity|speed|latitude|longitude|lat|lon|score|grade|rating|rank"
)


def are_counts(
    parts: Iterable[np.ndarray],
    shape: tuple[int, ...],
    observed: Iterable[np.ndarray | None],
    names: Sequence[str] | None = None,
) -> bool:
    """Return whether whole numbers from 0 are counts.

    Three quarters of the columns of more than 0 and 1 have a tail above only, and no name of a measure, such as age.
    And either a fifth of their entries or more are 0, and the largest is 4 or more and three times the mean of the
    others; or entries reach 256, and columns of 0 and 1 are few. Images are no counts, nor are tables of many columns
    that reach the last level of grey.

    Args:
        parts: rows [n, D] of the data, one part after another.
        shape: of a datum.
        observed: for each part, where entries are observed; None where all are.
        names: of the columns.

    Example:
        >>> table = np.array([[0, 0, 30], [1, 0, 0], [0, 2, 0], [1, 0, 1]] * 3)
        >>> are_counts([table], (3,), [None]), are_counts([table + 1], (3,), [None])
        (True, False)
    """
    if len(shape) != 1:
        return False
    n, zeros, total = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    low, high, rows = np.full(shape, np.inf), np.full(shape, -np.inf), 0
    for part, mask in zip(parts, observed, strict=False):
        rows += len(part)
        n += len(part) if mask is None else mask.sum(axis=0)
        zeros += ((part == 0) if mask is None else (part == 0) & mask).sum(axis=0)
        total += part.sum(axis=0, dtype=np.float64)  # entries that are missing hold 0
        low = np.minimum(low, (part if mask is None else np.where(mask, part, np.inf)).min(axis=0))
        high = np.maximum(high, (part if mask is None else np.where(mask, part, -np.inf)).max(axis=0))
    largest, varied = float(high.max()), low < high
    larger = varied & (high > 1)  # a column of 0 and 1 may be of a rare word or of a class
    if rows < FEW or largest > MOST or not larger.any() or (largest in GREY and shape[0] >= SQUARE):
        return False
    tailed = larger & (NEAR * low < high) & (total / n - low <= PLACE * (high - low))
    if names is not None:
        tailed &= ~np.array([is_larger and is_measure(name) for name, is_larger in zip(names, larger, strict=True)])
    if tailed.sum() < MOSTLY * larger.sum():
        return False
    if largest >= WIDE and tailed.sum() >= MOSTLY * varied.sum():
        return True
    are_rare = 2 * larger.sum() >= varied.sum() or high[larger].min() == 2  # words; classes have no such neighbours
    has_zeros = zeros[varied].sum() >= ZEROS * n[varied].sum()
    others = (n - zeros)[varied].sum()
    return bool(are_rare and has_zeros and largest >= 4 and largest * others >= TAIL * total[varied].sum())


def is_measure(name: str) -> bool:
    """Return whether a word of a name says that a column is a measure, and no count.

    Example:
        >>> [is_measure(name) for name in ("Age", "SalePrice", "zip_code", "visits", "TIMELESS")]
        [True, True, True, False, False]
    """
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return any(map(_MEASURES.fullmatch, words))
