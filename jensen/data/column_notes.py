"""Notes for the user on the columns of a table: what is missing, constant, repeated or left out."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from ..core.wording import plural
from .cells import present
from .columns import Column
from .file_rows import Array
from .frames import Frame, TextCells
from .twins import Twins, exceptions

__all__ = ["LISTED", "both_data", "contradictions", "leaks", "left_out", "remarks", "spellings", "unknown_levels"]

LISTED = 8  # names in a note
MOST_PAIRED = 60  # columns of names, each pair of which is looked at
SPELLINGS = 3  # of missing cells, in a note


def spellings(frame: Frame, columns: Sequence[Column], places: Sequence[int]) -> str:
    """Return in words how many missing cells are written as something; nothing where all of them are empty."""
    counts: Counter[str] = Counter()
    for column, place in zip(columns, places, strict=True):
        cells = frame.columns[place]
        if isinstance(cells, TextCells):
            missing = ~present(cells, column.missing)
            counts.update({t: int(n) for t, n, m in zip(cells.stripped, cells.counts, missing, strict=True) if m and t})
    words = [f"{n:,} written {text!r}" for text, n in counts.most_common(SPELLINGS) if n]
    return f", {' and '.join(words)}" if words else ""


def remarks(columns: Sequence[Column]) -> list[str]:
    """Return notes on columns that are constant."""
    notes = list[str]()
    constant = [c.name for c in columns if c.kind == "categorical" and len(c.levels) == 1]
    if constant:
        verb = "has" if len(constant) == 1 else "have"
        listed = ", ".join(constant[:LISTED])
        notes.append(f"{plural(len(constant), 'column')} {verb} a single value, whose probability is 1: {listed}")
    return notes


def left_out(names: Sequence[str], reasons: Mapping[str, str]) -> list[str]:
    """Return notes on columns that are left out."""
    if not names:
        return []
    listed = "; ".join(f"{n} ({reasons[n]})" for n in names[:LISTED])
    more = f"; ... {len(names)} in all" if len(names) > LISTED else ""
    verb = "is" if len(names) == 1 else "are"
    what = f"{plural(len(names), 'column')} {verb} no data, and kept beside the results: {listed}{more}"
    return [f"{what}; to train on such a column, name it in --columns"]


def both_data(pairs: Sequence[Twins], columns: Sequence[Column], left: Sequence[Column]) -> list[str]:
    """Return notes on pairs of columns that determine each other, of which both are data."""
    data, notes = {column.name for column in left}, list[str]()
    for pair in pairs:
        names = [columns[i].name for i in (pair.first, pair.second)]
        if data.issuperset(names):
            notes.append(f"columns {', '.join(names)} determine each other in every row; to leave one out: --drop")
    return notes


def unknown_levels(column: Column, unseen: Mapping[str, int]) -> list[str]:
    """Return a note on names that are no level of a column; none where there are none."""
    if not unseen:
        return []
    listed = ", ".join(f"{name!r} ({n:,})" for name, n in list(unseen.items())[:LISTED])
    more = f", ... {len(unseen)} in all" if len(unseen) > LISTED else ""
    cells = plural(sum(unseen.values()), "cell")
    return [f"column {column.name}: {cells} of unknown levels, read as missing: {listed}{more}"]


def leaks(columns: Sequence[Column], at: Sequence[int]) -> list[str]:
    """Return a note on columns at these places, which tell the label of every row; none where there are none."""
    names = [columns[j].name for j in at]
    if not names:
        return []
    verb, listed = ("tells" if len(names) == 1 else "tell"), ", ".join(names[:LISTED])
    return [f"{listed} {verb} the label of every row, so that a model that sees it knows the label: --drop {names[0]}"]


def contradictions(
    frame: Frame, columns: Sequence[Column], places: Sequence[int], x: Array, mask: np.ndarray
) -> list[str]:
    """Return notes on columns of names that would determine each other but for a few rows, with the first of these."""
    at = [j for j, column in enumerate(columns) if column.is_levelled]
    if not isinstance(x, np.ndarray) or len(at) > MOST_PAIRED:
        return []
    values, notes = {j: np.where(mask[:, j], x[:, j], np.nan) for j in at}, list[str]()
    for i, j in itertools.combinations(at, 2):
        rows = exceptions(values[i], values[j])
        if rows is not None:
            shown = frame.place(int(rows[0]), places[j])
            what = f"columns {columns[i].name}, {columns[j].name} determine each other in all rows but {len(rows)}"
            notes.append(f"{what}, which may be {'an error' if len(rows) == 1 else 'errors'}: see {shown}")
    return notes
