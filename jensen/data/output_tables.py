"""Tables of results: the table that was given, with cells replaced, and with rows and columns added.

Every cell that is not replaced stays as it was, in its text or its type.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from .cells import decode, encode
from .columns import Column
from .determined import is_empty, spread, values_of
from .dialects import Dialect
from .frames import Frame, StoredColumns, TextCells
from .table_values import Holds, holds_of, objects

__all__ = [
    "OutputTable",
    "PlainTable",
    "filled",
    "object_array",
    "plain_holds",
    "plain_table",
    "stored_levels",
    "text_of",
]


class OutputTable(ABC):
    """A table of results, whose cells have the types of its source. Its methods return new tables."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of all columns, as they are written."""

    @property
    @abstractmethod
    def data(self) -> Any:
        """The table as an object of its library."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def cell(self, row: int, place: int) -> Any:
        """Return a cell, as it is held."""

    @abstractmethod
    def replaced(
        self, place: int, column: Column, x: np.ndarray, where: np.ndarray, known: Mapping[str, Any]
    ) -> OutputTable:
        """Return the table with other cells in one column.

        Args:
            place: of the column, from 0.
            column: of the numbers.
            x: [N], as a data set stores them.
            where: [N], True where a cell is replaced.
            known: the objects that levels are here, by their names.
        """

    @abstractmethod
    def inserted(self, place: int, name: str, values: np.ndarray) -> OutputTable:
        """Return the table with another column before the one at this place.

        Args:
            place: of the column, from 0; as many as there are columns for the end.
            name: of the column.
            values: [N] numbers, texts or times; NaN, None and NaT are missing.
        """

    @abstractmethod
    def only(self, places: Sequence[int]) -> OutputTable:
        """Return the table with these columns alone."""

    @abstractmethod
    def repeated(self, n: int) -> OutputTable:
        """Return the table with all its rows n times, one time after another."""


def filled(
    table: OutputTable,
    frame: Frame | None,
    columns: Sequence[Column],
    x: np.ndarray,
    where: np.ndarray,
    levels: Mapping[str, Mapping[str, Any]] | None = None,
) -> OutputTable:
    """Return a table with numbers of a model in some of its cells.

    Args:
        table: N rows.
        frame: of the same rows, as they were read; None where the columns are those of the data, in their order.
        columns: the D columns that are data.
        x: [N, D], as a data set stores them.
        where: [N, D], True where a cell is replaced; so is one that its column lacks, and another column told.
        levels: by column, the objects that stand for levels by their names, where these are some of the rows of a table
            (see `stored_levels`); None finds them in the frame.
    """
    everything = [(c, x[:, d], where[:, d]) for d, c in enumerate(columns)]
    if frame is not None:
        everything = [part for cells in everything for part in _determining(frame, *cells)]
    elif any(c.determines for c in columns):
        own, x, where = spread(columns, x, where)
        everything = [(c, x[:, d], where[:, d]) for d, c in enumerate(own)]
    for d, (column, values, replaced) in enumerate(everything):
        if replaced.any() and (frame is None or frame.names.index(column.name) < len(table.names)):  # it has this one
            place, known = d, {}
            if frame is not None:
                place = frame.names.index(column.name)
                if levels is not None:
                    known = levels.get(column.name, {})
                elif column.is_levelled:
                    known = _known_levels(frame, place, column, table.cell)
            table = table.replaced(place, column, values, replaced, known)
    return table


def _determining(
    frame: Frame, column: Column, x: np.ndarray, where: np.ndarray
) -> list[tuple[Column, np.ndarray, np.ndarray]]:
    """Return a column and those of the frame that it determines, with their numbers [N] and where they are replaced."""
    others = [d for d in column.determines if d.column.name in frame.names]
    if not others:
        return [(column, x, where)]
    times = len(x) // len(frame)  # of the rows, which may be there several times

    def lacks(own: Column) -> np.ndarray:
        return np.tile(is_empty(own, frame.columns[frame.names.index(own.name)]), times)

    parts = [(column, x, where | lacks(column))]
    for determined in others:
        values = values_of(determined, x)
        known = ~np.isnan(values)
        parts.append((determined.column, np.where(known, values, 0.0), known & (where | lacks(determined.column))))
    return parts


def _known_levels(frame: Frame, place: int, column: Column, cell: Callable[[int, int], Any]) -> dict[str, Any]:
    """Return, by the names of levels, the objects that stand for them in a column, as far as they occur in it."""
    values, observed, _ = encode(column, frame.columns[place])
    rows = np.flatnonzero(observed)
    levels, first = np.unique(values[rows], return_index=True)
    return {column.levels[int(v)]: cell(int(rows[i]), place) for v, i in zip(levels, first, strict=True)}


def stored_levels(frame: Frame, columns: Sequence[Column]) -> dict[str, dict[str, Any]]:
    """Return, by column and by the names of levels, the objects that stand for them in a table that stays in its files,
    as far as they occur in it.

    Args:
        frame: of all rows.
        columns: that are data.
    """
    stored, levels = frame.columns, dict[str, dict[str, Any]]()
    if not isinstance(stored, StoredColumns):
        return levels
    for column in (own for c in columns for own in (c, *(d.column for d in c.determines))):
        if column.is_levelled and column.name in frame.names:
            place = frame.names.index(column.name)
            cells = stored.column(place)
            levels[column.name] = _known_levels(frame, place, column, lambda row, _, cells=cells: cells[row].as_py())
    return levels


def object_array(values: Sequence[Any]) -> np.ndarray:
    """Return values [N] as an array of objects, whatever they are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


