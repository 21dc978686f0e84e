"""Tables of results as objects of pandas, polars and Arrow, in the types of the table that was given.

None of these libraries is imported before a table of it is there, or is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..core.errors import UsageError
from .columns import Column
from .frames import SourceKind
from .output_tables import OutputTable, object_array
from .table_values import MICROSECONDS, Holds, holds_of, objects
from .typed_frames import category_name

__all__ = ["ArrowTable", "PandasTable", "PolarsTable", "arrow_array", "available", "library"]


def library(name: str) -> Any:
    """Return a library of tables, imported.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"{name} is not installed", f"Install it: pip install {name.partition('.')[0]}.") from error


def available() -> SourceKind:
    """Return the first kind of table in memory whose library is installed; "xlsx", plain objects, where none is."""
    kinds: list[tuple[SourceKind, str]] = [("pandas", "pandas"), ("polars", "polars"), ("arrow", "pyarrow")]
    installed: list[SourceKind] = [kind for kind, name in kinds if find_spec(name) is not None]
    return installed[0] if installed else "xlsx"


def _microseconds(x: np.ndarray) -> np.ndarray:
    return np.rint(x * MICROSECONDS).astype(np.int64)


def _spread(values: Sequence[Any], where: np.ndarray) -> list[Any]:
    """Return these values where `where` [N] is True, and None elsewhere."""
    rest = iter(values)
    return [next(rest) if ok else None for ok in where.tolist()]


_OBJECTS: dict[str, Holds] = {  # by the stored type of a column: what its objects are
    "object[bool]": "bool",
    "object[int]": "whole",
    "object[float]": "number",
    "object[Decimal]": "decimal",
    "object[datetime]": "time",
    "object[date]": "date",
    "date": "date",
    "object[time]": "clock",
    "object[timedelta]": "span",
}


class _Held(OutputTable):
    """A table of a library, held as it is."""

    def __init__(self, data: Any) -> None:
        self._data = data

    @property
    def data(self) -> Any:
        return self._data


