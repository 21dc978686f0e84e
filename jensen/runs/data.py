"""The data of a run, read again: training, validation and test rows, checked and prepared as they were."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ..core.commands import command_line
from ..core.errors import DataError, UsageError
from ..data import (
    Conditions,
    Dataset,
    Labels,
    Preparation,
    Schema,
    Selection,
    Split,
    conform,
    from_memory,
    is_in_memory,
    read,
    read_beside,
    read_test,
    relabelled,
    split,
)
from ..data.dataset import MISSING_REMEDY
from ..data.dialects import Dialect
from ..data.hashed_split import RowNumbers
from ..evaluate.quantity import Quantity
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..training.stages import Stage, finished_stages
from .evaluation import OwnRows, Part
from .places import labels_at, located, reading, refuse_images, table_options
from .prepared_parts import Preparing
from .relocation import check_digest
from .row_files import in_recorded_order
from .training_data import Sources

__all__ = ["RunData", "Source", "Targets"]

Source = Any  # a name, a path, or a container in memory (see `jensen.data.containers.from_memory`)
Own = Literal["test", "train", "all"] | OwnRows
Targets = Any  # labels: a file, a column or key of the data, or a container [N]

NAMES = {"train": "training", "valid": "validation", "test": "test"}
STREAMS = {"train": 0, "valid": 1, "test": 2, "other": 3}  # of the noise that rows are prepared with


class RunData(ABC):
    """The part of a `Run` that deals with data; see there.

    Attributes:
        path: the run folder.
        spec: the specification, as read.
        model: at whose precision rows are prepared.
        guide: of the model.
        schema: of the data, as the user knows them.
        preparation: from there to what the model sees.
        device: where rows go.
        weights: which the model has, "raw" or "averaged".
        held: data and test rows that training or `load` was given, as long as this object lives.
    """

    held: tuple[Dataset | None, Dataset | None] = (None, None)
    path: Path
    spec: dict[str, Any]
    model: LatentVariableModel
    guide: Guide
    schema: Schema
    preparation: Preparation
    device: str
    weights: str

    @property
    @abstractmethod
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The measures at the end of each stage of a training whose players took turns; empty for others."""
        return finished_stages(self.spec, self.metrics)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Notes on a run whose training did not come to its end."""
        if not self.spec["players"]:
            return ("this model was trained in a loop of the user's own, which is not recorded",)
        lines = self.metrics
        last = lines[-1] if lines else {}
        if last.get("event") != "stopped":
            return ("training has not ended, or was killed: these are the last weights that were written",)
        if last["reason"] in ("failed", "interrupted"):
            return (f"training {last['reason']} in epoch {last['epoch']}: these are the last weights written",)
        return ()

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    @property
    def classes(self) -> Labels | None:
        """The classes that it learned from; None where labels played no part."""
        classes = self.spec["data"].get("classes")
        return None if classes is None else Labels.from_dict(classes)

    @property
    def conditions(self) -> Conditions | None:
        """The labels that the model is conditioned on, where these are several columns."""
        conditions = self.spec["data"].get("conditions")
        return None if conditions is None else Conditions.from_dict(conditions)

    @property
    def conditional(self) -> bool:
        """True if the model is one of x given a label, or several, so that its evidence is log p(x | c)."""
        classes = self.classes
        return self.conditions is not None or (classes is not None and classes.role == "context")

    @property
    def batch_key(self) -> str | None:
        """The column of the batches that the model is conditioned on; None of another model, or where they are a file's
        own."""
        classes, key = self.classes, self.spec["data"]["labels_from"]
        of_batches = classes is not None and classes.called == "batch"
        return key if of_batches and key is not None and not Path(key).is_absolute() else None

    @property
    def quantity(self) -> Quantity:
        """The quantity that its numbers are of: log p(x), log p(x | label) of a conditional model, or log p(x_o, s)."""
        several, classes = self.conditions, self.classes
        given = ", ".join(several.names) if several is not None else classes.called if classes is not None else None
        return Quantity(given if self.conditional else None, self.model.likelihood.models_mask)

    @property
    def holed(self) -> bool:
        """True if entries were missing from the data that it was trained on."""
        return bool(self.spec["data"].get("missing"))

    @property
    def has_last_level(self) -> bool:
        """True if the model knows no integers beyond those of the training data."""
        return self.preparation.binarize is not None or math.isfinite(self.model.likelihood.family.support.high)

    def dataset(self) -> Dataset:
        """Return the data that the run was trained on, read again and checked.

        Raises:
            DataError: they are gone, or have changed.
        """
        data = self.spec["data"]
        if self.held[0] is not None:
            return self.held[0]
        if not data["readable"]:
            raise DataError(
                "this run was trained on data in memory, which are not kept",
                "Give the data: --data FILE (in Python, jensen.load(RUN, data=...)).",
            )
        how = {
            "labels": data["labels_from"],
            "size": data["resize"],
            "missing": self.holed,
            **table_options(self.spec),
        }
        place = located(self.path, data, **how)
        how["labels"] = labels_at(data["labels_from"], data["location"], place)
        dataset = in_recorded_order(read(place, **how), data["sha256"])
        remedy = "Give the data as they were: --data FILE (in Python, jensen.load(RUN, data=...)); or other rows: DATA."
        check_digest(dataset, data["sha256"], f"{place} has changed since the run was trained", remedy)
        return dataset

    @property
    def table(self) -> Selection:
        """The columns of later tables that are data: those of the training data, in any order."""
        return Selection.of(**table_options(self.spec)).afterwards(self.schema.names)

    @property
    def dialect(self) -> Dialect:
        """The dialect of the table that it was trained on; the usual one of what was no file of text."""
        return Dialect.from_dict(self.spec["data"].get("dialect", {}))

    def dialect_of(self, part: Part) -> Dialect:
        """Return the dialect of the table that rows came in; that of the run for rows without one."""
        return self.dialect if part.frame is None else part.frame.dialect or Dialect()

    @property
    def readable(self) -> bool:
        """True if the data that it was trained on can be read again, or are still in memory."""
        return bool(self.spec["data"]["readable"]) or self.held[0] is not None

    def sources(self, recorded: Sources) -> Sources:
        """Return the sources of the data, in memory where they were given so."""
        data, test = self.held
        return recorded if data is None else Sources(data, test=test)

    def split(self) -> Split:
        """Return the numbers of the rows that were trained on, and of those that were not."""
        s = self.spec["split"]
        if not self.spec["data"]["n"]:
            raise DataError("this run has no data of its own", "Give the data to use: DATA or data=.")
        hashed = bool(self.spec["choices"].get("stream"))
        return split(self.spec["data"]["n"], tuple(s["fractions"]), s["seed"], hashed=hashed)

    def part(self, which: str = "test", seed: int = 0) -> Part:
        """Return the run's own "train", "valid" or "test" rows; without a test part, validation rows, with a note."""
        s = self.spec["split"]
        rows, notes = self.split(), ()
        if which == "test" and (self.held[1] is not None or s["test"] is not None):
            tested = self._tested()
            name = f"test file {tested.source.name}" if tested.source.files else "the test rows given"
            return self._part(tested, name, seed, STREAMS["test"])
        if which == "test" and not len(rows.test):
            which, notes = "valid", ("there is no test part: these are validation rows",)
        index = getattr(rows, which)
        if not len(index):
            raise DataError("this run kept no rows aside", "Give data to use: DATA.")
        return self._rows_of(self.dataset(), OwnRows(which, index), seed, notes)

    def _rows_of(self, dataset: Dataset, own: OwnRows, seed: int, notes: tuple[str, ...]) -> Part:
        """Return some of the rows that the run was trained on, as they were prepared then."""
        kept, name = dataset.rows(own.index), f"{len(own.index)} {NAMES[own.part]} rows of {dataset.source.name}"
        return self._part(replace(kept, notes=()), name, seed, STREAMS[own.part], notes, own.index)

    def _tested(self) -> Dataset:
        """Return the test rows that were given for training, read again and checked."""
        if self.held[1] is not None:
            return conform(self.held[1], self.schema, "test data", self.has_last_level)
        tested, size = self.spec["split"]["test"], self.spec["data"]["resize"]
        if not tested["location"]:
            raise DataError(
                "the test rows of this run were given in memory, and are not kept",
                "Give them: --test FILE (in Python, jensen.load(RUN, test=...)); or other rows: DATA.",
            )
        place = located(self.path, tested, "test", size=size, missing=self.holed, **table_options(self.spec))
        labels, own = (labels_at(tested.get(k), tested["location"], place) for k in ("labels_from", "own_labels"))
        dataset = read_test(place, labels, own, size, self.holed, self.table)
        dataset = in_recorded_order(dataset, tested["sha256"])
        what, remedy = f"{place} has changed since the run was trained", "Give the test rows: --test FILE; or DATA."
        check_digest(dataset, tested["sha256"], what, remedy)
        return conform(dataset, self.schema, "test data", self.has_last_level)

    def other(
        self,
        data: Source,
        labels: Targets | None = None,
        seed: int = 0,
        missing: bool = False,
        own: Own = "test",
        spare: tuple[str, ...] = (),
    ) -> Part:
        """Return data of the user's, checked against those of the run and prepared in the same way.

        Where they are the very data that the run was trained on, which the digest tells, these are the rows of the
        part `own` of them, "test" or "train", or "all" of them; or those that another run kept aside.

        Missing entries are refused, unless the run was trained with some, its posterior is exact (then it is that given
        the observed entries), or `missing` allows them. Labels that are not named are looked for in the column or array
        that the run's own have. Columns of the names `spare` may be absent: their entries are missing.

        Raises:
            DataError: they have another shape, kind or binarisation, or labels of classes that the run does not know.
            UsageError: labels that name no column of data in memory.
        """
        with reading(data, labels), self._filling(data):
            refuse_images(data, self.schema)
            dataset = self._found(data, labels, missing or self.holed or self.guide.is_exact, spare)
        dataset = in_recorded_order(dataset, self.spec["data"]["sha256"])
        self._check_batches(dataset)
        if self.preparation.binarize and dataset.schema.kind == "binary" and self.schema.kind != "binary":
            raise DataError(
                f"{dataset.source.name} is binary already, and the run binarises grey values",
                "Give grey values, or train on binary data.",
            )
        dataset = conform(dataset, self.schema, bounded=self.has_last_level)
        source = dataset.source
        if labels is not None and dataset.labels is None and dataset.conditions is None:
            raise DataError(
                f"the labels of {dataset.source.name} are of classes that the training data do not have",
                f"Theirs are {', '.join((self.schema.classes or ('numbers',))[:12])}.",
            )
        is_own = source.sha256 == self.spec["data"]["sha256"]
        if is_own and self.schema.is_image:  # how these images were converted was said before the training
            dataset = replace(dataset, notes=())
        aside = own if isinstance(own, OwnRows) else self._kept_aside(own) if is_own else None
        if aside is not None:
            notes = (self._own_note(source.name, aside),) if is_own else ()
            part = self._rows_of(dataset, aside, seed, (*dataset.notes, *notes))
            return replace(part, own=aside) if is_own else part
        notes, name = (), f"{len(dataset)} rows of {source.name}"
        if is_own and own == "all":
            trained = len(self.split().train)
            notes = (f"{source.name} holds the data of this run: all its rows are used, {trained} of which trained it",)
        return replace(self._part(dataset, name, seed, STREAMS["other"], notes), is_whole=is_own)

    def _kept_aside(self, own: Own) -> OwnRows | None:
        """Return which rows of the run's own data to use; None for all of them."""
        rows = self.split()
        choices = {"train": ("train",), "test": ("test", "valid"), "all": ()}
        parts = choices[own] if isinstance(own, str) else ()
        return next((OwnRows(part, index) for part in parts if len(index := getattr(rows, part))), None)

    def _own_note(self, name: str, own: OwnRows) -> str:
        """Return a note that only some rows of data are used, since others trained the run."""
        n = self.spec["data"]["n"]
        return f"{name} holds the data of this run: only its {NAMES[own.part]} rows are used, {len(own.index)} of {n:,}"

    @contextmanager
    def _filling(self, data: Source) -> Iterator[None]:
        """Say beside missing entries that are refused how this run fills them."""
        try:
            yield
        except DataError as error:
            if not error.remedy.startswith(MISSING_REMEDY):
                raise
            command = "run.impute(data)" if is_in_memory(data) else command_line("impute", self.path, str(data))
            remedy = f"Have this model fill them: {command}. Or {error.remedy[:1].lower()}{error.remedy[1:]}"
            raise DataError(f"{error.what}; this run has learned from complete rows", remedy) from error

    def labelled(self, data: Source, column: str) -> Dataset:
        """Return data of the user's as read, with a column of theirs as labels, whatever the run learned from.

        Raises:
            DataError: there is no such column.
        """
        with reading(data):
            return self._found(data, column, True)

    def _found(self, data: Source, labels: Targets | None, missing: bool, spare: tuple[str, ...] = ()) -> Dataset:
        """Return the data as read, with the labels that were named."""
        table = replace(self.table, spare=spare) if spare else self.table
        labels = self.batch_key if labels is None else labels
        if is_in_memory(data):
            labels = list(self.conditions.names) if labels is None and self.conditions is not None else labels
            return from_memory(data, labels, Sources(data).name, missing, table)
        if labels is not None and is_in_memory(labels):
            return relabelled(self._found(data, None, missing, spare), labels)
        about = self.spec["data"]
        if labels is not None:
            return read_test(data, None, labels, about["resize"], missing, table)
        return read_beside(data, about["labels_from"], about["resize"], missing, table)

    def _check_batches(self, dataset: Dataset) -> None:
        """Refuse rows of a batch that the run was not trained with.

        Raises:
            DataError: naming it.
        """
        classes, names = self.classes, dataset.schema.classes
        if classes is None or classes.called != "batch" or dataset.labels is None or names is None:
            return
        new = sorted({names[i] for i in np.unique(dataset.labels) if i >= 0} - set(classes.trained))
        if new:
            what = f"batch {new[0]!r} of {dataset.source.name} is none that the run was trained with"
            raise DataError(what, f"Its batches are {', '.join(classes.trained[:12])}: train with the new one too.")

    def _part(
        self,
        dataset: Dataset,
        name: str,
        seed: int,
        number: int,
        notes: tuple[str, ...] = (),
        numbers: np.ndarray | RowNumbers | None = None,
    ) -> Part:
        given = self.conditions or self.classes
        preparing = Preparing(self.preparation, self.schema, self.model.likelihood, given, self.device, self.dtype)
        return preparing.part(dataset, name, seed=seed, number=number, notes=notes, numbers=numbers)

    def chosen(
        self,
        data: Source | Part | None = None,
        seed: int = 0,
        missing: bool = False,
        labels: Targets | None = None,
        own: Own = "test",
        spare: tuple[str, ...] = (),
    ) -> Part:
        """Return the rows for a verb: the run's test rows, or data of the user's; a `Part` is returned as it is.

        Where the data are those that the run was trained on, these are the rows of the part `own`, see `other`.

        Raises:
            UsageError: labels of no data.
        """
        if labels is not None and (data is None or isinstance(data, Part)):
            raise UsageError(
                "--labels names labels of DATA, and none are given", "Leave --labels out: the run knows its own rows'."
            )
        if isinstance(data, Part):
            return data
        return self.part("test", seed) if data is None else self.other(data, labels, seed, missing, own, spare)
