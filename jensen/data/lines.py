"""The lines of a text file: decoded, unpacked, and divided into fields."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import DataError
from ..core.memory import available_memory
from .encodings import decoded_bytes
from .fields import category
from .sizes import TEXT, check_size

__all__ = ["Lines", "TextFile", "decoded", "read_lines", "read_text", "read_text_file", "split_names"]

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
MOST_CONTROL = 0.3  # of characters; a cell of text may hold some, such as the escapes of a terminal's colours
MOST_UNPACKED, MOST_RATIO = 2**26, 100  # bytes of compressed text, at least, and of each of its compressed bytes
DELIMITERS = "\t;,|"  # a semicolon takes precedence over a comma, which may be a decimal mark


@dataclass(frozen=True)
class Lines:
    """The lines of a file that are not blank.

    Attributes:
        path: of the file.
        lines: the lines.
        numbers: their numbers in the file, from 1.
        delimiter: of fields, None for white space.
    """

    path: Path
    lines: list[str]
    numbers: list[int]
    delimiter: str | None

    def __len__(self) -> int:
        return len(self.lines)

    def fields(self, row: int) -> list[str]:
        """Return the fields of a row.

        Raises:
            DataError: its quotes do not match.
        """
        return _fields(self.lines[row], self.delimiter, self.path)

    def field(self, row: int, index: int) -> str:
        """Return one field of a row; without quotes, the rest of the line need not be divided.

        Raises:
            DataError: its quotes do not match.
        """
        line = self.lines[row]
        if self.delimiter and '"' not in line:
            return line.split(self.delimiter, index + 1)[index].strip()
        return self.fields(row)[index]

    def count(self, row: int) -> int:
        """Return the number of fields of a row; without quotes, counting delimiters is faster than parsing.

        Raises:
            DataError: its quotes do not match.
        """
        line = self.lines[row]
        return line.count(self.delimiter) + 1 if self.delimiter and '"' not in line else len(self.fields(row))

    def after(self, rows: int) -> Lines:
        """Return the lines without the first ones."""
        return Lines(self.path, self.lines[rows:], self.numbers[rows:], self.delimiter)


def _fields(line: str, delimiter: str | None, path: Path) -> list[str]:
    """Return the fields of a line.

    Raises:
        DataError: its quotes do not match.
    """
    if delimiter is None and '"' not in line:
        return line.split()
    try:
        # several spaces are one delimiter
        text = line if delimiter else re.sub(r"\s+", " ", line.strip())
        return [f.strip() for f in next(csv.reader([text], delimiter=delimiter or " "), [])]
    except csv.Error as error:
        raise DataError(
            f"the line of {path} that begins with {line[:20]!r} cannot be parsed ({error})", "Check its quotes."
        ) from error


def split_names(text: str) -> tuple[str, ...]:
    """Return the names in a list that commas separate; a name with a comma is quoted.

    Example:
        >>> split_names('a,"weight, kg"')
        ('a', 'weight, kg')
    """
    return tuple(name.strip() for name in next(csv.reader([text], skipinitialspace=True), []))


@dataclass(frozen=True)
class TextFile:
    """The text of a file.

    Attributes:
        text: with line ends of one character.
        notes: for the user.
        encoding: one of `encodings.ENCODINGS`.
        line_end: of most lines, as the file has it.
    """

    text: str
    notes: tuple[str, ...]
    encoding: str
    line_end: str


def decoded(content: bytes, where: str) -> tuple[str, list[str]]:
    """Return a text in UTF-8, UTF-16, UTF-32 or Windows-1252, with a note on the last, and on bytes that are no UTF-8.

    Raises:
        DataError: it is not text.
    """
    text, notes, _ = _decoded(content, where)
    return text, notes


def _decoded(content: bytes, where: str) -> tuple[str, list[str], str]:
    """Return a text, notes, and its encoding; see `decoded`."""
    text, notes, encoding = decoded_bytes(content, where)
    place, strange = text.find("\0"), len(_CONTROL.findall(text))
    if place >= 0:
        line = text.count("\n", 0, place) + 1
        what = f"{where} is not text: line {line:,} holds the control character 0x00"
        raise DataError(what, "Give a table, as text.")
    if strange > MOST_CONTROL * len(text):
        what = f"{where} is not text: {strange:,} of its {len(text):,} characters are control characters"
        raise DataError(what, "Give a table, as text.")
    return text, notes, encoding


def _content(path: Path) -> bytes:
    """Return the bytes of a file, unpacked if gzip-compressed.

    Raises:
        DataError: it is too large, or damaged.
    """
    check_size(path.stat().st_size, str(path), "Give fewer rows or columns, or save them as .npy", TEXT, "holds")
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            return file.read()
    most = min(max(MOST_UNPACKED, MOST_RATIO * path.stat().st_size), available_memory() // TEXT)
    try:
        with gzip.open(path) as file:
            content = file.read(most + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error, OSError) as error:
        raise DataError(f"{path} is damaged ({error})", "Write or download it again.") from error
    if len(content) > most:
        raise DataError(f"{path} unpacks to more than {most / 2**20:,.0f} MiB", f"Unpack it first: gunzip {path.name}.")
    return content


def read_text(path: Path) -> tuple[str, list[str]]:
    """Return a text file, plain or gzip-compressed, with notes.

    Raises:
        DataError: it is too large, damaged or not text.
    """
    file = read_text_file(path)
    return file.text, list(file.notes)


def read_text_file(path: Path) -> TextFile:
    """Return a text file, plain or gzip-compressed, with its encoding and line ends.

    Raises:
        DataError: it is too large, damaged or not text.
    """
    text, notes, encoding = _decoded(_content(path), str(path))
    line_end = "\r\n" if 2 * text.count("\r\n") > text.count("\n") else "\n"
    return TextFile(text.replace("\r\n", "\n").replace("\r", "\n"), tuple(notes), encoding, line_end)


def _are_spaced(line: str) -> bool:
    """Return whether white space separates numbers with decimal commas in a line."""
    fields = line.split()
    return len(fields) > 1 and all(category(f) in ("number", "decimal comma", "unclear") for f in fields)


def _delimiter(lines: list[str]) -> str | None:
    """Return the delimiter of lines, None for white space; text in quotes does not count."""
    bare = re.sub(r'"[^"]*"', '""', lines[0])
    delimiter = next((d for d in DELIMITERS if d in bare), None)
    # "1,5 2,5": the commas are decimal marks, unless fields are padded with spaces after a comma
    if delimiter == "," and not re.search(", | ,", bare) and all(_are_spaced(line) for line in lines[-3:]):
        return None
    return delimiter


def read_lines(path: Path) -> tuple[Lines, list[str], bool]:
    """Return the lines of a table, notes, and whether the first line is a comment: its names, as NumPy writes them.

    Comments before the table, and the line `sep=;` of spreadsheets, are no part of it.

    Raises:
        DataError: the file is too large, not text, or has no rows.
    """
    text, notes = read_text(path)
    numbered = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    declared = re.fullmatch(r'"?sep=(.)"?', numbered[0][1].strip()) if numbered else None
    numbered = numbered[1:] if declared or (numbered and numbered[0][1] == "sep=\t") else numbered
    comments = next((i for i, (_, line) in enumerate(numbered) if not re.match(r"#+\s", line)), len(numbered))
    if comments == len(numbered):
        raise DataError(f"{path} has no rows", "Give one row of numbers per datum.")
    lines, numbers = [line for _, line in numbered], [i for i, _ in numbered]
    delimiter = declared[1] if declared else _delimiter(lines[comments:])
    table = Lines(path, lines, numbers, delimiter)
    if not comments:
        return table, notes, False
    named = re.sub(r"^#+\s*", "", lines[comments - 1])
    if len(_fields(named, delimiter, path)) == table.count(comments):
        lines[comments - 1] = named
        return table.after(comments - 1), notes, True
    return table.after(comments), [*notes, f"{comments} lines of comments of {path} were skipped"], False
