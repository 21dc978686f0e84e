"""Tables and arrays in JSON: one document, or one row a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import DataError
from .containers import raw_of
from .dataset import Raw
from .lines import read_text
from .selection import Selection
from .sizes import JSON, check_size

__all__ = ["read_json"]

REMEDY = "Give rows as lists of numbers or as objects, or columns as lists; or save it as .csv or .npy."


def read_json(path: Path, wanted: str | None, options: Selection) -> Raw:
    """Read JSON: nested lists, a list of objects (or one a line), columns by name, or what pandas writes.

    Args:
        path: of the file.
        wanted: the name of the labels.
        options: the columns to read, of a table.

    Raises:
        DataError: it is damaged, or holds no table and no array of numbers.
        UsageError: columns are chosen, and it is not a table.
    """
    text, notes = read_text(path)
    check_size(len(text), str(path), "Give fewer rows or columns, or save them as .npy", JSON, "holds")
    parsed = _parsed(text, path)
    try:
        held = _plain(parsed, path)
    except (TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} holds no table that pandas would write", REMEDY) from error
    _check_form(held, path)
    if isinstance(held, dict):
        held = {name: _array(values) for name, values in held.items()}
    else:
        held = _array(held)
    raw = raw_of(held, wanted, f"table in {path}", options)
    raw.notes[:0] = notes
    return raw


def _parsed(text: str, path: Path) -> Any:
    """Return the content of a document, or of one document a line as a list.

    Raises:
        DataError: it is not JSON.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise DataError(f"{path} is damaged (it is nested too deeply)", REMEDY) from error
    except ValueError as error:
        first = error
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        raise DataError(f"{path} is no JSON ({first})", "Write or download it again.") from first


def _plain(held: Any, path: Path) -> dict[str, Any] | list[Any]:
    """Return rows as nested lists, or columns by name, from any of the forms of a table.

    Raises:
        DataError: it is neither, or rows have different columns.
    """
    if isinstance(held, dict) and isinstance(held.get("data"), list) and held.keys() <= {"columns", "index", "data"}:
        names, rows = held.get("columns") or [], held["data"]
        return _columns([dict(zip(map(str, names), row, strict=False)) for row in rows], path) if names else rows
    if isinstance(held, dict) and "schema" in held and isinstance(held.get("data"), list):
        index = held["schema"].get("primaryKey", []) if isinstance(held["schema"], dict) else []
        rows = [{k: v for k, v in row.items() if k not in index} for row in held["data"]]
        return _columns(rows, path)
    if isinstance(held, dict) and held and all(isinstance(v, dict) for v in held.values()):
        rows = list(held.values())
        # rows by number, as orient="index" writes them; otherwise columns, whose entries have the numbers
        return (
            _columns(rows, path) if _are_numbers(list(held)) and not _are_numbers(list(rows[0])) else _sides(held, path)
        )
    if isinstance(held, list) and held and all(isinstance(row, dict) for row in held):
        return _columns(held, path)
    if isinstance(held, dict | list):
        return held
    raise DataError(f"{path} holds {type(held).__name__}, no table", REMEDY)


def _check_form(held: dict[str, Any] | list[Any], path: Path) -> None:
    """Refuse JSON that is settings, or anything else than rows or columns.

    Raises:
        DataError: naming the first entry that is none.
    """
    if isinstance(held, list) and not held:
        raise DataError(f"{path} has no rows", REMEDY)
    if isinstance(held, dict):
        odd = next((name for name, values in held.items() if not isinstance(values, list)), None)
        what = f"{odd!r} is {json.dumps(held[odd])[:40]}, and no column" if odd is not None else None
    else:
        row = next((i for i, v in enumerate(held) if isinstance(v, list) != isinstance(held[0], list)), None)
        row = next((i for i, v in enumerate(held) if isinstance(v, dict)), row)
        what = f"row {row} (from 0) is {json.dumps(held[row])[:40]}, unlike the others" if row is not None else None
    if what is not None:
        raise DataError(f"{path} is JSON, and no table: {what}", REMEDY)


def _are_numbers(keys: Sequence[str]) -> bool:
    """Return whether all keys are numbers of rows."""
    return all(key.isdecimal() for key in keys)


def _columns(rows: list[dict[str, Any]], path: Path) -> dict[str, Any]:
    """Return the columns of rows that are objects.

    Raises:
        DataError: rows have different names.
    """
    names = list(rows[0]) if rows else []
    for number, row in enumerate(rows):
        if row.keys() != set(names):
            odd = min(row.keys() ^ set(names))
            raise DataError(
                f"row {number} of {path} and row 0 differ in {odd!r} (rows from 0)", "Give every row the same names."
            )
    return {name: [row[name] for row in rows] for name in names}


def _sides(columns: dict[str, dict[str, Any]], path: Path) -> dict[str, Any]:
    """Return columns whose entries are named by their rows.

    Raises:
        DataError: columns have different rows.
    """
    rows = list(next(iter(columns.values())))
    for name, column in columns.items():
        if list(column) != rows:
            raise DataError(f"column {name!r} of {path} has other rows than the first", REMEDY)
    return {name: list(column.values()) for name, column in columns.items()}


def _array(values: Any) -> np.ndarray | Any:
    """Return numbers as an array, NaN for null; anything else as it is."""
    try:
        return np.asarray(values, dtype=None if _has_no_null(values) else np.float64)
    except (ValueError, TypeError):
        return values


def _has_no_null(values: Any) -> bool:
    """Return whether no entry of nested lists is null."""
    return all(map(_has_no_null, values)) if isinstance(values, list) else values is not None
