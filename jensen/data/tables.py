"""Tables of numbers in text: CSV, with its delimiter and header found by looking."""

from __future__ import annotations

import contextlib
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from .dataset import MISSING_REMEDY, Raw, check_size

__all__ = ["read_column", "read_table"]


@dataclass(frozen=True)
class _Text:
    """The lines of a table that are not blank, with their numbers in the file."""

    path: Path
    lines: list[str]
    numbers: list[int]
    delimiter: str | None
    header: tuple[str, ...] | None

    def fields(self, row: int) -> list[str]:
        return _fields(self.lines[row], self.delimiter, self.path)

    def column(self, index: int) -> str:
        return f"column {index + 1}" + (f" ({self.header[index]})" if self.header and index < len(self.header) else "")


def _fields(line: str, delimiter: str | None, path: Path) -> list[str]:
    if delimiter is None:
        return line.split()
    try:
        return [f.strip() for f in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error as error:
        raise DataError(
            f"the line of {path} that begins with {line[:20]!r} cannot be taken apart ({error})", "Look at its quotes."
        ) from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _delimiter(line: str) -> str | None:
    # a semicolon before a comma, since the comma may be a decimal mark; None is any white space
    return next((d for d in "\t;," if d in line), None)


_MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-", "."}


def _is_header(first: list[str], second: list[str]) -> bool:
    """Names stand above: no field is a number, or some are whole numbers and one is text above a number.

    A row of data with a missing entry must not be taken for names, since it would vanish without a word.
    """
    words = [f for f in first if not _is_number(f)]
    if len(words) == len(first):
        return any(_is_number(f) for f in second) and not all(f.lower() in _MISSING for f in first)
    if any(f.lower() in _MISSING for f in words) or not all(f.isdecimal() for f in first if _is_number(f)):
        return False
    return any(not _is_number(a) and _is_number(b) for a, b in zip(first, second, strict=False))


def _open(path: Path) -> _Text:
    check_size(path.stat().st_size, str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start})", "Save the table as UTF-8.") from error
    numbered = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not numbered:
        raise DataError(f"{path} has no rows", "Give one row of numbers per datum.")
    lines, numbers = [line for _, line in numbered], [i for i, _ in numbered]
    delimiter = _delimiter(lines[0])
    first = _fields(lines[0], delimiter, path)
    header = None
    if len(lines) > 1 and _is_header(first, _fields(lines[1], delimiter, path)):
        header, lines, numbers = tuple(first), lines[1:], numbers[1:]
    return _Text(path, lines, numbers, delimiter, header)


def _check_width(table: _Text) -> int:
    """The number of columns, which is the same in all rows."""
    width = len(table.header) if table.header else len(table.fields(0))
    for row, line in enumerate(table.lines):
        # counting is enough for a line without quotes
        quick = table.delimiter is not None and '"' not in line
        found = line.count(table.delimiter or "") + 1 if quick else len(table.fields(row))
        if found != width:
            raise DataError(
                f"line {table.numbers[row]} of {table.path} has {found} fields instead of {width}",
                "Every row needs the same number of columns.",
            )
    return width


def _offender(table: _Text, columns: list[int], missing: bool, error: Exception) -> DataError:
    for row, number in enumerate(table.numbers):
        fields = table.fields(row)
        for index in columns:
            if _is_number(fields[index]) or (missing and fields[index].lower() in _MISSING):
                continue
            where = f"line {number}, {table.column(index)} of {table.path}"
            if fields[index].lower() in _MISSING:
                told = f"is {fields[index]!r}, a missing entry" if fields[index] else "is empty"
                return DataError(f"{where} {told}", f"{MISSING_REMEDY}; or fill it, or drop the row.")
            return DataError(
                f"{where} is {fields[index]!r}, not a number",
                "Encode or drop this column; a column of classes is named with --labels.",
            )
    return DataError(f"{table.path} cannot be read as numbers ({error})", "Give numbers with a decimal point.")


def _load(table: _Text, columns: list[int], dtype: type) -> np.ndarray:
    return np.loadtxt(
        table.lines, dtype=dtype, delimiter=table.delimiter, usecols=columns, ndmin=2, comments=None, quotechar='"'
    )


def _load_missing(table: _Text, columns: list[int]) -> np.ndarray:
    """Field by field, with NaN for what is empty, NA or the like.

    Raises:
        ValueError: some other field is no number.
    """
    x = np.empty((len(table.lines), len(columns)))
    for row in range(len(table.lines)):
        fields = table.fields(row)
        x[row] = [float("nan" if fields[i].lower() in _MISSING else fields[i]) for i in columns]
    return x


def _label_column(table: _Text, width: int, wanted: str | None) -> int | None:
    if wanted is None:
        return None
    if table.header is not None:
        if table.header.count(wanted) > 1:
            raise DataError(f"{table.path} has several columns {wanted!r}", "Rename them, so that one can be meant.")
        return table.header.index(wanted) if wanted in table.header else None
    return int(wanted) - 1 if wanted.isdecimal() and 1 <= int(wanted) <= width else None


def read_table(path: Path, wanted: str | None, missing: bool = False) -> Raw:
    """A table of numbers; `wanted` names the column of labels (or, without a header, its number from 1).

    Args:
        path: of the table.
        wanted: see above.
        missing: whether a field that is empty or NA is an entry that is missing, NaN.
    """
    table = _open(path)
    width = _check_width(table)
    label = _label_column(table, width, wanted)
    columns = [i for i in range(width) if i != label]
    if not columns:
        raise DataError(f"{path} has no column but its labels", "Give at least one column of data.")
    try:
        x = _load(table, columns, np.float64)
    except ValueError as error:
        x = None
        if missing:
            with contextlib.suppress(ValueError):
                x = _load_missing(table, columns)
        if x is None:
            raise _offender(table, columns, missing, error) from error
    labels = None if label is None else np.array([table.fields(row)[label] for row in range(len(table.lines))])
    names = None if table.header is None else tuple(table.header[i] for i in columns)
    return Raw(x, labels, names, loose=True, choices=table.header or ())


def read_column(path: Path, n: int) -> np.ndarray:
    """The one column of a text file as text [n or another length]; one line more than n is a header."""
    table = _open(path)
    if _check_width(table) != 1:
        raise DataError(f"{path} has several columns, and labels are one", "Give a file with one label a line.")
    column = [table.fields(row)[0] for row in range(len(table.lines))]
    return np.array(column[1:] if len(column) == n + 1 and table.header is None else column)
