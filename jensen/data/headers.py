"""Headers: whether the first line of a table holds the names of its columns, and which columns number the rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from .fields import category, is_missing, is_number, is_whole

__all__ = ["SAMPLE", "Verdict", "is_index", "is_unnamed", "judge", "leading_indices", "numbers_rows"]

SAMPLE = 500  # rows below the first that it is compared with
MANY = 20  # rows, of which the first differs from all others by chance with probability 1/20 at most
RARE = 0.05  # a probability below which a row of data is not expected
YEARS = range(1700, 2151)
_LABELS = {
    "date",
    "time",
    "unit",
    "percentage",
    "money",
    "truth value",
    "limit",
    "fraction",
}  # values that name columns
_UNNAMED = re.compile(r"|Unnamed: 0(\.\d+)*|\.\.\.1", re.IGNORECASE)


@dataclass(frozen=True)
class Verdict:
    """The judgement on a first line.

    Attributes:
        is_header: True if it holds names.
        doubt: True if it could be otherwise, which a note says.
    """

    is_header: bool
    doubt: bool = False


def judge(first: list[str], body: Sequence[list[str]]) -> Verdict:
    """Judge whether a first line is a header, by how it differs from the rows below.

    A line without any value is a header if there are numbers below. One of numbers is a header if these count the
    columns, or are years or evenly spaced, and the rows below are not such. A row with a missing entry is data: it
    would be lost.

    Args:
        first: its fields.
        body: fields of rows below it, of the same number each.

    Example:
        >>> rows = [["0.5", "0.7", "1.2"], ["0.1", "2.5", "-0.3"]]
        >>> judge(["0", "1", "2"], rows), judge(["0.2", "0.1", "2.4"], rows)
        (Verdict(is_header=True, doubt=True), Verdict(is_header=False, doubt=False))
    """
    rows = [row for row in body[:SAMPLE] if len(row) == len(first)]
    if not rows:
        return Verdict(False)
    if len(first) > 1 and is_unnamed(first[0]) and is_index([row[0] for row in rows]):
        counted = numbers_rows([row[0] for row in rows]) and len(rows) > 1 and all(map(is_whole, first[1:]))
        if counted and _counts([float(f) for f in first[1:]]):  # as pandas writes a frame without names
            return Verdict(True, doubt=True)
        return judge(first[1:], [row[1:] for row in rows])
    kinds, columns = [category(f) for f in first], list(zip(*rows, strict=True))
    if set(kinds) == {"number"}:
        return _judge_numbers(first, columns)
    numbers = [f for f, kind in zip(first, kinds, strict=True) if kind == "number"]
    if numbers:
        return _judge_mixed(first, kinds, numbers, columns)
    return Verdict(_are_names(kinds, columns))


def _are_names(kinds: list[str], columns: list[tuple[str, ...]]) -> bool:
    """Return whether fields none of which is a plain number name the columns below."""
    if set(kinds) == {"missing"} or {"decimal comma", "unclear", "thousands"} & set(kinds):
        return False
    below = [{category(f) for f in column} - {"missing"} for column in columns]
    if _LABELS & set(kinds):  # dates, for example, above plain numbers
        plain = all(b <= {"number"} for kind, b in zip(kinds, below, strict=True) if kind in _LABELS)
        return plain and any(below)
    return any(b - {"text"} for b in below)


def _judge_mixed(first: list[str], kinds: list[str], numbers: list[str], columns: list[tuple[str, ...]]) -> Verdict:
    """Judge a line of numbers and other fields: names such as `name,2019,2020`, or a row of data with some text."""
    if "missing" in kinds or not all(map(is_whole, numbers)):
        return Verdict(False)
    pairs = zip(first, kinds, columns, strict=True)
    differs = any(kind != "number" and any(map(is_number, column)) for _, kind, column in pairs)
    is_name = differs and len(set(first)) == len(first) and _name_columns(numbers, columns[first.index(numbers[0])])
    return Verdict(is_name, doubt=is_name)


def _name_columns(numbers: list[str], below: tuple[str, ...]) -> bool:
    """Return whether whole numbers between names are names too: evenly spaced, or years, or unlike those below."""
    values = [float(f) for f in numbers]
    if len(values) > 1:
        return _step(values) is not None
    return int(values[0]) in YEARS or (values[0] in (0, 1) and _is_foreign(numbers[0], below))


def _judge_numbers(first: list[str], columns: list[tuple[str, ...]]) -> Verdict:
    """Judge a line of numbers alone."""
    values, plain, width = [float(f) for f in first], all(map(is_whole, first)), len(first)
    rows = [[float(f) for f in row] for row in zip(*columns, strict=True) if all(map(is_number, row))]
    written = plain and all(map(_has_decimals, columns))  # as whole numbers, above others
    if plain and _counts(values):
        if width > 2 and _share(rows, lambda row: _step(row) is not None or sorted(row) == sorted(values)) > 0.5:
            return Verdict(False)
        sure = (written and first != ["1"]) or _chance(first, columns) < (2 * RARE if width > 2 else RARE)
        return Verdict(sure, doubt=True)
    if plain and width > 1 and _is_monotone(values) and _are_years(values):
        return Verdict(_share(rows, _are_years) < RARE or _differs(first, columns), doubt=True)
    step = _step(values)
    if step is None or width < (2 if step == 1 else 3) or _share(rows, lambda row: _is_like(row, step)) > 0.5:
        return Verdict(False)
    many, differs = len(rows) >= MANY or written, _differs(first, columns)
    sure = (plain and width > 4) or (many and (plain or width > 3) and differs)
    sure = sure or (many and step == 1 and width > 2 and _chance(first, columns) < RARE)
    sure = sure and _share(rows, lambda row: _is_like(row, step)) < RARE
    return Verdict(sure, doubt=sure or (plain and width > 2))


def _is_like(row: list[float], step: float) -> bool:
    """Return whether a row of three numbers or more is as evenly spaced as one of this step."""
    own = _step(row) if len(row) > 2 else None
    return own is not None and (own == 1 or step != 1)


def _share(rows: list[list[float]], is_such: Callable[[list[float]], bool]) -> float:
    """Return the share of rows that are such; 0 of none."""
    return sum(map(is_such, rows)) / len(rows) if rows else 0.0


def _chance(first: list[str], columns: list[tuple[str, ...]]) -> float:
    """Return about the probability of a row of data that is equal to the first line: that of each field, if columns
    are independent, or the share of such rows."""
    n = len(columns[0])
    apart = prod((column.count(f) + 1) / (n + 2) for f, column in zip(first, columns, strict=True))
    return max(apart, sum(row == tuple(first) for row in zip(*columns, strict=True)) / n)


def _are_years(values: Sequence[float]) -> bool:
    """Return whether numbers are years."""
    return all(v in YEARS for v in values)


def _differs(first: list[str], columns: list[tuple[str, ...]]) -> bool:
    """Return whether every field of the first line is unlike those below it."""
    return all(_is_foreign(f, column) for f, column in zip(first, columns, strict=True))


def _counts(values: Sequence[float]) -> bool:
    """Return whether values count from 0 or 1."""
    return any(all(v == i for i, v in enumerate(values, start)) for start in (0, 1))


def _step(values: Sequence[float]) -> float | None:
    """Return the step between neighbours if it is the same throughout, and not zero; else None."""
    steps = [b - a for a, b in pairwise(values)]
    if not steps or not steps[0] or max(steps) - min(steps) > 1e-6 * abs(steps[0]):
        return None
    return steps[0]


def _is_monotone(values: Sequence[float]) -> bool:
    """Return whether values only rise or only fall."""
    pairs = list(pairwise(values))
    return all(a < b for a, b in pairs) or all(a > b for a, b in pairs)


def _has_decimals(column: Sequence[str]) -> bool:
    """Return whether all numbers of a column are written with a decimal point or an exponent."""
    present = [f for f in column if not is_missing(f)]
    return bool(present) and all(is_number(f) and not f.lstrip("+-").isdecimal() for f in present)


def _is_foreign(field: str, column: Sequence[str]) -> bool:
    """Return whether a number is written in another way than those below, or lies outside their range."""
    if is_whole(field) and _has_decimals(column):
        return True
    numbers = [float(f) for f in column if is_number(f)]
    return bool(numbers) and not min(numbers) <= float(field) <= max(numbers)


def is_unnamed(name: str) -> bool:
    """Return whether a name is that of an index: none, or the one that a reader made up for it."""
    return _UNNAMED.fullmatch(name) is not None


def numbers_rows(values: Sequence[str]) -> bool:
    """Return whether fields count from 0 or 1."""
    return any(all(f == str(i) for i, f in enumerate(values, start)) for start in (0, 1))


def is_index(values: Sequence[str]) -> bool:
    """Return whether the fields of a column without a name number or name the rows: all are different.

    Example:
        >>> is_index(["0", "1", "2"]), is_index(["17", "3", "40"]), is_index(["0.5", "1.5", "2"])
        (True, True, False)
    """
    if numbers_rows(values):
        return True
    if len(set(values)) < len(values) or any(map(is_missing, values)):
        return False
    return len(values) > 1 and (all(map(is_whole, values)) or not any(map(is_number, values)))


def leading_indices(names: Sequence[str], columns: Iterator[Sequence[str]]) -> int:
    """Return how many of the first columns are indices: one without a name for each time that a table was written."""
    count = 0
    for name, column in zip(names[:-1], columns, strict=False):
        if not is_unnamed(name) or not is_index(column):
            break
        count += 1
    return count
