"""Tables as CSV, written piece by piece, with the cells that a spreadsheet would run."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..data import UNKNOWN
from ..data.number_texts import is_negative_number

__all__ = ["Formulas", "Piece", "Table"]

ROWS = 1000  # rows that are formatted at a time
FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # what a spreadsheet would run begins so, in full width too


@dataclass(frozen=True)
class Piece:
    """Rows that are written together.

    Attributes:
        x: [B, ...].
        labels: [B], or None.
        before: columns of a table before all others: whole numbers or names [B].
    """

    x: np.ndarray
    labels: np.ndarray | None
    before: Mapping[str, np.ndarray]


class Formulas:
    """The cells of text that a spreadsheet would run: their number and texts, with an apostrophe if wanted."""

    def __init__(self, safe: bool) -> None:
        self.safe = safe
        self.n = 0
        self.texts = set[str]()

    def cell(self, text: str) -> str:
        """Return the cell of a text."""
        if not text.startswith(FORMULA) or _is_number(text):
            return text
        self.n += 1
        self.texts.add(text)
        return f"'{text}" if self.safe else text


def _is_number(text: str) -> bool:
    """Return whether a text is a number, such as -1 or -45,80 of a table with decimal commas: a spreadsheet runs none,
    and an apostrophe would make text of it."""
    if is_negative_number(text):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


class _Stream(Protocol):
    """Takes the text of a table."""

    def write(self, text: str, /) -> int: ...


class _UnixLines:
    """Ends the rows of a writer by newlines alone.

    A writer that ends rows so itself leaves a carriage return within a cell without quotes, where readers end the row.
    """

    def __init__(self, stream: _Stream) -> None:
        self.stream = stream

    def write(self, row: str) -> int:
        """Write one row."""
        return self.stream.write(row.removesuffix("\r\n") + "\n")


def _rows(x: np.ndarray, labels: np.ndarray | None, classes: Sequence[str] | None) -> Iterator[list[str]]:
    """Yield the fields of each row, its label last."""
    flat = x.reshape(len(x), -1)
    for start in range(0, len(flat), ROWS):
        # NumPy writes the fewest digits that are read as the same number
        part = flat[start : start + ROWS].astype(str)
        part[part == "nan"] = ""  # a number that is not known
        for i, row in enumerate(part.tolist(), start):
            if labels is not None:
                number = int(labels[i])
                name = classes[number] if classes and 0 <= number < len(classes) else str(number)
                row.append("" if number == UNKNOWN else name)
            yield row


class Table:
    """A table with a header, written as CSV piece by piece; it counts the cells that a spreadsheet would run."""

    def __init__(self, names: Sequence[str], classes: Sequence[str] | None, first: Piece, safe: bool) -> None:
        self.header = [*first.before, *names, *([] if first.labels is None else ["label"])]
        self.classes, self.formulas = classes, Formulas(safe)

    def write(self, stream: _Stream, piece: Piece) -> None:
        """Write the rows of a piece, after the header if it is the first."""
        writer, formulas = csv.writer(_UnixLines(stream), lineterminator="\r\n"), self.formulas
        if self.header:
            writer.writerow(map(formulas.cell, self.header))
            self.header = []
        for i, row in enumerate(_rows(piece.x, piece.labels, self.classes)):
            if piece.labels is not None:
                row[-1] = formulas.cell(row[-1])
            writer.writerow([*(formulas.cell(str(column[i])) for column in piece.before.values()), *row])
