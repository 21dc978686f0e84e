"""The sources of the data of a training, names and paths or containers in memory, and their reading."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..core.errors import DataError, UsageError
from ..core.wording import plural
from ..data import Dataset, Schema, Selection, from_memory, is_in_memory, read, read_test, relabelled
from ..data.typed_frames import is_of
from .data_options import DataOptions

__all__ = ["Sources", "column_of"]


@contextmanager
def column_of(option: str, column: str | None) -> Iterator[None]:
    """Name the option where the column that it names is absent: what reads it speaks of labels.

    Raises:
        DataError, UsageError: as were raised within.
    """
    try:
        yield
    except (DataError, UsageError) as error:
        part, own = f"labels {column!r} are neither a part of", f"no column {column!r} of labels"
        what = error.what.replace(part, f"{option} {column!r} is no column of").removesuffix(" nor a file")
        what = what.replace(own, f"no column {column!r} ({option})")
        if column is None or (part not in error.what and own not in error.what):
            raise
        remedy = error.remedy.removesuffix(" Or give the labels themselves: an array [N].")
        raise type(error)(what, remedy) from error


@dataclass(frozen=True)
class Sources:
    """The sources of data: names and paths, or the data themselves.

    Attributes:
        data: a name, a path, or a container in memory.
        labels, test, test_labels: containers in memory, in the place of the options of these names.
        known: the schema of a run, of data that are read again.
        dataset: the data, where they were read to choose a recipe for them.
    """

    data: Any
    labels: Any = None
    test: Any = None
    test_labels: Any = None
    known: Schema | None = None
    dataset: Dataset | None = None

    @classmethod
    def split_off(cls, data: Any, options: dict[str, Any]) -> tuple[Sources, dict[str, Any]]:
        """Return the sources, and the options without those that are data in memory.

        Raises:
            UsageError: labels beside batches.
        """
        names = ("labels", "test", "test_labels")
        if isinstance(data, Sources):
            return data, {k: v for k, v in options.items() if k not in names or getattr(data, k) is None}
        key, labels = options.get("batch_key"), options.get("labels")
        if key is not None:
            if labels is not None and (not isinstance(labels, str) or labels != key):
                what = f"--batch-key {key} and --labels exclude each other"
                raise UsageError(what, "Leave --labels out: the model is conditioned on the batches.")
            options = {**options, "labels": key}
        held = {k: options[k] for k in names if k in options and options[k] is not None and is_in_memory(options[k])}
        if is_in_memory(data) and isinstance(options.get("labels"), str):
            held["labels"] = options["labels"]  # a column of a table
        return cls(data, **held), {k: v for k, v in options.items() if k not in held}

    @property
    def name(self) -> str:
        """The name of the data: as given, a path, or the kind of the container."""
        if isinstance(self.data, Dataset):
            return self.data.source.name
        if not is_in_memory(self.data):
            return str(self.data)
        return "array" if isinstance(self.data, np.ndarray) else type(self.data).__name__

    def read(self, options: DataOptions, missing: bool, typed: bool | Literal["auto"] = False) -> Dataset:
        """Return the data, read and judged.

        Args:
            options: of reading.
            missing: whether NaN is an entry that is missing.
            typed: True for a table of mixed kinds, "auto" where the data are one.

        Raises:
            UsageError: an option that plays no part for data in memory.
            DataError: they are not a data set.
        """
        if isinstance(self.data, Dataset) or self.dataset is not None:
            return self.data if self.dataset is None else self.dataset
        if self.known is not None:
            options = replace(options, schema=None)  # that of the run is exact
        if is_in_memory(self.data):
            given = {"size": options.size, "resize": options.resize} if self.known is None else {}
            for name in (name for name, value in given.items() if value is not None):
                raise UsageError(f"{name}= is for the images of a folder", "Resize the images before.")
            if options.layer is not None and not is_of(self.data, "anndata", "AnnData"):
                raise UsageError("layer= is for .h5ad files and AnnData", "Give the layer itself, as an array.")
            table = replace(options.table, **({"typed": typed} | self._as_before))
            return _whole(from_memory(self.data, self.labels, self.name, missing, table), missing, self.name)
        how = {"header": options.header, "columns": options.columns, "drop": options.drop, "layer": options.layer}
        how |= {"typed": typed, "schema": options.schema, **self._as_before}
        how |= {"size": options.size, "resize": options.resize, "strict": options.strict, "stream": options.stream}
        dataset = _whole(read(self.data, labels=options.labels, missing=missing, **how), missing, self.name)
        return dataset if self.labels is None else relabelled(dataset, self.labels)

    @property
    def _as_before(self) -> dict[str, Any]:
        """The names and the kind that these data were read with before."""
        if self.known is None:
            return {}
        exact = {} if self.known.columns is None else {"typed": True, "schema": self.known.columns}
        return {"known": self.known.names, "kind": self.known.kind, **exact}

    def read_test(self, options: DataOptions, missing: bool, data: Dataset) -> Dataset | None:
        """Return the test rows that were given, None where there are none.

        Args:
            options: of all data.
            missing: whether NaN is an entry that is missing.
            data: by whose names columns are taken, and to whose size images are resized.

        Raises:
            UsageError: labels of test rows that are not there.
        """
        if isinstance(self.test, Dataset):
            return self.test
        if self.test is not None:
            labels = self.labels if isinstance(self.labels, str) else None
            given = self.test_labels if self.test_labels is not None else labels
            return from_memory(self.test, given, "test rows", missing, _afterwards(options, data.schema))
        if options.test is None:
            if self.test_labels is not None or options.test_labels is not None:
                raise UsageError("there are labels of test rows, and no test rows", "Give --test too.")
            return None
        table, size = _afterwards(options, data.schema), options.size or data.source.resized
        dataset = read_test(options.test, options.labels, options.test_labels, size, missing, table)
        dataset = _whole(dataset, missing, options.test)
        return dataset if self.test_labels is None else relabelled(dataset, self.test_labels)


def _whole(dataset: Dataset, missing: bool, name: str | Path) -> Dataset:
    """Return rows without missing entries, or any if these are meant to be there.

    Raises:
        DataError: a mixed table has empty cells.
    """
    if missing or dataset.mask is None or dataset.schema.columns is None:
        return dataset
    empty = int((~np.asarray(dataset.mask)).sum())
    raise DataError(
        f"{plural(empty, 'cell')} of {name} {'is' if empty == 1 else 'are'} empty, and this recipe needs all of them",
        "Train a recipe for tables with missing entries: --recipe table.",
    )


def _afterwards(options: DataOptions, schema: Schema) -> Selection:
    """Return the columns of test rows that are data: those of the training data."""
    table = replace(options, schema=None).table.afterwards(schema.names)
    return table if schema.columns is None else replace(table, typed=True, schema=schema.columns)
