"""The sections of a report on a table of mixed kinds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..analysis import latents
from ..analysis.marginals import circular_mean
from ..core.characters import as_one_line
from ..data.cells import decode
from ..data.columns import Column
from ..data.table_values import as_written
from ..evaluate.estimate import ProgressCallback
from .column_pictures import agreement_table, agreements, column_pictures
from .facts import Facts
from .latents import component_weights, latent_map, rates
from .missing_cells import missing_cells
from .mixed_rows import gather_rows
from .oddest import oddest_rows
from .pair_pictures import pair_pictures
from .panels import Panel, Section, Table
from .row_checks import imputation_check, rows_apart
from .table_schema import table_schema

__all__ = ["mixed_sections"]

COMPONENTS, COLUMNS = 12, 12  # of the table of components
DRAWS = 200  # rows of each


def mixed_sections(facts: Facts, numbers: dict[str, Any], watch: ProgressCallback) -> tuple[list[Section], Section]:
    """Return the sections of pictures and checks, and the one for further down; their numbers are added to `numbers`.

    Args:
        facts: of a run of a mixed table.
        numbers: of the page.
        watch: progress callback.
    """
    rows = gather_rows(facts)
    weights, components = component_weights(facts), _components(facts)
    sections: list[Section] = []
    more: tuple[Table, ...] = ()
    if rows is not None:
        compared = agreements(rows, numbers)
        watch(0.2)
        pictures, pairs = column_pictures(rows, compared), pair_pictures(rows, numbers)
        watch(0.4)
        sections = [
            table_schema(facts, rows, numbers),
            Section("Columns of the data and of the model", _some(pictures)),
            Section("Pairs of columns", _some(pairs)),
            missing_cells(rows, numbers),
        ]
        if not facts.quick:
            sections.append(imputation_check(facts, rows, numbers, lambda done: watch(0.4 + 0.2 * done)))
            sections.append(rows_apart(rows, numbers, lambda done: watch(0.6 + 0.2 * done)))
            sections.append(oddest_rows(facts, numbers))
        table = agreement_table(rows, compared)
        more = () if table is None else (table,)
    sections.append(Section("Components", _some(weights), () if components is None else (components,)))
    watch(0.9)
    sections.append(Section("Latent space", _some(latent_map(facts, numbers))))
    return sections, Section("More of samples and codes", _some(rates(facts)), more)


def _some(panel: Panel | None) -> tuple[Panel, ...]:
    return () if panel is None else (panel,)


def _components(facts: Facts) -> Table | None:
    """Return the heaviest components, each by the mean or the most frequent level of every column."""
    columns = facts.run.schema.columns
    if facts.weights is None or columns is None:
        return None
    order = np.argsort(-facts.weights)[:COMPONENTS]
    eye = torch.eye(len(facts.weights), dtype=facts.run.dtype, device=facts.run.device)[order.copy()]
    z = eye.repeat_interleave(DRAWS, 0)
    x = latents.decode(facts.run.model, z, sample=True, generator=facts.stream("components"))
    drawn = as_written(columns, facts.run.preparation.invert(x)).reshape(len(order), DRAWS, -1)
    shown = columns[:COLUMNS]
    cells = tuple(
        (str(i + 1), f"{facts.weights[i]:.3f}", *(_typical(c, rows[:, j]) for j, c in enumerate(shown)))
        for i, rows in zip(order, drawn, strict=True)
    )
    first = f", and the first {COLUMNS} of {len(columns):,} columns" if len(columns) > COLUMNS else ""
    caption = (
        f"The heaviest components{first}: of each the mean of {DRAWS} rows, or their most frequent level with its "
        "share. Rows that are alike would be components that share one cluster."
    )
    words = tuple(j + 2 for j, c in enumerate(shown) if c.is_levelled)
    return Table(("component", "weight", *(as_one_line(c.name) for c in shown)), cells, words, caption)


def _typical(column: Column, values: np.ndarray) -> str:
    """Return the mean of values of a column, or the most frequent level with its share, as text."""
    if column.is_levelled:
        level = int(np.bincount(values.astype(np.int64)).argmax())
        return f"{as_one_line(column.levels[level])} ({float((values == level).mean()):.0%})"
    if column.kind == "circular":
        return f"{float(circular_mean(column, values)):.3g}"
    if column.kind == "datetime":
        return str(decode(column, np.array([values.mean()]))[0])
    return f"{values.mean():.4g}"
