"""The data of a training: read, checked, split and prepared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..core.annotations import MOST_BINS
from ..core.batch import Rows
from ..core.errors import DataError, UsageError
from ..core.random import stream
from ..core.validation import require_integer
from ..data import (
    UNKNOWN,
    Dataset,
    Labels,
    Preparation,
    Schema,
    Split,
    conform,
    duplicates,
    from_memory,
    hide_labels,
    is_in_memory,
    parse_fractions,
    read,
    read_test,
    relabelled,
    split,
)
from ..data.agreement import holds_counts
from ..data.magnitudes import dominating_entries
from ..data.sizes import check_size
from ..recipes import Recipe
from .data_options import DataOptions

__all__ = ["DataOptions", "Sources", "TrainingData", "gather"]

LABELLED_SHARE = 0.2  # of the rows of an epoch, which those of known class are repeated to be


@dataclass(frozen=True)
class Sources:
    """The sources of data: names and paths, or the data themselves.

    Attributes:
        data: a name, a path, or a container in memory.
        labels, test, test_labels: containers in memory, in the place of the options of these names.
        known: the schema of a run, of data that are read again.
    """

    data: Any
    labels: Any = None
    test: Any = None
    test_labels: Any = None
    known: Schema | None = None

    @classmethod
    def split_off(cls, data: Any, options: dict[str, Any]) -> tuple[Sources, dict[str, Any]]:
        """Return the sources, and the options without those that are data in memory."""
        names = ("labels", "test", "test_labels")
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

    def read(self, options: DataOptions, missing: bool) -> Dataset:
        """Return the data, read and judged.

        Raises:
            UsageError: an option that plays no part for data in memory.
            DataError: they are not a data set.
        """
        if isinstance(self.data, Dataset):
            return self.data
        if is_in_memory(self.data):
            if options.size is not None:
                raise UsageError("size= is for the images of a folder", "Resize the images before.")
            return from_memory(self.data, self.labels, self.name, missing, replace(options.table, **self._as_before))
        how = {"header": options.header, "columns": options.columns, "drop": options.drop, **self._as_before}
        how |= {"size": options.size, "strict": options.strict}
        dataset = read(self.data, labels=options.labels, missing=missing, **how)
        return dataset if self.labels is None else relabelled(dataset, self.labels)

    @property
    def _as_before(self) -> dict[str, Any]:
        """The names and the kind that these data were read with before."""
        return {} if self.known is None else {"known": self.known.names, "kind": self.known.kind}

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
            return from_memory(self.test, given, "test rows", missing, options.table.afterwards(data.schema.names))
        if options.test is None:
            if self.test_labels is not None or options.test_labels is not None:
                raise UsageError("there are labels of test rows, and no test rows", "Give --test too.")
            return None
        table, size = options.table.afterwards(data.schema.names), options.size or data.source.resized
        dataset = read_test(options.test, options.labels, options.test_labels, size, missing, table)
        return dataset if self.test_labels is None else relabelled(dataset, self.test_labels)


@dataclass(frozen=True)
class TrainingData:
    """The data as read and prepared, before training starts.

    Attributes:
        train: training rows; those that a recipe is to see more often follow again after the first `distinct`.
        labels: the classes, for a recipe that learns from them.
    """

    data: Dataset
    test: Dataset | None
    split: Split
    preparation: Preparation
    train: Rows
    valid: Rows | None
    repeated: dict[str, int]
    distinct: int
    labels: Labels | None = None

    @property
    def notices(self) -> list[str]:
        """Notes for the user: on how files were read, and on rows that occur in two parts."""
        notes = [*self.data.notes, *(self.test.notes if self.test else ())]
        if self.test is not None and self.data.labels is not None and self.test.labels is None:
            notes.append("the test rows have no labels; name theirs with --test-labels")
        if len(self.train) > self.distinct and self.labels is not None:
            known = sum(self.labels.counts)
            times = (len(self.train) - self.distinct) // known + 1
            notes.append(
                f"{known} of {self.distinct:,} training rows have labels, and are seen {times} times per epoch"
            )
        names = {"valid": "validation", "test": "test"}
        for part, n in self.repeated.items():
            if n:
                notes.append(
                    f"{n} {names[part]} rows are exact duplicates of training rows: they bias the estimate upwards"
                )
        return notes

    def number(self, part: str, row: int) -> int:
        """Return the number in its file, from 0, of a row of the training, validation or test part."""
        if part == "training":
            return self.in_file([row])[0]
        given = part == "test" and self.test is not None
        return row if given else int((self.split.test if part == "test" else self.split.valid)[row])

    def in_file(self, rows: Sequence[int]) -> list[int]:
        """Return the numbers of these training rows among the rows of the data as read, from 0."""
        known = np.arange(0)
        if len(self.train) > self.distinct and self.train.context is not None:
            known = self.train.context[: self.distinct].any(-1).nonzero().flatten().cpu().numpy()
        first = [i if i < self.distinct else known[(i - self.distinct) % len(known)] for i in rows]
        return [int(self.split.train[i]) for i in first]

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation [D] of what the model sees, in expectation where bits are drawn anew."""
        dynamic = self.preparation.binarize == "dynamic" and self.data.schema.kind == "integers"
        top = (self.data.schema.levels or 2) - 1 if dynamic else 1
        train, mask = self.train.stored[: self.distinct], self.train.mask
        mask, chunks = None if mask is None else mask[: self.distinct], train.cpu().split(256)  # of the size of a cache
        if mask is None:
            n = self.distinct
            mean = torch.as_tensor(sum(c.double().sum(0) for c in chunks)) / n / top
            second = torch.as_tensor(sum(c.double().div(top).sub_(mean).square_().sum(0) for c in chunks)) / n
            return mean, second.sqrt()
        pairs, counts = list(zip(chunks, mask.cpu().split(256), strict=True)), mask.cpu().sum(0)
        mean = torch.as_tensor(sum(torch.where(m, c.double(), 0.0).sum(0) for c, m in pairs)) / counts / top
        away = (torch.where(m, c.double().div(top).sub_(mean), 0.0) for c, m in pairs)
        return mean, (torch.as_tensor(sum(a.square_().sum(0) for a in away)) / counts).sqrt()

    def prepared(self, dtype: torch.dtype) -> Iterator[tuple[str, Rows]]:
        """Yield training, validation and test rows as the model sees them, each with what to call them."""
        yield "training", self.train
        if self.valid is not None:
            yield "validation", self.valid
        test, numbers = (self.data.rows(self.split.test), self.split.test) if self.test is None else (self.test, None)
        if len(test):
            how = {"mask": test.mask, "device": "cpu", "dtype": dtype, "stream": 2, "numbers": numbers}
            rows = self.preparation.rows(test.x, self.data.schema, what="the test rows", **how)
            yield "test", rows

    def log_jacobian(self, part: Literal["train", "valid"] = "train") -> float:
        """Return nats to add to the mean log-density of these rows for that in the data's own units; of what is
        observed."""
        rows = self.valid if part == "valid" else self.train
        if rows is None or rows.mask is None:
            return self.preparation.log_jacobian(self.data.schema.size)
        return float(self.preparation.log_jacobians(rows.mask.cpu().numpy()).mean())


