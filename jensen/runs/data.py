"""The data of a run, read again: training, validation and test rows, checked and prepared as they were."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..core.errors import DataError, JensenError, UsageError
from ..core.random import stream
from ..data import (
    Dataset,
    Labels,
    Preparation,
    Schema,
    Split,
    conform,
    duplicates,
    from_memory,
    is_in_memory,
    read,
    read_beside,
    read_test,
    relabelled,
    split,
)
from ..evaluate.quantity import Quantity
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..recipes.likelihoods import check_support
from ..training.stages import Stage
from .evaluation import Part
from .places import labels_at, located
from .training_data import Sources

__all__ = ["RunData", "Source", "Targets"]

Source = Any  # a name, a path, or a container in memory (see `jensen.data.containers.from_memory`)
Targets = Any  # labels: a file, a column or key of the data, or a container [N]


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
        held: data and test rows that training was given in memory, as long as this object lives.
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
    def unfinished(self) -> tuple[str, ...]:
        """Notes on a training that did not come to its end."""

    @property
    @abstractmethod
    def stages(self) -> tuple[Stage, ...]:
        """The measures at the end of each stage of a training whose players took turns."""

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    @property
    def classes(self) -> Labels | None:
        """The classes that it learned from; None where labels played no part."""
        classes = self.spec["data"].get("classes")
        return None if classes is None else Labels.from_dict(classes)

    @property
    def conditional(self) -> bool:
        """True if the model is one of x given a label, so that its evidence is log p(x | c)."""
        classes = self.classes
        return classes is not None and classes.role == "context"

    @property
    def quantity(self) -> Quantity:
        """The quantity that its numbers are of: log p(x), or log p(x | label) of a conditional model."""
        return Quantity("label" if self.conditional else None)

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
                "this run was trained on data in memory, which are not kept", "Give the data: DATA or data=."
            )
        reading = {"labels": data["labels_from"], "size": data["resize"], "missing": self.holed}
        place = located(self.path, data, **reading)
        reading["labels"] = labels_at(data["labels_from"], data["location"], place)
        dataset = read(place, **reading)
        if dataset.source.sha256 != data["sha256"]:
            raise DataError(f"{place} has changed since the run was trained", "Give the data to use: DATA.")
        return dataset

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
        return split(self.spec["data"]["n"], tuple(s["fractions"]), s["seed"])

    def part(self, which: str = "test", seed: int = 0) -> Part:
        """Return the run's own "train", "valid" or "test" rows; without a test part, validation rows, with a note."""
        s, data = self.spec["split"], self.spec["data"]
        rows, notes = self.split(), ()
        if which == "test" and self.held[1] is not None:
            return self._part(self.held[1], "the test rows given", seed, 2)
        if which == "test" and s["test"] is not None:
            if not s["test"]["location"]:
                raise DataError(
                    "the test rows of this run were given in memory, and are not kept", "Give DATA or data=."
                )
            place = located(self.path, s["test"], size=data["resize"], missing=self.holed)
            labels, own = (
                labels_at(s["test"].get(name), s["test"]["location"], place) for name in ("labels_from", "own_labels")
            )
            tested = read_test(place, labels, own, data["resize"], self.holed)
            if tested.source.sha256 != s["test"]["sha256"]:
                raise DataError(
                    f"{s['test']['location']} has changed since the run was trained", "Give the data: DATA."
                )
            tested = conform(tested, self.schema, "test data", self.has_last_level)
            return self._part(tested, f"test file {tested.source.name}", seed, 2)
        if which == "test" and not len(rows.test):
            which, notes = "valid", ("there is no test part: these are validation rows",)
        index = getattr(rows, which)
        if not len(index):
            raise DataError("this run kept no rows aside", "Give data to use: DATA.")
        kept = self.dataset().rows(index)
        names = {"train": "training", "valid": "validation", "test": "test"}
        name = f"{len(index)} {names[which]} rows of {kept.source.name}"
        kept = replace(kept, notes=())
        return self._part(kept, name, seed, {"train": 0, "valid": 1, "test": 2}[which], notes)

    def other(self, data: Source, labels: Targets | None = None, seed: int = 0, missing: bool = False) -> Part:
        """Return data of the user's, checked against those of the run and prepared in the same way.

        Missing entries are refused, unless the run was trained with some or `missing` allows them. Labels that are not
        named are dataset in the column or array that the run's own have.

        Raises:
            DataError: they have another shape, kind or binarisation, or labels of classes that the run does not know.
            UsageError: labels that name no column of data in memory.
        """
        dataset = self._found(data, labels, missing or self.holed)
        if self.preparation.binarize and dataset.schema.kind == "binary" and self.schema.kind != "binary":
            raise DataError(
                f"{dataset.source.name} is binary already, and the run binarises grey values",
                "Give grey values, or train on binary data.",
            )
        dataset = conform(dataset, self.schema, bounded=self.has_last_level)
        if labels is not None and dataset.labels is None:
            raise DataError(
                f"the labels of {dataset.source.name} are of classes that the training data do not have",
                f"Theirs are {', '.join((self.schema.classes or ('numbers',))[:12])}.",
            )
        return self._part(dataset, f"{len(dataset)} rows of {dataset.source.name}", seed, 3)

    def _found(self, data: Source, labels: Targets | None, missing: bool) -> Dataset:
        """Return the data as read, with the labels that were named."""
        if is_in_memory(data):
            return from_memory(data, labels, Sources(data).name, missing)
        if labels is not None and is_in_memory(labels):
            return relabelled(self._found(data, None, missing), labels)
        about = self.spec["data"]
        if labels is not None:
            return read(data, labels=labels, size=about["resize"] if Path(data).is_dir() else None, missing=missing)
        return read_beside(data, about["labels_from"], about["resize"], missing)

    def _part(self, dataset: Dataset, name: str, seed: int, number: int, notes: tuple[str, ...] = ()) -> Part:
        how = {"mask": dataset.mask, "device": self.device, "dtype": self.dtype, "stream": number}
        rows = self.preparation.rows(dataset.x, self.schema, **how)
        shift: float | torch.Tensor = self.preparation.log_jacobian(self.schema.size)
        classes = self.classes
        if classes is not None and classes.role == "context":
            seen = torch.from_numpy(classes.one_hot(dataset.labels, f"the {name}")).to(self.device, self.dtype)
            rows = replace(rows, context=seen)
        likelihood = self.model.likelihood
        if self.preparation.binarize is None and likelihood.has_density:
            remedy = "Drop or correct these rows, or train with a likelihood for such values: --likelihood."
            check_support(likelihood.family.support, rows, f"row {{}} of {name}", likelihood.family.phrase, remedy)
        if self.preparation.binarize == "dynamic":
            rows = rows.fixed(stream(seed, "binarize", self.device))
        if dataset.mask is not None:
            shift = torch.from_numpy(self.preparation.log_jacobians(dataset.mask))
        all_notes = (*dataset.notes, *notes)
        return Part(rows, dataset.x, dataset.labels, name, all_notes, dataset.mask, shift, dataset.factors)

    def chosen(
        self,
        data: Source | Part | None = None,
        seed: int = 0,
        missing: bool = False,
        labels: Targets | None = None,
    ) -> Part:
        """Return the rows for a verb: the run's test rows, or data of the user's; a `Part` is returned as it is.

        Raises:
            UsageError: labels of no data.
        """
        if labels is not None and (data is None or isinstance(data, Part)):
            raise UsageError(
                "--labels names labels of DATA, and none are given", "Leave --labels out: the run knows its own rows'."
            )
        if isinstance(data, Part):
            return data
        return self.part("test", seed) if data is None else self.other(data, labels, seed, missing)

    def overlap(self, part: Part, data: Source | Part | None) -> tuple[str, ...]:
        """Return a note on those of the rows that the model was trained on."""
        if data is None:
            return ()
        try:
            trained = self.dataset().rows(self.split().train)
        except JensenError:
            return ("the training data cannot be read, so rows that were trained on would not be noticed",)
        seen = int(duplicates(trained.x, part.x, trained.mask, part.mask).sum())
        note = f"{seen} of these {len(part.x)} rows were trained on, which biases the estimate upwards"
        return (note,) if seen else ()