class PlainTable(OutputTable):
    """A table of plain cells: texts, or the objects of a spreadsheet.

    Args:
        header: names of the columns.
        columns: their cells [N], as objects; None is missing.
        texts: True if all cells are texts, as in a CSV file.
        has_header: whether the header is written.
        dialect: of a file of text.
        formats: of the numbers of each column of a spreadsheet.
    """

    def __init__(
        self,
        header: Sequence[str],
        columns: Sequence[np.ndarray],
        texts: bool,
        has_header: bool = True,
        dialect: Dialect | None = None,
        formats: Sequence[str] | None = None,
    ) -> None:
        self.header, self.columns, self.texts = tuple(header), tuple(columns), texts
        self.has_header, self.dialect = has_header, dialect or Dialect()
        self.formats = tuple(formats or ["General"] * len(self.header))

    def _like(
        self, header: Sequence[str], columns: Sequence[np.ndarray], formats: Sequence[str] | None = None
    ) -> PlainTable:
        return PlainTable(header, columns, self.texts, self.has_header, self.dialect, formats or self.formats)

    @property
    def names(self) -> tuple[str, ...]:
        return self.header

    @property
    def data(self) -> dict[str, list[Any]]:
        return {name: column.tolist() for name, column in zip(self.header, self.columns, strict=True)}

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def cell(self, row: int, place: int) -> Any:
        return self.columns[place][row]

    def replaced(
        self, place: int, column: Column, x: np.ndarray, where: np.ndarray, known: Mapping[str, Any]
    ) -> PlainTable:
        cells = self.columns[place].copy()
        if self.texts:
            cells[where] = decode(column, x[where])
        else:
            like = next((c for c in cells[~where] if c is not None), None)
            new = objects(column, x[where], plain_holds(column, like), known)
            cells[where] = object_array([_naive(v) for v in new])
        return self._like(self.header, [*self.columns[:place], cells, *self.columns[place + 1 :]])

    def inserted(self, place: int, name: str, values: np.ndarray) -> PlainTable:
        cells = [_plain(v) for v in values.tolist()]
        if self.texts and values.dtype.kind == "f":  # the fewest digits that are read as the same number
            cells = ["" if t == "nan" else self.dialect.number(t) for t in values.astype(str).tolist()]
        elif self.texts:
            cells = [text_of(v) for v in cells]
        columns = [*self.columns[:place], object_array(cells), *self.columns[place:]]
        header = [*self.header[:place], name, *self.header[place:]]
        return self._like(header, columns, [*self.formats[:place], "General", *self.formats[place:]])

    def only(self, places: Sequence[int]) -> PlainTable:
        header, columns = [self.header[i] for i in places], [self.columns[i] for i in places]
        return self._like(header, columns, [self.formats[i] for i in places])

    def repeated(self, n: int) -> PlainTable:
        return self._like(self.header, [np.tile(column, n) for column in self.columns])


def plain_holds(column: Column, like: Any) -> Holds:
    """Return what the cells of a column are objects of: that of one of them, or by the kind of the column."""
    if like is not None:
        return "number" if holds_of(like) == "whole" and not column.is_discrete else holds_of(like)
    if column.is_levelled:
        return "text"
    return "time" if column.kind == "datetime" else "whole" if column.is_discrete else "number"


def _naive(value: Any) -> Any:
    """Return a time without its zone, which spreadsheets do not have."""
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


def _plain(value: Any) -> Any:
    """Return None for NaN, and any other value as it is."""
    return None if value is None or value != value else value


def text_of(value: Any) -> str:
    """Return a value as the text of a cell."""
    if value is None:
        return ""
    return value.isoformat(sep=" ") if isinstance(value, datetime) else str(value)


def plain_table(frame: Frame) -> PlainTable:
    """Return the cells of a file of text, or of a spreadsheet, as they are."""
    texts = frame.source_kind in ("csv", "array")
    columns = []
    for cells in frame.columns:
        values = cells.array()
        if not isinstance(cells, TextCells):
            values = object_array([v if ok else None for v, ok in zip(values.tolist(), cells.observed, strict=True)])
        if texts:
            values = object_array([v if isinstance(v, str) else text_of(v) for v in values.tolist()])
        columns.append(values)
    return PlainTable(
        frame.header or frame.names,
        columns,
        texts,
        has_header=frame.header is not None,
        dialect=frame.dialect,
        formats=frame.origin if frame.source_kind == "xlsx" else None,
    )
