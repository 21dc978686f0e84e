"""Columns that another one determines: left out of the model, completed by each other, and written back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..core.wording import plural
from .cells import Place, encode, present, row_place
from .column_notes import unknown_levels
from .columns import Column, Determined
from .frames import Cells, Frame, TypedCells
from .twins import Twins

__all__ = [
    "check_determined",
    "completed",
    "determining",
    "finder",
    "full_names",
    "is_empty",
    "spread",
    "tells_any",
    "told_by",
    "values_of",
]

ROWS = 3  # of a contradiction, that are named


def determining(columns: Sequence[Column], pairs: Sequence[Twins], apart: Collection[str] = ()) -> tuple[Column, ...]:
    """Return the columns that are left as data, with those that they determine.

    One with levels, all of which occur, determines others by a table of them; one of numbers those that equal it.

    Args:
        columns: all D of them.
        pairs: of them; see `twins`.
        apart: names of columns that stay data.

    Example:
        >>> columns = [Column("size", "categorical", levels=("S", "L")), Column("number", "count")]
        >>> pairs = [Twins(0, 1, own=(0.0, 1.0), other=(7.0, 9.0))]
        >>> [(c.name, [d.column.name for d in c.determines]) for c in determining(columns, pairs)]
        [('size', ['number'])]
    """
    others, gone = dict[int, list[Determined]](), set[int]()
    for group in _groups(pairs):
        values, first = _values(group), group[0].first
        source = next((i for i, own in values.items() if own and len(own) == len(columns[i].levels)), first)
        equal = {pair.second for pair in group if pair.own == pair.other}
        for i, other in values.items():
            if i == source or columns[i].name in apart:
                continue
            if columns[source].is_levelled and other and len(values[source]) == len(columns[source].levels):
                others.setdefault(source, []).append(Determined(columns[i], i, values[source], other))
            elif source == first and i in equal and _are_numbers(columns[source], columns[i]):
                others.setdefault(source, []).append(Determined(columns[i], i))
            else:
                continue
            gone.add(i)
    left = [i for i in range(len(columns)) if i not in gone]
    return tuple(replace(columns[i], determines=tuple(others.get(i, ()))) for i in left)


def _groups(pairs: Sequence[Twins]) -> list[list[Twins]]:
    groups: dict[int, list[Twins]] = {}
    for pair in pairs:
        groups.setdefault(pair.first, []).append(pair)
    return list(groups.values())


def _values(group: Sequence[Twins]) -> dict[int, tuple[float, ...]]:
    """Return the values that go together, by the number of the column; empty where all columns are equal."""
    own = next((pair.own for pair in group if pair.own), ())
    return {group[0].first: own} | {pair.second: pair.other or own for pair in group}


def _are_numbers(a: Column, b: Column) -> bool:
    """Return whether two columns with the same numbers can have the same values, without levels."""
    return a.kind == b.kind and not a.is_levelled


def check_determined(columns: Sequence[Column], hints: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a schema that says of a column that another determines it, where it does not.

    Raises:
        UsageError: it does not in every row, or by too few rows to tell.
    """
    by_name = {d.column.name: column.name for column in columns for d in column.determines}
    for name, hint in hints.items():
        source = hint.get("determined_by")
        if source and by_name.get(name) != source:
            by = f", but by {by_name[name]}" if name in by_name else " in every row, or there are too few rows to tell"
            what = f"column {name!r} is not determined by {source!r}{by}"
            raise UsageError(what, "Correct determined_by in the schema, or leave it out.")


def values_of(determined: Determined, x: np.ndarray) -> np.ndarray:
    """Return the numbers [N] of a column for those of the one that determines it; NaN where none is known.

    Example:
        >>> values_of(Determined(Column("n", "count"), 1, own=(0.0, 1.0), other=(7.0, 9.0)), np.array([1.0, 2.0]))
        array([ 9., nan])
    """
    return _translated(x, determined.own, determined.other)


