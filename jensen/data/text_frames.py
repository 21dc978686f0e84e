"""Tables in text, as they were given: separators, quotes, comments, header and the columns that number the rows."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ..core.errors import DataError
from ..core.wording import plural
from .dialects import Dialect
from .documents import document_error
from .fields import category, is_number
from .frames import Cells, Frame, TextCells, unique_names
from .headers import SAMPLE, is_index, judge, numbers_rows
from .lines import TextFile, read_text_file
from .selection import Header
from .separators import separator_remedy

__all__ = ["is_header", "names_of_text", "read_text_frame"]

DELIMITERS = "\t;,|"  # a semicolon takes precedence over a comma, which may be a decimal mark
PIECE = 50_000  # rows that are divided into columns at a time
_VALUES = (
    "number",
    "decimal comma",
    "unclear",
    "thousands",
    "date",
    "time",
    "money",
    "percentage",
)  # that name nothing
MIXED = 0.5  # of the fields of a table without a delimiter are numbers, if white space separates them
NAME = re.compile(r"^#+\s*")


@dataclass
class _Rows:
    """The rows of a table in text.

    Attributes:
        path: of the file.
        delimiter: of fields; " " for white space.
        fields: of each row.
        lines: the line at which each row begins, from 1.
        skipped: lines of comments.
    """

    path: Path
    delimiter: str
    fields: list[list[str]]
    lines: list[int]
    skipped: int = 0


def read_text_frame(path: Path, header: Header = "auto", known: Sequence[str] = ()) -> tuple[Frame, list[str]]:
    """Return the table in a file of text, plain or gzip-compressed, with notes.

    Args:
        path: of the file.
        header: "yes" if the first row holds names, "no" if it is data, "auto" to judge it.
        known: names of columns, by which a header is recognised.

    Raises:
        DataError: the file is no text or no table, quotes do not match, rows differ in their number of fields, or there
            are none.
    """
    file = read_text_file(path)
    try:
        return _read(file, path, header, known)
    except DataError as error:
        raise document_error(path, error) from error.__cause__


def _read(file: TextFile, path: Path, header: Header, known: Sequence[str]) -> tuple[Frame, list[str]]:
    """Return the table in a text, with notes."""
    notes, (rows, names) = list(file.notes), _rows(file.text, path)
    if not rows.fields:
        raise DataError(f"{path} has no rows", "Give one row per datum.")
    if rows.skipped:
        notes.append(f"{plural(rows.skipped, 'line')} of comments of {path} were skipped")
    named = _header(rows, header, known) if names is None else names
    if names is None and named is not None:
        first, rows = rows.lines[0], _Rows(path, rows.delimiter, rows.fields[1:], rows.lines[1:], rows.skipped)
        if not rows.fields:
            raise DataError(f"{path} has a header in line {first} and no rows", "Give one row per datum.")
        named = _aligned(named, rows.fields)
    _drop_blank_end(rows, notes)
    width = _width(rows, None if named is None else len(named))
    if named is not None and len(named) != width:
        what = f"line {rows.lines[0]} of {path} has {plural(width, 'field')}, and the header names {len(named)} columns"
        raise DataError(what, "Name every column once.")
    columns, lines = _columns(rows, width), np.array(rows.lines, dtype=np.int64)
    stripped = tuple(n.strip() for n in named) if named is not None else None
    own, changed = unique_names(stripped or [""] * width)
    if stripped is not None and changed:
        notes.append(f"columns of {path} without a name of their own are called {', '.join(changed[:8])}")
    dialect = Dialect.of_file(path, rows.delimiter, file.encoding, file.line_end)
    return Frame(own, columns, "csv", str(path), stripped, lines, dialect), notes


def names_of_text(
    text: str, path: Path, header: Header = "auto", known: Sequence[str] = (), fewest: int = 0
) -> tuple[str, ...] | None:
    """Return the names of the columns of a table, from its beginning; None where it has none, or fewer rows than these.

    Args:
        text: with line ends of one character.
        path, header, known: as for `read_text_frame`.
        fewest: rows.

    Raises:
        DataError: quotes do not match.
    """
    rows, names = _rows(text, path)
    if len(rows.fields) < max(fewest, 1):
        return None
    named = _header(rows, header, known) if names is None else names
    if named is None:
        return None
    aligned = _aligned(named, rows.fields[1:]) if names is None else named
    return unique_names([name.strip() for name in aligned])[0]


def _rows(text: str, path: Path) -> tuple[_Rows, list[str] | None]:
    """Return the rows of a text, and names that a comment before them holds, as NumPy writes them.

    Raises:
        DataError: quotes do not match.
    """
    start = len(text) - len(text.lstrip("\n"))
    first = text[start : text.find("\n", start) if "\n" in text[start:] else len(text)]
    declared = re.fullmatch(r'"?sep=(.)"?', first.strip("\ufeff "))
    if declared or first == "sep=\t":
        begin = text.find("\n", start) + 1
        body, offset = text[begin:] if begin else "", start + 1
        delimiter = declared[1] if declared else "\t"
    else:
        body, offset = text, 0
        delimiter = _delimiter(_sample(body))
    rows = _Rows(path, delimiter, [], [])
    comments = list[str]()
    for line, fields in _split(body, delimiter, path):
        if not fields or (not any(fields) and len(fields) == 1):
            continue
        if fields[0].startswith("#") and (not rows.fields or len(fields) != len(rows.fields[0])):
            if not rows.fields and not re.match(r"#+\s|#+$", fields[0]):  # "#id,age" is a header
                rows.fields.append(fields)
                rows.lines.append(line + offset)
                continue
            comments.append(delimiter.join(fields))
            continue
        rows.fields.append(fields)
        rows.lines.append(line + offset)
    names = None
    if comments and rows.fields:
        named = next((f for _, f in _split(NAME.sub("", comments[-1]), delimiter, path)), [])
        if len(named) == len(rows.fields[0]) > 1 and not all(map(is_number, named)):
            names = named
    rows.skipped = len(comments) - (names is not None)
    return rows, names


def _sample(text: str, most: int = 200) -> list[str]:
    """Return the first lines that are neither blank nor comments."""
    lines = (line.rstrip("\n") for line in io.StringIO(text))
    return list(islice((line for line in lines if line.strip() and not re.match(r"#+\s|#+$", line)), most))


def _split(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line at which each row begins, and its fields; none of a blank line.

    Raises:
        DataError: quotes do not match.
    """
    if delimiter == " " and '"' not in text:
        yield from ((i, line.split()) for i, line in enumerate(text.split("\n"), 1))
        return
    padded = delimiter == " " or f'{delimiter} "' in text
    if delimiter == " ":
        text = re.sub(r"[^\S\n]+", " ", re.sub(r"(?m)^[^\S\n]+|[^\S\n]+$", "", text))
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=padded, strict=True)
    line = 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"the row that begins in line {line} of {path} cannot be parsed ({error})",
                'Check its quotes: a field with quotes is written "so", and a quote in it twice, "".',
            ) from error
        yield line, fields
        line = reader.line_num + 1


