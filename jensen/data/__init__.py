"""Data: reading, schema, splits, and preparation with its log-Jacobian.

Names are imported when they are first used: reading data needs no torch, and the flags of the command line no NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conditions import Conditions
    from .containers import from_memory, is_in_memory, relabelled
    from .factors import Factors
    from .label_numbers import UNKNOWN
    from .labels import Labels, Role, hide_labels
    from .masks import parse_mask
    from .preparation import Preparation, constant_columns
    from .schema import Schema
    from .selection import Header, Selection
    from .sources import EMBEDDED, Dataset, Source, conform, describe, from_array, read, read_beside, read_test
    from .splits import Split, duplicates, parse_fractions, split

_WHERE = {
    "conditions": ("Conditions",),
    "containers": ("from_memory", "is_in_memory", "relabelled"),
    "factors": ("Factors",),
    "label_numbers": ("UNKNOWN",),
    "labels": ("Labels", "Role", "hide_labels"),
    "masks": ("parse_mask",),
    "preparation": ("Preparation", "constant_columns"),
    "schema": ("Schema",),
    "selection": ("Header", "Selection"),
    "sources": (
        *("EMBEDDED", "Dataset", "Source", "conform", "describe"),
        *("from_array", "read", "read_beside", "read_test"),
    ),
    "splits": ("Split", "duplicates", "parse_fractions", "split"),
}
_MODULE = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "EMBEDDED",
    "UNKNOWN",
    "Conditions",
    "Dataset",
    "Factors",
    "Header",
    "Labels",
    "Preparation",
    "Role",
    "Schema",
    "Selection",
    "Source",
    "Split",
    "conform",
    "constant_columns",
    "describe",
    "duplicates",
    "from_array",
    "from_memory",
    "hide_labels",
    "is_in_memory",
    "parse_fractions",
    "parse_mask",
    "read",
    "read_beside",
    "read_test",
    "relabelled",
    "split",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULE[name]}", __name__), name)
    globals()[name] = value
    return value
