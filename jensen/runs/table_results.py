"""Codes and reconstructions of the rows of a mixed table, in the form of the table that was given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..core.divided import recut
from ..data.columns import Column
from ..data.determined import full_names
from ..data.output_tables import OutputTable, filled, stored_levels
from ..data.table_building import output_table, table_of
from .evaluation import Part
from .pieces import ROWS, table_parts

__all__ = ["encoded_table", "given_table", "places_beside", "reconstructed_table", "reconstructed_tables"]


def given_table(part: Part, columns: Sequence[Column]) -> OutputTable:
    """Return the rows as the table that was given; of rows without one, their cells of data."""
    if part.frame is None:
        return table_of(columns, part.x[:], observed=part.mask)
    return output_table(part.frame)


def reconstructed_table(
    part: Part, columns: Sequence[Column], x: np.ndarray, levels: Mapping[str, Mapping[str, Any]] | None = None
) -> OutputTable:
    """Return the table that was given, with reconstructions in all cells of data.

    Args:
        part: the rows.
        columns: that are data.
        x: [N, D] reconstructions of these rows.
        levels: the objects that stand for levels, where these are some rows of a table in files; see `stored_levels`.
    """
    return filled(given_table(part, columns), part.frame, columns, x, np.ones(x.shape, dtype=bool), levels)


def reconstructed_tables(
    part: Part, columns: Sequence[Column], reconstructions: Iterable[np.ndarray], *, size: int = ROWS
) -> Iterator[OutputTable]:
    """Yield the tables of some rows after another, of a table that stays in its files.

    Args:
        part: all rows.
        columns: that are data.
        reconstructions: [n, D] of rows after another, in pieces of any size; see `Run.reconstructions`.
        size: rows of each table; the last may have fewer.
    """
    levels = {} if part.frame is None else stored_levels(part.frame, columns)
    pieces = recut(([torch.from_numpy(x)] for x in reconstructions), size)
    everything = range(0 if part.frame is None else len(part.frame.names))
    for rows, (x,) in zip(table_parts(part, size, everything), pieces, strict=True):
        yield reconstructed_table(rows, columns, x.numpy(), levels)


def places_beside(part: Part, columns: Sequence[Column]) -> list[int]:
    """Return the places of the columns of a table that are no data; the first one, where all are."""
    names, data = () if part.frame is None else part.frame.names, set(full_names(columns))
    return [i for i, name in enumerate(names) if name not in data] or [0]


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
    names_read = () if part.frame is None else part.frame.names[:given]
    others = [i for i, name in enumerate(names_read) if name not in data] if identified else []
    table = table.only([*others, *range(given, given + len(results))])
    rows = part.row_numbers
    return table if rows is None or not identified else table.inserted(0, "row", rows)