def _delimiter(lines: list[str]) -> str:
    """Return the delimiter of lines: the one that divides most of them into the same number of fields, two or more."""
    best, share = " ", 0.0
    for delimiter in DELIMITERS:
        widths = Counter(_width_of(line, delimiter) for line in lines)
        width, count = max(widths.items(), key=lambda item: (item[0] > 1, item[1]), default=(1, 0))
        if width > 1 and count / len(lines) > share:
            best, share = delimiter, count / len(lines)
    tokens = [line.split() for line in lines]
    even = len({len(t) for t in tokens}) == 1 and len(tokens[0]) > 1 if tokens else False
    if best == "," and even and not any(re.search(", | ,", line) for line in lines):
        decimal = ("number", "decimal comma", "unclear")
        if all(category(field) in decimal for fields in tokens[-3:] for field in fields):
            return " "
    if share == 0.0:
        flat = [field for fields in tokens[1:] or tokens for field in fields]
        spaced = even and sum(map(is_number, flat)) >= MIXED * len(flat)
        return " " if spaced else ","
    return best


def _width_of(line: str, delimiter: str) -> int:
    """Return the number of fields of a line, if it is a row of its own."""
    bare = re.sub(r'"[^"]*"', "", line) if '"' in line else line
    return bare.count(delimiter) + 1


def _header(rows: _Rows, header: Header, known: Sequence[str]) -> list[str] | None:
    """Return the first row if it holds the names of the columns, else None."""
    if header != "auto":
        return rows.fields[0] if header == "yes" else None
    first, *body = [[f.strip() for f in row] for row in rows.fields[: SAMPLE + 1]]
    return rows.fields[0] if is_header(_aligned(first, body), body, known) else None


