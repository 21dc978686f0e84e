"""Files of tables whose rows are written some after another, so that no more of them are in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

from .columns import Column
from .dataframes import ArrowTable, library
from .output_tables import OutputTable
from .table_building import as_arrow, as_objects

__all__ = ["FeatherPieces", "ParquetPieces", "TablePieces", "WorkbookPieces", "table_pieces"]

COMPRESSIONS = ("lz4", "uncompressed")  # of Feather files, by what the library was built with


class TablePieces(ABC):
    """A file of tables of the same columns, one after another; it is complete when it is closed."""

    @abstractmethod
    def write(self, table: OutputTable) -> None:
        """Write the rows of a table."""

    @abstractmethod
    def append(self, other: Any) -> None:
        """Write the rows of another file that `ParquetPieces` wrote, which is closed."""

    @abstractmethod
    def close(self) -> None:
        """Write the end of the file."""


class ParquetPieces(TablePieces):
    """A Parquet file, in which each table is a group of rows of its own.

    Args:
        stream: a file that takes bytes, or stands for one.
        columns: that are data, which say what the texts of a CSV file are.
    """

    def __init__(self, stream: Any, columns: Sequence[Column]) -> None:
        self.stream, self.columns = stream, columns
        self._writer: Any = None

    @property
    def schema(self) -> Any:
        """The schema of Arrow, after the first table."""
        return self._writer.schema

    def write(self, table: OutputTable) -> None:
        self._write(as_arrow(table, self.columns).data)

    def append(self, other: Any) -> None:
        for group in _groups(other):
            self._write(group)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _write(self, data: Any) -> None:
        arrow, parquet = library("pyarrow"), library("pyarrow.parquet")
        if self._writer is None:  # a column of which nothing is known may have texts later
            known = [f.with_type(arrow.string()) if arrow.types.is_null(f.type) else f for f in data.schema]
            self._writer = parquet.ParquetWriter(self.stream, arrow.schema(known, data.schema.metadata))
        schema = self._writer.schema
        self._writer.write_table(data if data.schema.equals(schema) else data.cast(schema))


def _groups(file: Any) -> Iterator[Any]:
    """Yield the groups of rows of a Parquet file as tables of Arrow."""
    opened = library("pyarrow.parquet").ParquetFile(file)
    for group in range(opened.num_row_groups):
        yield opened.read_row_group(group, use_threads=False)


class FeatherPieces(TablePieces):
    """A Feather file. All of its rows wait in a Parquet file: it has one dictionary for each column of names, before
    the first of them.

    Args:
        stream: a file that takes bytes.
        columns: that are data.
        waiting: a temporary file.
    """

    def __init__(self, stream: Any, columns: Sequence[Column], waiting: Any) -> None:
        self.stream, self.waiting, self.parquet = stream, waiting, ParquetPieces(waiting, columns)

    def write(self, table: OutputTable) -> None:
        self.parquet.write(table)

    def append(self, other: Any) -> None:
        self.parquet.append(other)

    def close(self) -> None:
        self.parquet.close()
        arrow, ipc, schema = library("pyarrow"), library("pyarrow.ipc"), self.parquet.schema
        named = [i for i, field in enumerate(schema) if arrow.types.is_dictionary(field.type)]
        levels: dict[int, dict[Any, None]] = {i: {} for i in named}
        for group in self._groups() if named else ():
            for i, own in levels.items():
                own |= dict.fromkeys(v for chunk in group.column(i).chunks for v in chunk.dictionary.to_pylist())
        dictionaries = {i: arrow.array(list(own), schema.field(i).type.value_type) for i, own in levels.items()}
        compression = next(c for c in COMPRESSIONS if c == "uncompressed" or arrow.Codec.is_available(c))
        options = ipc.IpcWriteOptions(compression=None if compression == "uncompressed" else compression)
        with ipc.new_file(self.stream, schema, options=options) as file:
            for group in self._groups():
                columns = list(group.columns)
                for i, dictionary in dictionaries.items():
                    columns[i] = _recoded(columns[i], dictionary, schema.field(i).type)
                file.write_table(arrow.Table.from_arrays(columns, names=schema.names).cast(schema))

    def _groups(self) -> Iterator[Any]:
        self.waiting.seek(0)
        yield from _groups(self.waiting)


def _recoded(column: Any, dictionary: Any, kind: Any) -> Any:
    """Return a column of names by another dictionary, which has all of them."""
    arrow, compute, chunks = library("pyarrow"), library("pyarrow.compute"), []
    for chunk in column.chunks:
        number = compute.index_in(chunk.dictionary, value_set=dictionary).cast(kind.index_type)
        indices = number.take(chunk.indices)
        chunks.append(arrow.DictionaryArray.from_arrays(indices, dictionary, ordered=kind.ordered))
    return arrow.chunked_array(chunks, kind)


class WorkbookPieces(TablePieces):
    """A workbook of one sheet. Text is text, also where it begins as a formula does.

    Args:
        stream: a file that takes bytes.
        columns: that are data, which say what the texts of a CSV file are.
    """

    def __init__(self, stream: Any, columns: Sequence[Column]) -> None:
        self.stream, self.columns = stream, columns
        self.book = library("openpyxl").Workbook(write_only=True)
        self.sheet, self.is_first = self.book.create_sheet(), True

    def write(self, table: OutputTable) -> None:
        make, plain = library("openpyxl.cell").WriteOnlyCell, as_objects(table, self.columns)
        header = [plain.header] if plain.has_header and self.is_first else []
        self.is_first = False
        for row in (*header, *zip(*plain.columns, strict=True)):
            cells = [make(self.sheet, value=value) for value in row]
            for cell, value, form in zip(cells, row, plain.formats, strict=True):
                if isinstance(value, str):
                    cell.data_type = "s"
                elif form != "General":
                    cell.number_format = form
            self.sheet.append(cells)

    def append(self, other: Any) -> None:
        for group in _groups(other):
            self.write(ArrowTable(group))

    def close(self) -> None:
        self.book.save(self.stream)


def table_pieces(suffix: str, stream: Any, columns: Sequence[Column], waiting: Any) -> TablePieces:
    """Return the file of a suffix, ".parquet", ".feather" or ".xlsx".

    Args:
        suffix: of the file.
        stream: that takes its bytes.
        columns: that are data.
        waiting: returns a temporary file.
    """
    if suffix == ".feather":
        return FeatherPieces(stream, columns, waiting())
    return (WorkbookPieces if suffix == ".xlsx" else ParquetPieces)(stream, columns)
