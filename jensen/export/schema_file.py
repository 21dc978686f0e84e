"""The description of an export's tensors and of the data's columns, as JSON beside the graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..data import Conditions
from ..data.columns import Column, Determined
from ..families import Columns, HeapedIntegers
from .likelihoods import Units, level_slices, named_parameters
from .ports import Graph, Subject

__all__ = ["described_columns", "schema_record"]

CELLS = {
    "boolean": "the number of the level, from 0, in the list levels",
    "categorical": "the number of the level, from 0, in the list levels",
    "ordinal": "the number of the level, from 0, in the list levels, which are in order",
    "datetime": "seconds since 1970-01-01 (UTC)",
    "circular": "the number itself, from low to below high; a time of day in hours",
    "integer": "the number itself",
    "count": "the number itself",
    "bounded": "the number itself, above low and below high",
    "positive": "the number itself, above 0",
    "real": "the number itself",
}


def schema_record(subject: Subject, graphs: Sequence[Graph], suffix: str) -> dict[str, Any]:
    """Return the inputs and outputs of each graph, and what is known of the data, JSON-serialisable."""
    schema = subject.schema
    record: dict[str, Any] = {
        "graphs": {
            graph.name: {
                "file": f"{graph.name}{suffix}",
                "purpose": graph.purpose,
                "inputs": [port.to_dict() for port in graph.inputs],
                "outputs": [port.to_dict() for port in graph.outputs],
            }
            for graph in graphs
        },
        "data": {
            "kind": schema.kind,
            "shape": list(schema.shape),
            "names": None if schema.names is None else list(schema.names),
            "levels": schema.levels,
        },
        "labels": list(subject.classes) if subject.conditions is None else _conditions(subject.conditions),
    }
    if schema.columns is not None:
        record["columns"] = described_columns(subject)
        record["groups"] = _groups(subject)
    return record


def described_columns(subject: Subject) -> list[dict[str, Any]]:
    """Return for each column of a mixed table how a cell becomes a number, and where the decoder has its levels."""
    columns, family = subject.schema.columns or (), subject.model.likelihood.family
    slices = level_slices(family) if isinstance(family, Columns) else {}
    return [
        _described(column, i) | ({"probabilities": [slices[i].start, slices[i].stop]} if i in slices else {})
        for i, column in enumerate(columns)
    ]


def _described(column: Column, place: int) -> dict[str, Any]:
    plain = {"name": column.name, "place": place, "kind": column.kind, "number": CELLS[column.kind]}
    if column.levels:
        plain["levels"] = list(column.levels)
    if column.low is not None:
        plain["low"] = column.low
    if column.high is not None:
        plain["high"] = column.high
    if column.format is not None:
        plain["written"] = column.format
    if column.determines:
        plain["determines"] = [_determined(d) for d in column.determines]
    return plain | ({"missing": list(column.missing)} if column.missing else {})


def _determined(determined: Determined) -> dict[str, Any]:
    """Return a column that another one determines: equal to it, or by pairs of its number and theirs."""
    own = determined.column
    plain: dict[str, Any] = {"name": own.name, "kind": own.kind, "number": CELLS[own.kind]}
    if own.levels:
        plain["levels"] = list(own.levels)
    pairs = [list(pair) for pair in zip(determined.own, determined.other, strict=True)]
    return plain | ({"pairs": pairs} if pairs else {"equal": True})


def _groups(subject: Subject) -> list[dict[str, Any]]:
    """Return the groups of columns whose parameters are outputs of their own, with the unit of the model's numbers."""
    family, preparation, names = subject.model.likelihood.family, subject.preparation, subject.schema.names or ()
    if not isinstance(family, Columns):
        return []
    params = torch.zeros(1, family.size, dtype=subject.dtype)
    outputs = [named.name for named in named_parameters(subject.model.likelihood, params, Units())]
    center, scale = (
        np.broadcast_to(0.0 if v is None else v, family.dim) for v in (preparation.center, preparation.scale)
    )
    return [
        {
            "outputs": own,
            "family": each.phrase,
            "columns": [names[i] for i in places],
            "center": [float(center[i]) for i in places],
            "scale": [float(scale[i]) or 1.0 for i in places],
            "note": "x = center + scale * (what the model sees); means are in the column's own unit already",
            **({"frequent": [list(values) for values in each.heaps]} if isinstance(each, HeapedIntegers) else {}),
        }
        for g, (each, places) in enumerate(zip(family.families, family.places, strict=True), 1)
        if (own := [name for name in outputs if name.startswith(f"group{g}_")])
    ]


def _conditions(conditions: Conditions) -> list[dict[str, Any]]:
    """Return for each of several labels how a value becomes features of the context, in their order."""
    described, start = list[dict[str, Any]](), 0
    for i, (column, size) in enumerate(zip(conditions.columns, conditions.sizes, strict=True)):
        how = {"levels": list(column.levels)}
        if not column.levels:
            how = {"mean": conditions.center[i], "scale": conditions.scale[i]}
        described.append({"name": column.name, "kind": column.kind, "features": [start, start + size], **how})
        start += size
    return described
