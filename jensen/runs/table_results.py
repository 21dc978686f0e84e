"""Codes and reconstructions of the rows of a mixed table, in the form of the table that was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..data.columns import Column
from ..data.determined import full_names
from ..data.output_tables import OutputTable, filled
from ..data.table_building import output_table, table_of
from .evaluation import Part

__all__ = ["encoded_table", "given_table", "reconstructed_table"]


def given_table(part: Part, columns: Sequence[Column]) -> OutputTable:
    """Return the rows as the table that was given; of rows without one, their cells of data."""
    if part.frame is None:
        return table_of(columns, part.x[:], observed=part.mask)
    return output_table(part.frame)


def reconstructed_table(part: Part, columns: Sequence[Column], x: np.ndarray) -> OutputTable:
    """Return the table that was given, with reconstructions [N, D] in all cells of data."""
    return filled(given_table(part, columns), part.frame, columns, x, np.ones(x.shape, dtype=bool))


def encoded_table(
    part: Part,
    columns: Sequence[Column],
    codes: np.ndarray,
    names: Sequence[str],
    identified: bool,
    before: Mapping[str, np.ndarray] | None = None,
) -> OutputTable:
    """Return codes [N, Z] as a table of the same kind as the one that was given, with its index.

    Args:
        part: the rows.
        columns: that are data.
        codes: of the rows.
        names: of the Z features.
        identified: whether row numbers, and the columns that are no data, come first.
        before: further columns [N], before the codes.
    """
    results = {**(before or {}), **{name: codes[:, i] for i, name in enumerate(names)}}
    table = given_table(part, columns)
    given, data = len(table.names), set(full_names(columns))
    for i, (name, values) in enumerate(results.items()):
        table = table.inserted(given + i, name, values)
    frame_names = table.names if part.frame is None else part.frame.names
    others = [i for i in range(given) if frame_names[i] not in data] if identified else []
    table = table.only([*others, *range(given, given + len(results))])
    rows = part.row_numbers
    return table if rows is None or not identified else table.inserted(0, "row", rows)
