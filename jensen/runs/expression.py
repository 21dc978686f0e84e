"""Normalised expression of cells, and genes that differ between groups of cells, in the names of a run's data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..analysis.expression import Changes, changes, expected_fdr, expression, require_counts
from ..core.errors import UsageError
from ..core.memory import require_memory
from ..core.random import stream
from ..core.validation import require_above
from ..core.wording import plural
from ..data import Dataset, is_in_memory
from ..data.dataframes import available
from ..data.named_tables import named_table
from .condition import column_names
from .data import RunData, Source, Targets
from .evaluation import Part
from .row_files import in_recorded_order
from .row_values import identity_columns
from .sources import column_of

__all__ = ["DifferentialExpression", "batch_contexts", "differential_expression", "expression_columns"]

Batches = str | int | Sequence[str | int] | None
Groups = tuple[Any, ...]  # (column, A, B), or two masks [N]

DELTA, FDR, PAIRS = 0.25, 0.05, 5000
OFFSET = 0.1  # counts in a datum of median size, below which shares are taken to be equal
REST = "rest"
LARGE, EXPLAINED = 1.0, 0.5  # changes of the data, in powers of two, of which a model should have half, by the median
ROWS, TINY = 4096, np.finfo(np.float64).tiny


def batch_contexts(run: RunData, batch: Batches) -> list[Tensor]:
    """Return the classes, each one-hot [C], that data are to be decoded at; none where it is their own.

    Args:
        run: conditioned on batches, or on labels.
        batch: a name, several names, or None.

    Raises:
        UsageError: the run is conditioned on nothing, or there is no such batch.
    """
    if batch is None:
        return []
    classes = run.classes
    if classes is None or not run.conditional:
        what = f"batch {batch!r} cannot be asked of a run that is conditioned on none"
        raise UsageError(what, "Train with --batch-key COLUMN.")
    names = [batch] if isinstance(batch, str | int) else list(batch)
    every = torch.eye(len(classes), dtype=run.dtype, device=run.device)
    return [every[classes.find(name)] for name in names]


def expression_columns(
    run: RunData, part: Part, *, batch: Batches = None, draws: int = 25, k: int = 1, size: float = 1.0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return the normalised expression of rows by gene: columns [N], whose sum is `size` in each row.

    Args:
        run: of counts.
        part: the rows.
        batch, draws, k, size, seed: see `Run.normalized_expression`.

    Raises:
        CompositionError: the model is not of counts.
        UsageError: a number is outside its range, or there is no such batch.
    """
    require_counts(run.model)
    require_above(0, size=size)
    contexts, part = batch_contexts(run, batch), part.loaded()
    require_memory(16 * len(part.rows) * run.schema.size, f"the expression of {part.name}", "Give fewer rows: DATA.")
    noise = stream(seed, "expression", run.device)
    x = expression(run.model, run.guide, part.rows, draws=draws, k=k, contexts=contexts, generator=noise)
    values = x.mul_(size).cpu().numpy()
    return {name: values[:, i] for i, name in enumerate(column_names(run))}


def expression_frame(part: Part, columns: dict[str, np.ndarray]) -> Any:
    """Return columns [N] as a DataFrame, of pandas with the names of the rows as its index."""
    kind, names = available(), next(iter(part.identity.values()), None)
    if kind == "pandas":
        return named_table(columns, kind, names).data
    return named_table({**identity_columns(None, part.files, part.identity, taken=columns), **columns}, kind).data


