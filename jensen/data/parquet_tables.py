"""Tables of mixed columns that stay in Parquet files: one column is read at a time, or a stretch of rows.

A Parquet file is the most compact form of such a table: held as numbers of eight bytes, it would take several times as
much memory as the numbers that a model sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from ..core.allocator import return_freed_memory
from ..core.errors import DataError
from .arrow_cells import AGAIN, arrow_cells, library
from .arrow_rows import taken, taken_rows
from .columns import Column, Determined
from .determined import completed
from .file_rows import ColumnRows
from .frames import Cells, StoredColumns

__all__ = ["LARGE", "ParquetColumns", "ParquetTable", "TableRows"]

LARGE = 2**23  # cells, from which a table stays in its files: 64 MB of numbers of eight bytes
BATCH = 2**14  # rows that are decoded at a time, where they are read in order
BUFFER = 2**18  # bytes of a column that are read from a file at a time


class ParquetTable:
    """One table in Parquet files of the same columns.

    Args:
        paths: at least one, in order.
        where: the name of the table, in messages.

    Attributes:
        names: of the columns.
        shape: numbers of rows and columns.

    Raises:
        DataError: a file is damaged, or has other columns than the first, or pyarrow is not installed.
    """

    def __init__(self, paths: Sequence[Path], where: str) -> None:
        self.paths, self.where = list(paths), where
        self.files = [_opened(path) for path in paths]
        self.schema: Any = self.files[0].schema_arrow
        for path, file in zip(paths, self.files, strict=True):
            if not file.schema_arrow.equals(self.schema):
                raise DataError(
                    f"{path} has other columns than {paths[0]}: {_difference(file.schema_arrow, self.schema)}",
                    "Give shards with columns of the same names and types, in one order.",
                )
        self.names = tuple(str(name) for name in self.schema.names)
        self.starts = np.cumsum([0, *(file.metadata.num_rows for file in self.files)])
        self.shape = (int(self.starts[-1]), len(self.names))

    @property
    def is_flat(self) -> bool:
        """True if each column is found by its name: no two are equal, and none is nested."""
        types = library("pyarrow", self.where).types
        return len(set(self.names)) == len(self.names) and not any(types.is_nested(f.type) for f in self.schema)

    def cells(self, place: int) -> Cells:
        """Return the cells of a column [N].

        Raises:
            DataError: a file is damaged, or the column is of bytes.
        """
        return arrow_cells(self.column(place).unify_dictionaries(), self.names[place], self.where)

    def column(self, place: int) -> Any:
        """Return a column as an Arrow array in chunks.

        Raises:
            DataError: a file is damaged.
        """
        names = [self.names[place]]
        chunks = [chunk for i in range(len(self.files)) for chunk in self._read(i, names).column(0).chunks]
        return library("pyarrow", self.where).chunked_array(chunks, self.schema.field(place).type)

    def table(self, index: np.ndarray | None = None) -> Any:
        """Return the Arrow table of all rows; or of those of these numbers [M], from one column after another."""
        arrow = library("pyarrow", self.where)
        if index is not None and self.is_flat:
            columns = [taken(self.column(place), index) for place in range(len(self.names))]
            return arrow.Table.from_arrays(columns, schema=self.schema)
        parts = [self._read(i, list(self.names)) for i in range(len(self.files))]
        whole = arrow.concat_tables(parts) if len(parts) > 1 else parts[0]
        return whole if index is None else taken_rows(whole, index)

    def pieces(self, size: int, places: Sequence[int] | None = None) -> Iterator[Any]:
        """Yield Arrow tables of so many rows after another, which are read in order; the last may have fewer.

        Args:
            size: rows of each.
            places: of the columns that are read; None for all of them.
        """
        arrow, held, count = library("pyarrow", self.where), list[Any](), 0
        chosen = range(len(self.names)) if places is None else places
        schema = arrow.schema([self.schema.field(i) for i in chosen], self.schema.metadata)
        for _, whole in self.batches(0, chosen):
            batch = whole
            while count + len(batch) >= size:
                rows = [*held, batch.slice(0, size - count)]
                yield arrow.Table.from_batches(rows, schema).unify_dictionaries()
                held, count, batch = [], 0, batch.slice(size - count)
            held += [batch] if len(batch) else []
            count += len(batch)
        if held:
            yield arrow.Table.from_batches(held, schema).unify_dictionaries()

    def batches(self, start: int, places: Sequence[int]) -> Iterator[tuple[int, Any]]:
        """Yield the rows from the group that holds `start` in batches, each with the number of its first row."""
        names, row = [self.names[i] for i in places], 0
        for path, file in zip(self.paths, self.files, strict=True):
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if row + size <= start:
                    row += size
                    continue
                try:
                    for batch in file.iter_batches(BATCH, [group], names, use_threads=False):
                        yield row, batch.select(names)
                        row += len(batch)
                except Exception as error:  # the library has errors of its own
                    raise DataError(f"{path} is damaged ({error})", AGAIN) from error

    def _read(self, number: int, names: list[str]) -> Any:
        try:
            return self.files[number].read(names, use_threads=False)
        except Exception as error:  # the library has errors of its own
            raise DataError(f"{self.paths[number]} is damaged ({error})", AGAIN) from error


def _opened(path: Path) -> Any:
    parquet = library("pyarrow.parquet", str(path))
    try:
        return parquet.ParquetFile(path, buffer_size=BUFFER)
    except Exception as error:  # the library has errors of its own
        raise DataError(f"{path} is damaged ({error})", AGAIN) from error


def _difference(own: Any, first: Any) -> str:
    """Return the first column in which two schemas differ, in words."""
    for mine, other in zip(own, first, strict=False):
        if mine.name != other.name or mine.type != other.type:
            return f"{mine.name!r} of {mine.type}, where that has {other.name!r} of {other.type}"
    return f"{len(own)} columns, where that has {len(first)}"


class ParquetColumns(StoredColumns):
    """The cells of the columns of a table in Parquet files; the last column that was read is kept.

    Args:
        stored: the table.
        chosen: [M] numbers of rows; None for all of them.
    """

    def __init__(self, stored: ParquetTable, chosen: np.ndarray | None = None) -> None:
        self.stored, self.chosen = stored, chosen
        self.kept: tuple[int, Cells] | None = None

    @property
    def count(self) -> int:
        return self.stored.shape[0] if self.chosen is None else len(self.chosen)

    def __len__(self) -> int:
        return self.stored.shape[1]

    @overload
    def __getitem__(self, key: int) -> Cells: ...

    @overload
    def __getitem__(self, key: slice) -> Sequence[Cells]: ...

    def __getitem__(self, key: int | slice) -> Cells | Sequence[Cells]:
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(len(self)))]
        place = range(len(self))[key]
        kept = self.kept
        if kept is None or kept[0] != place:
            self.kept = kept = None  # before the next one is read
            cells = self.stored.cells(place)
            self.kept = kept = (place, cells if self.chosen is None else cells.rows(self.chosen))
        return kept[1]

    def rows(self, index: np.ndarray) -> ParquetColumns:
        return ParquetColumns(self.stored, index if self.chosen is None else self.chosen[index])

    def table(self) -> Any:
        return self.stored.table(self.chosen)

    def pieces(self, size: int, places: Sequence[int] | None = None) -> Iterator[Any]:
        if self.chosen is None:
            yield from self.stored.pieces(size, places)
            return
        table = self.table()  # rows in any order
        table = table if places is None else table.select(list(places))
        for start in range(0, len(self.chosen), size):
            yield table.slice(start, size)

    def column(self, place: int) -> Any:
        column = self.stored.column(place)
        return column if self.chosen is None else taken(column, self.chosen)


class TableRows(ColumnRows):
    """The numbers [N, D] of the cells of a table in Parquet files, encoded when they are read.

    Args:
        stored: the table.
        columns: D of them, whose cells have been encoded once before, so that all of them are valid.
        places: of these columns in the table.
        index: [M] numbers of rows; None for all of them.
        others: for each column those that it determines, with their places in the table.
    """

    def __init__(
        self,
        stored: ParquetTable,
        columns: Sequence[Column],
        places: Sequence[int],
        index: np.ndarray | None = None,
        others: Sequence[Sequence[tuple[Determined, int]]] | None = None,
    ) -> None:
        self.stored, self.columns, self.places, self.index = stored, list(columns), list(places), index
        self.others = [()] * len(self.columns) if others is None else others
        self.shape = (stored.shape[0] if index is None else len(index), len(self.columns))
        self.dtype = np.dtype(np.float64)
        self.pending: tuple[int, np.ndarray, Iterator[tuple[int, Any]]] | None = None

    def column(self, number: int) -> np.ndarray:
        others = [(d, self.stored.cells(place)) for d, place in self.others[number]]
        values = completed(self.columns[number], self.stored.cells(self.places[number]), others)[0]
        return values if self.index is None else values[self.index]

    def rows(self, index: np.ndarray) -> TableRows:
        own = index if self.index is None else self.index[index]
        return TableRows(self.stored, self.columns, self.places, own, self.others)

    def let_go(self) -> None:
        self.pending = None
        library("pyarrow", self.stored.where).default_memory_pool().release_unused()
        return_freed_memory()

    def without(self, number: int) -> TableRows:
        """Return the numbers [N, D - 1] without those of one column."""
        kept = [i for i in range(len(self.columns)) if i != number]
        columns, places = [self.columns[i] for i in kept], [self.places[i] for i in kept]
        return TableRows(self.stored, columns, places, self.index, [self.others[i] for i in kept])

    def of_table(self, table: Any) -> np.ndarray:
        """Return the numbers [n, D] of an Arrow table of all columns that the files have."""
        return self._encoded(table.select([self.stored.names[place] for place in self._read]))

    def take(self, index: np.ndarray) -> np.ndarray:
        x = np.empty((len(index), self.shape[1]))
        for number in range(self.shape[1]):
            x[:, number] = self.column(number)[index]
        return x

    def read(self, start: int, stop: int) -> np.ndarray:
        stop = min(stop, len(self))
        if self.index is not None:
            return self.take(np.arange(start, max(start, stop)))
        if start >= stop:
            return np.empty((0, self.shape[1]))
        x, at = np.empty((stop - start, self.shape[1])), start
        pending, self.pending = self.pending, None
        if pending is None or pending[0] > start:
            pending = (0, np.empty((0, self.shape[1])), self.stored.batches(start, self._read))
        first, rows, batches = pending
        while at < stop:
            if first + len(rows) <= at:
                first, batch = next(batches)
                rows = self._encoded(batch) if first + len(batch) > at else np.empty((len(batch), 0))
                continue
            part = rows[at - first : stop - first]
            x[at - start : at - start + len(part)] = part
            at += len(part)
        if stop < len(self):  # after the last row, the reader with its decoded pages is let go
            self.pending = (first, rows, batches)
        return x

    def _encoded(self, batch: Any) -> np.ndarray:
        x, of = np.empty((len(batch), self.shape[1])), dict(zip(self._read, batch.columns, strict=True))
        for number, (column, place) in enumerate(zip(self.columns, self.places, strict=True)):
            others = [(d, arrow_cells(of[at], d.column.name, self.stored.where)) for d, at in self.others[number]]
            x[:, number] = completed(column, arrow_cells(of[place], column.name, self.stored.where), others)[0]
        return x

    @property
    def _read(self) -> list[int]:
        """The places of all columns that are read."""
        return [*self.places, *(place for others in self.others for _, place in others)]
