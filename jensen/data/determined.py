"""Columns that another one determines: left out of the model, completed by each other, and written back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..core.wording import plural
from .cells import Place, encode, row_place
from .columns import Column, Determined
from .frames import Cells
from .twins import Twins

__all__ = ["check_determined", "completed", "determining", "finder", "full_names", "spread", "told_by", "values_of"]


def determining(columns: Sequence[Column], pairs: Sequence[Twins], apart: Collection[str] = ()) -> tuple[Column, ...]:
    """Return the columns that are left as data, with those that they determine.

    One with levels determines others by a table of its levels; one of numbers determines those that are equal to it.

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
        values = _values(group)
        source = next((i for i in values if columns[i].is_levelled), group[0].first)
        equal = {pair.second for pair in group if not pair.own}
        for i, other in values.items():
            if i == source or columns[i].name in apart:
                continue
            own, other = (values[source], other) if other and columns[source].is_levelled else _numbers(columns[source])
            if (own and _has(columns[i], other)) or (
                not own and i in equal and columns[i].kind == columns[source].kind
            ):
                others.setdefault(source, []).append(Determined(columns[i], i, own, other))
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


def _numbers(column: Column) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the values of a column, and those of one with the same numbers; empty where they are not countable."""
    own = tuple(map(float, range(len(column.levels))))
    return own, own


def _has(column: Column, values: tuple[float, ...]) -> bool:
    """Return whether a column can have these values."""
    return not column.is_levelled or max(values) < len(column.levels)


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
        place: names the cell of a row, in errors.

    Returns:
        values [N], where they are known [N], unknown levels, and notes on what was completed or contradicts itself.
    """
    values, known, unseen = encode(column, cells, place)
    notes = list[str]()
    for determined, own in others:
        other, observed, _ = encode(determined.column, own)
        known_by, is_told = told_by(determined, other)
        is_told &= observed
        against = int((known & is_told & (values != known_by)).sum())
        new = is_told & ~known
        name = determined.column.name
        if new.any():
            notes.append(f"{plural(int(new.sum()), 'missing cell')} of {column.name} known from {name}")
        if against:
            notes.append(f"{name} contradicts {column.name} in {plural(against, 'row')}: {column.name} is taken")
        values, known = np.where(new, known_by, values), known | new
    return values, known, unseen, notes
