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
    Conditions,
    Dataset,
    Labels,
    Preparation,
    Schema,
    Split,
    conform,
    constant_columns,
    duplicates,
    hide_labels,
    parse_fractions,
    split,
)
from ..data.agreement import holds_counts
from ..data.augmentation import Augmentation, augmentation_of
from ..data.file_rows import ColumnRows
from ..data.hashed_split import RowNumbers
from ..data.magnitudes import dominating_entries
from ..data.sizes import check_size
from ..data.streams import StreamedRows
from ..recipes import Recipe
from .data_options import DataOptions
from .sources import Sources, column_of
from .streamed_data import measured_rows, streamed_moments

__all__ = ["DataOptions", "Sources", "TrainingData", "gather"]

MODEL_CELL = 5  # bytes of a cell as the model sees it, with that of its mask
LABELLED_SHARE = 0.2  # of the rows of an epoch, which those of known class are repeated to be


@dataclass(frozen=True)
class TrainingData:
    """The data as read and prepared, before training starts.

    Attributes:
        train: training rows; those that a recipe is to see more often follow again after the first `distinct`.
        labels: the classes, for a recipe that learns from them.
        conditions: several labels, in their place.
        measured: numbers of the validation rows in `valid`: all of them, or some of data that stay in their files.
        augmentation: of the rows of training batches.
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
    conditions: Conditions | None = None
    measured: np.ndarray | RowNumbers | None = None
    augmentation: Augmentation | None = None

    @property
    def batched(self) -> Rows:
        """The training rows as batches are taken of them: augmented, where that was asked for."""
        return self.train if self.augmentation is None else replace(self.train, augment=self.augmentation)

    @property
    def notices(self) -> list[str]:
        """Notes for the user: on how files were read, and on rows that occur in two parts."""
        notes = [*self.data.notes, *(self.test.notes if self.test else ())]
        notes += [] if self.augmentation is None else [self.augmentation.note]
        if self.test is not None and self.data.labels is not None and self.test.labels is None:
            notes.append("the test rows have no labels; name theirs with --test-labels")
        if len(self.train) > self.distinct and self.labels is not None:
            known = sum(self.labels.counts)
            times = (len(self.train) - self.distinct) // known + 1
            notes.append(
                f"{known} of {self.distinct:,} training rows have labels, and are seen {times} times per epoch"
            )
        names = {"valid": "validation", "test": "test"}
        if self.valid is not None and len(self.valid) < len(self.split.valid):
            notes.append(
                f"of {len(self.split.valid):,} validation rows, {len(self.valid):,} evenly spaced ones are measured;"
                " test rows are looked for among the training rows in as many at most"
            )
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
        if part == "test":
            return row if self.test is not None else int(self.split.test[row])
        return int((self.split.valid if self.measured is None else self.measured)[row])

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
        if isinstance(self.train.stored, StreamedRows):
            return streamed_moments(self.train.stored, self.preparation, top)
        train, mask = torch.as_tensor(self.train.stored)[: self.distinct], self.train.mask
        mask, chunks = None if mask is None else mask[: self.distinct], train.cpu().split(256)  # of the size of a cache
        if mask is None:
            n = self.distinct
            mean = torch.as_tensor(sum(c.double().sum(0) for c in chunks)) / n / top
            second = torch.as_tensor(sum(c.double().div(top).sub_(mean).square_().sum(0) for c in chunks)) / n
            return mean, second.sqrt()
        pairs = list(zip(chunks, mask.cpu().split(256), strict=True))
        counts = torch.as_tensor(sum(m.sum(0) for _, m in pairs))  # at once it would take eight bytes for each cell
        mean = torch.as_tensor(sum(torch.where(m, c.double(), 0.0).sum(0) for c, m in pairs)) / counts / top
        away = (torch.where(m, c.double().div(top).sub_(mean), 0.0) for c, m in pairs)
        return mean, (torch.as_tensor(sum(a.square_().sum(0) for a in away)) / counts).sqrt()

    @property
    def constant(self) -> int:
        """The number of constant columns of the training rows, in the data's own units; of mixed kinds, of those with
        a density."""
        if isinstance(self.train.stored, StreamedRows):
            return len(constant_columns(self.train.stored.rows))
        train = self.data.rows(self.split.train)
        columns, constant = self.data.schema.columns, constant_columns(train.x, train.mask)
        return sum(columns is None or not columns[i].is_discrete for i in constant)

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
    augmentation_of(options.augment, dataset.schema)
    schema, seed = dataset.schema, options.split_seed
    where = split(len(dataset), parts, seed, hashed=dataset.is_streamed)
    if len(where.train) < 2:
        raise DataError(
            f"of {len(dataset)} rows the split leaves {len(where.train)} to train on",
            "Give more rows, or --split 1,0,0.",
        )
    train, held, measured = dataset.rows(where.train), {}, where.valid
    held["valid"], measured = _held(dataset, where.valid)
    held["test"] = _held(dataset, where.test)[0] if second is None else _held(second, np.arange(len(second)))[0]
    spread, scaling = _spreading(dataset, recipe, options)
    how = {"binarize": options.binarize, "dequantize": spread, "standardize": scaling, "seed": seed}
    preparation = Preparation.fit(train.x, schema, mask=train.mask, **how)
    dataset = replace(dataset, notes=(*dataset.notes, *_dominating(train, preparation, where.train)))
    place = {"device": device, "dtype": dtype, "what": "the data"}
    rows = preparation.rows(train.x, schema, mask=train.mask, stream=0, numbers=where.train, **place)
    valid = None
    if len(held["valid"]):
        some = held["valid"]
        valid = preparation.rows(some.x, schema, mask=some.mask, stream=1, numbers=measured, **place)
        if options.binarize == "dynamic":
            valid = valid.fixed(stream(seed, "validation", device))
    repeated = {
        part: int(duplicates(train.x, other.x, train.mask, other.mask).sum()) if len(other) else 0
        for part, other in held.items()
    }
    _let_go(dataset)
    conditions = _conditions(dataset, where, recipe, options)
    if conditions is not None:
        rows, valid = _with_conditions(rows, valid, train, held["valid"], conditions, where)
        if second is not None and second.conditions is not None:
            conditions.contexts(second.conditions, "the test data")
    labels = None if conditions is not None else _labels(dataset, where, recipe, options)
    if labels is not None:
        rows, valid, labels = _with_labels(rows, valid, train, held, labels, where, options)
        if second is not None and second.labels is not None:
            labels.index(second.labels, "the test data")
    about = (labels, conditions, measured, augmentation_of(options.augment, schema, preparation))
    return TrainingData(dataset, second, where, preparation, rows, valid, repeated, len(train), *about)


def _let_go(dataset: Dataset) -> None:
    """Return to the system what columns of a large table took while they were read, before large arrays are made."""
    if isinstance(dataset.x, ColumnRows):
        dataset.x.let_go()


def _held(dataset: Dataset, numbers: np.ndarray | RowNumbers) -> tuple[Dataset, np.ndarray | RowNumbers]:
    """Return the rows of a held-out part in memory, and their numbers; some of them, where the data are streamed."""
    return measured_rows(dataset, numbers) if dataset.is_streamed else (dataset.rows(numbers), numbers)


def _read(sources: Sources, recipe: Recipe, options: DataOptions) -> tuple[Dataset, Dataset | None]:
    """Return the data and the test rows that were given, None without any; with advice where these are counts.

    Raises:
        DataError: there is one row only, or memory for the prepared rows is not there.
        UsageError: the recipe learns from labels, and the rows stay in their files.
    """
    with column_of("--batch-key", options.batch_key):
        dataset = sources.read(options, recipe.missing, recipe.columns)
    second = sources.read_test(options, recipe.missing, dataset)
    unbounded = options.binarize is None  # a likelihood with a last level refuses others itself, when it is known
    if second is not None:  # recorded as it was read
        second = replace(conform(second, dataset.schema, "test data", not unbounded), source=second.source)
    if len(dataset) < 2:
        shape = dataset.schema.shape
        raise DataError(
            f"{sources.name} holds one datum only, of shape {shape}", "Give at least 2 rows: one row per datum."
        )
    if not dataset.is_streamed:
        size = MODEL_CELL * dataset.x.size if isinstance(dataset.x, ColumnRows) else dataset.x.nbytes
        check_size(size, sources.name, verb="holds")  # the rows of each part, and these prepared
    elif recipe.labels is not None:
        raise UsageError(
            f"recipe {recipe.name} learns from labels, which rows that stay in their files do not have",
            "Read the rows into memory: --in-memory; or give fewer rows.",
        )
    if unbounded and options.dequantize is None and not recipe.density and _exceed_bins(dataset.schema, recipe):
        top = (dataset.schema.levels or 1) - 1
        advice = f"values reach {top:,}, too many for a likelihood of levels: uniform noise makes them a density"
        dataset = replace(dataset, notes=(*dataset.notes, advice))
    if recipe.name == "vae" and options.binarize is None and holds_counts(dataset):
        advice = f"{sources.name} holds counts, for which --recipe count-vae has likelihoods"
        dataset = replace(dataset, notes=(*dataset.notes, advice))
    return dataset, second


def _dominating(train: Dataset, preparation: Preparation, numbers: np.ndarray | RowNumbers) -> list[str]:
    """Return notes on training rows with values that leave no difference between others after standardisation."""
    if preparation.scale is None or preparation.center is None or train.schema.kind != "real":
        return []
    center, scale = preparation.center, preparation.scale
    return dominating_entries(train.x, train.mask, center, scale, train.schema.names, numbers)


def _labels(dataset: Dataset, where: Split, recipe: Recipe, options: DataOptions) -> Labels | None:
    """Return the classes, or the batches, for a recipe that learns from them.

    Raises:
        DataError: the data have no labels.
    """
    if recipe.labels is None:
        return None
    if options.batch_key is not None and dataset.labels is None:
        remedy = "Give data with such a column, or leave --batch-key out."
        raise DataError(f"{dataset.source.name} has no column {options.batch_key!r} of batches", remedy)
    if dataset.labels is None:
        raise DataError(
            f"recipe {recipe.name} learns from labels, and {dataset.source.name} has none",
            "Name them: --labels FILE, or a column or key of DATA.",
        )
    called = "label" if options.batch_key is None else "batch"
    return Labels.of(dataset.labels, dataset.schema, recipe.labels, dataset.labels[where.train[:]], called)


def _conditions(dataset: Dataset, where: Split, recipe: Recipe, options: DataOptions) -> Conditions | None:
    """Return several labels, None where there is one or none.

    Raises:
        UsageError: the recipe has no place for them.
        DataError: one tells no rows apart.
    """
    table = dataset.conditions
    if table is None:
        return None
    if recipe.labels != "context" or options.batch_key is not None:
        listed = ", ".join(table.schema.names or ())
        raise UsageError(
            f"recipe {recipe.name} has no place for several labels, and {listed} were given",
            "Use --recipe conditional, or give one of them.",
        )
    return Conditions.of(table, where.train[:])


def _with_conditions(
    rows: Rows, valid: Rows | None, train: Dataset, held: Dataset, conditions: Conditions, where: Split
) -> tuple[Rows, Rows | None]:
    """Return training and validation rows with their labels as a context."""

    def seen(own: Dataset, name: str, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(conditions.contexts(own.conditions, name, numbers)).to(rows.device)

    if valid is not None:
        valid = replace(valid, context=seen(held, "the validation rows", where.valid[:]))
    return replace(rows, context=seen(train, "the training rows", where.train[:])), valid


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
        rows = replace(rows, context=seen(train.labels, "the training rows", where.train[:]))
        if valid is not None:
            valid = replace(valid, context=seen(held["valid"].labels, "the validation rows", where.valid[:]))
        return rows, valid, labels
    own = np.asarray(train.labels)
    own = own if options.labelled is None else hide_labels(own, options.labelled, options.seed)
    labels = replace(labels, counts=tuple(int((own == v).sum()) for v in labels.values))
    rows = replace(rows, context=seen(own, "the training rows", where.train[:]))
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
    augmentation_of(options.augment, None)
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
    moving = recipe.standardize == "feature" and options.augment is not None  # to pixels, which need the same unit
    return spread, ("global" if moving else recipe.standardize) if real else "none"


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
