"""Tables of results from what was read, from numbers of a model alone, and from one kind of table to another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .cells import encode
from .columns import Column
from .dataframes import ArrowTable, PandasTable, PolarsTable, library
from .determined import spread
from .dialects import Dialect
from .frames import Frame, SourceKind, TextCells
from .number_texts import NumberFormat
from .output_tables import OutputTable, PlainTable, object_array, plain_holds, plain_table, text_of
from .table_values import objects

__all__ = ["as_arrow", "as_plain", "output_table", "table_of"]

_WHOLE = ("int", "uint")


def output_table(frame: Frame) -> OutputTable:
    """Return the table that was read, as one to write results into."""
    if frame.source_kind == "pandas":
        return PandasTable(frame.origin)
    if frame.source_kind == "polars":
        return PolarsTable(frame.origin)
    if frame.source_kind in ("arrow", "parquet", "feather"):
        return ArrowTable(frame.table)
    return plain_table(frame)


def table_of(
    columns: Sequence[Column],
    x: np.ndarray,
    source_kind: SourceKind = "csv",
    observed: np.ndarray | None = None,
    dialect: Dialect | None = None,
) -> OutputTable:
    """Return a table of numbers of a model alone, in the types that these columns have in their source.

    Args:
        columns: the D columns; those that they determine are written too.
        x: [N, D], as a data set stores them; see `jensen.data.table_values.as_written`.
        source_kind: of table; the types are those of the source where it knows them.
        observed: [N, D], False where a cell is left empty; None if all are given.
        dialect: of a file of text.

    Example:
        >>> table_of([Column("n", "count"), Column("sex", "boolean", levels=("F", "M"))], np.array([[3.0, 1.0]])).data
        {'n': ['3'], 'sex': ['M']}
    """
    where = np.ones(x.shape, dtype=bool) if observed is None else observed
    columns, x, where = spread(columns, x, where)
    names, n = [column.name for column in columns], len(x)
    if source_kind == "pandas":
        pandas = library("pandas")
        types = [_pandas_type(c, bool(where[:, i].all())) for i, c in enumerate(columns)]
        empty = {
            i: pandas.Series([0 if isinstance(t, np.dtype) and t.kind in "iub" else None] * n, dtype=t)
            for i, t in enumerate(types)
        }
        table: OutputTable = PandasTable(pandas.DataFrame(empty).set_axis([c.written_name for c in columns], axis=1))
    elif source_kind == "polars":
        polars = library("polars")
        table = PolarsTable(
            polars.DataFrame([polars.Series(c.name, [None] * n, dtype=_polars_type(c)) for c in columns])
        )
    elif source_kind in ("arrow", "parquet", "feather"):
        arrow = library("pyarrow")
        table = ArrowTable(arrow.table([arrow.nulls(n, _arrow_type(c)) for c in columns], names=names))
    else:
        texts = source_kind != "xlsx"
        names = [str(column.written_name) for column in columns]
        table = PlainTable(names, [object_array(["" if texts else None] * n) for _ in columns], texts, dialect=dialect)
    for d, column in enumerate(columns):
        table = table.replaced(d, column, x[:, d], where[:, d], {})
    return table


def _pandas_type(column: Column, is_complete: bool) -> Any:
    """Return the type of a column of pandas: the one that it had, or, from another source, the one of its kind."""
    pandas, stored = library("pandas"), column.stored
    if stored.startswith("category"):
        is_ordered = column.kind == "ordinal" or stored.endswith(", ordered")
        return pandas.CategoricalDtype(_categories(column), ordered=is_ordered)
    if stored == "date" or stored.startswith("object["):
        return np.dtype(object)
    kinds = {"datetime": "datetime64[us]", "integer": "int64", "count": "int64"}
    own = pandas.api.types.pandas_dtype("str" if column.is_levelled else kinds.get(column.kind, "float64"))
    try:
        dtype = own if stored in ("object", "text") else pandas.api.types.pandas_dtype(stored)
    except (TypeError, ValueError, NotImplementedError):  # a type of another library
        dtype = own
    if isinstance(dtype, np.dtype) and dtype.kind in "iub" and not is_complete:
        return pandas.array([], dtype="boolean" if dtype.kind == "b" else "Int64").dtype
    return dtype


def _categories(column: Column) -> Any:
    """Return the categories of a column of pandas, which need not be texts."""
    pandas, of = library("pandas"), re.match(r"category\[(.*)\]", column.stored)
    if of is None:
        return list(column.levels)
    if of[1].startswith("interval"):
        ends = [[float(end) for end in level[1:-1].split(",")] for level in column.levels]
        closed = of[1].rpartition(", ")[2].rstrip("]")
        return pandas.IntervalIndex.from_tuples([(low, high) for low, high in ends], closed=closed)
    if of[1] == "bool":
        return [level == "True" for level in column.levels]
    return pandas.Index(column.levels).astype(of[1])


def _polars_type(column: Column) -> Any:
    """Return the type of a column of polars."""
    polars = library("polars")
    name = "Boolean" if column.stored == "bool" else column.stored[:1].upper() + column.stored[1:]  # int8, date
    stored = getattr(polars, name.replace("Uint", "UInt"), None)
    if isinstance(stored, type) and issubclass(stored, polars.DataType):
        return stored
    if column.is_levelled:
        return polars.Enum(list(column.levels)) if column.stored.startswith("Enum") else polars.String
    if column.kind == "datetime":
        return polars.Datetime("us")
    return polars.Int64 if column.is_discrete else polars.Float64


def _arrow_type(column: Column) -> Any:
    """Return the type of a column of Arrow."""
    arrow = library("pyarrow")
    if column.stored.startswith("dictionary"):
        return arrow.dictionary(arrow.int32(), arrow.string(), column.kind == "ordinal")
    try:
        return arrow.type_for_alias(column.stored)
    except ValueError:
        pass  # a type of another library
    if column.is_levelled:
        return arrow.string()
    if column.kind == "datetime":
        return arrow.timestamp("us")
    return arrow.int64() if column.is_discrete else arrow.float64()


def as_plain(table: OutputTable, texts: bool) -> PlainTable:
    """Return a table as one of plain cells.

    Args:
        table: of any kind.
        texts: True for texts, as of a CSV file; False for the objects of a spreadsheet.
    """
    if isinstance(table, PlainTable) and table.texts == texts:
        return table
    if isinstance(table, PlainTable):
        header, columns = table.header, [list(column) for column in table.columns]
    else:
        arrow = as_arrow(table, ()).data
        header, columns = arrow.column_names, [column.to_pylist() for column in arrow.columns]
    cell = text_of if texts else lambda value: value
    return PlainTable(header, [object_array([cell(v) for v in column]) for column in columns], texts)


def as_objects(table: OutputTable, columns: Sequence[Column]) -> PlainTable:
    """Return a table with cells that are objects of their own types, for a spreadsheet.

    Args:
        table: of any kind.
        columns: that are data, which say what their texts are.
    """
    if not isinstance(table, PlainTable) or not table.texts:
        return as_plain(table, texts=False)
    known = {column.name: column for own in columns for column in (own, *(d.column for d in own.determines))}
    mark = table.dialect.decimal
    cells = [_objects_of(c, known.get(n), mark) for n, c in zip(table.header, table.columns, strict=True)]
    return PlainTable(table.header, cells, texts=False, has_header=table.has_header)


def _objects_of(cells: np.ndarray, column: Column | None, decimal: str) -> np.ndarray:
    """Return texts [N] as objects: by what is known of the column, or as whole numbers, numbers or texts."""
    if column is None:
        return object_array(_typed(cells.tolist(), decimal))
    x, observed, _ = encode(column, TextCells.of(cells.tolist()))
    known = dict(zip(column.levels, _typed(column.levels), strict=True))
    values = objects(column, x[observed], plain_holds(column, None), known)
    result = object_array([None] * len(cells))
    result[observed] = object_array([v.replace(tzinfo=None) if column.kind == "datetime" else v for v in values])
    return result


def _typed(texts: Sequence[str], decimal: str = ".") -> list[Any]:
    """Return texts as whole numbers or numbers if all of them are, written plainly; else as they are."""
    for kind in (int, float if decimal == "." else NumberFormat(decimal).parse):
        try:
            values = [None if t == "" else kind(t) for t in texts]
        except ValueError:
            continue
        if all(v is None or _is_plain(t) for v, t in zip(values, texts, strict=True)):
            return values
    return list(texts)


def _is_plain(text: str) -> bool:
    """Return whether a number has no zeros before it, as postal codes have, and nothing else that it would lose."""
    digits = text.removeprefix("-")
    return digits[:1].isdigit() and "_" not in text and not (digits[:1] == "0" and digits[1:2].isdigit())


def as_arrow(table: OutputTable, columns: Sequence[Column]) -> ArrowTable:
    """Return a table as one of Arrow.

    Args:
        table: of any kind.
        columns: that are data, which say what their texts are.

    Raises:
        UsageError: pyarrow is not installed.
    """
    arrow = library("pyarrow")
    if isinstance(table, ArrowTable):
        return table
    if isinstance(table, PandasTable):
        return ArrowTable(arrow.Table.from_pandas(table.data))
    if isinstance(table, PolarsTable):
        return ArrowTable(table.data.to_arrow())
    plain = as_objects(table, columns)
    return ArrowTable(arrow.table([_arrow_array(arrow, c.tolist()) for c in plain.columns], names=list(plain.header)))


def _arrow_array(arrow: Any, values: list[Any]) -> Any:
    """Return cells as a column of one type; of several types as texts."""
    try:
        return arrow.array(values)
    except (arrow.ArrowInvalid, arrow.ArrowTypeError):
        return arrow.array([None if v is None else text_of(v) for v in values])
