"""Results of a large table that stays in its files, some rows after another: those of all rows are never held."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np
import torch

from ..core.batch import Rows
from ..core.errors import UsageError
from ..data.frames import StoredColumns
from ..data.parquet_tables import TableRows
from ..data.typed_frames import arrow_frame
from .evaluation import WHOLE, Part

__all__ = ["ROWS", "InPieces", "row_pieces", "stays_in_files", "table_parts"]

ROWS = 20_000  # of a piece

T = TypeVar("T")


class InPieces(Generic[T]):
    """Results of some rows after another, each computed when it is asked for; to be gone through once.

    Args:
        pieces: yields them, and returns what holds for all rows.
    """

    def __init__(self, pieces: Generator[T, None, T]) -> None:
        self._pieces = pieces
        self._summary: T | None = None

    def __iter__(self) -> Iterator[T]:
        self._summary = yield from self._pieces

    @property
    def summary(self) -> T:
        """The summary: a result that holds what is of all rows, without the values of cells.

        Raises:
            UsageError: the pieces were not gone through.
        """
        if self._summary is None:
            raise UsageError("a summary is known after the last piece", "Go through all pieces first.")
        return self._summary


def stays_in_files(part: Part) -> bool:
    """Return whether the rows are a mixed table that stays in its files."""
    return isinstance(part.x, TableRows) and part.frame is not None and isinstance(part.frame.columns, StoredColumns)


def row_pieces(part: Part) -> Iterator[Rows]:
    """Yield the rows as the model sees them, in order: all of them where the data are in memory, else some at a time.

    Pieces are of whole batches, so that what is computed of them is what is computed of all rows.
    """
    if not stays_in_files(part):
        yield from (piece.rows for piece in part.pieces())
        return
    size, n = -(-ROWS // WHOLE) * WHOLE, len(part.rows)
    for start in range(0, n, size):
        yield part.rows.subset(torch.arange(start, min(start + size, n), device=part.rows.device))


def table_parts(part: Part, size: int, places: Sequence[int] | None = None) -> Iterator[Part]:
    """Yield so many rows after another of a table that stays in its files, each in memory; the last may be fewer.

    Args:
        part: all rows; see `stays_in_files`.
        size: rows of each.
        places: of the columns of the table that are read, without their numbers: x is [n, 0] then. None for all
            columns, with numbers.
    """
    rows, frame = part.x, part.frame
    if frame is None or not isinstance(rows, TableRows) or not isinstance(frame.columns, StoredColumns):
        raise UsageError(f"{part.name} are in memory", "Use them as they are.")
    start = 0
    for table in frame.columns.pieces(size, places):
        index = torch.arange(start, start + len(table), device=part.rows.device)
        some = replace(part, frame=None).subset(index, part.name)
        held = replace(arrow_frame(table, "parquet", frame.where), dialect=frame.dialect)
        yield replace(some, x=rows.of_table(table) if places is None else np.empty((len(table), 0)), frame=held)
        start += len(table)