class PandasTable(_Held):
    """A DataFrame of pandas."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(str(name) for name in self._data.columns)

    def __len__(self) -> int:
        return len(self._data)

    def cell(self, row: int, place: int) -> Any:
        return self._data.iloc[row, place]

    def replaced(
        self, place: int, column: Column, x: np.ndarray, where: np.ndarray, known: Mapping[str, Any]
    ) -> PandasTable:
        pandas, series, rows = library("pandas"), self._data.iloc[:, place].copy(), np.flatnonzero(where)
        values = self._values(series, column, x[rows], known)
        if isinstance(series.dtype, pandas.CategoricalDtype):
            new = [v for v in dict.fromkeys(values) if v not in series.dtype.categories]
            series = series.cat.add_categories(new) if new else series
        series.iloc[rows] = values if str(series.dtype) == "object" else pandas.array(values, dtype=series.dtype)
        data = self._data.copy(deep=False)
        data.isetitem(place, series)
        return PandasTable(data)

    @classmethod
    def _values(cls, series: Any, column: Column, x: np.ndarray, known: Mapping[str, Any]) -> Any:
        """Return numbers [M] as cells of a column."""
        pandas, dtype = library("pandas"), series.dtype
        if isinstance(dtype, pandas.PeriodDtype) or dtype.kind == "M":
            times = pandas.to_datetime(_microseconds(x), unit="us", utc=True)
            zone = getattr(dtype, "tz", None)
            times = times.tz_localize(None) if zone is None else times.tz_convert(zone)
            return times.to_period(dtype.freq) if isinstance(dtype, pandas.PeriodDtype) else times
        if dtype.kind == "m":
            return pandas.to_timedelta(_microseconds(x), unit="us")
        if isinstance(dtype, pandas.CategoricalDtype):
            known = {category_name(v): v for v in dtype.categories.tolist()} | dict(known)
        values = objects(column, x, cls._holds(series, column), known)
        if str(dtype) != "object":
            return values
        like = series.dropna()
        aware = len(like) and getattr(like.iloc[0], "tzinfo", None) is not None
        return object_array([v if aware or holds_of(v) != "time" else v.replace(tzinfo=None) for v in values])

    @staticmethod
    def _holds(series: Any, column: Column) -> Holds:
        """Return what the cells of a column are; of one without any, by the type that the column had in its source."""
        dtype = series.dtype
        if str(dtype) == "category":
            series, dtype = series.cat.categories.to_series(), series.cat.categories.dtype
        kinds: dict[str, Holds] = {"i": "whole", "u": "whole", "f": "number", "b": "bool", "M": "time"}
        if dtype.kind in kinds:
            return kinds[dtype.kind]
        observed = series.dropna()
        return holds_of(observed.iloc[0]) if len(observed) else _OBJECTS.get(column.stored, "text")

    def inserted(self, place: int, name: str, values: np.ndarray) -> PandasTable:
        data = self._data.copy(deep=False)
        texts = values.dtype == object
        array = library("pandas").array(values.tolist(), dtype="str") if texts else values
        data.insert(place, name, array, allow_duplicates=True)
        return PandasTable(data)

    def only(self, places: Sequence[int]) -> PandasTable:
        return PandasTable(self._data.iloc[:, list(places)])

    def repeated(self, n: int) -> PandasTable:
        return PandasTable(library("pandas").concat([self._data] * n))


class PolarsTable(_Held):
    """A DataFrame of polars."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._data.columns)

    def __len__(self) -> int:
        return self._data.height

    def cell(self, row: int, place: int) -> Any:
        return self._data.to_series(place)[row]

    def replaced(
        self, place: int, column: Column, x: np.ndarray, where: np.ndarray, known: Mapping[str, Any]
    ) -> PolarsTable:
        polars, series = library("polars"), self._data.to_series(place)
        dtype, name = series.dtype, series.name
        values = objects(column, x[where], self._holds(dtype), known)
        if isinstance(dtype, polars.Enum):
            categories = dtype.categories.to_list()
            dtype = polars.Enum([*categories, *(v for v in dict.fromkeys(values) if v not in categories)])
            series = series.cast(dtype)
        if isinstance(dtype, polars.Datetime):
            new = polars.Series(name, _spread(_microseconds(x[where]).tolist(), where), dtype=polars.Int64)
            new = new.cast(polars.Datetime("us"))
            if dtype.time_zone is not None:
                new = new.dt.replace_time_zone("UTC").dt.convert_time_zone(dtype.time_zone)
            new = new.cast(dtype)
        else:
            new = polars.Series(name, _spread(values, where), strict=False).cast(dtype)
        return PolarsTable(self._data.clone().replace_column(place, new.zip_with(polars.Series(where), series)))

    @staticmethod
    def _holds(dtype: Any) -> Holds:
        """Return what the cells of a column are."""
        if dtype.is_integer():
            return "whole"
        if dtype.is_numeric():
            return "number"
        names: dict[str, Holds] = {"Boolean": "bool", "Datetime": "time", "Date": "date", "Time": "clock"}
        names["Duration"] = "span"
        return names.get(str(dtype.base_type()), "text")

    def inserted(self, place: int, name: str, values: np.ndarray) -> PolarsTable:
        series = library("polars").Series(name, values.tolist() if values.dtype == object else values, nan_to_null=True)
        return PolarsTable(self._data.clone().insert_column(place, series))

    def only(self, places: Sequence[int]) -> PolarsTable:
        return PolarsTable(self._data[:, list(places)])

    def repeated(self, n: int) -> PolarsTable:
        return PolarsTable(library("polars").concat([self._data] * n))


