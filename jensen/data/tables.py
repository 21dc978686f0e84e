"""Tables of numbers in text: CSV, with encoding, delimiter, header, index and decimal mark inferred."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from ..core.wording import plural
from .dataset import MISSING_REMEDY, Raw
from .documents import document_error
from .fields import category, explain, is_missing, is_number
from .headers import SAMPLE, Verdict, is_index, is_unnamed, judge, leading_indices, numbers_rows
from .identity import is_identifier, kept_as, left_out, suspected
from .lines import Lines, read_lines
from .selection import Selection

__all__ = ["read_column", "read_table"]


@dataclass(frozen=True)
class _Table:
    """The rows of a table, with the names of its columns, None without a header."""

    lines: Lines
    header: tuple[str, ...] | None
    width: int

    def column(self, index: int) -> Iterator[str]:
        """Yield the fields of a column."""
        return (self.lines.field(row, index) for row in range(len(self.lines)))

    def label(self, index: int) -> str:
        """Return the name of a column, or its number from 1, as options take it."""
        return self.header[index] if self.header and self.header[index] else str(index + 1)

    def place(self, row: int, index: int) -> str:
        """Return line and column of a field in words."""
        name = f" ({self.header[index]})" if self.header and self.header[index] else ""
        return f"line {self.lines.numbers[row]}, column {index + 1}{name} of {self.lines.path}"


def _aligned(first: list[str], body: list[list[str]]) -> list[str]:
    """Return the fields of a header that has one less than the rows: R leaves the index without a name, and some
    programs end each row with a delimiter."""
    width = Counter(map(len, body)).most_common(1)[0][0] if body else 0
    rows = [row for row in body if len(row) == width]
    if len(first) + 1 != width or len(first) == 0:
        return first
    if all(not row[-1] for row in rows):
        return [*first, ""]
    index = [row[0] for row in rows]
    counts = numbers_rows(index) and len(index) > 1
    return ["", *first] if counts or (is_index(index) and category(index[0]) != "number") else first


def _judged(first: list[str], body: list[list[str]], commented: bool, options: Selection) -> Verdict:
    """Judge a first line: by the names that are known, else by the options, else by how it differs."""
    if options.known and 2 * len(set(options.known) & set(first)) >= len(options.known):
        return Verdict(True)  # an absent one is named by who looks for it
    if options.header == "no" or (options.header == "yes" and not options.known):
        return Verdict(options.header == "yes")
    return Verdict(True) if commented else judge(first, body)  # a later file may lack the header of the first


def _doubt(first: list[str], verdict: Verdict, number: int) -> str:
    """Return a note on a first line that could be read in two ways."""
    fields = ", ".join(first[:4]) + (", ..." if len(first) > 4 else "")
    if verdict.is_header:
        return f"line {number} ({fields}) is read as the names of the columns; if it is a row of data: --header no"
    return f"line {number} ({fields}) is read as a row of data; if it names the columns: --header yes"


def _open(path: Path, options: Selection) -> tuple[_Table, list[str]]:
    """Return a table, with notes.

    Raises:
        DataError: the file is too large, not text, or has no rows, or rows of different width.
    """
    lines, notes, commented = read_lines(path)
    if commented and options.header == "no":
        lines, commented = lines.after(1), False
    body = [lines.fields(row) for row in range(1, min(len(lines), SAMPLE))]
    given = lines.fields(0)
    first = _aligned(given, body)
    verdict = _judged(first, body, commented, options)
    if verdict.doubt:
        notes.append(_doubt(given, verdict, lines.numbers[0]))
    if not verdict.is_header:
        return _Table(lines, None, _width(lines)), notes
    if len(lines) == 1:
        raise DataError(f"{path} has a header and no rows", "Give one row of numbers per datum.")
    rows = lines.after(1)
    width = _width(rows, len(first))
    if width != len(first):
        raise DataError(
            f"line {lines.numbers[0]} of {path} names {len(given)} columns, and the rows have {width}",
            "Name every column once.",
        )
    return _Table(rows, tuple(first), width), notes


def _width(lines: Lines, named: int | None = None) -> int:
    """Return the number of columns.

    Raises:
        DataError: rows have different numbers; the line that differs from most others is named.
    """
    counts = [lines.count(row) for row in range(len(lines))]
    common = Counter(counts)
    width = max(common, key=lambda n: (common[n], n == (named or counts[0])))
    for row, count in enumerate(counts if len(common) > 1 else ()):
        if count != width:
            alike = [i for i in range(min(len(lines), SAMPLE)) if counts[i] == width]
            if not any(is_number(f) for i in alike for f in lines.fields(i)):
                raise DataError(f"{lines.path} is no table: its lines are not divided into numbers", "Give a table.")
            raise DataError(
                f"line {lines.numbers[row]} of {lines.path} has {plural(count, 'field')} instead of {width}",
                "Every row needs the same number of columns.",
            )
    return width


def _number_error(table: _Table, columns: list[int], convert: Callable[[str], str]) -> DataError:
    """Return the error of the first field that is neither a number nor missing; of the first missing one otherwise."""
    missing: DataError | None = None
    for row in range(len(table.lines)):
        fields = table.lines.fields(row)
        for index in columns:
            field = fields[index]
            if is_missing(field) and missing is None:
                content = f"is {field!r}, a missing entry" if field else "is empty, a missing entry"
                remedy = f"{MISSING_REMEDY}; or fill it, or drop the row or the column."
                missing = DataError(f"{table.place(row, index)} {content}", remedy)
            if category(convert(field)) not in ("number", "missing"):
                what, remedy = explain(field, table.label(index))
                return DataError(f"{table.place(row, index)} is {field!r}, {what}", remedy)
    return missing or DataError(f"{table.lines.path} cannot be read as numbers", "Give numbers with a decimal point.")


def _load(table: _Table, columns: list[int]) -> np.ndarray:
    """Return the numbers of these columns.

    Raises:
        ValueError: a field is not a number.
    """
    lines = table.lines
    options = {"usecols": columns, "ndmin": 2, "comments": None, "quotechar": '"'}
    return np.loadtxt(lines.lines, dtype=np.float64, delimiter=lines.delimiter, **options)


def _decimal_mark(table: _Table, columns: list[int]) -> Callable[[str], str] | None:
    """Return a function that writes decimal points for decimal commas; None if commas are not, or not certainly, such.

    They are if one of them cannot separate thousands, and no point can be a decimal one.
    """
    certain = grouped = False
    points: set[bool] = set()
    for row in range(len(table.lines)):
        fields = table.lines.fields(row)
        for field in (fields[i] for i in columns):
            if "," in field:
                kind = category(field)
                if kind not in ("decimal comma", "unclear"):
                    return None
                certain, grouped = certain or kind == "decimal comma", grouped or "." in field
            elif "." in field and not is_missing(field):
                points.add(re.fullmatch(r"[+-]?[1-9]\d{0,2}(\.\d{3})+", field) is not None)
    if not certain or points - {True} or (points and not grouped):
        return None
    return lambda field: (field.replace(".", "") if grouped else field).replace(",", ".")


def _numbers(table: _Table, columns: list[int], missing: bool, notes: list[str]) -> np.ndarray:
    """Return the numbers of these columns, NaN for missing entries, and note decimal commas.

    Raises:
        DataError: a field is something else; or it is missing, and `missing` is False.
    """
    try:
        return _load(table, columns)
    except ValueError:
        pass  # a missing entry, a decimal comma, or something that is refused
    mark = _decimal_mark(table, columns)
    convert = mark or str
    x = np.empty((len(table.lines), len(columns)))
    for row in range(len(x)):
        fields = table.lines.fields(row)
        texts = [fields[i] for i in columns]
        if not missing and any(is_missing(t) and not is_number(t) for t in texts):
            raise _number_error(table, columns, convert)
        try:
            x[row] = [float("nan") if is_missing(t) else _number(convert(t)) for t in texts]
        except ValueError as error:
            raise _number_error(table, columns, convert) from error
    if mark is not None:
        notes.append(f"{table.lines.path} has decimal commas, which are read as such")
    return x


def _number(text: str) -> float:
    """Return a number from a text; Python's own reading allows underscores too.

    Raises:
        ValueError: it is not a number.
    """
    if "_" in text:
        raise ValueError(text)
    return float(text)


def _label_column(table: _Table, wanted: str | None) -> int | None:
    """Return the index of the column of labels, None if there is none of that name.

    Raises:
        DataError: several columns have that name.
    """
    if wanted is None:
        return None
    if table.header is not None:
        if table.header.count(wanted) > 1:
            raise DataError(f"{table.lines.path} has several columns {wanted!r}", "Rename all but one of them.")
        return table.header.index(wanted) if wanted in table.header else None
    return int(wanted) - 1 if wanted.isdecimal() and 1 <= int(wanted) <= table.width else None


def _identifiers(table: _Table, wanted: Selection, without: set[int]) -> list[int]:
    """Return the columns with a name that identify rows, unless they are all there is.

    Of known columns, others than these may do so in rows too few to show it.
    """
    if table.header is None:
        return []
    sample = [table.lines.fields(row) for row in range(min(len(table.lines), SAMPLE))]
    identifiers, few = list[int](), wanted.by_name and wanted.later
    for index, (name, fields) in enumerate(zip(table.header, zip(*sample, strict=True), strict=True)):
        is_open = index not in without and name not in (wanted.columns or wanted.known or ())
        if is_open and name not in wanted.drop and is_identifier(name, fields, few):
            identifiers += (
                [index] if len(sample) == len(table.lines) or is_identifier(name, list(table.column(index))) else []
            )
    left = set(range(table.width)) - without - {table.header.index(n) for n in wanted.drop if n in table.header}
    return identifiers if left - set(identifiers) else []


def _indices(table: _Table, wanted: Selection) -> set[int]:
    """Return the first columns that have no name and number or name the rows."""
    names = table.header or ()
    count = leading_indices(names, (list(table.column(i)) for i in range(table.width - 1)))
    if wanted.known and set(wanted.known) <= set(names):  # of known columns, too few rows may not show it
        while is_unnamed(names[count]) and names[count] not in wanted.known:
            count += 1
    return set(range(count))


def _not_data(table: _Table, wanted: Selection, missing: bool, notes: list[str]) -> tuple[set[int], set[int]]:
    """Return the columns without a name that are an index, and those empty at the end of rows; each is noted."""
    names, last = table.header, table.width - 1
    without = _indices(table, wanted)
    is_nameless = not missing if names is None else not names[-1]  # without a header, an entry may be missing
    if last and is_nameless and not any(table.column(last)):
        without.add(last)
    without -= {i for i in without if table.label(i) in (wanted.columns or ())}
    for index in sorted(without):
        why = "is empty" if index == last else "has no name and numbers or names the rows"
        keep = "" if index == last else "; to keep it, give it a name of its own in the file"
        notes.append(f"column {index + 1} {why}: it is left out{keep}")
    return without - {last}, without & {last}


def read_table(path: Path, wanted: str | None, missing: bool = False, options: Selection | None = None) -> Raw:
    """Read a table of numbers.

    A first column without a name (or `Unnamed: 0`, as pandas calls it) that numbers or names the rows is left out, and
    so are columns that identify them (see `identity`): they are kept beside the data.

    Args:
        path: of the table.
        wanted: name of the column of labels, or without a header its number from 1.
        missing: True if a field that is empty or NA is a missing entry, NaN.
        options: header and columns; by default both are inferred.

    Raises:
        DataError: the table is damaged, lacks a column that is asked for, or holds other fields than numbers.
    """
    options = options or Selection()
    try:
        table, notes = _open(path, options)
    except DataError as error:
        raise document_error(path, error) from error.__cause__
    label = _label_column(table, wanted)
    indices, empty = _not_data(table, options, missing, notes)
    without = indices | empty | (set() if label is None else {label})
    if len(without) == table.width:
        raise DataError(f"{path} has no column but its labels", "Give at least one column of data.")
    names = table.header or tuple(str(i + 1) for i in range(table.width))
    identifiers = _identifiers(table, options, without)
    columns = options.chosen(names, without | set(identifiers), str(path), table.header is not None)
    columns = [i for i in columns if i != label]
    if not columns:
        raise DataError(f"{path} has no column but its labels", "Give at least one column of data.")
    if table.header is None and options.later and options.known and len(columns) == len(options.known):
        notes.append(f"{path} has no header: its columns are taken for {', '.join(options.known[:8])} in this order")
    x = _numbers(table, columns, missing, notes)
    labels = None if label is None else np.array(list(table.column(label)))
    chosen = None if table.header is None else tuple(names[i] for i in columns)
    raw = Raw(x, labels, chosen, notes=notes, loose=True, choices=table.header or ())
    dropped = {i for i in range(table.width) if table.label(i) in options.drop}
    beside = sorted((indices | dropped | set(identifiers)) - set(columns))
    for index in beside:
        name = kept_as(table.header[index] if table.header else None, index, raw.identity)
        raw.identity[name] = np.array(list(table.column(index)))
    if identifiers and not options.by_name and options.columns is None:
        notes.append(left_out([names[i] for i in identifiers]))
    if not options.later and options.columns is None:
        notes += suspected([table.label(i) for i in columns], x)
    if table.header is not None:
        notes += options.ignored(names, {*columns, *beside, *without}, str(path))
    return raw


def read_column(path: Path, n: int) -> np.ndarray:
    """Read the one column of a text file, as text [N], beside an index; one line more than n is a header.

    Raises:
        DataError: the file has several columns.
    """
    table, _ = _open(path, Selection())
    total = len(table.lines) + (table.header is not None)
    if total in (n, n + 1):
        table, _ = _open(path, Selection(header="yes" if total == n + 1 else "no"))
    last = table.width - 1
    is_beside = table.width == 2 and (table.header is None or is_unnamed(table.header[0]))
    if last and not (is_beside and is_index(list(table.column(0)))):
        raise DataError(f"labels must be a single column, and {path} has several", "Give a file with one label a line.")
    return np.array(list(table.column(last)))
