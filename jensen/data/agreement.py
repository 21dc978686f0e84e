"""The schema of one data set applied to another; constant columns, and the description of a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import repeat
from typing import Any

import numpy as np

from ..core.errors import DataError
from .column_statistics import column_statistics, ends
from .counts import are_counts
from .dataset import Dataset, chunks, digest_of
from .file_rows import Array, ColumnRows, ConvertedRows, FileRows, flattened
from .label_numbers import UNKNOWN
from .mixed import recoded
from .repeats import count_duplicates
from .schema import Schema
from .selection import Selection, indices_of
from .table_description import describe_table

__all__ = ["conform", "constant_columns", "describe", "extremes", "holds_counts"]


def constant_columns(x: Array, mask: np.ndarray | None = None) -> np.ndarray:
    """Return the indices of the columns of x [N, D] with a single value, among those observed in a mask [N, D]."""
    low, high = extremes(x, mask)
    return np.flatnonzero(low == high)


def extremes(x: Array, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest observed entry of each column of x [N, D]."""
    if isinstance(x, ColumnRows):
        each = [extremes(x.column(i)[:, None], None if mask is None else mask[:, [i]]) for i in range(x.shape[1])]
        low, high = (np.concatenate(values) for values in zip(*each, strict=True))
        return low, high
    if isinstance(x, FileRows):
        statistics = column_statistics(x)
        return statistics.low, statistics.high
    if mask is None:
        return x.min(axis=0), x.max(axis=0)
    bounds = np.finfo(x.dtype) if x.dtype.kind == "f" else np.iinfo(x.dtype)
    return x.min(0, initial=bounds.max, where=mask), x.max(0, initial=bounds.min, where=mask)


def holds_counts(dataset: Dataset) -> bool:
    """Return whether the whole numbers of a data set are counts, see `counts`."""
    if dataset.schema.kind != "integers":
        return False
    x, mask = dataset.x, dataset.mask
    masks = repeat(None) if mask is None else (mask[start : start + len(part)] for start, part in chunks(x))
    return are_counts((part for _, part in chunks(x)), dataset.schema.shape, masks, dataset.schema.names)


def describe(dataset: Dataset) -> dict[str, Any]:
    """Return a description of a data set, as JSON-serialisable values."""
    schema, labels, unlabelled = dataset.schema, None, 0
    low, high = extremes(dataset.x, dataset.mask)
    if dataset.labels is not None:
        values, counts = np.unique(dataset.labels[dataset.labels != UNKNOWN], return_counts=True)
        unlabelled, names = int((dataset.labels == UNKNOWN).sum()), schema.classes
        labels = {
            names[v] if names and 0 <= v < len(names) else str(v): int(c) for v, c in zip(values, counts, strict=True)
        }
    described = {
        "name": dataset.source.name,
        "files": list(dataset.source.files),
        "sha256": dataset.source.sha256,
        "n": len(dataset),
        "size": schema.size,
        "shape": list(schema.shape),
        "kind": schema.kind,
        "levels": schema.levels,
        "counts": holds_counts(dataset),
        "range": [low.min().item(), high.max().item()],
        "missing": 0 if dataset.mask is None else int((~dataset.mask).sum()),
        "names": None if schema.names is None else list(schema.names),
        "labels": labels,
        "unlabelled": unlabelled,
        "factors": None if dataset.factors is None else dataset.factors.values_each,
        "constant_columns": np.flatnonzero(low == high).tolist(),
        "duplicates": count_duplicates(dataset.x, dataset.mask),
        "identity": list(dataset.identity),
        "notes": list(dataset.notes),
    }
    return described if schema.columns is None else described | describe_table(dataset)


def _refuse_entries(x: Array, bad: Callable[[np.ndarray], np.ndarray], what: str, reason: str, remedy: str) -> None:
    """Refuse entries for which `bad` is true.

    Raises:
        DataError: naming the first of them.
    """
    for start, part in chunks(x):
        is_bad = bad(part)
        if is_bad.any():
            row, column = np.argwhere(is_bad)[0]
            raise DataError(
                f"{what} hold {part[row, column]} in row {start + row}, column {column} (from 0), and {reason}", remedy
            )


def _as_integers(dataset: Dataset, schema: Schema, what: str, bounded: bool) -> Array:
    """Return x in an integer type.

    Raises:
        DataError: entries are not whole numbers, or above the last level if `bounded`.
    """
    x, levels = dataset.x, schema.levels or 0
    if dataset.schema.kind == "real":
        remedy = "Prepare both in the same way, or train on real values."
        _refuse_entries(x, lambda part: part != np.floor(part), what, "the training data are integers", remedy)
    if bounded:
        reason = f"the model is of whole numbers from 0 to {levels - 1}"
        remedy = "Train on data that hold the whole range, or choose a likelihood without a last level."
        _refuse_entries(x, lambda part: (part < 0) | (part >= levels), what, reason, remedy)
    low, high = ends(x)
    if low >= 0 and high < 256 and levels <= 256:
        return flattened(x, np.dtype(np.uint8))
    fits = low >= -(2**31) and high < 2**31
    return flattened(x, np.dtype(np.int32 if fits else np.float32))


