"""The rows of a mixed table that a report compares: of the data, of the training, and of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.errors import JensenError
from ..core.rows import evenly_spaced
from ..core.wording import plural
from ..data.columns import Column
from ..data.table_values import as_written
from .facts import Facts, some

__all__ = ["MixedRows", "gather_rows"]

ROWS = 4000  # of data, and of the model
ENOUGH = 400  # held-out rows from which on they are the data; fewer have training rows beside them
TRAINING = 60_000  # among which the nearest are looked for


@dataclass(frozen=True)
class MixedRows:
    """Rows of stored values, NaN where missing.

    Attributes:
        columns: the D columns.
        data: [N, D], with which the model is compared.
        data_words: which rows these are.
        drawn: [N, D] rows of the model, rounded as the columns are written; None where it is not sampled.
        held_out: [M, D] rows that were not trained on.
        training: [T, D]; None where they cannot be read.
    """

    columns: tuple[Column, ...]
    data: np.ndarray
    data_words: str
    drawn: np.ndarray | None
    held_out: np.ndarray
    training: np.ndarray | None

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]


def gather_rows(facts: Facts) -> MixedRows | None:
    """Return the rows that the sections of a mixed table compare; None where no data can be read."""
    columns = facts.run.schema.columns
    if columns is None or facts.part is None:
        return None
    held_out = facts.originals(evenly_spaced(facts.held_out, ROWS).numpy())
    data, words = held_out, some(len(held_out), facts.held_out, "held-out row")
    training = _training(facts)
    if len(held_out) < ENOUGH and training is not None:
        beside = training[evenly_spaced(len(training), ROWS - len(held_out)).numpy()]
        data = np.concatenate([held_out, beside])
        words = f"{plural(len(held_out), 'held-out row')} and {some(len(beside), len(training), 'training row')}"
    drawn = None
    if facts.samples and len(data):
        _, batch = facts.run.model.simulate(len(data), facts.stream("rows of the model"))
        drawn = as_written(columns, facts.run.preparation.invert(batch.x))
    return MixedRows(columns, data, words, drawn, held_out, training)


def _training(facts: Facts) -> np.ndarray | None:
    """Return up to 60,000 training rows, evenly spaced; None where they cannot be read."""
    try:
        index = facts.run.split().train
        rows = facts.run.dataset().rows(index[evenly_spaced(len(index), TRAINING).numpy()])
    except JensenError:
        return None
    return rows.x[:] if rows.mask is None else np.where(rows.mask, rows.x[:], np.nan)
