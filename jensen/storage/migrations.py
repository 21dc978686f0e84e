"""Specifications of earlier formats, brought to the present one step by step; later ones are refused.

What a format lacked is filled in as the version that wrote it meant it. Files are not changed: a migration happens in
memory, whenever an old run is opened. Weights that were written before they carried a digest are tied to the
specification as it was, so its fingerprint is taken before anything is filled in, and stays in the entry `earlier`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..core.errors import CorruptRunError

__all__ = ["FORMAT", "fingerprint", "migrated"]

FORMAT = 2


def fingerprint(nodes: Any) -> str:
    """SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(nodes, sort_keys=True).encode()).hexdigest()


def _from_1(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Format 1: entries for missing data, classes and a test file's own labels came and went without a number."""
    data, split = spec["data"], spec["split"]
    tied = {k: spec[k] for k in ("model", "split", "preparation", "choices")}
    tied |= {"data": {k: data[k] for k in ("sha256", "n", "schema")}, "seed": spec["command"]["seed"]}
    tested = split["test"]
    if tested is not None:
        tested = {"own_labels": spec["command"].get("test_labels"), **tested}
    return {
        **spec,
        "data": {"missing": 0, "classes": None, **data},
        "split": {**split, "test": tested},
        "preparation": {"fill": None, **spec["preparation"]},
        "versions": spec.get("versions", {}),
        "earlier": {"format": 1, "weights": fingerprint(tied)},
    }


STEPS: dict[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _from_1}


def migrated(spec: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """The specification in the present format.

    Args:
        spec: as it was read.
        where: from, to name it.

    Raises:
        CorruptRunError: its format is none that this version knows, or it is damaged.
    """
    found, began = dict(spec), spec.get("format")
    while (number := found.get("format")) != FORMAT:
        if type(number) is not int or number not in STEPS:
            raise CorruptRunError(
                f"{where} has format {began!r}, and this jensen reads formats 1 to {FORMAT}",
                f"It was written by jensen {spec.get('jensen', '?')}: use that version.",
            )
        try:
            found = {**STEPS[number](found), "format": number + 1}
        except (KeyError, TypeError, AttributeError) as error:
            raise CorruptRunError(
                f"{where} is damaged ({type(error).__name__}: {error})", "Restore it from a copy, or train again."
            ) from error
    return found
