"""Data: reading, schema, splits, and preparation with its log-Jacobian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .containers import from_memory, is_in_memory, relabelled
from .dataset import UNKNOWN
from .factors import Factors
from .labels import Labels, Role, hide_labels
from .masks import parse_mask
from .schema import Schema
from .selection import Header, Selection
from .sources import EMBEDDED, Dataset, Source, conform, describe, from_array, read, read_beside, read_test
from .splits import Split, duplicates, parse_fractions, split

if TYPE_CHECKING:
    from .preparation import Preparation, constant_columns

__all__ = [
    "EMBEDDED",
    "UNKNOWN",
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
    # reading data needs no torch, whose import takes a second
    if name in ("Preparation", "constant_columns"):
        from . import preparation

        return getattr(preparation, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
