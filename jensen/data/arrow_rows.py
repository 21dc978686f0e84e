"""Rows of Arrow tables by their numbers, also of columns with more than 2 GiB of text."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

__all__ = ["taken", "taken_rows"]

MOST_TEXT = 2**30  # bytes of a chunk of text, whose places of four bytes end at 2 GiB


def taken_rows(table: Any, index: np.ndarray) -> Any:
    """Return the rows of these numbers [M] of an Arrow table."""
    arrow = importlib.import_module("pyarrow")
    if not isinstance(table, arrow.Table):  # a batch, whose columns are single arrays
        return table.take(index)
    return arrow.Table.from_arrays([taken(column, index) for column in table.columns], schema=table.schema)


def taken(column: Any, index: np.ndarray) -> Any:
    """Return the rows of these numbers [M] of a column in chunks, in chunks of the same type.

    Arrow joins chunks before it takes rows of them, which fails from 2 GiB of text on.
    """
    arrow = importlib.import_module("pyarrow")
    if not arrow.types.is_string(column.type) or column.nbytes <= MOST_TEXT:
        return column.take(index)
    wide = column.cast(arrow.large_string()).take(index)
    chunks = [part.cast(column.type) for chunk in wide.chunks for part in _parts(chunk)]
    return arrow.chunked_array(chunks, column.type)


def _parts(array: Any) -> list[Any]:
    """Return an array of text in parts that places of four bytes reach."""
    if array.nbytes <= MOST_TEXT or len(array) == 1:
        return [array]
    half = len(array) // 2
    return [*_parts(array[:half]), *_parts(array[half:])]
