"""Tables as they were given: every column in its place, with the texts or the typed values of its cells."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ..core.errors import DataError
from .arrow_rows import taken_rows
from .dialects import Dialect

__all__ = ["Cells", "Frame", "SourceKind", "StoredColumns", "TextCells", "TypedCells", "unique_names"]

SourceKind = Literal["csv", "parquet", "feather", "xlsx", "pandas", "polars", "arrow", "array"]
NULL = -1  # the code of a cell that the source says to be missing


@dataclass(frozen=True)
class TextCells:
    """The cells of a column of text: each different text once, and its number for every row.

    Attributes:
        texts: [U] different texts, as they are written.
        codes: [N] number of the text of each row; -1 for a null.
        stored: the type in the source: "text" of a file of text, else "str", "category", ...
        levels: names that the type declares, in its order; empty where it declares none.
        is_ordered: True if the declared names have an order.

    Example:
        >>> cells = TextCells.of(["b", "a", None, "b"])
        >>> cells.texts.tolist(), cells.codes.tolist(), cells.rows(np.array([1, 2])).array().tolist()
        (['b', 'a'], [0, 1, -1, 0], ['a', None])
    """

    texts: np.ndarray
    codes: np.ndarray
    stored: str = "text"
    levels: tuple[str, ...] = ()
    is_ordered: bool = False

    @staticmethod
    def of(values: Sequence[str | None], stored: str = "text") -> TextCells:
        """Return the cells of texts [N], None for a null."""
        number: dict[str, int] = {}
        codes = [NULL if v is None else number.setdefault(v, len(number)) for v in values]
        return TextCells(_objects(number), np.array(codes, dtype=np.int32), stored)

    def __len__(self) -> int:
        return len(self.codes)

    def rows(self, index: np.ndarray) -> TextCells:
        """Return the cells of these rows [M]."""
        return replace(self, codes=self.codes[index])

    def array(self) -> np.ndarray:
        """Return the texts [N] as they are written, None for a null."""
        return _objects([*self.texts, None])[self.codes]

    @cached_property
    def stripped(self) -> list[str]:
        """The texts [U] without white space at their ends."""
        return [text.strip() for text in self.texts.tolist()]

    @cached_property
    def counts(self) -> np.ndarray:
        """The number of rows [U] of each text."""
        return np.bincount(self.codes[self.codes != NULL], minlength=len(self.texts))

    def first(self, code: int) -> int:
        """Return the first row that holds the text of this number."""
        return int(np.flatnonzero(self.codes == code)[0])


@dataclass(frozen=True)
class TypedCells:
    """The cells of a column of numbers, truth values or times, as a typed source holds them.

    Attributes:
        values: [N] of a type of truth values, integers, floats or times; anything where nothing is observed.
        observed: [N] bool, False for a null, NaN or NaT.
        stored: the type in the source, such as "int64", "Int64" (of pandas, with nulls) or "datetime64[us]".
    """

    values: np.ndarray
    observed: np.ndarray
    stored: str

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, index: np.ndarray) -> TypedCells:
        """Return the cells of these rows [M]."""
        return replace(self, values=self.values[index], observed=self.observed[index])

    def array(self) -> np.ndarray:
        """Return the values [N]."""
        return self.values

    def as_text(self) -> TextCells:
        """Return the cells as texts: whole numbers without a point, and truth values as True and False."""
        values, numbers = np.unique(self.values[self.observed], return_inverse=True)
        codes = np.full(len(self), NULL, dtype=np.int32)
        codes[self.observed] = numbers.reshape(-1)
        return TextCells(_objects(_text(v) for v in values.tolist()), codes, self.stored)


Cells = TextCells | TypedCells


class StoredColumns(Sequence[Cells]):
    """The cells of columns that stay in files, and are read when they are asked for."""

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of rows."""

    @abstractmethod
    def rows(self, index: np.ndarray) -> StoredColumns:
        """Return the cells of the rows of these numbers [M]."""

    @abstractmethod
    def table(self) -> Any:
        """Return all of them as an Arrow table."""

    @abstractmethod
    def pieces(self, size: int, places: Sequence[int] | None = None) -> Iterator[Any]:
        """Yield Arrow tables of so many rows after another, of the columns at these places; the last may have fewer."""

    @abstractmethod
    def column(self, place: int) -> Any:
        """Return a column as an Arrow array in chunks."""


