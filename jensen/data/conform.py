"""Checks of a data set against another's schema, and what there is to say about one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np

from ..core.errors import DataError
from .dataset import Dataset, chunks
from .schema import Schema

__all__ = ["conform", "constant_columns", "describe", "duplicates", "extremes"]


def constant_columns(x: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """The indices of the columns of x [N, D] that hold one value only, among those observed in a mask [N, D]."""
    low, high = extremes(x, mask)
    return np.flatnonzero(low == high)


def extremes(x: np.ndarray, mask: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest observed entry of each column of x [N, D]."""
    if mask is None:
        return x.min(axis=0), x.max(axis=0)
    bounds = np.finfo(x.dtype) if x.dtype.kind == "f" else np.iinfo(x.dtype)
    return x.min(0, initial=bounds.max, where=mask), x.max(0, initial=bounds.min, where=mask)


def _keys(x: np.ndarray, mask: np.ndarray | None = None) -> Iterator[bytes]:
    """A digest of each row and of where it is observed: 16 bytes a row instead of a second copy of the data."""
    for i, row in enumerate(x):
        # adding zero makes the two zeros of floating point one
        key = blake2b(np.ascontiguousarray(row + row.dtype.type(0)).data, digest_size=16)
        if mask is not None and not mask[i].all():
            key.update(np.packbits(mask[i]).data)
        yield key.digest()


def duplicates(
    x_a: np.ndarray, x_b: np.ndarray, mask_a: np.ndarray | None = None, mask_b: np.ndarray | None = None
) -> np.ndarray:
    """Which rows of x_b [M, D] occur exactly in x_a [N, D], as a boolean mask [M]; so do their observed entries.

    Example:
        >>> duplicates(np.array([[1, 2], [3, 4]]), np.array([[3, 4], [4, 3]]))
        array([ True, False])
    """
    common = np.result_type(x_a, x_b)
    known = set(_keys(x_a.astype(common, copy=False), mask_a))
    return np.array([key in known for key in _keys(x_b.astype(common, copy=False), mask_b)], dtype=bool)


def describe(dataset: Dataset) -> dict[str, Any]:
    """What there is to say about a data set before any model: plain data, fit for JSON."""
    schema, labels = dataset.schema, None
    low, high = extremes(dataset.x, dataset.mask)
    if dataset.labels is not None:
        values, counts = np.unique(dataset.labels, return_counts=True)
        named = schema.classes
        labels = {
            named[v] if named and 0 <= v < len(named) else str(v): int(c) for v, c in zip(values, counts, strict=True)
        }
    return {
        "name": dataset.source.name,
        "files": list(dataset.source.files),
        "sha256": dataset.source.sha256,
        "n": len(dataset),
        "size": schema.size,
        "shape": list(schema.shape),
        "kind": schema.kind,
        "levels": schema.levels,
        "range": [low.min().item(), high.max().item()],
        "missing": 0 if dataset.mask is None else int((~dataset.mask).sum()),
        "names": None if schema.names is None else list(schema.names),
        "labels": labels,
        "factors": None if dataset.factors is None else dataset.factors.values_each,
        "constant_columns": np.flatnonzero(low == high).tolist(),
        "duplicates": len(dataset) - len(set(_keys(dataset.x, dataset.mask))),
        "notes": list(dataset.notes),
    }


def _refuse_entries(x: np.ndarray, bad: Any, what: str, trouble: str, remedy: str) -> None:
    """Raise on the first entry for which `bad` is true."""
    for start, part in chunks(x):
        found = bad(part)
        if found.any():
            row, column = np.argwhere(found)[0]
            raise DataError(
                f"{what} hold {part[row, column]} in row {start + row}, column {column} (from 0), and {trouble}", remedy
            )


def _as_integers(dataset: Dataset, schema: Schema, what: str, bounded: bool) -> np.ndarray:
    x, levels = dataset.x, schema.levels or 0
    if dataset.schema.kind == "real":
        remedy = "Prepare both in the same way, or train on real values."
        _refuse_entries(x, lambda part: part != np.floor(part), what, "the training data are integers", remedy)
    if bounded:
        trouble = f"the model is of whole numbers from 0 to {levels - 1}"
        remedy = "Train on data that hold the whole range, or choose a likelihood without a last level."
        _refuse_entries(x, lambda part: (part < 0) | (part >= levels), what, trouble, remedy)
    is_byte = int(x.min()) >= 0 and int(x.max()) < 256
    return x.astype(np.uint8 if is_byte else np.int32, copy=False)


def _conform_labels(dataset: Dataset, schema: Schema) -> tuple[np.ndarray | None, list[str]]:
    """Labels numbered as in the training data, where both name their classes."""
    ours, theirs, labels = dataset.schema.classes, schema.classes, dataset.labels
    if labels is None or ours == theirs or ours is None:
        return labels, []
    if theirs is None or not set(ours) <= set(theirs):
        return None, ["labels left out: their classes are not those of the training data"]
    return np.array([theirs.index(name) for name in ours], dtype=np.int64)[labels], []


def conform(dataset: Dataset, schema: Schema, what: str = "evaluation data", bounded: bool = True) -> Dataset:
    """The data set seen through another's schema: that of the training data.

    Binary data may stand for integers or reals, integers for reals, and whole reals for integers.

    Args:
        dataset: what was read.
        schema: what the model was trained on.
        what: what the data set is called in errors.
        bounded: whether integers end with the last level of the training data, because the likelihood does.

    Raises:
        DataError: shape, columns or kind differ, or values lie outside the levels of the training data.
    """
    ours = dataset.schema
    if ours.shape != schema.shape:
        raise DataError(
            f"{what} have the shape {ours.shape}, and the training data {schema.shape}",
            "Give data of the shape that the model was trained on.",
        )
    if ours.names and schema.names and ours.names != schema.names:
        i = next(i for i, (a, b) in enumerate(zip(ours.names, schema.names, strict=True)) if a != b)
        raise DataError(
            f"column {i + 1} of the {what} is {ours.names[i]!r}, and {schema.names[i]!r} in the training data",
            "Give the same columns in the same order.",
        )
    x, notes = dataset.x, []
    if schema.kind == "binary" and ours.kind != "binary":
        raise DataError(
            f"{what} hold values from {x.min()} to {x.max()}, and the training data only 0 and 1",
            "Binarise them as the training data were.",
        )
    if schema.kind == "integers":
        x = _as_integers(dataset, schema, what, bounded)
    if schema.kind == "real" and ours.kind != "real":
        x = x.astype(np.float32 if x.dtype == np.uint8 or int(x.max()) <= 2**24 else np.float64)
        notes.append(f"{what}: {ours.kind} values read as real, like the training data")
    labels, told = _conform_labels(dataset, schema)
    return replace(dataset, x=x, labels=labels, schema=schema, notes=(*dataset.notes, *notes, *told))
