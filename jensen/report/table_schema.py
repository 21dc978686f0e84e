"""The columns of a mixed table as they were read: kinds, values, missing cells, and the likelihood of each."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..core.characters import as_one_line
from ..core.errors import JensenError
from ..core.wording import plural
from ..data import Dataset
from ..data.cells import decode
from ..data.columns import Column
from ..families import Columns
from .facts import Facts
from .mixed_rows import MixedRows
from .panels import Section, Table

__all__ = ["table_schema"]

LEVELS, WIDE = 6, 90  # levels that are named, and characters of their names
NOTES = 6


def table_schema(facts: Facts, rows: MixedRows, numbers: dict[str, Any]) -> Section:
    """Return how the table was read: a sentence, with every column and the notes of the reader folded."""
    columns = rows.columns
    dataset = _dataset(facts)
    everything = rows.data if rows.training is None else np.concatenate([rows.training, rows.held_out])
    left_out = () if dataset is None else tuple(dataset.identity)
    kinds = Counter(column.kind for column in columns)
    counted = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    text = f"{plural(len(columns), 'column')}: {counted}."
    if left_out:
        text += f" Left out as names of rows or free text: {', '.join(map(as_one_line, left_out))}."
    for column in columns:
        names = ", ".join(as_one_line(d.column.name) for d in column.determines)
        text += f" {names}: determined by {as_one_line(column.name)}, and not modelled apart." if names else ""
    text += f" {_units(columns)}"
    numbers["schema"] = [column.to_dict() for column in columns]
    families = _families(facts)
    cells = tuple(_row(c, families[i], everything[:, i]) for i, c in enumerate(columns))
    caption = (
        "What was guessed from the file, or given by --schema: a wrong kind is corrected in a file that jensen data "
        "FILE --schema-out SCHEMA.toml writes. Ranges and shares are of the training and held-out rows."
    )
    table = Table(("column", "kind", "values", "p(x | z)", "missing"), cells, (1, 2, 3), caption)
    notes = [] if dataset is None else [f"{n[:1].upper()}{n[1:].rstrip('.')}." for n in dataset.notes[:NOTES]]
    texts = (text, *([" ".join(notes)] if notes else []))
    return Section("The table as it was read", text=texts, more="Every column", experts=(table,))


def _dataset(facts: Facts) -> Dataset | None:
    try:
        return facts.run.dataset()
    except JensenError:
        return None


def _units(columns: tuple[Column, ...]) -> str:
    """Return what log p(x) is the sum of."""
    masses = sum(column.is_discrete for column in columns)
    densities = len(columns) - masses
    if not densities:
        return "All of them are discrete, so log p(x) is the logarithm of a probability."
    if not masses:
        return "All of them are continuous, so log p(x) is a log-density in their own units."
    return (
        f"{masses} of them are discrete and {densities} continuous, so log p(x) is the logarithm of a probability "
        "times a density in the units of the latter."
    )


def _families(facts: Facts) -> list[str]:
    """Return the name of the family of each column."""
    family = facts.run.model.likelihood.family
    if not isinstance(family, Columns):
        return [type(family).__name__] * facts.run.schema.size
    pairs = zip(family.families, family.places, strict=True)
    names = {column: type(own).__name__ for own, places in pairs for column in places}
    return [names[i] for i in range(facts.run.schema.size)]


def _row(column: Column, family: str, values: np.ndarray) -> tuple[str, ...]:
    observed = values[~np.isnan(values)]
    missing = 1 - len(observed) / max(len(values), 1)
    share = f"{missing:.1%}" if missing else ""
    return (as_one_line(column.name), column.kind, _values(column, observed), family, share)


def _values(column: Column, observed: np.ndarray) -> str:
    """Return the levels of a column, or its range as it is written."""
    if column.is_levelled:
        names, joint = [as_one_line(level) for level in column.levels], " < " if column.kind == "ordinal" else ", "
        text = joint.join(names[:LEVELS])
        text = text if len(text) <= WIDE else f"{text[:WIDE].rstrip()}…"
        return f"{len(names):,} levels: {text}{joint + '…' if len(names) > LEVELS and text[-1] != '…' else ''}"
    if len(observed) == 0:
        return "no observed cell"
    if column.kind == "circular":
        return f"{column.low:g} to {column.high:g}, which is the same point"
    range_of = np.array([observed.min(), observed.max()])
    is_plain = column.kind in ("real", "positive", "bounded") and column.decimals is None
    low, high = (f"{v:.6g}" for v in range_of) if is_plain else decode(column, range_of)
    ends = f", between {column.low:g} and {column.high:g}" if column.kind == "bounded" else ""
    return f"{low} to {high}{ends}"
