"""Tables of typed columns, in memory, as frames: pandas, polars, Arrow, arrays, and mappings of columns.

None of these libraries is imported here: an object of pandas exists only if pandas has been imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from ..core.errors import DataError
from .arrow_cells import arrow_cells
from .frames import Cells, Frame, SourceKind, TextCells, TypedCells, unique_names

__all__ = ["array_frame", "arrow_frame", "category_name", "cells_of_objects", "frame_of", "is_of"]

OBJECTS = (bool, int, float, str, Decimal, datetime, date, time, timedelta)  # a type before those that it is one of
NESTED = (list, tuple, dict, set, bytes, complex, np.ndarray)
REMEDY = "Give a table: a DataFrame of pandas or polars, an Arrow table, an array [N, D] or a mapping of columns."


def is_of(data: Any, library: str, *names: str) -> bool:
    """Return whether this is an object of a library that has been imported, without importing it."""
    module = sys.modules.get(library)
    kinds = tuple(kind for name in names if isinstance(kind := getattr(module, name, None), type))
    return bool(kinds) and isinstance(data, kinds)


def frame_of(data: Any, name: str) -> Frame | None:
    """Return the table that a container in memory holds; None if it is no table.

    Args:
        data: a DataFrame of pandas or polars, an Arrow table, an array [N, D] of numbers, or a mapping of columns.
        name: what to call it.

    Raises:
        DataError: it has no rows or no columns, a column is nested, or columns differ in their length.

    Example:
        >>> frame_of({"age": [30, 41], "sex": ["F", "M"]}, "table").names
        ('age', 'sex')
    """
    where = f"the {name}"
    if is_of(data, "pandas", "DataFrame"):
        columns = [_series(data.iloc[:, i], str(label), where) for i, label in enumerate(data.columns)]
        return _frame([str(c) for c in data.columns], columns, "pandas", where, data.copy(deep=False))
    if is_of(data, "polars", "DataFrame"):
        columns = [_polars(data.get_column(c), c, where) for c in data.columns]
        return _frame(data.columns, columns, "polars", where, data)
    if is_of(data, "pyarrow", "Table", "RecordBatch"):
        return arrow_frame(data, "arrow", where)
    if isinstance(data, Mapping):
        held = {str(k): _listed(v, str(k), where) for k, v in data.items()}
        return _frame(list(held), list(held.values()), "array", where, None)
    array = data.detach().cpu().numpy() if is_of(data, "torch", "Tensor") else data
    return array_frame(array, where) if isinstance(array, np.ndarray) and array.ndim == 2 else None


def arrow_frame(table: Any, source_kind: SourceKind, where: str) -> Frame:
    """Return the frame of an Arrow table.

    Raises:
        DataError: it is empty, or a column is nested.
    """
    names = [str(n) for n in table.schema.names]
    columns = [arrow_cells(table.column(i), n, where) for i, n in enumerate(names)]
    return _frame(names, columns, source_kind, where, table)


def array_frame(x: np.ndarray, where: str) -> Frame:
    """Return the frame of an array [N, D] of numbers, whose columns have numbers from 1 as names.

    Raises:
        DataError: it is empty, or does not hold numbers.
    """
    hidden = np.ma.getmaskarray(x) if isinstance(x, np.ma.MaskedArray) else None
    columns = list[Cells]()
    for j in range(x.shape[1]):
        cells = _of_array(np.asarray(x[:, j]), str(j + 1), where)
        if hidden is not None and isinstance(cells, TypedCells):
            cells = TypedCells(cells.values, cells.observed & ~hidden[:, j], cells.stored)
        columns.append(cells)
    return _frame(None, columns, "array", where, None)


def _frame(
    names: Sequence[str] | None, columns: Sequence[Cells], source_kind: SourceKind, where: str, origin: Any
) -> Frame:
    """Return a frame.

    Raises:
        DataError: it has no rows or columns, or these differ in their length.
    """
    if not columns or not len(columns[0]):
        raise DataError(f"{where} has no {'rows' if columns else 'columns'}", REMEDY)
    header = None if names is None else tuple(n.encode(errors="backslashreplace").decode() for n in names)
    own, _ = unique_names(header or [""] * len(columns))
    odd = next((i for i, c in enumerate(columns) if len(c) != len(columns[0])), None)
    if odd is not None:
        lengths = f"{len(columns[0]):,} and {len(columns[odd]):,}"
        raise DataError(f"columns {own[0]!r} and {own[odd]!r} have {lengths} rows", "Give columns of one length.")
    return Frame(own, tuple(columns), source_kind, where, header, origin=origin)


def _of_array(values: np.ndarray, name: str, where: str) -> Cells:
    """Return the cells of an array [N].

    Raises:
        DataError: it does not hold numbers, times or texts.
    """
    kind, stored = values.dtype.kind, str(values.dtype)
    if values.ndim != 1:
        raise DataError(f"column {name!r} of {where} has the shape {values.shape}", "Give one value per row.")
    if kind in "biu":
        return TypedCells(values, np.ones(len(values), dtype=bool), stored)
    if kind == "f":
        return TypedCells(values, ~np.isnan(values), stored)
    if kind == "M":
        return TypedCells(values.astype("datetime64[us]"), ~np.isnat(values), stored)
    if kind == "m":
        return TypedCells(values / np.timedelta64(1, "s"), ~np.isnat(values), stored)
    if kind == "U":
        return TextCells.of(values.tolist(), "str")
    if kind == "O":
        return cells_of_objects(values.tolist(), "object", name, where)
    raise DataError(f"column {name!r} of {where} has the type {stored}", REMEDY)


def _listed(values: Any, name: str, where: str) -> Cells:
    """Return the cells of a column of a mapping: a series, an array or a list."""
    if is_of(values, "pandas", "Series"):
        return _series(values, name, where)
    if is_of(values, "polars", "Series"):
        return _polars(values, name, where)
    if is_of(values, "pyarrow", "Array", "ChunkedArray"):
        return arrow_cells(values, name, where)
    if is_of(values, "torch", "Tensor"):
        values = values.detach().cpu().numpy()
    if isinstance(values, np.ndarray):
        return _of_array(values, name, where)
    return cells_of_objects(list(values), "object", name, where)


def cells_of_objects(
    values: Sequence[Any], stored: str, name: str, where: str, is_null: Callable[[Any], bool] | None = None
) -> Cells:
    """Return the cells of Python's own objects: of one type if all are, otherwise texts.

    Args:
        values: [N], None, NaN or what `is_null` says for a null.
        stored: the type in the source.
        name: of the column.
        where: the name of the table.
        is_null: tells other nulls, such as those of pandas.

    Raises:
        DataError: an object is nested.
    """
    if set(map(type, values)) == {str}:
        return TextCells.of(values, stored)
    if any(isinstance(v, np.generic) for v in values):
        values = [v.item() if isinstance(v, np.generic) else v for v in values]
    null = [v is None or (is_null is not None and is_null(v)) or v != v for v in values]
    held = [v for v, missing in zip(values, null, strict=True) if not missing]
    odd = next((v for v in held if isinstance(v, NESTED)), None)
    if odd is not None:
        raise DataError(
            f"column {name!r} of {where} holds {type(odd).__name__}, such as {str(odd)[:40]!r}",
            "Give one number, text or time per cell, or drop the column.",
        )
    kinds, observed = set(map(type, held)), ~np.array(null, dtype=bool)
    if kinds and kinds <= {bool}:
        return TypedCells(_filled(held, observed, bool), observed, "bool" if observed.all() else stored)
    if kinds and kinds <= {int, float} and not any(isinstance(v, int) and abs(v) > 2**53 for v in held):
        whole = kinds == {int} and bool(observed.all())
        numbers = _filled(held, observed, np.int64 if whole else np.float64)
        return TypedCells(numbers, observed, str(numbers.dtype))
    if kinds and all(issubclass(k, date) for k in kinds) and not any(getattr(v, "tzinfo", None) for v in held):
        times = _filled([np.datetime64(v, "us") for v in held], observed, "datetime64[us]")
        return TypedCells(times, observed, "date" if not any(issubclass(k, datetime) for k in kinds) else stored)
    if kinds and all(issubclass(k, timedelta) for k in kinds):
        return TypedCells(_filled([v.total_seconds() for v in held], observed, np.float64), observed, stored)
    return TextCells.of([None if m else str(v) for v, m in zip(values, null, strict=True)], stored)


def _filled(held: Sequence[Any], observed: np.ndarray, dtype: Any) -> np.ndarray:
    """Return values where they are observed, and zeros elsewhere."""
    result = np.zeros(len(observed), dtype=dtype)
    result[observed] = held
    return result


def _series(series: Any, name: str, where: str) -> Cells:
    """Return the cells of a series of pandas.

    Raises:
        DataError: they are nested, or of a type without an order and a name.
    """
    pandas: Any = sys.modules["pandas"]
    dtype, null = series.dtype, np.asarray(series.isna(), dtype=bool)
    stored = str(dtype)
    if isinstance(dtype, pandas.PeriodDtype):
        return TypedCells(series.dt.start_time.to_numpy().astype("datetime64[us]"), ~null, stored)
    if stored == "category":
        return _categories(series, name, where)
    if isinstance(dtype, np.dtype) and dtype.kind in "biufmM":
        return _of_array(series.to_numpy(), name, where)
    if getattr(dtype, "tz", None) is not None:
        times = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")
        return TypedCells(times, ~null, stored)
    kind = getattr(dtype, "kind", "O")
    if kind in "biuf":
        numpy_type = {"b": np.bool_, "f": np.float64}.get(kind, np.int64)
        return TypedCells(series.to_numpy(dtype=numpy_type, na_value=numpy_type(0)), ~null, stored)
    if kind == "M":
        return TypedCells(series.to_numpy(dtype="datetime64[us]"), ~null, stored)
    values = series.astype(object).to_numpy()
    cells = cells_of_objects(values.tolist(), stored, name, where, lambda v: v is pandas.NA or v is pandas.NaT)
    return replace(cells, stored=_stored_objects(values[~null].tolist())) if stored == "object" else cells


def _stored_objects(values: Sequence[Any]) -> str:
    """Return the type of a column of Python's own objects, such as "object[bool]"; "object" if they differ."""
    kinds = {next((kind for kind in OBJECTS if isinstance(v, kind)), None) for v in values}
    kind = kinds.pop() if len(kinds) == 1 else None
    return "object" if kind is None else f"object[{kind.__name__}]"


