"""Tables of numbers in text: CSV, with delimiter and header inferred."""

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
    """The lines of a table that are not blank, with their line numbers in the file."""

    path: Path
    lines: list[str]
    numbers: list[int]
    delimiter: str | None
    header: tuple[str, ...] | None

    def fields(self, row: int) -> list[str]:
        """Return the fields of a row."""
        return _fields(self.lines[row], self.delimiter, self.path)

    def column(self, index: int) -> str:
        """Return the number of a column, from 1, with its name."""
        return f"column {index + 1}" + (f" ({self.header[index]})" if self.header and index < len(self.header) else "")


def _fields(line: str, delimiter: str | None, path: Path) -> list[str]:
    """Return the fields of a line.

    Raises:
        DataError: its quotes do not match.
    """
    if delimiter is None:
        return line.split()
    try:
        return [f.strip() for f in next(csv.reader([line], delimiter=delimiter), [])]
    except csv.Error as error:
        raise DataError(
            f"the line of {path} that begins with {line[:20]!r} cannot be parsed ({error})", "Check its quotes."
        ) from error


def _is_number(text: str) -> bool:
    """Return whether the text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _delimiter(line: str) -> str | None:
    """Return the delimiter of a line, None for white space."""
    # a semicolon takes precedence over a comma, which may be a decimal mark
    return next((d for d in "\t;," if d in line), None)


_MISSING = {"", "na", "n/a", "nan", "null", "none", "?", "-", "."}


def _is_header(first: list[str], second: list[str]) -> bool:
    """Return whether the first line holds column names.

    It does if no field is a number, or if its numbers are whole and a text is above a number. A row of data with a
    missing entry is not a header: it would be lost.
    """
    words = [f for f in first if not _is_number(f)]
    if len(words) == len(first):
        return any(_is_number(f) for f in second) and not all(f.lower() in _MISSING for f in first)
    if any(f.lower() in _MISSING for f in words) or not all(f.isdecimal() for f in first if _is_number(f)):
        return False
    return any(not _is_number(a) and _is_number(b) for a, b in zip(first, second, strict=False))


def _open(path: Path) -> _Text:
    """Return the lines of a table, with delimiter and header.

    Raises:
        DataError: the file is too large, not UTF-8, or has no rows.
    """
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
    """Return the number of columns.

    Raises:
        DataError: rows have different numbers.
    """
    width = len(table.header) if table.header else len(table.fields(0))
    for row, line in enumerate(table.lines):
        # without quotes, counting delimiters is faster than parsing
        is_simple = table.delimiter is not None and '"' not in line
        count = line.count(table.delimiter or "") + 1 if is_simple else len(table.fields(row))
        if count != width:
            raise DataError(
                f"line {table.numbers[row]} of {table.path} has {count} fields instead of {width}",
                "Every row needs the same number of columns.",
            )
    return width


def _number_error(table: _Text, columns: list[int], missing: bool, error: Exception) -> DataError:
    """Return the error of the first field that is not a number."""
    for row, number in enumerate(table.numbers):
        fields = table.fields(row)
        for index in columns:
            if _is_number(fields[index]) or (missing and fields[index].lower() in _MISSING):
                continue
            where = f"line {number}, {table.column(index)} of {table.path}"
            if fields[index].lower() in _MISSING:
                content = f"is {fields[index]!r}, a missing entry" if fields[index] else "is empty"
                return DataError(f"{where} {content}", f"{MISSING_REMEDY}; or fill it, or drop the row.")
            return DataError(
                f"{where} is {fields[index]!r}, not a number",
                "Encode or drop this column; a column of classes is named with --labels.",
            )
    return DataError(f"{table.path} cannot be read as numbers ({error})", "Give numbers with a decimal point.")


def _load(table: _Text, columns: list[int], dtype: type) -> np.ndarray:
    """Return the numbers of these columns.

    Raises:
        ValueError: a field is not a number.
    """
    return np.loadtxt(
        table.lines, dtype=dtype, delimiter=table.delimiter, usecols=columns, ndmin=2, comments=None, quotechar='"'
    )


def _load_missing(table: _Text, columns: list[int]) -> np.ndarray:
    """Return the numbers of these columns, NaN for fields that are empty, NA or the like.

    Raises:
        ValueError: another field is not a number.
    """
    x = np.empty((len(table.lines), len(columns)))
    for row in range(len(table.lines)):
        fields = table.fields(row)
        x[row] = [float("nan" if fields[i].lower() in _MISSING else fields[i]) for i in columns]
    return x


def _label_column(table: _Text, width: int, wanted: str | None) -> int | None:
    """Return the index of the column of labels, None if there is none of that name.

    Raises:
        DataError: several columns have that name.
    """
    if wanted is None:
        return None
    if table.header is not None:
        if table.header.count(wanted) > 1:
            raise DataError(f"{table.path} has several columns {wanted!r}", "Rename all but one of them.")
        return table.header.index(wanted) if wanted in table.header else None
    return int(wanted) - 1 if wanted.isdecimal() and 1 <= int(wanted) <= width else None


def read_table(path: Path, wanted: str | None, missing: bool = False) -> Raw:
    """Read a table of numbers.

    Args:
        path: of the table.
        wanted: name of the column of labels, or without a header its number from 1.
        missing: True if a field that is empty or NA is a missing entry, NaN.

    Raises:
        DataError: the table is damaged, or holds other fields than numbers.
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
            raise _number_error(table, columns, missing, error) from error
    labels = None if label is None else np.array([table.fields(row)[label] for row in range(len(table.lines))])
    names = None if table.header is None else tuple(table.header[i] for i in columns)
    return Raw(x, labels, names, loose=True, choices=table.header or ())


def read_column(path: Path, n: int) -> np.ndarray:
    """Read the one column of a text file, as text [N]; one line more than n is a header.

    Raises:
        DataError: the file has several columns.
    """
    table = _open(path)
    if _check_width(table) != 1:
        raise DataError(f"labels must be a single column, and {path} has several", "Give a file with one label a line.")
    column = [table.fields(row)[0] for row in range(len(table.lines))]
    return np.array(column[1:] if len(column) == n + 1 and table.header is None else column)
