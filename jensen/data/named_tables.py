"""Tables of results made of named columns alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .dataframes import ArrowTable, PandasTable, PolarsTable, arrow_array, library
from .dialects import Dialect
from .frames import SourceKind
from .output_tables import OutputTable, PlainTable

__all__ = ["named_table"]


def named_table(
    columns: Mapping[str, np.ndarray],
    source_kind: SourceKind = "csv",
    index: Any = None,
    dialect: Dialect | None = None,
) -> OutputTable:
    """Return a table of columns [N] under their names, in their order; NaN is a missing number.

    Args:
        columns: by name, of numbers or of texts.
        source_kind: of table.
        index: of a pandas DataFrame; None numbers the rows.
        dialect: of a file of text.

    Example:
        >>> named_table({"p": np.array([0.5, np.nan]), "name": np.array(["a", "b"])}).data
        {'p': ['0.5', ''], 'name': ['a', 'b']}
    """
    texts = {name: v.astype(object) if v.dtype.kind in "US" else v for name, v in columns.items()}
    if source_kind == "pandas":
        pandas = library("pandas")
        series = {n: pandas.array(v.tolist(), dtype="str") if v.dtype == object else v for n, v in texts.items()}
        return PandasTable(pandas.DataFrame(series, index=index))
    if source_kind == "polars":
        polars = library("polars")
        plain = {name: v.tolist() if v.dtype == object else v for name, v in texts.items()}
        return PolarsTable(polars.DataFrame(plain, nan_to_null=True))
    if source_kind in ("arrow", "parquet", "feather"):
        arrow = library("pyarrow")
        return ArrowTable(arrow.table([arrow_array(v) for v in texts.values()], names=list(texts)))
    table: OutputTable = PlainTable([], [], texts=source_kind != "xlsx", dialect=dialect)
    for name, values in texts.items():
        table = table.inserted(len(table.names), name, values)
    return table
