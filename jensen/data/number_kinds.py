"""The kind of a column of numbers: real, positive, bounded, integer, count, ordinal, boolean or circular."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ..core.wording import plural
from .columns import ColumnKind

__all__ = ["LARGEST", "Choice", "number_column"]

LARGEST = 2**24  # of whole numbers that networks of float32 tell apart
EXACT = 2**53  # of those that a number of eight bytes holds
FEW_LEVELS = 10  # whole numbers, of which each has a probability of its own
REPEATED = 10  # rows for each of them, on average, at least
FEW_ZEROS, TAIL, PLACE = 0.2, 4, 0.3  # of counts: the share of zeros, or the largest and the place of their mean
RATIO = 3  # of the largest positive number to the smallest, from which the logarithm matters
SPAN, NEAR = 0.1, 0.02  # of a range at each end, and the share of proportions that lie there: an end, and no tail
PROPORTIONS = 100  # numbers between 0 and 1, from which none beyond is expected; of fewer a percent sign tells
SENTINELS = (-1, -9, -99, -999, -9999, 99, 999, 9999, 99999)  # that programs write in the place of missing numbers
_CIRCLES = {  # words of a name, and the ends of the circle that its numbers are on, whole numbers or not
    "month": ((1, 13), (0, 12)),
    "hour|hr|hours": ((0, 24),),
    "minute|min|minutes|second|seconds": ((0, 60),),
    "weekday|dow|dayofweek|wday": ((0, 7), (1, 8)),
    "dayofyear|doy|yday": ((1, 366), (1, 367), (0, 366)),
    "angle|bearing|azimuth|direction|heading|aspect|phase|longitude|winddir|wd": ((0, 360), (-180, 180)),
}
_WHOLE_CIRCLES = ("month", "hour", "minute", "weekday", "dayofyear")


@dataclass(frozen=True)
class Choice:
    """The kind chosen for numbers.

    Attributes:
        kind: of the column.
        reason: for it.
        levels: names of a levelled kind, in the order of the numbers.
        low, high: the ends of a bounded or circular one.
        doubt: what could be otherwise, and its remedy.
    """

    kind: ColumnKind
    reason: str
    levels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    doubt: str | None = None


def number_column(
    name: str, values: np.ndarray, counts: np.ndarray, measures: bool = False, is_percent: bool = False
) -> Choice:
    """Choose the kind of a column of numbers.

    Args:
        name: of the column.
        values: [U] different observed numbers.
        counts: [U] how often each occurs.
        measures: True if the name is that of a measure, which is no count.
        is_percent: True if the numbers are written with a percent sign.

    Example:
        >>> number_column("age", np.arange(18, 90), np.ones(72)).kind
        'integer'
        >>> number_column("visits", np.array([0, 1, 2, 40]), np.array([50, 9, 5, 1])).kind
        'count'
    """
    order = np.argsort(values)
    values, counts = values[order], counts[order]
    low, high, n = float(values[0]), float(values[-1]), int(counts.sum())
    doubt = _sentinel(values, counts)
    whole = bool((values == np.floor(values)).all())
    if len(values) == 1:
        return Choice("categorical", "constant: a single value", _levels(values))
    circle = _circle(name, values)
    if circle is not None:
        reason = f"from {low:g} to {high:g}, and named as what is on a circle from {circle[0]} to {circle[1]}"
        return Choice("circular", reason, low=circle[0], high=circle[1])
    if whole:
        choice = _whole(values, counts, low, high, n, measures)
        if choice is not None:
            return Choice(choice.kind, choice.reason, choice.levels, low=choice.low, doubt=doubt)
    if _is_proportion(values, counts, is_percent):
        top = 100 if is_percent else 1
        return Choice("bounded", f"between 0 and {top}, and near both", low=0, high=top, doubt=doubt)
    large = f"whole numbers beyond {LARGEST:,}; " if whole else ""
    if low > 0 and high >= RATIO * low:
        return Choice("positive", f"{large}positive, {_range(low, high)}", doubt=doubt)
    return Choice("real", f"{large}real numbers {_range(low, high)}", doubt=doubt)


def _range(low: float, high: float) -> str:
    """Return the range of numbers in words."""
    low_text, high_text = (f"{v:,.0f}" if v == int(v) and abs(v) < 1e15 else f"{v:g}" for v in (low, high))
    return f"from {low_text} to {high_text}"


def _levels(values: np.ndarray) -> tuple[str, ...]:
    """Return numbers as names: whole ones without a point."""
    return tuple(str(int(v)) if float(v).is_integer() else repr(float(v)) for v in values.tolist())


def _whole(values: np.ndarray, counts: np.ndarray, low: float, high: float, n: int, measures: bool) -> Choice | None:
    """Choose the kind of whole numbers; None of large ones that differ by factors, or are not known exactly."""
    if len(values) == 2 and (high - low in (1, 2) or n >= 2 * REPEATED):
        return Choice("boolean", f"two values, {low:g} and {high:g}", _levels(values))
    is_large = max(-low, high) > LARGEST
    if is_large and (max(-low, high) > EXACT or (low > 0 and high >= RATIO * low)):
        return None
    if low >= 0 and not is_large and _is_count(values, counts, n, measures):
        return Choice("count", f"whole numbers {_range(low, high)}, with a tail above")
    if len(values) <= FEW_LEVELS and high - low < FEW_LEVELS and n >= REPEATED * len(values):
        gaps = "" if high - low == len(values) - 1 else " (some between do not occur)"
        reason = f"{plural(len(values), 'whole number')} from {low:g} to {high:g}{gaps}: their order counts"
        return Choice("ordinal", reason, _levels(np.arange(low, high + 1)))
    return Choice("integer", f"whole numbers {_range(low, high)}", low=0 if low >= 0 else None)


def _is_count(values: np.ndarray, counts: np.ndarray, n: int, measures: bool) -> bool:
    """Return whether whole numbers from 0 or 1 are counts: many zeros, or a mean near the lower end and a long tail."""
    low, high = float(values[0]), float(values[-1])
    if low > 1 or high < 3 or n < FEW_LEVELS or (low == 1 and high <= FEW_LEVELS):  # from 1, a few are grades or codes
        return False
    zeros = float(counts[0]) / n if low == 0 else 0.0
    mean = float((values * counts).sum() / n)
    rare = bool(counts[-1] <= 0.5 * counts.max())
    if low == 0 and zeros >= FEW_ZEROS and rare and mean <= PLACE * high:
        return True
    return bool(not measures and rare and high >= TAIL * mean and mean - low <= PLACE * (high - low))


def _circle(name: str, values: np.ndarray) -> tuple[int, int] | None:
    """Return the ends of the circle that a name and its numbers suggest; None if they do not."""
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))
    if "per" in words or {"s", "since", "total"} & words:  # hours per week, hours since
        return None
    for pattern, ends in _CIRCLES.items():
        if not any(re.fullmatch(pattern, word) for word in words):
            continue
        for low, high in ends:
            fits = low <= values[0] and values[-1] <= high
            wide = values[-1] - values[0] >= 0.7 * (high - low)
            whole = bool((values == np.floor(values)).all())
            if fits and wide and (whole or high - low >= 360 or pattern.startswith("hour")):
                return (low, high) if values[-1] < high or high - low >= 60 or pattern.startswith("hour") else None
    return None


def _is_proportion(values: np.ndarray, counts: np.ndarray, is_percent: bool) -> bool:
    """Return whether numbers lie between 0 and 1, or 100 %, and come near both ends.

    Without a percent sign a share of them must: the tail of a distribution may come near 1, and go on beyond it.
    """
    top = 100 if is_percent else 1
    near = [values <= SPAN * top, values >= (1 - SPAN) * top]
    if not (values[0] > 0 and values[-1] < top and near[0].any() and near[1].any()):
        return False
    n = counts.sum()
    return is_percent or bool(n >= PROPORTIONS and all(counts[at].sum() >= NEAR * n for at in near))


def _sentinel(values: np.ndarray, counts: np.ndarray) -> str | None:
    """Return a doubt about a number that may stand for missing entries: far from the others, and repeated."""
    if len(values) < 4:
        return None
    for end, rest in ((0, values[1:]), (-1, values[:-1])):
        value = values[end]
        far = abs(value - rest[0 if end == 0 else -1]) > rest[-1] - rest[0]
        if value in SENTINELS and counts[end] > 1 and (far or (value < -1 and rest[0] >= 0)):
            text = f"{value:g}"
            may_be = f"{text} may stand for missing entries ({counts[end]:,.0f})"
            return f"{may_be}: then name it in a schema, --schema FILE.toml with missing = ['{text}'] for this column"
    return None
