"""A condition on some columns, such as age=40, as one datum of which these alone are observed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import torch

from ..core.batch import Batch
from ..core.errors import DataError, UsageError
from ..data.cells import decode, encode
from ..data.columns import Column
from ..data.determined import finder, told_by
from ..data.frames import Cells, TextCells, TypedCells
from ..data.time_texts import ISO
from ..recipes.likelihoods import check_support
from ..storage.recorded_columns import MOST_LISTED, unknown_column
from .data import RunData

__all__ = ["beyond_data", "beyond_range", "column_index", "column_names", "condition_of"]


def column_names(run: RunData) -> tuple[str, ...]:
    """Return the names of the columns of a table; x1, x2, ... where they have none."""
    return run.schema.names or tuple(f"x{i + 1}" for i in range(run.schema.size))


def column_index(run: RunData, name: str) -> int:
    """Return the number of a column.

    Raises:
        UsageError: the data are no table, there is no such column, or another one determines it.
    """
    determined = finder(run.schema.columns or (), name)
    if determined is not None:
        by = column_names(run)[determined[0]]
        raise UsageError(f"column {name!r} is determined by {by!r}, which the model has", f"Ask for {by}.")
    if run.schema.is_image:
        raise UsageError(f"these data are images, which have no column {name!r}", "Use jensen impute RUN --mask.")
    names = column_names(run)
    if name not in names:
        raise unknown_column(name, names)
    return names.index(name)


def condition_of(run: RunData, given: Mapping[str, Any]) -> Batch:
    """Return one datum [1, D] as the model sees it, whose mask is True for the columns of the condition alone.

    Args:
        run: whose columns these are.
        given: values by column, as numbers, or as texts such as a table holds.

    Raises:
        UsageError: there is no such column, or its value is none that the column can have; the model is of bits or of
            numbers with noise.
    """
    preparation = run.preparation
    if preparation.binarize is not None or preparation.dequantize:
        raise UsageError(
            "this run models bits, or numbers to which noise was added, and not the values themselves",
            "Train without --binarize and --dequantize to condition on a column.",
        )
    if run.conditional:
        raise UsageError("this model is one of x given a label", "Give the label: --label; leave --given out.")
    mask, x = np.zeros((1, run.schema.size), dtype=bool), np.zeros((1, run.schema.size))
    for name, value in given.items():
        index, number = _value(run, name, value)
        if mask[0, index] and x[0, index] != number:
            what = f"{name} = {value} contradicts the condition on {column_names(run)[index]}"
            raise UsageError(what, "Give one of them.")
        x[0, index], mask[0, index] = number, True
    rows = preparation.rows(x, run.schema, mask=mask, device=run.device, dtype=run.dtype, what="the condition")
    batch = replace(rows.take(torch.zeros(1, dtype=torch.long, device=rows.device)), index=None, n_data=None)
    family, names = run.model.likelihood.family, ", ".join(given)
    check_support(
        family.support, rows, f"the condition on {names}", family.phrase, "Give values that the data can have."
    )
    return batch


def beyond_range(run: RunData, given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return notes on values of a condition outside of the range of the data that the run was trained on.

    Args:
        run: of a table of mixed columns; of others no ranges are recorded.
        given: values by column, as `condition_of` takes them.
    """
    columns, ranges, notes = run.schema.columns, run.spec["data"].get("ranges"), list[str]()
    if columns is None or ranges is None:
        return ()
    for name, value in given.items():
        index, number = _value(run, name, value)
        column, ends = columns[index], ranges[index]
        if ends is not None and not ends[0] <= number <= ends[1]:
            low, high = decode(column, np.array(ends))
            what = f"{name} = {value} is outside of the training data, whose {name} is from {low} to {high}"
            notes.append(f"{what}: the answer is an extrapolation")
    return tuple(notes)


def beyond_data(run: RunData, x: np.ndarray) -> str | None:
    """Return a note on the drawn rows [n, D] with numbers outside of the range of the training data; None without any.

    Args:
        run: of a table of mixed columns; of others no ranges are recorded.
        x: as a data set stores them.
    """
    columns, ranges = run.schema.columns or (), run.spec["data"].get("ranges") or ()
    counts = {
        column.name: int(((x[:, d] < ends[0]) | (x[:, d] > ends[1])).sum())
        for d, (column, ends) in enumerate(zip(columns, ranges, strict=False))
        if ends is not None
    }
    listed = ", ".join(f"{name} ({n:,})" for name, n in counts.items() if n)
    return f"drawn rows beyond the range of the training data: {listed}" if listed else None


def _value(run: RunData, name: str, value: Any) -> tuple[int, float]:
    """Return the number of a column, and that of a value of it; of one that another determines, those of the latter.

    Raises:
        UsageError: there is no such column or value.
    """
    determined = finder(run.schema.columns or (), name)
    if determined is None:
        index = column_index(run, name)
        return index, _number(value, name) if run.schema.columns is None else _encoded(run.schema.columns[index], value)
    index, by = determined
    x, known = told_by(by, np.array([_encoded(by.column, value)]))
    if not known[0]:
        values = ", ".join(decode(by.column, np.array(by.other[:MOST_LISTED])).tolist())
        raise UsageError(f"{value!r} is no value of column {name!r} in the training data", f"Its values are {values}.")
    return index, float(x[0])


def _number(value: Any, name: str) -> float:
    """Return the value of a column of numbers.

    Raises:
        UsageError: it is no finite number.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"column {name!r} is one of numbers, got {value!r}", "Give a number, such as --given x=1.5.")
    return number


def _encoded(column: Column, value: Any) -> float:
    """Return the number that stands for a value of a column of its own kind.

    Raises:
        UsageError: it stands for none: an unknown level, or a missing entry. DataError: it is none of the column's.
    """
    plain = value.item() if isinstance(value, np.generic) else value
    cells: Cells = TextCells.of([_time(plain, column) if isinstance(plain, date) else str(plain)])
    if isinstance(plain, int | float) and not (isinstance(plain, bool) or column.is_levelled):
        number = np.array([float(plain)])  # however the column writes its numbers
        cells = cells if column.kind == "datetime" else TypedCells(number, ~np.isnan(number), "float64")
    try:
        numbers, observed, _ = encode(column, cells, lambda row: f"the value given for column {column.name!r}")
    except DataError as error:  # whose remedy is of the cells of a table
        takes = "times" if column.kind in ("datetime", "circular") else "numbers"
        raise DataError(error.what, f"{column.name} takes {takes}: give one, as the column writes it.") from error
    if not observed[0]:
        levels = ", ".join(column.levels[:20]) + (", ..." if len(column.levels) > 20 else "")
        remedy = f"Its levels are {levels}." if column.is_levelled else "Leave the column out of the condition."
        raise UsageError(f"{value!r} is no value of column {column.name!r}", remedy)
    return float(numbers[0])


def _time(value: date, column: Column) -> str:
    """Return a time as the column writes it."""
    return value.isoformat() if column.format in (None, ISO) else value.strftime(column.format)
