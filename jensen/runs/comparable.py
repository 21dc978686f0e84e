"""The columns of two runs whose numbers can be compared: log p(x) of the same cells, by the same measure."""

from __future__ import annotations

import numpy as np

from ..core.errors import DataError, JensenError
from ..data import Dataset
from ..data.columns import Column
from ..data.file_rows import Array, column_of
from .data import RunData
from .evaluation import Part

__all__ = ["check_cells", "check_columns", "have_same_data"]

SAME = "Train both without it (--drop), or with the same kind of it (--schema)."


def check_columns(first: RunData, second: RunData) -> None:
    """Refuse two runs of other columns, or with a mass of a column here and a density there.

    At least one has learned from a table of mixed columns; the other too, or from the numbers of such a table.

    Raises:
        DataError: naming the first such column.
    """
    pair, names = f"{first.path} and {second.path}", [_names(run) for run in (first, second)]
    for run, own, others in ((first, *names), (second, *names[::-1])):
        alone = next((name for name in own if name not in others), None)
        if alone is not None and len(own) >= len(others):
            what = f"{pair} are of different columns: only {run.path} has {alone!r}"
            raise DataError(what, "Train both on the same columns: --columns or --drop.")
    for i, (name, other) in enumerate(zip(*names, strict=True)):
        if name != other:
            what = f"{pair} have their columns in another order: column {i + 1} is {name!r} and {other!r}"
            raise DataError(what, "Train both with the same --columns.")
        _check_column(first, second, i, name)


def _names(run: RunData) -> tuple[str, ...]:
    return run.schema.names or tuple(f"x{i + 1}" for i in range(run.schema.size))


def _column(run: RunData, i: int) -> Column | None:
    """Return a column of a mixed table; None of other data."""
    return None if run.schema.columns is None else run.schema.columns[i]


def _check_column(first: RunData, second: RunData, i: int, name: str) -> None:
    """Refuse a column of another measure or other levels.

    Raises:
        DataError: see `check_columns`.
    """
    columns, where = [_column(run, i) for run in (first, second)], f"column {name!r} of {first.path} and {second.path}"
    measures = [_measure(run, column) for run, column in zip((first, second), columns, strict=True)]
    if measures[0] != measures[1]:
        kinds = [m if c is None else f"{m} ({c.kind})" for m, c in zip(measures, columns, strict=True)]
        what = f"{where} cannot be compared: its log-probability is of a {kinds[0]}, and of a {kinds[1]}"
        raise DataError(what, SAME)
    levels = [set(column.levels) for column in columns if column is not None]
    if len(levels) == 2 and levels[0] != levels[1]:
        alone = ", ".join(map(repr, sorted(levels[0] ^ levels[1])[:8]))
        raise DataError(f"{where} cannot be compared: only one of them has {alone} among its levels", SAME)


def _measure(run: RunData, column: Column | None) -> str:
    """Return the measure of a column's log-probability."""
    if column is not None:
        return "mass" if column.is_discrete else "density"
    if run.preparation.binarize is not None:
        return "mass of bits"
    if run.preparation.dequantize:
        return "density with noise added"
    return "density" if run.schema.kind == "real" else "mass"


def check_cells(first: RunData, second: RunData, part: Part, other: Part, remedy: str) -> None:
    """Refuse rows of two runs that are not the same: other values, or other cells that are observed.

    Args:
        first, second: the runs.
        part: the rows of the first; `other`: of the second.
        remedy: for the user.

    Raises:
        DataError: naming the first column in which they differ.
    """
    rows = f"the test rows of {first.path} and {second.path} are not the same"
    if part.x.shape != other.x.shape:
        raise DataError(f"{rows}: {len(part.x):,} and {len(other.x):,}", remedy)
    if first.schema.columns is None and second.schema.columns is None:
        if not (np.array_equal(part.x[:], other.x[:]) and np.array_equal(_seen(part), _seen(other))):
            raise DataError(rows, remedy)
        return
    seen = _seen(part), _seen(other)
    for i, name in enumerate(_names(first)):
        if not np.array_equal(seen[0][:, i], seen[1][:, i]):
            raise DataError(f"{rows}: other cells of column {name!r} are observed", remedy)
        if not np.array_equal(_values(first, part.x, i, seen[0]), _values(second, other.x, i, seen[1])):
            raise DataError(f"{rows}: values of column {name!r} differ", remedy)


def _seen(part: Part | Dataset) -> np.ndarray:
    """Return [N, D], True where observed."""
    return np.ones(part.x.shape, dtype=bool) if part.mask is None else part.mask


def _values(run: RunData, x: Array, i: int, seen: np.ndarray) -> np.ndarray:
    """Return the observed values of a column as numbers; names that are no numbers as they are."""
    values, column = column_of(x, i)[seen[:, i]], _column(run, i)
    if column is None or not column.is_levelled:
        return values
    return np.array([_number(level) for level in column.levels], dtype=object)[values.astype(np.int64)]


def _number(level: str) -> float | str:
    try:
        return float(level)
    except ValueError:
        return level.strip()


def have_same_data(first: RunData, second: RunData) -> bool:
    """Return whether two runs have learned from the same data; those of one may be the numbers of the other's table."""
    if first.spec["data"]["sha256"] == second.spec["data"]["sha256"]:
        return True
    if (first.schema.columns is None) and (second.schema.columns is None):
        return False
    try:
        own, other = first.dataset(), second.dataset()
    except JensenError:
        return False
    if own.x.shape != other.x.shape:
        return False
    seen = _seen(own), _seen(other)
    return np.array_equal(*seen) and all(
        np.array_equal(_values(first, own.x, i, seen[0]), _values(second, other.x, i, seen[1]))
        for i in range(own.x.shape[1])
    )
