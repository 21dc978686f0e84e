"""Results of rows as a DataFrame of the library that the rows came in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..data.dataframes import available
from ..data.named_tables import named_table
from .evaluation import Part

__all__ = ["result_frame"]

LIBRARIES = ("pandas", "polars", "arrow")


def result_frame(part: Part, columns: Mapping[str, np.ndarray], identity: Mapping[str, np.ndarray]) -> Any:
    """Return columns [N] of results: of a mixed table in memory as such a table, with its index; else as a
    DataFrame of pandas (or whatever is installed, see `available`), after the columns that say which row each is.

    Args:
        part: the rows.
        columns: by name.
        identity: columns that say which row it is.
    """
    if part.frame is not None and part.frame.source_kind in LIBRARIES:
        kind = part.frame.source_kind
        return named_table(columns, kind, part.frame.origin.index if kind == "pandas" else None).data
    return named_table({**identity, **columns}, available()).data