def told_by(determined: Determined, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers [N] of the column that determines one, by those of the latter, and where they are known."""
    x = _translated(values, determined.other, determined.own)
    return np.nan_to_num(x, nan=0.0), ~np.isnan(x)


def _translated(x: np.ndarray, keys: tuple[float, ...], values: tuple[float, ...]) -> np.ndarray:
    """Return for each number [N] the value at its place among the keys, NaN for others; itself without keys."""
    if not keys:
        return np.array(x, dtype=np.float64)
    order = np.argsort(keys)
    ordered, by_key = np.array(keys)[order], np.append(np.array(values)[order], np.nan)
    at = np.searchsorted(ordered, x)
    known = ordered[np.minimum(at, len(ordered) - 1)] == x
    return by_key[np.where(known, at, len(ordered))]


def full_names(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the names of all columns that are data or determined by data, in the order of the table.

    Example:
        >>> number = Determined(Column("number", "count"), 0, (0.0, 1.0), (7.0, 9.0))
        >>> full_names([Column("size", "categorical", levels=("S", "L"), determines=(number,))])
        ('number', 'size')
    """
    names = [column.name for column in columns]
    for determined in _in_order(columns):
        names.insert(determined.place, determined.column.name)
    return tuple(names)


def _in_order(columns: Sequence[Column]) -> list[Determined]:
    return sorted((d for column in columns for d in column.determines), key=lambda d: d.place)


def finder(columns: Sequence[Column], name: str) -> tuple[int, Determined] | None:
    """Return the number of the column that determines the one of this name, and how; None if none does."""
    pairs = ((i, d) for i, column in enumerate(columns) for d in column.determines)
    return next(((i, d) for i, d in pairs if d.column.name == name), None)


def spread(
    columns: Sequence[Column], x: np.ndarray, where: np.ndarray
) -> tuple[tuple[Column, ...], np.ndarray, np.ndarray]:
    """Return columns, their numbers [N, D] and where they are known [N, D], with columns that they determine.

    Example:
        >>> number = Determined(Column("number", "count"), 1, (0.0, 1.0), (7.0, 9.0))
        >>> size = Column("size", "categorical", levels=("S", "L"), determines=(number,))
        >>> [v.tolist() for v in spread([size], np.array([[1.0]]), np.array([[True]]))[1:]]
        [[[1.0, 9.0]], [[True, True]]]
    """
    own, parts, known = list(columns), list(x.T), list(where.T)
    for determined in _in_order(columns):
        i = finder(columns, determined.column.name)
        source = 0 if i is None else i[0]
        values = values_of(determined, x[:, source])
        known.insert(determined.place, where[:, source] & ~np.isnan(values))
        parts.insert(determined.place, np.nan_to_num(values, nan=0.0))
        own.insert(determined.place, determined.column)
    return tuple(own), np.stack(parts, 1), np.stack(known, 1)


def completed(
    column: Column, cells: Cells, others: Sequence[tuple[Determined, Cells]], place: Place = row_place
) -> tuple[np.ndarray, np.ndarray, dict[str, int], list[str]]:
    """Return the numbers of a column as `encode` does, with those that columns beside it tell where it is missing.

    Args:
        column: of data.
        cells: [N], of it.
        others: columns that it determines, with their cells [N].
        place: names the cell of a row, in errors and notes.

    Returns:
        values [N], where they are known [N], unknown levels, and notes on what was completed or contradicts itself.
    """
    values, known, unseen = encode(column, cells, place)
    notes = list[str]()
    for determined, own in others:
        other, observed, new_levels = encode(determined.column, own)
        notes += unknown_levels(determined.column, new_levels)
        known_by, is_told = told_by(determined, other)
        is_told &= observed
        against = np.flatnonzero(known & is_told & (values != known_by))
        new = is_told & ~known
        name = determined.column.name
        if new.any():
            notes.append(f"{plural(int(new.sum()), 'missing cell')} of {column.name} known from {name}")
        if len(against):
            shown = "; ".join(place(int(row)) for row in against[:ROWS]) + ("; ..." if len(against) > ROWS else "")
            rows = plural(len(against), "row")
            notes.append(f"{name} contradicts {column.name} in {rows}, and {column.name} is taken: see {shown}")
        values, known = np.where(new, known_by, values), known | new
    return values, known, unseen, notes


def is_empty(column: Column, cells: Cells) -> np.ndarray:
    """Return where the cells [N] of a column are missing, and not only of an unknown level."""
    if isinstance(cells, TypedCells):
        return ~np.asarray(cells.observed)
    return ~np.append(present(cells, column.missing), False)[cells.codes]


def tells_any(columns: Sequence[Column], frame: Frame) -> bool:
    """Return whether a table has an empty cell in a column that determines another one, or is determined."""
    names = [own.name for c in columns if c.determines for own in (c, *(d.column for d in c.determines))]
    by_name = {own.name: own for c in columns for own in (c, *(d.column for d in c.determines))}
    return any(
        bool(is_empty(by_name[name], frame.columns[frame.names.index(name)]).any())
        for name in names
        if name in frame.names
    )