def arrow_array(values: np.ndarray) -> Any:
    """Return cells [N] as an array of Arrow; NaN and None are null.

    Numbers are taken as they lie in memory: what Arrow makes of an array of NumPy begins with an import of pandas.
    """
    arrow = library("pyarrow")
    if values.dtype.kind not in "iuf" or values.dtype.itemsize > 8:
        return arrow.array(values.tolist() if values.dtype == object else values, from_pandas=True)
    known = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), dtype=bool)
    validity = None if known.all() else arrow.py_buffer(np.packbits(known, bitorder="little"))
    data = arrow.py_buffer(np.ascontiguousarray(values))
    return arrow.Array.from_buffers(arrow.from_numpy_dtype(values.dtype), len(values), [validity, data])


class ArrowTable(_Held):
    """A table of Arrow, as Parquet and Feather files hold it."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._data.column_names)

    def __len__(self) -> int:
        return self._data.num_rows

    def cell(self, row: int, place: int) -> Any:
        return self._data.column(place)[row].as_py()

    def replaced(
        self, place: int, column: Column, x: np.ndarray, where: np.ndarray, known: Mapping[str, Any]
    ) -> ArrowTable:
        arrow, compute = library("pyarrow"), library("pyarrow.compute")
        old, mask = self._data.column(place), arrow.array(where)
        kind = old.type
        value_type = kind.value_type if arrow.types.is_dictionary(kind) else kind
        values = objects(column, x[where], self._holds(value_type), known)
        if arrow.types.is_dictionary(kind):
            new = self._in_dictionary(old, values, where)
        else:
            if arrow.types.is_timestamp(kind):
                times = arrow.array(_spread(_microseconds(x[where]).tolist(), where), arrow.int64())
                array = times.cast(arrow.timestamp("us", kind.tz)).cast(kind, safe=False)
            elif arrow.types.is_floating(kind) or arrow.types.is_decimal(kind):
                array = arrow.array(_spread(values, where), arrow.float64()).cast(kind, safe=False)
            else:
                array = arrow.array(_spread(values, where), kind)
            new = compute.if_else(mask, array, old)
        return ArrowTable(self._data.set_column(place, self._data.field(place), new))

    @staticmethod
    def _in_dictionary(old: Any, values: Sequence[Any], where: np.ndarray) -> Any:
        """Return a column of names with other ones in some cells; names that it does not have come last."""
        arrow, compute = library("pyarrow"), library("pyarrow.compute")
        chunks = old.unify_dictionaries().combine_chunks()
        array = chunks.chunk(0) if isinstance(chunks, arrow.ChunkedArray) else chunks
        names = dict.fromkeys([*array.dictionary.to_pylist(), *values])
        number = {name: i for i, name in enumerate(names)}
        new = arrow.array(_spread([number[v] for v in values], where), old.type.index_type)
        indices = compute.if_else(arrow.array(where), new, array.indices)
        dictionary = arrow.array(list(names), old.type.value_type)
        return arrow.DictionaryArray.from_arrays(indices, dictionary, ordered=old.type.ordered)

    @staticmethod
    def _holds(kind: Any) -> Holds:
        """Return what the cells of a column are."""
        types = library("pyarrow").types
        holds: list[tuple[bool, Holds]] = [
            (types.is_boolean(kind), "bool"),
            (types.is_integer(kind), "whole"),
            (types.is_floating(kind) or types.is_decimal(kind), "number"),
            (types.is_timestamp(kind), "time"),
            (types.is_date(kind), "date"),
            (types.is_time(kind), "clock"),
            (types.is_duration(kind), "span"),
        ]
        for applies, name in holds:
            if applies:
                return name
        return "text"

    def inserted(self, place: int, name: str, values: np.ndarray) -> ArrowTable:
        return ArrowTable(self._data.add_column(place, name, arrow_array(values)))

    def only(self, places: Sequence[int]) -> ArrowTable:
        kept = self._data.select(list(places))
        notes = {k: v for k, v in (kept.schema.metadata or {}).items() if k != b"pandas"}  # which describes all columns
        return ArrowTable(kept.replace_schema_metadata(notes or None))

    def repeated(self, n: int) -> ArrowTable:
        return ArrowTable(library("pyarrow").concat_tables([self._data] * n))