@dataclass(frozen=True, repr=False)
class DifferentialExpression:
    """Genes whose share of the counts differs between two groups, with posterior probabilities.

    Attributes:
        genes: [D] their names.
        observed: [D] the log-fold change of the mean shares of the data themselves, in powers of two.
        names: of the groups A and B.
        sizes: the number of data in each.
        changes: log-fold changes and their probabilities; see `jensen.analysis.expression.Changes`.
        cells: of each group in a pair.
        called: [D] whether a gene is taken to differ, at the expected share of false discoveries.
        delta, offset, fdr: the smallest change that counts (in powers of two), the share that is added to both, and the
            expected share of false discoveries.
        batches: the batches that data were decoded at; empty where each was at its own, or there are none.
        data: the name of the rows.
        posterior: in words, what points were drawn from.
        is_whole: whether these are all rows of the data that the run was trained on.
        notes: for the user.
    """

    genes: tuple[str, ...]
    observed: np.ndarray
    names: tuple[str, str]
    sizes: tuple[int, int]
    changes: Changes
    cells: int
    called: np.ndarray
    delta: float
    offset: float
    fdr: float
    batches: tuple[str, ...]
    data: str
    posterior: str
    is_whole: bool = False
    notes: tuple[str, ...] = ()

    @property
    def table(self) -> dict[str, np.ndarray]:
        """The columns [D], by gene, from the most probable change on."""
        c = self.changes
        order = np.lexsort((-np.abs(c.lfc), -c.probability))
        columns = {
            "gene": np.array(self.genes, dtype=str),
            "mean_a": c.mean[0],
            "mean_b": c.mean[1],
            "lfc": c.lfc,
            "lfc_sd": c.sd,
            "lfc_data": self.observed,
            "probability": c.probability,
            "probability_up": c.up,
            "log_odds": c.log_odds,
            "log_bayes_factor": c.log_bayes_factor,
            "called": self.called.astype(np.int64),
        }
        return {name: values[order] for name, values in columns.items()}

    @property
    def frame(self) -> Any:
        """The table as a DataFrame of pandas, or of what is installed."""
        return named_table(self.table, available()).data

    def to_dict(self) -> dict[str, Any]:
        """Return what was done and how many genes are called, as JSON-serialisable values."""
        named = {"a": self.names[0], "b": self.names[1], "n_a": self.sizes[0], "n_b": self.sizes[1]}
        how = {
            "delta": self.delta,
            "offset": self.offset,
            "fdr": self.fdr,
            "pairs": self.changes.pairs,
            "cells": self.cells,
        }
        genes = {"genes": len(self.genes), "called": int(self.called.sum())}
        more = {"batches": list(self.batches), "data": self.data, "posterior": self.posterior}
        return {**named, **how, **genes, **more, "notes": list(self.notes)}

    def __repr__(self) -> str:
        (a, b), (n, m) = self.names, self.sizes
        of = "single cells" if self.cells == 1 else f"means of {self.cells:,} cells"
        return (
            f"{int(self.called.sum()):,} of {plural(len(self.genes), 'gene')} differ between {a} (n = {n:,}) and {b} "
            f"(n = {m:,}): expected share of false discoveries at most {self.fdr:g}, change beyond {self.delta:g} "
            f"(log2) in {self.changes.pairs:,} pairs of {of}, by {self.posterior}"
        )


def differential_expression(
    run: RunData,
    data: Source,
    groups: Groups,
    *,
    labels: Targets | None = None,
    batches: Batches = None,
    corrected: bool = True,
    delta: float = DELTA,
    offset: float | None = None,
    fdr: float = FDR,
    pairs: int = PAIRS,
    cells: int = 1,
    k: int = 1,
    seed: int = 0,
) -> DifferentialExpression:
    """Compare the genes of two groups; see `Run.differential_expression`."""
    require_counts(run.model)
    expected_fdr(np.zeros(0), fdr)  # refuses the level
    chosen = _batches(run, batches, corrected)
    part = run.chosen(data, seed, labels=labels, own="all").loaded()
    names, masks = _groups(run, data, groups, part)
    sizes = np.asarray(part.x).sum(1)
    if offset is None:
        offset = OFFSET / max(float(np.median(sizes[masks[0] | masks[1]])), 1.0)
    index = [torch.from_numpy(np.flatnonzero(mask)).to(part.rows.device) for mask in masks]
    drawn = changes(
        run.model,
        run.guide,
        *(part.rows.subset(rows) for rows in index),
        delta=delta,
        offset=offset,
        pairs=pairs,
        cells=cells,
        k=k,
        contexts=batch_contexts(run, chosen),
        generator=stream(seed, "differential", run.device),
    )
    posterior = (
        "p(z | x)" if run.guide.is_exact else "q(z | x)" + (f" and importance weights, K = {k}" if k > 1 else "")
    )
    observed = _observed(np.asarray(part.x), sizes, masks, offset)
    return DifferentialExpression(
        column_names(run),
        observed,
        names,
        (len(index[0]), len(index[1])),
        drawn,
        cells,
        expected_fdr(drawn.probability, fdr),
        delta,
        offset,
        fdr,
        tuple(map(str, chosen or ())),
        part.name,
        posterior,
        part.is_whole,
        (*part.notes, *_little_explained(drawn.lfc, observed, bool(chosen))),
    )


