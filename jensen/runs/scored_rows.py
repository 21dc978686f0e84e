"""The rows that are scored: those of a mixed table may lack columns of the run, which are missing in all of them."""

from __future__ import annotations

from dataclasses import replace

from ..data.table_heads import absent_columns
from .data import RunData, Source, Targets
from .evaluation import Part

__all__ = ["rows_to_score"]

LISTED = 12  # absent columns that are named


def rows_to_score(
    run: RunData, data: Source | Part | None = None, *, labels: Targets | None = None, seed: int = 0
) -> Part:
    """Return the rows to score: the run's test rows, or data of the user's; a `Part` is returned as it is.

    Args:
        run: of the model.
        data: rows; a table may lack columns of the run, with a note.
        labels: of these rows.
        seed: of their preparation.

    Raises:
        DataError: a table lacks all columns, or one that is misspelt.
    """
    columns = run.schema.columns
    if columns is None or data is None or isinstance(data, Part):
        return run.chosen(data, seed, True, labels, own="all")
    part = run.chosen(data, seed, True, labels, own="all", spare=tuple(c.name for c in columns))
    frame = part.frame
    if frame is None or frame.header is None:
        return part
    absent = absent_columns(frame.names[: len(frame.header)], columns, frame.where)
    if not absent:
        return part
    listed = ", ".join(map(repr, absent[:LISTED])) + (", ..." if len(absent) > LISTED else "")
    one = len(absent) == 1
    what = f"has no column {listed}: it is" if one else f"lacks {len(absent)} columns of the run, {listed}: they are"
    note = f"{frame.where} {what} missing in all rows, and log p(x) is without {'it' if one else 'them'}"
    return replace(part, notes=(*part.notes, note))
