"""Rows that a model was trained on, found among others by their values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import JensenError
from ..core.rows import evenly_spaced
from ..data import Dataset, duplicates
from ..data.parquet_tables import TableRows
from .data import RunData, Source
from .evaluation import Part

__all__ = ["TrainedRows", "trained_rows"]

SAMPLE = 2**16  # rows of a file that are looked for among the training rows
HELD_OUT = 2000  # rows at most that tell how often others are equal to training rows by chance


@dataclass(frozen=True)
class TrainedRows:
    """Rows that are equal to rows that the model was trained on.

    Attributes:
        equal: [N], True for these; None where the training rows cannot be read, or only a sample was looked for.
        are_same: True if they can be taken for the same rows, since no rows that were held out are equal to training
            rows.
        notes: for the user.
    """

    equal: np.ndarray | None = None
    are_same: bool = False
    notes: tuple[str, ...] = ()


def trained_rows(run: RunData, part: Part, data: Source | Part | None, without: int | None = None) -> TrainedRows:
    """Return which of the rows are equal to training rows, with a note.

    Rows of few names and whole numbers are equal by chance: rows that did not train the model tell how often.

    Args:
        run: of the model.
        part: the rows.
        data: that they were chosen by; None for rows of the run's own, which are known.
        without: the number of a column that is not compared, since these rows lack it; so are those that are missing in
            all of them.
    """
    if data is None or part.own is not None:
        return TrainedRows()
    try:
        dataset = run.dataset()
    except JensenError:
        return TrainedRows(
            notes=("the training data cannot be read, so rows that were trained on would not be noticed",)
        )
    rows, left = run.split(), _left_out(part, without)
    trained, is_sample = _compared(dataset.rows(rows.train), left), part.is_streamed
    sought = Dataset(part.x, None, run.schema, dataset.source, mask=part.mask)
    if is_sample:  # since the hashes of all would have to be kept
        sought = sought.rows(evenly_spaced(len(part.x), SAMPLE).numpy())
    equal = _equal(trained, _compared(sought, left))
    if not equal.any():
        return TrainedRows(None if is_sample else equal, True)
    held = np.concatenate([rows.valid[:], rows.test[:]])
    held = held[evenly_spaced(len(held), HELD_OUT).numpy()] if len(held) else held
    by_chance = float(_equal(trained, _compared(dataset.rows(held), left)).mean()) if len(held) else None
    are_same = not _are_discrete(run) if by_chance is None else by_chance == 0
    some = f"a sample of {len(equal)} of these {len(part.x)}" if is_sample else f"these {len(equal)}"
    note = _note(int(equal.sum()), some, by_chance, are_same)
    return TrainedRows(None if is_sample else equal, are_same, (note,))


def _left_out(part: Part, without: int | None) -> list[int]:
    """Return the numbers of the columns that are not compared, the last first."""
    absent = [] if part.mask is None or part.is_streamed else np.flatnonzero(~part.mask.any(0)).tolist()
    return sorted({*absent, *([] if without is None else [without])}, reverse=True)


def _compared(dataset: Dataset, left: list[int]) -> Dataset:
    """Return the rows without these columns; in memory, if they are not read by columns."""
    if not left or len(left) == dataset.x.shape[1]:
        return dataset
    mask = None if dataset.mask is None else np.delete(dataset.mask, left, 1)
    x = dataset.x
    if isinstance(x, TableRows):
        for column in left:
            x = x.without(column)
    else:
        x = np.delete(x[:], left, 1)
    return replace(dataset, x=x, mask=None if mask is None or mask.all() else mask)


def _equal(trained: Dataset, sought: Dataset) -> np.ndarray:
    """Return a mask [M] of the rows that are sought and occur among training rows."""
    return duplicates(trained.x, sought.x, trained.mask, sought.mask)


def _are_discrete(run: RunData) -> bool:
    """Return whether all columns are of names and whole numbers."""
    columns = run.schema.columns
    return run.schema.kind in ("binary", "integers") if columns is None else all(c.is_discrete for c in columns)


def _note(n: int, some: str, by_chance: float | None, are_same: bool) -> str:
    """Return a note on n equal rows."""
    if are_same:
        return f"{n} of {some} rows {'was' if n == 1 else 'were'} trained on, which biases the estimate upwards"
    others = "" if by_chance is None else f", as do {by_chance:.0%} of rows that did not train it"
    equal = f"{n} of {some} rows {'equals' if n == 1 else 'equal'} rows that were trained on{others}"
    return f"{equal}: whether they are the same cannot be known"
