"""Numbers of the columns of a table as they are written, whole or with so many decimals, and as objects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import numpy as np

from .cells import decode, is_clock
from .columns import Column
from .time_texts import step_of

__all__ = ["Holds", "as_written", "holds_of", "objects", "plain_array"]

Holds = Literal[
    "text", "whole", "number", "decimal", "bool", "time", "date", "clock", "span"
]  # what the cells of a typed column are
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECONDS = 1e6
_INTEGERS = re.compile(r"u?int(8|16|32|64)\b")


def as_written(columns: Sequence[Column], x: np.ndarray) -> np.ndarray:
    """Return numbers [..., D] as their columns are written, so that a file and memory hold the same ones.

    Names and whole numbers are whole, others have the decimals of their column, and times the resolution of its format.
    Where rounding leaves the values that a column can have, the nearest one that is written so is taken.

    Args:
        columns: the D columns.
        x: numbers, as a data set stores them.

    Example:
        >>> price = Column("price", "positive", decimals=1)
        >>> as_written([price, Column("n", "count")], np.array([[2.349, 2.6], [0.01, -1.0]])).tolist()
        [[2.3, 3.0], [0.1, 0.0]]
    """
    written = np.array(x, dtype=np.float64)
    for d, column in enumerate(columns):
        written[..., d] = _storable(column.stored, _as_written(column, written[..., d]))
    return written


def _storable(stored: str, x: np.ndarray) -> np.ndarray:
    """Return numbers within the limits of the integers that their column is stored as."""
    kind = _INTEGERS.match(stored.lower())
    if kind is None:
        return x
    limits = np.iinfo(kind[0])
    top = float(limits.max)
    return x.clip(float(limits.min), top if int(top) == limits.max else np.nextafter(top, 0))  # 2^63 is no int64


def _as_written(column: Column, x: np.ndarray) -> np.ndarray:
    """Return numbers [...] of one column as it writes them."""
    if column.is_levelled:
        return np.clip(np.rint(x), 0, len(column.levels) - 1)
    if column.is_discrete:
        low = 0.0 if column.kind == "count" else column.low
        return np.rint(x) if low is None else np.maximum(np.rint(x), low)
    if column.kind == "datetime":
        step = 1 / MICROSECONDS if column.format is None else step_of(column.format)
        return np.round(np.rint(x / step) * step, 6)
    decimals = 0 if column.stored.lower().startswith(("int", "uint")) else column.decimals
    rounded = x if decimals is None else np.round(x, decimals)
    if column.low is None or column.high is None:
        return np.maximum(rounded, 10.0**-decimals) if column.kind == "positive" and decimals is not None else rounded
    if column.kind == "circular":
        if is_clock(column):
            step = step_of(column.format or "") / 3600
            rounded = np.round(np.rint(x / step) * step, 9)
        return column.low + np.mod(rounded - column.low, column.high - column.low)
    step = 0.0 if decimals is None else 10.0**-decimals
    if column.low + step > column.high - step:  # no number of so many decimals lies between the ends
        return x
    inside = np.clip(rounded, column.low + step, column.high - step)
    return np.where((rounded > column.low) & (rounded < column.high), rounded, inside)


def holds_of(value: Any) -> Holds:
    """Return what a cell of a typed column is.

    Example:
        >>> holds_of("a"), holds_of(3), holds_of(True), holds_of(datetime(2020, 1, 1))
        ('text', 'whole', 'bool', 'time')
    """
    kinds: list[tuple[tuple[str, ...], Holds]] = [
        (("bool", "bool_"), "bool"),
        (("int", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"), "whole"),
        (("datetime", "Timestamp", "datetime64"), "time"),
        (("date",), "date"),
        (("time",), "clock"),
        (("timedelta", "Timedelta", "timedelta64"), "span"),
        (("Decimal",), "decimal"),
        (("str", "str_"), "text"),
    ]
    for names, holds in kinds:
        if type(value).__name__ in names:
            return holds
    return "number"


def objects(column: Column, x: np.ndarray, holds: Holds, known: Mapping[str, Any]) -> list[Any]:
    """Return numbers [N] of a column as the objects that a typed column holds.

    Args:
        column: of the numbers.
        x: [N], as a data set stores them.
        holds: what the typed column holds.
        known: by the name of a level, the object that stands for it there.

    Example:
        >>> objects(Column("n", "categorical", levels=("1", "2")), np.array([1.0, 0.0]), "whole", {})
        [2, 1]
    """
    if column.is_levelled:
        names = decode(column, x).tolist()
        return [known[name] if name in known else _converted(name, holds) for name in names]
    if holds in ("text", "decimal"):
        texts = decode(column, x).tolist()
        return texts if holds == "text" else [Decimal(text) for text in texts]
    if holds == "span":
        return [timedelta(microseconds=round(v * MICROSECONDS)) for v in x.tolist()]
    if holds in ("time", "date"):
        times = [EPOCH + timedelta(microseconds=round(v * MICROSECONDS)) for v in x.tolist()]
        return [t.date() for t in times] if holds == "date" else times
    if holds == "clock":
        return [(EPOCH + timedelta(microseconds=round(v * 3600 * MICROSECONDS))).time() for v in x.tolist()]
    return [int(v) for v in np.rint(x).tolist()] if holds == "whole" else x.tolist()


def _converted(name: str, holds: Holds) -> Any:
    """Return the object that the name of a level stands for."""
    if holds == "bool":
        return name.strip().lower() in ("true", "t", "yes", "y", "1")
    if holds == "whole":
        return int(float(name))
    return float(name) if holds == "number" else name


def plain_array(column: Column, x: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return numbers [N] of a column as floats or times [N] by themselves; NaN or NaT in other cells than `where`.

    Example:
        >>> plain_array(Column("age", "count"), np.array([40.0, 0.0]), np.array([True, False])).tolist()
        [40.0, nan]
    """
    if column.kind != "datetime":
        return np.where(where, x, np.nan)
    times = np.rint(np.where(where, x, 0.0) * MICROSECONDS).astype(np.int64).astype("datetime64[us]")
    return np.where(where, times, np.datetime64("NaT"))