def _categories(series: Any, name: str, where: str) -> TextCells:
    """Return the cells of a series of categories."""
    kinds = cells_of_objects(series.cat.categories.tolist(), "category", name, where)
    texts = (kinds if isinstance(kinds, TextCells) else kinds.as_text()).array()
    if isinstance(kinds, TypedCells):  # in the order of the categories, which need not be that of the numbers
        texts = np.array([category_name(v) for v in series.cat.categories.tolist()], dtype=object)
    codes, of = series.cat.codes.to_numpy().astype(np.int32), str(series.cat.categories.dtype)
    stored = "category" if of in ("str", "object", "string") else f"category[{of}]"
    stored += ", ordered" if series.cat.ordered else ""
    return TextCells(texts, codes, stored, tuple(texts.tolist()), bool(series.cat.ordered))


def category_name(value: Any) -> str:
    """Return a category that is no text as a name.

    Example:
        >>> category_name(3.0), category_name(0.5)
        ('3', '0.5')
    """
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _polars(series: Any, name: str, where: str) -> Cells:
    """Return the cells of a series of polars.

    Raises:
        DataError: they are nested.
    """
    polars: Any = sys.modules["polars"]
    dtype, stored = series.dtype, str(series.dtype)
    observed = ~series.is_null().to_numpy()
    if dtype == polars.Boolean:
        return TypedCells(series.fill_null(False).to_numpy(), observed, "bool")
    if dtype.is_integer():
        return TypedCells(series.fill_null(0).to_numpy(), observed, stored.lower())
    if dtype.is_numeric():  # floats, and decimals
        values = series.cast(polars.Float64 if not dtype.is_float() else dtype).fill_null(float("nan")).to_numpy()
        return TypedCells(values, ~np.isnan(values), stored.lower())
    if dtype in (polars.Date, polars.Datetime):
        zoned = getattr(dtype, "time_zone", None)
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zoned else series
        times = series.cast(polars.Datetime("us")).to_numpy().astype("datetime64[us]")
        return TypedCells(times, observed, "date" if dtype == polars.Date else stored)
    if dtype in (polars.Categorical, polars.Enum):
        cells = TextCells.of(series.cast(polars.String).to_list(), "category")
        levels = tuple(dtype.categories.to_list()) if dtype == polars.Enum else ()
        return TextCells(cells.texts, cells.codes, "category", levels)
    if dtype == polars.Duration:
        return TypedCells(series.dt.total_microseconds().fill_null(0).to_numpy() / 1e6, observed, stored)
    if dtype.is_nested() or dtype in (polars.Object, polars.Binary):
        raise DataError(
            f"column {name!r} of {where} is nested or no text: its type is {stored}",
            "Give one number, text or time per cell, or drop the column.",
        )
    return TextCells.of(series.cast(polars.String).to_list(), stored)