def _conform_labels(dataset: Dataset, schema: Schema) -> tuple[np.ndarray | None, list[str]]:
    """Return labels numbered as in the training data, if both name their classes, with notes."""
    classes, training_classes, labels = dataset.schema.classes, schema.classes, dataset.labels
    if labels is None or classes == training_classes or classes is None:
        return labels, []
    if training_classes is None or not set(classes) <= set(training_classes):
        return None, ["labels are ignored: their classes are not those of the training data"]
    numbers = np.array([training_classes.index(name) for name in classes], dtype=np.int64)
    return np.where(labels == UNKNOWN, UNKNOWN, numbers[labels]), []


def _matched(dataset: Dataset, schema: Schema, what: str) -> Dataset:
    """Return a data set with the columns of the training data by their names, in their order; others are ignored.

    Raises:
        DataError: some are absent, all of which are named.
    """
    own, names = dataset.schema.names, schema.names
    if not own or not names or own == names or not Selection(known=names).by_name:
        return dataset
    order = np.array(indices_of(list(own), names, f"{dataset.source.name} ({what})"))
    notes = Selection(known=names, later=True).ignored(own, order.tolist(), dataset.source.name)
    if (np.diff(order) < 0).any():
        notes.append(f"the columns of the {what} were put in the order of the training data")
    mask = None if dataset.mask is None else np.ascontiguousarray(dataset.mask[:, order])
    mask = None if mask is None or mask.all() else mask
    x, own_schema = _in_order(dataset.x, order), replace(dataset.schema, names=names, shape=schema.shape)
    source = replace(dataset.source, sha256=digest_of(x, mask))  # known for the same rows, wherever columns stand
    return replace(dataset, x=x, mask=mask, notes=(*dataset.notes, *notes), schema=own_schema, source=source)


def _in_order(x: Array, order: np.ndarray) -> Array:
    """Return the columns of rows [N, D] in this order."""
    if isinstance(x, np.ndarray):
        return np.ascontiguousarray(x[:, order])
    return ConvertedRows(x, lambda part: np.ascontiguousarray(part[:, order]), order.shape, x.dtype)


def _conform_mixed(dataset: Dataset, schema: Schema, what: str) -> Dataset:
    """Return a table of mixed kinds with the columns of the training data; its cells are read again if need be.

    Raises:
        DataError: one of the two is no such table, a column is absent, or a cell is no value of its column.
    """
    if schema.columns is None:
        raise DataError(
            f"{what} have columns of mixed kinds, and the training data are {schema.kind}",
            "Give a table of numbers, as the training data were.",
        )
    if dataset.schema.columns != schema.columns:
        dataset = recoded(dataset, schema.columns)
    labels, notes = _conform_labels(dataset, schema)
    return replace(dataset, labels=labels, schema=schema, notes=(*dataset.notes, *notes))


def conform(dataset: Dataset, schema: Schema, what: str = "evaluation data", bounded: bool = True) -> Dataset:
    """Return a data set with the schema of the training data.

    Binary data are valid integers or reals, integers are valid reals, and whole reals are valid integers. Columns with
    names are taken by these, in any order; others are ignored, with a note.

    Args:
        dataset: as read.
        schema: of the training data.
        what: name of the data set in errors.
        bounded: True if integers must not exceed the last level of the training data, as the likelihood has no more.

    Raises:
        DataError: shape, columns or kind differ, or values lie outside the levels of the training data.
    """
    if schema.columns is not None or dataset.schema.columns is not None:
        return _conform_mixed(dataset, schema, what)
    dataset = _matched(dataset, schema, what)
    own = dataset.schema
    if own.shape != schema.shape:
        raise DataError(
            f"{what} have the shape {own.shape}, and the training data {schema.shape}",
            "Give data of the shape that the model was trained on.",
        )
    if own.names and schema.names and own.names != schema.names:
        i = next(i for i, (a, b) in enumerate(zip(own.names, schema.names, strict=True)) if a != b)
        raise DataError(
            f"column {i + 1} of the {what} is {own.names[i]!r}, and {schema.names[i]!r} in the training data",
            "Give the same columns.",
        )
    x, notes = dataset.x, []
    if schema.kind == "binary" and own.kind != "binary":
        low, high = ends(x)
        raise DataError(
            f"{what} hold values from {low} to {high}, and the training data only 0 and 1",
            "Binarise them as the training data were.",
        )
    if schema.kind == "integers":
        x = _as_integers(dataset, schema, what, bounded)
    if schema.kind == "real" and own.kind != "real":
        is_short = x.dtype == np.uint8 or int(ends(x)[1]) <= 2**24
        x = flattened(x, np.dtype(np.float32 if is_short else np.float64))
        notes.append(f"{what}: {own.kind} values read as real, like the training data")
    labels, label_notes = _conform_labels(dataset, schema)
    return replace(dataset, x=x, labels=labels, schema=schema, notes=(*dataset.notes, *notes, *label_notes))