def gather(
    sources: Sources, recipe: Recipe, options: DataOptions, device: torch.device, dtype: torch.dtype
) -> TrainingData:
    """Read, split and prepare."""
    _check(recipe, options)
    parts = _fractions(options.split, options.test is not None or sources.test is not None)
    dataset, second = _read(sources, recipe, options)
    schema, seed = dataset.schema, options.split_seed
    where = split(len(dataset), parts, seed)
    if len(where.train) < 2:
        raise DataError(
            f"of {len(dataset)} rows the split leaves {len(where.train)} to train on",
            "Give more rows, or --split 1,0,0.",
        )
    train, held = dataset.rows(where.train), {"valid": dataset.rows(where.valid)}
    held["test"] = dataset.rows(where.test) if second is None else second
    spread, scaling = _spreading(dataset, recipe, options)
    how = {"binarize": options.binarize, "dequantize": spread, "standardize": scaling, "seed": seed}
    preparation = Preparation.fit(train.x, schema, mask=train.mask, **how)
    dataset = replace(dataset, notes=(*dataset.notes, *_dominating(train, preparation, where.train)))
    place = {"device": device, "dtype": dtype, "what": "the data"}
    rows = preparation.rows(train.x, schema, mask=train.mask, stream=0, numbers=where.train, **place)
    valid = None
    if len(held["valid"]):
        some = held["valid"]
        valid = preparation.rows(some.x, schema, mask=some.mask, stream=1, numbers=where.valid, **place)
        if options.binarize == "dynamic":
            valid = valid.fixed(stream(seed, "validation", device))
    repeated = {
        part: int(duplicates(train.x, other.x, train.mask, other.mask).sum()) if len(other) else 0
        for part, other in held.items()
    }
    labels = _labels(dataset, where, recipe)
    if labels is not None:
        rows, valid, labels = _with_labels(rows, valid, train, held, labels, where, options)
        if second is not None and second.labels is not None:
            labels.index(second.labels, "the test data")
    return TrainingData(dataset, second, where, preparation, rows, valid, repeated, len(train), labels)


