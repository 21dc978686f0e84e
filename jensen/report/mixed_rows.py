"""The rows of a mixed table that a report compares: of the data, of the training, and of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.errors import JensenError
from ..core.rows import evenly_spaced
from ..core.wording import plural
from ..data import Dataset
from ..data.columns import Column
from ..data.table_values import as_written
from .facts import Facts, some

__all__ = ["MixedRows", "gather_rows"]

ROWS = 4000  # of data, and of the model
ENOUGH = 400  # held-out rows from which on they are the data; fewer have training rows beside them
TRAINING = 60_000  # among which the nearest are looked for
PLACED = 20_000  # whose missing cells are looked at, in the order of the data


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
        missing: [A, D], True for missing cells, of rows in the order of the data.
        missing_words: which rows these are.
    """

    columns: tuple[Column, ...]
    data: np.ndarray
    data_words: str
    drawn: np.ndarray | None
    held_out: np.ndarray
    training: np.ndarray | None
    missing: np.ndarray
    missing_words: str

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
    missing, missing_words = _missing(facts, held_out)
    return MixedRows(columns, data, words, drawn, held_out, training, missing, missing_words)


def _dataset(facts: Facts) -> Dataset | None:
    try:
        return facts.run.dataset()
    except JensenError:
        return None


def _training(facts: Facts) -> np.ndarray | None:
    """Return up to 60,000 training rows, evenly spaced; None where they cannot be read."""
    dataset = _dataset(facts)
    if dataset is None or not facts.run.spec["data"]["n"]:
        return None
    train = facts.run.split().train
    index = train[evenly_spaced(len(train), TRAINING).numpy()]
    x = dataset.x[index]
    return x if dataset.mask is None else np.where(dataset.mask[index], x, np.nan)


def _missing(facts: Facts, held_out: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the missing cells of the run's data, in their order, and which rows these are."""
    dataset = _dataset(facts)
    if dataset is None or dataset.mask is None:
        return np.isnan(held_out), some(len(held_out), facts.held_out, "held-out row")
    index = evenly_spaced(len(dataset.mask), PLACED).numpy()
    return ~dataset.mask[index], some(len(index), len(dataset.mask), "row")