def _text(value: Any) -> str:
    """Return a number as it is named: 1.0 and 1 are the same name."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _objects(texts: Iterable[str | None]) -> np.ndarray:
    """Return texts as an array of Python's own, which NumPy neither pads nor copies."""
    held = list(texts)
    array = np.empty(len(held), dtype=object)
    array[:] = held
    return array


@dataclass(frozen=True)
class Frame:
    """A table as it was given, from which results are written in the same form.

    Attributes:
        names: of all columns, in their order: no two are equal, and none is empty.
        columns: the cells of each, in memory or in files.
        source_kind: of the source.
        where: the name of the source, in messages.
        header: the names as they are written; None without a header.
        lines: [N] the line of each row in its file of text.
        files: the files of text that the rows are in, where these are several.
        file_numbers: [N] the number of the file of each row.
        dialect: of a file of text.
        origin: the table itself, of a source with types (a DataFrame, or an Arrow table); of a workbook the formats of
            numbers by column.
    """

    names: tuple[str, ...]
    columns: tuple[Cells, ...] | StoredColumns
    source_kind: SourceKind
    where: str
    header: tuple[str, ...] | None = None
    lines: np.ndarray | None = None
    dialect: Dialect | None = None
    origin: Any = None
    files: tuple[str, ...] = ()
    file_numbers: np.ndarray | None = None

    def __len__(self) -> int:
        return self.columns.count if isinstance(self.columns, StoredColumns) else len(self.columns[0])

    @property
    def table(self) -> Any:
        """The table itself: `origin`, or what is read from its files."""
        return self.columns.table() if isinstance(self.columns, StoredColumns) else self.origin

    def rows(self, index: np.ndarray) -> Frame:
        """Return the rows of these numbers [M]."""
        if isinstance(self.columns, StoredColumns):
            return replace(self, columns=self.columns.rows(index))
        lines, numbers = (None if v is None else v[index] for v in (self.lines, self.file_numbers))
        columns = tuple(c.rows(index) for c in self.columns)
        return replace(self, columns=columns, lines=lines, file_numbers=numbers, origin=self._rows(index))

    def _rows(self, index: np.ndarray) -> Any:
        """Return these rows [M] of the table itself, where it is held."""
        if self.source_kind == "pandas":
            return self.origin.iloc[index]
        if self.source_kind == "polars":
            return self.origin[index]
        return taken_rows(self.origin, index) if self.source_kind in ("arrow", "parquet", "feather") else self.origin

    def column(self, name: str) -> Cells:
        """Return the cells of the column of this name.

        Raises:
            DataError: there is none.
        """
        if name not in self.names:
            raise DataError(f"{self.where} has no column {name!r}", f"It has {', '.join(self.names[:20])}.")
        return self.columns[self.names.index(name)]

    def place(self, row: int, index: int) -> str:
        """Return the place of a cell in words, by which it is looked up in its source."""
        name = self.names[index]
        if self.lines is None:
            return f"row {row:,} (from 0), column {name!r} of {self.where}"
        named = "" if name == str(index + 1) else f" ({name})"
        where = self.where if self.file_numbers is None else self.files[self.file_numbers[row]]
        return f"line {self.lines[row]}, column {index + 1}{named} of {where}"


def unique_names(names: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return names none of which is empty and no two are equal, with the new ones of those that were.

    Example:
        >>> unique_names(["a", "", "a"])
        (('a', '2', 'a.1'), ['2', 'a.1'])
    """
    taken, result, changed = set(names), list[str](), list[str]()
    for place, name in enumerate(names, 1):
        own = name or str(place)
        if own in result or (not name and own in taken):
            number = next(n for n in range(1, len(names) + 1) if f"{own}.{n}" not in taken)
            own = f"{own}.{number}"
        if own != name:
            changed.append(own)
        taken.add(own)
        result.append(own)
    return tuple(result), changed
