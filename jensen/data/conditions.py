"""Several labels at once: columns of a table that a model of the others is conditioned on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.errors import CorruptRunError, DataError, UsageError
from .cells import encode
from .columns import Column
from .dataset import Dataset
from .frames import TextCells
from .lines import split_names
from .mixed import recoded
from .selection import Selection, indices_of
from .table_values import as_written

__all__ = ["Conditions", "absent_labels", "apart", "condition_columns", "conditioned", "label_names"]

SHOWN = 12
FAR = 4  # standard deviations from the mean, beyond which a number is said to be far from the training rows


@dataclass(frozen=True)
class Conditions:
    r"""The columns that a model of p(x | labels) is given, and how a row of them becomes a context [C].

    A name is one-hot among the levels of its column; a number is :math:`(y - m) / s`, with mean and standard deviation
    of the training rows. The columns follow one another.

    Attributes:
        columns: E of them.
        center, scale: [E], m and s; 0 and 1 of a column of names.
        counts: of each column, the training rows of each of its levels; empty for numbers.
        sha256: of the columns of all rows, as they were read.

    Example:
        >>> sex = Column("sex", "boolean", levels=("F", "M"))
        >>> both = Conditions((sex, Column("age", "real")), (0.0, 40.0), (1.0, 10.0), ((5, 5), ()), "")
        >>> both.encoded(both.stored({"sex": "M", "age": "55"})[None]).tolist()
        [[0.0, 1.0, 1.5]]
    """

    columns: tuple[Column, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]
    sha256: str

    @staticmethod
    def of(table: Dataset, train: np.ndarray) -> Conditions:
        """Return the conditions of a table of labels, by its training rows.

        Args:
            table: of labels, of mixed kinds.
            train: [M] numbers of the training rows.

        Raises:
            DataError: a column is no name and no plain number, or tells no training rows apart.
        """
        columns = tuple(_plain(column) for column in table.schema.columns or ())
        center, scale, counts = list[float](), list[float](), list[tuple[int, ...]]()
        rows = table.rows(train)
        for i, column in enumerate(columns):
            own = np.asarray(rows.x[:], dtype=np.float64)[:, i]
            own = own if rows.mask is None else own[rows.mask[:, i]]
            if column.kind == "circular":
                what = f"label {column.name!r} is read as circular, which has no mean and no scale"
                raise DataError(what, 'Give it another kind in a schema, such as "categorical": --schema.')
            if not len(own) or own.min() == own.max():
                what = f"label {column.name!r} has a single value in the training rows, which tells no rows apart"
                raise DataError(what, "Leave it out of --labels.")
            levels = len(column.levels)
            counts.append(tuple(np.bincount(own.astype(np.int64), minlength=levels).tolist()) if levels else ())
            center.append(0.0 if levels else float(own.mean()))
            scale.append(1.0 if levels else float(own.std()))
        return Conditions(columns, tuple(center), tuple(scale), tuple(counts), table.source.sha256)

    def __len__(self) -> int:
        """C, the number of features of a context."""
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The features of each column."""
        return tuple(len(column.levels) or 1 for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)

    def contexts(self, table: Dataset | None, what: str = "the data", numbers: np.ndarray | None = None) -> np.ndarray:
        """Return contexts [N, C], float32.

        Args:
            table: the labels of these rows, with columns of these names.
            what: names the rows.
            numbers: [N] of the rows in their file, from 0; by default those of a whole file.

        Raises:
            DataError: there are no labels, or a row has no value of one, or a name that the run does not know.
        """
        listed = ", ".join(self.names)
        if table is None:
            remedy = "Give data with these columns; or name others: --labels A,B (in Python, labels=DataFrame)."
            raise DataError(f"the model is conditioned on {listed}, and {what} have no such columns", remedy)
        if table.schema.columns != self.columns:
            table = recoded(table, self.columns)
        if table.mask is not None and not table.mask.all():
            row, column = np.argwhere(~table.mask)[0].tolist()
            number = row if numbers is None else int(numbers[row])
            raise DataError(
                f"the model is conditioned on {listed}, and row {number} of {what} has no value of"
                f" {self._described(column)} (rows from 0)",
                "Give it one that the training data have, or drop the row.",
            )
        return self.encoded(np.asarray(table.x[:], dtype=np.float64))

    def encoded(self, values: np.ndarray) -> np.ndarray:
        """Return contexts [N, C], float32, of stored values [N, E]."""
        pieces = []
        for i, (size, column) in enumerate(zip(self.sizes, self.columns, strict=True)):
            own = values[:, i : i + 1]
            one_hot = own == np.arange(size)
            pieces.append(one_hot if column.levels else (own - self.center[i]) / self.scale[i])
        return np.concatenate(pieces, 1).astype(np.float32)

    def stored(self, given: Mapping[str, Any]) -> np.ndarray:
        """Return a value of every column, by its name, as tables store them [E], float64.

        Raises:
            UsageError: a name is none of these columns or is absent, or a value is none that training rows had.
        """
        example = ",".join(f"{column.name}={_example(column)}" for column in self.columns)
        remedy = f'Give all labels of this run: --label "{example}".'
        for name in given:
            if name not in self.names:
                what = (
                    f"this run has no label {name!r}" if name else f"this run has {len(self.columns)} labels, by name"
                )
                raise UsageError(what, remedy)
        absent = [name for name in self.names if name not in given]
        if absent:
            raise UsageError(f"--label has no value of {', '.join(absent)}", remedy)
        return np.array([self._stored(i, str(given[name])) for i, name in enumerate(self.names)])

    def beyond(self, stored: np.ndarray) -> list[str]:
        """Return a note for each number of values [E] that is far from those of the training rows."""
        notes = []
        for value, column, m, s in zip(stored.tolist(), self.columns, self.center, self.scale, strict=True):
            if not column.levels and abs(value - m) > FAR * s:
                far = f"{abs(value - m) / s:.3g} standard deviations from the mean of the training rows, {m:.4g}"
                notes.append(f"{column.name} = {value:.12g} lies {far}: the model extrapolates")
        return notes

    def _stored(self, place: int, text: str) -> float:
        """Return a value of a column as a table stores it.

        Raises:
            UsageError: it is none that training rows had.
        """
        column, remedy = self.columns[place], f"Give {self._described(place)}."
        try:
            values, observed, _ = encode(column, TextCells.of([text]))
        except DataError as error:
            raise UsageError(f"--label {column.name}={text} is no value of a {column.kind} column", remedy) from error
        if not observed[0] or (column.levels and not self.counts[place][int(values[0])]):
            raise UsageError(f"--label {column.name}={text} is no value that training rows had", remedy)
        return float(values[0])

    def _described(self, place: int) -> str:
        """Return a column with what its values are."""
        column = self.columns[place]
        if not column.levels:
            return f"{column.name} (a number; {self.center[place]:.4g} on average)"
        trained = [n for n, count in zip(column.levels, self.counts[place], strict=True) if count]
        more = f", ... {len(trained)} in all" if len(trained) > SHOWN else ""
        return f"{column.name} (one of {', '.join(trained[:SHOWN])}{more})"

    def values(self, contexts: np.ndarray) -> np.ndarray:
        """Return the stored values [N, E] of contexts [N, C]: of a name the most probable level."""
        ends, pieces = np.cumsum(self.sizes), []
        for i, end in enumerate(ends):
            own = contexts[:, end - self.sizes[i] : end].astype(np.float64)
            number = own[:, 0] * self.scale[i] + self.center[i]
            pieces.append(own.argmax(1).astype(np.float64) if self.columns[i].levels else number)
        return np.stack(pieces, 1)

    def fitting(self, values: np.ndarray) -> tuple[Column, ...]:
        """Return the columns for stored values [N, E]: plain numbers where values lie between those of a column."""
        own = zip(self.columns, as_written(self.columns, values).T, values.T, strict=True)
        return tuple(c if np.array_equal(near, v) else Column(c.name, "real") for c, near, v in own)

    def written(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Return stored values [N, E] as texts [N], by the names of their columns."""
        columns = [(c, values[:, i].tolist()) for i, c in enumerate(self.columns)]
        texts = {c.name: [c.levels[int(v)] if c.levels else f"{v:.12g}" for v in own] for c, own in columns}
        return {name: np.array(own, dtype=str) for name, own in texts.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the conditions as JSON-serialisable values, for a specification."""
        numbers = {"center": list(self.center), "scale": list(self.scale), "counts": [list(n) for n in self.counts]}
        return {"columns": [column.to_dict() for column in self.columns], **numbers, "sha256": self.sha256}

    @staticmethod
    def from_dict(plain: Mapping[str, Any]) -> Conditions:
        """Return the conditions from the result of `to_dict`.

        Raises:
            CorruptRunError: an entry is missing or of the wrong type, or they do not agree.
        """
        try:
            columns = tuple(Column.from_dict(column) for column in plain["columns"])
            center, scale = (tuple(float(v) for v in plain[key]) for key in ("center", "scale"))
            counts = tuple(tuple(int(n) for n in own) for own in plain["counts"])
            sizes = [len(column.levels) for column in columns]
            if not columns or not len(columns) == len(center) == len(scale) or [len(n) for n in counts] != sizes:
                raise ValueError("the columns do not agree")
            if not all(math.isfinite(v) for v in center) or not all(0 < v < math.inf for v in scale):
                raise ValueError("a scale is not positive")
            if any(n < 0 for own in counts for n in own):
                raise ValueError("a count is negative")
            return Conditions(columns, center, scale, counts, str(plain["sha256"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptRunError(
                f"the record of the labels cannot be read ({error!r})", "The specification is damaged."
            ) from error


def label_names(labels: Any) -> tuple[str, ...] | None:
    """Return the names of several columns of labels; None of anything else, such as one name, a file or values.

    Args:
        labels: names that commas separate, or a sequence of names.

    Example:
        >>> label_names("sex,age"), label_names("sex"), label_names(["sex", "age"]), label_names(["a", "b", "a"])
        (('sex', 'age'), None, ('sex', 'age'), None)
    """
    if isinstance(labels, str):
        names = tuple(name for name in split_names(labels) if name) if "," in labels else ()
    elif isinstance(labels, list | tuple) and all(isinstance(name, str) for name in labels):
        names = tuple(labels)
    else:
        return None
    return names if len(names) > 1 and len(set(names)) == len(names) else None


def absent_labels(labels: str, source: str, choices: Sequence[str]) -> DataError:
    """Return the error of labels that are no column, no key and no file: what is named twice, or what there is.

    Args:
        labels: as they were named.
        source: names the data.
        choices: the names that labels could have.

    Example:
        >>> absent_labels("A,A", "t.csv", ("x", "A")).what
        "labels 'A,A' name 'A' twice"
    """
    names = [name for name in split_names(labels) if name] if "," in labels else []
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return DataError(f"labels {labels!r} name {twice!r} twice", "Name each column once: --labels A,B.")
    what, remedy = f"labels {labels!r} are neither a part of {source} nor a file", "Check the name."
    if choices and labels not in choices:
        try:
            indices_of(list(choices), (labels,), source, "")
        except DataError as error:
            remedy = f"{remedy} {error.remedy}"
    return DataError(what, remedy)


def apart(table: Selection, names: Sequence[str]) -> Selection:
    """Return the selection of a table without its columns of labels."""
    hints = None if table.hints is None else {k: v for k, v in table.hints.items() if k not in names}
    drop = table.drop if table.later else (*table.drop, *(n for n in names if n not in table.drop))
    return replace(table, drop=drop, hints=hints, beside=tuple(names))


def condition_columns(table: Selection, names: Sequence[str]) -> Selection:
    """Return the selection of the columns of labels alone, each of its own kind."""
    hints = None if table.hints is None else {k: v for k, v in table.hints.items() if k in names}
    return Selection(table.header, tuple(names), typed=True, hints=hints or None)


def conditioned(dataset: Dataset, table: Dataset, names: Sequence[str], later: bool = False) -> Dataset:
    """Return a data set with a table of labels beside it.

    Args:
        dataset: x.
        table: the labels of its rows, of mixed kinds.
        names: of the labels that were asked for.
        later: True for rows of a run, whose labels are known.

    Raises:
        DataError: a column has no observed cell or is told by another, or the rows are not as many.
    """
    columns = table.schema.columns or ()
    absent = [name for name in names if name not in [column.name for column in columns]]
    if absent and not later:
        what = f"label {absent[0]!r} has no values of its own"
        raise DataError(what, "Leave it out of --labels: it is empty, or another label determines it.")
    if len(table) != len(dataset):
        what = f"{dataset.source.name} has {len(dataset):,} rows and {len(table):,} labels"
        raise DataError(what, "Give labels of these rows.")
    kinds = [f"{c.name} ({c.kind}{f', {len(c.levels)} levels' if c.levels else ''})" for c in columns]
    notes = dataset.notes if later else (*dataset.notes, f"the labels are {', '.join(kinds)}")
    return replace(dataset, conditions=replace(table, notes=()), notes=notes)


def _plain(column: Column) -> Column:
    """Return a column of numbers as one of any numbers: their ends and steps say nothing about a condition."""
    is_number = column.kind in ("positive", "bounded", "integer", "count")
    return replace(column, kind="real", low=None, high=None) if is_number else column


def _example(column: Column) -> str:
    return column.levels[0] if column.levels else "1.5"