def _read(sources: Sources, recipe: Recipe, options: DataOptions) -> tuple[Dataset, Dataset | None]:
    """Return the data and the test rows that were given, None without any; with advice where these are counts.

    Raises:
        DataError: there is one row only, or memory for the prepared rows is not there.
    """
    dataset = sources.read(options, recipe.missing)
    second = sources.read_test(options, recipe.missing, dataset)
    unbounded = options.binarize is None  # a likelihood with a last level refuses others itself, when it is known
    if second is not None:  # recorded as it was read
        second = replace(conform(second, dataset.schema, "test data", not unbounded), source=second.source)
    if len(dataset) < 2:
        shape = dataset.schema.shape
        raise DataError(
            f"{sources.name} holds one datum only, of shape {shape}", "Give at least 2 rows: one row per datum."
        )
    check_size(dataset.x.nbytes, sources.name, verb="holds")  # the rows of each part, and these prepared
    if unbounded and options.dequantize is None and not recipe.density and _exceed_bins(dataset.schema, recipe):
        top = (dataset.schema.levels or 1) - 1
        advice = f"values reach {top:,}, too many for a likelihood of levels: uniform noise makes them a density"
        dataset = replace(dataset, notes=(*dataset.notes, advice))
    if recipe.name == "vae" and options.binarize is None and holds_counts(dataset):
        advice = f"{sources.name} holds counts, for which --recipe count-vae has likelihoods"
        dataset = replace(dataset, notes=(*dataset.notes, advice))
    return dataset, second


def _dominating(train: Dataset, preparation: Preparation, numbers: np.ndarray) -> list[str]:
    """Return notes on training rows with values that leave no difference between others after standardisation."""
    if preparation.scale is None or preparation.center is None or train.schema.kind != "real":
        return []
    center, scale = preparation.center, preparation.scale
    return dominating_entries(train.x, train.mask, center, scale, train.schema.names, numbers)


def _labels(dataset: Dataset, where: Split, recipe: Recipe) -> Labels | None:
    """Return the classes, for a recipe that learns from them.

    Raises:
        DataError: the data have no labels.
    """
    if recipe.labels is None:
        return None
    if dataset.labels is None:
        raise DataError(
            f"recipe {recipe.name} learns from labels, and {dataset.source.name} has none",
            "Name them: --labels FILE, or a column or key of DATA.",
        )
    return Labels.of(dataset.labels, dataset.schema, recipe.labels, dataset.labels[where.train])


def _with_labels(
    rows: Rows,
    valid: Rows | None,
    train: Dataset,
    held: dict[str, Dataset],
    labels: Labels,
    where: Split,
    options: DataOptions,
) -> tuple[Rows, Rows | None, Labels]:
    """Training and validation rows with their classes as a context.

    Where the class is a latent, rows of the held parts have none, so that their bound is one on log p(x); and training
    rows of known class are repeated until they are a fifth of all.
    """

    def seen(own: np.ndarray | None, name: str, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(labels.one_hot(own, name, numbers)).to(rows.device)

    if labels.role == "context":
        rows = replace(rows, context=seen(train.labels, "the training rows", where.train))
        if valid is not None:
            valid = replace(valid, context=seen(held["valid"].labels, "the validation rows", where.valid))
        return rows, valid, labels
    own = np.asarray(train.labels)
    own = own if options.labelled is None else hide_labels(own, options.labelled, options.seed)
    labels = replace(labels, counts=tuple(int((own == v).sum()) for v in labels.values))
    rows = replace(rows, context=seen(own, "the training rows", where.train))
    known = np.flatnonzero(own != UNKNOWN)
    if not len(known):
        raise DataError("no training row has a label", "Give labels of some rows: --labels FILE.")
    unknown = len(own) - len(known)
    more = max(round(LABELLED_SHARE / (1 - LABELLED_SHARE) * unknown / len(known)) - 1, 0)
    index = torch.from_numpy(np.concatenate([np.arange(len(own)), np.tile(known, more)])).to(rows.device)
    return rows.subset(index) if more else rows, valid, labels


def _check(recipe: Recipe, options: DataOptions) -> None:
    """Refuse options that the recipe does not use, and negative seeds, before anything is read."""
    if options.labelled is not None and recipe.labels != "partial":
        raise UsageError(
            f"recipe {recipe.name} does not learn from some labels",
            "Leave out --labelled, or --recipe semi-supervised.",
        )
    require_integer(0, **{"--seed": options.seed, "--split-seed": options.split_seed})


def _spreading(dataset: Dataset, recipe: Recipe, options: DataOptions) -> tuple[bool, Any]:
    """Choose whether to dequantise, and the scaling, where the user left them open."""
    integers = dataset.schema.kind == "integers" and options.binarize is None
    spread = options.dequantize
    if spread is None:
        spread = integers and (recipe.density or _exceed_bins(dataset.schema, recipe))
    if options.standardize != "auto":
        return spread, options.standardize
    real = options.binarize is None and (spread or dataset.schema.kind == "real")
    return spread, recipe.standardize if real else "none"


def _exceed_bins(schema: Schema, recipe: Recipe) -> bool:
    """Return whether integers have more levels than a discretised likelihood, under a recipe without one of counts."""
    return (schema.levels or 0) > MOST_BINS and recipe.standardize != "none"


def _fractions(given: str | Sequence[float] | None, has_test: bool) -> tuple[float, float, float]:
    if given is None:
        return (0.9, 0.1, 0.0) if has_test else (0.8, 0.1, 0.1)
    parts = parse_fractions(given if isinstance(given, str) else ",".join(map(str, given)))
    if has_test and parts[2] > 0:
        raise UsageError("--test and a test part of --split exclude each other", "Give --split 0.9,0.1,0 with --test.")
    return parts