def _observed(x: np.ndarray, sizes: np.ndarray, masks: Sequence[np.ndarray], offset: float) -> np.ndarray:
    """Return log2 of the ratio of the mean shares [D] of two groups of counts [N, D], with an offset added to both.

    Data without a count have no shares, and are left out.
    """
    means = []
    for mask in masks:
        rows = np.flatnonzero(mask & (sizes > 0))
        total = np.zeros(x.shape[1])
        for start in range(0, len(rows), ROWS):  # counts may be of one byte, and their shares are of eight
            some = rows[start : start + ROWS]
            total += (x[some] / sizes[some, None].astype(np.float64)).sum(0)
        means.append(total / max(len(rows), 1))
    a, b = (np.log2(mean + offset) if offset else np.log2(np.maximum(mean, TINY)) for mean in means)
    return a - b


def _little_explained(lfc: np.ndarray, observed: np.ndarray, corrected: bool) -> tuple[str, ...]:
    """Return a note where the changes of the model are far smaller than those of the data."""
    large = np.abs(observed) > LARGE
    ratio = float(np.median(lfc[large] / observed[large])) if large.any() else 1.0
    if ratio >= EXPLAINED:
        return ()
    batches = "; or, if the groups are of different batches, batches explain it (--uncorrected)" if corrected else ""
    return (
        f"of {plural(int(large.sum()), 'gene')} that differ by more than a factor of 2 in the data, the median ratio of"
        f" the model's change to the data's is {ratio:.2f}: the model explains little of the difference: train longer,"
        f" or with a larger latent{batches}",
    )


def _batches(run: RunData, batches: Batches, corrected: bool) -> list[str | int] | None:
    """Return the batches that both data of a pair are decoded at, by default all; None for their own.

    Raises:
        UsageError: both are asked for.
    """
    if batches is not None and not corrected:
        what = "--transform-batch decodes all cells at a batch, and --uncorrected each at its own"
        raise UsageError(what, "Leave one of them out (in Python, batches or corrected=False).")
    classes = run.classes
    if batches is not None:
        return [batches] if isinstance(batches, str | int) else list(batches)
    return list(classes.trained) if corrected and run.conditional and classes is not None else None


def _groups(run: RunData, data: Source, groups: Groups, part: Part) -> tuple[tuple[str, str], list[np.ndarray]]:
    """Return the names of the groups, and which rows [N] each has.

    Raises:
        UsageError: there are not two, they share rows, or one has none.
        DataError: the data have no such column.
    """
    if len(groups) == 3 and isinstance(groups[0], str):
        column, a, b = (str(word) for word in groups)
        masks, known = _masks(_column(run, data, column), a, b)
        names = (a, b)
    elif len(groups) == 2:
        masks, names, known = [np.asarray(mask) for mask in groups], ("A", "B"), ""
    else:
        raise UsageError("groups must be (column, A, B), or two masks", "Give groups=('cell_type', 'B', 'T').")
    for name, mask in zip(names, masks, strict=True):
        if mask.dtype != np.bool_ or mask.shape != (len(part.rows),):
            what = f"group {name} must be a mask of {len(part.rows):,} rows, got {mask.dtype} of shape {mask.shape}"
            raise UsageError(what, "Give an array of True and False, one for each row.")
        if not mask.any():
            raise UsageError(f"group {name} has no data", known or "Give groups that have some.")
    if (masks[0] & masks[1]).any():
        both = int((masks[0] & masks[1]).sum())
        raise UsageError(f"groups {names[0]} and {names[1]} share {plural(both, 'row')}", "Give groups apart.")
    return names, masks


def _column(run: RunData, data: Source, column: str) -> Dataset:
    """Return the data with a column of theirs as labels, in the order of the run's rows.

    Raises:
        DataError, UsageError: there is no such column, or it names no groups.
    """
    if data is None or isinstance(data, Part):
        raise UsageError(f"groups by {column} need data with that column", "Give the data: DATA.")
    with column_of("--groups", column):
        dataset = run.labelled(data, column)
    return dataset if is_in_memory(data) else in_recorded_order(dataset, run.spec["data"]["sha256"])


def _masks(dataset: Dataset, a: str, b: str) -> tuple[list[np.ndarray], str]:
    """Return which rows [N] are of the groups of these names, and what groups there are; REST are all others."""
    labels, classes = np.asarray(dataset.labels), dataset.schema.classes
    values = {name: i for i, name in enumerate(classes)} if classes else {str(i): i for i in np.unique(labels)}
    first = [labels == values[name] if name in values else np.zeros(len(labels), dtype=bool) for name in (a, b)]
    for i, name in enumerate((a, b)):
        if name == REST and name not in values:
            first[i] = ~first[1 - i] & (labels >= 0)
    shown = ", ".join(list(values)[:12]) + (f", ... {len(values)} in all" if len(values) > 12 else "")
    return first, f"There are {shown}; {REST} is all but the other group."
