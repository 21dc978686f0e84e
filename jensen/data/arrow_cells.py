"""The cells of columns of Arrow, and tables in Parquet, Feather and Arrow files."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from .frames import NULL, Cells, TextCells, TypedCells

__all__ = ["AGAIN", "CELL", "HELD", "arrow_cells", "library", "read_arrow_file"]

CELL, HELD = 8, 3  # bytes of a cell, and how often it is held: in the table, as a number, and while kinds are guessed
_FLOATS = {"double": "float64", "float": "float32", "halffloat": "float16"}
AGAIN = "Write or download it again."


def library(name: str, where: str) -> Any:
    """Return a module of pyarrow.

    Raises:
        DataError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DataError(
            f"pyarrow, which reads {where}, is not installed", "Install it: pip install 'jensen[parquet]'."
        ) from error


def read_arrow_file(path: Path) -> Any:
    """Return the Arrow table in a Feather file, or a file or stream of record batches.

    Raises:
        DataError: the file is damaged, or pyarrow is not installed.
    """
    ipc, feather = library("pyarrow.ipc", str(path)), library("pyarrow.feather", str(path))
    with path.open("rb") as file:
        head = file.read(6)
    try:
        if head == b"ARROW1" or head.startswith(b"FEA1"):
            return feather.read_table(path, memory_map=False)
        with path.open("rb") as file:
            return ipc.open_stream(file).read_all()
    except Exception as error:  # the library has errors of its own
        raise DataError(f"{path} is damaged ({error})", AGAIN) from error


def arrow_cells(column: Any, name: str, where: str) -> Cells:
    """Return the cells of a column of Arrow.

    Args:
        column: an array, or one in chunks.
        name: of the column.
        where: the name of the table.

    Raises:
        DataError: the column is nested, or of bytes.
    """
    arrow = library("pyarrow", where)
    types, kind, n = arrow.types, column.type, len(column)
    stored = _FLOATS.get(str(kind), str(kind))
    if types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        raise DataError(
            f"column {name!r} of {where} is nested or no text: its type is {kind}",
            "Give one number, text or time per cell, or drop the column.",
        )
    array = _joined(column, name, where) if isinstance(column, arrow.ChunkedArray) else column
    if types.is_null(kind):
        return TextCells(np.empty(0, dtype=object), np.full(n, NULL, dtype=np.int32), stored)
    observed = _observed(array)
    if types.is_dictionary(kind):
        return _dictionary(array, name, where)
    if types.is_boolean(kind):
        return TypedCells(_bits(array, 1) & observed, observed, "bool")
    if types.is_integer(kind):
        return TypedCells(np.where(observed, _numbers(array, stored), 0), observed, stored)
    if types.is_floating(kind) or types.is_decimal(kind):
        array = array.cast(arrow.float64()) if types.is_decimal(kind) or types.is_float16(kind) else array
        values = np.where(observed, _numbers(array, _FLOATS[str(array.type)]), np.nan)
        return TypedCells(values, ~np.isnan(values), stored)
    if types.is_timestamp(kind) or types.is_date(kind):
        times = _numbers(array.cast(arrow.timestamp("us"), safe=False), "datetime64[us]")
        known = np.where(observed, times, np.datetime64("NaT"))
        return TypedCells(known, observed, "date" if types.is_date(kind) else stored)
    if types.is_duration(kind):
        whole = _numbers(array.cast(arrow.duration("us"), safe=False), "int64")
        return TypedCells(np.where(observed, whole, 0) / 1e6, observed, stored)
    return _dictionary(array.cast(arrow.large_string()).dictionary_encode(), name, where, stored)


def _numbers(array: Any, dtype: str) -> np.ndarray:
    """Return the numbers [N] of an array, anything where one is null: without pandas, which `to_numpy` imports."""
    data, size = array.buffers()[1], np.dtype(dtype).itemsize
    if not len(array):
        return np.empty(0, dtype)
    return np.frombuffer(data, dtype, len(array), array.offset * size)


def _bits(array: Any, place: int) -> np.ndarray:
    """Return the bits [N] of a buffer of an array."""
    if not len(array):
        return np.empty(0, dtype=bool)
    stop = array.offset + len(array)
    packed = np.frombuffer(array.buffers()[place], np.uint8, -(-stop // 8))
    return np.unpackbits(packed, count=stop, bitorder="little")[array.offset :].astype(bool)


def _observed(array: Any) -> np.ndarray:
    """Return where an array has values [N]."""
    return _bits(array, 0) if array.null_count and array.buffers()[0] is not None else np.ones(len(array), dtype=bool)


def _joined(column: Any, name: str, where: str) -> Any:
    """Return a column in chunks as one array; of text with places of eight bytes, as those of four end at 2 GiB.

    Raises:
        DataError: it is too large for that.
    """
    arrow = library("pyarrow", where)
    try:
        text = column.cast(arrow.large_string()) if arrow.types.is_string(column.type) else column
        return text.combine_chunks()
    except (arrow.ArrowInvalid, arrow.ArrowCapacityError) as error:
        what = f"column {name!r} of {where} cannot be read as one array ({error})"
        raise DataError(what, "Drop it, or write it with other types: long texts as large_string.") from error


def _dictionary(array: Any, name: str, where: str, stored: str = "category") -> TextCells:
    """Return the cells of a dictionary-encoded array."""
    codes = np.where(_observed(array.indices), _numbers(array.indices, str(array.indices.type)), 0).astype(np.int32)
    codes[~_observed(array.indices)] = NULL
    values = array.dictionary.to_pylist()
    odd = next((v for v in values if not isinstance(v, str | int | float | bool | None)), None)
    if odd is not None:
        raise DataError(f"column {name!r} of {where} is a dictionary of {type(odd).__name__}", "Give texts or numbers.")
    texts = np.empty(len(values), dtype=object)
    texts[:] = ["" if v is None else str(v) for v in values]
    levels = tuple(texts.tolist()) if stored == "category" and array.type.ordered else ()
    return TextCells(texts, codes, stored, levels, bool(levels))