def is_header(first: list[str], body: list[list[str]], known: Sequence[str] = ()) -> bool:
    """Return whether the first row of a table holds the names of its columns.

    Args:
        first: its fields, stripped.
        body: fields of the rows below.
        known: names of columns, by which a header is recognised.

    Example:
        >>> is_header(["age", "sex"], [["31", "F"], ["45", "M"]]), is_header(["31", "F"], [["45", "M"]])
        (True, False)
    """
    if set(known) <= set(first) and not all(name.isdecimal() for name in known):  # which a table without has
        return True
    if not body:  # a table of one row: names, if it holds texts alone
        return all(category(f) == "text" for f in first)
    body = [row for row in body if len(row) == len(first)]
    return judge(first, body[:100]).is_header or _are_names(first, body)


def _are_names(first: list[str], body: list[list[str]]) -> bool:
    """Return whether texts name the columns below: one is above numbers or times alone, or none occurs below it, where
    others occur again."""
    columns = list(zip(*body, strict=True))
    if not columns or len(set(first)) < len(first) or any(category(f) in _VALUES for f in first):
        return False
    texts = [category(f) == "text" for f in first]
    below = [{category(f) for f in column[:100]} - {"missing"} for column in columns]
    if any(is_text and kinds and "text" not in kinds for is_text, kinds in zip(texts, below, strict=True)):
        return True
    if len(body) < 2 or not all(is_text or not f for is_text, f in zip(texts, first, strict=True)) or not any(texts):
        return False
    fresh = all(f not in column for f, column in zip(first, columns, strict=True) if f)
    return fresh and any(len(set(column)) <= len(column) / 2 for column in columns)


def _aligned(first: list[str], body: list[list[str]]) -> list[str]:
    """Return the fields of a header that has one less than the rows: R leaves the index without a name, and some
    programs end each row with a delimiter."""
    head = body[:SAMPLE]
    width = Counter(map(len, head)).most_common(1)[0][0] if head else 0
    rows = [row for row in head if len(row) == width]
    if len(first) + 1 != width or len(first) == 0:
        return first
    if all(not row[-1].strip() for row in rows):
        return [*first, ""]
    index = [row[0] for row in rows]
    counts = numbers_rows(index) and len(index) > 1
    return ["", *first] if counts or (is_index(index) and not is_number(index[0])) else first


def _drop_blank_end(rows: _Rows, notes: list[str]) -> None:
    """Leave out rows of empty fields at the end of a table, as spreadsheets write them."""
    blank = 0
    while len(rows.fields) > 1 and not any(f.strip() for f in rows.fields[-1]):
        rows.fields.pop()
        rows.lines.pop()
        blank += 1
    if blank:
        notes.append(f"{plural(blank, 'row')} of empty fields at the end of {rows.path} were left out")


def _width(rows: _Rows, named: int | None) -> int:
    """Return the number of columns.

    Raises:
        DataError: rows have different numbers; the first that differs from most others is named.
    """
    counts = list(map(len, rows.fields))
    common = Counter(counts)
    width = max(common, key=lambda n: (common[n], n == (named or counts[0])))
    if len(common) > 1:
        row = next(i for i, count in enumerate(counts) if count != width)
        remedy = "Every row needs the same number of columns; a field that holds the separator is written in quotes."
        if width == 1:  # of most rows, which have no separator that is looked for
            remedy = separator_remedy([rows.delimiter.join(fields) for fields in rows.fields[:SAMPLE]])
        what = f"line {rows.lines[row]} of {rows.path} has {plural(counts[row], 'field')} instead of {width}"
        raise DataError(what, remedy)
    return width


def _columns(rows: _Rows, width: int) -> tuple[Cells, ...]:
    """Return the cells of each column; the texts of a piece of the rows are numbered at a time."""
    numbers: list[dict[str, int]] = [{} for _ in range(width)]
    codes = np.empty((width, len(rows.fields)), dtype=np.int32)
    for start in range(0, len(rows.fields), PIECE):
        piece = rows.fields[start : start + PIECE]
        for number, own, column in zip(numbers, codes, zip(*piece, strict=True), strict=True):
            own[start : start + len(piece)] = [number.setdefault(text, len(number)) for text in column]
    columns = list[Cells]()
    for number, own in zip(numbers, codes, strict=True):
        texts = np.empty(len(number), dtype=object)
        texts[:] = list(number)
        columns.append(TextCells(texts, own))
    return tuple(columns)
