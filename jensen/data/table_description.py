"""The description of a table of mixed kinds: each column with its kind, the reason for it, and its observed values."""

from __future__ import annotations

from typing import Any

import numpy as np

from .cells import decode
from .columns import Column
from .dataset import Dataset
from .determined import full_names
from .twins import twins

__all__ = ["describe_table"]


def describe_table(dataset: Dataset) -> dict[str, Any]:
    """Return what is known of the columns of a table of mixed kinds, as JSON-serialisable values.

    Example:
        >>> from jensen.data import Selection, from_memory
        >>> table = {"sex": ["F", "M", None, "F"], "age": [31, 45, 28, 60]}
        >>> described = describe_table(from_memory(table, table=Selection(typed=True)))
        >>> described["columns"][0]["levels"], described["columns"][0]["missing"], described["columns"][1]["range"]
        ({'F': 2, 'M': 1}, 1, ['28', '60'])
    """
    columns = dataset.schema.columns or ()
    mask = np.ones(dataset.x.shape, dtype=bool) if dataset.mask is None else dataset.mask
    x = np.asarray(dataset.x[:])
    names = {*full_names(columns)}
    return {
        "columns": [_describe(c, x[:, j], mask[:, j], dataset.reasons.get(c.name)) for j, c in enumerate(columns)],
        "left_out": {name: why for name, why in dataset.reasons.items() if name not in names},
        "constant": [c.name for j, c in enumerate(columns) if len(np.unique(x[mask[:, j], j])) < 2],
        "determined": [
            *([c.name, *(d.column.name for d in c.determines)] for c in columns if c.determines),
            *([columns[pair.first].name, columns[pair.second].name] for pair in twins(x, mask)),
        ],
    }


def _describe(column: Column, x: np.ndarray, observed: np.ndarray, reason: str | None) -> dict[str, Any]:
    """Return the description of one column [N]."""
    known = x[observed]
    own: dict[str, Any] = {"reason": reason, "missing": int((~observed).sum())}
    if column.is_levelled:
        counts = np.bincount(known.astype(np.int64), minlength=len(column.levels))
        own["levels"] = {level: int(n) for level, n in zip(column.levels, counts, strict=True)}
    elif len(known):
        own["range"] = decode(column, np.array([known.min(), known.max()])).tolist()
    return column.to_dict() | own
