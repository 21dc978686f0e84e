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

from ..core.errors import CorruptRunError, UsageError
from ..core.renames import with_current_names
from .objective_words import RENAMED, player_parts, renamed_words

__all__ = ["FORMAT", "fingerprint", "migrated"]

FORMAT = 4


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


# what weights of format 2 were not tied to: where data lie, how long training takes, how often it is kept
_PLACES = {"data", "test", "labels", "test_labels", "size", "split", "split_seed", "out"}
_PACE = {"epochs", "device", "keep", "precision", "checkpoints", "tensorboard", "save_every"}
_HOST = {"device", "threads", "epochs"}


def _tie_of_2(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return what weights of format 2 belong to."""
    data, tested = {k: spec["data"][k] for k in ("sha256", "n", "schema")}, spec["split"]["test"]
    return {
        "model": spec["model"],
        "preparation": spec["preparation"],
        "split": {**spec["split"], "test": None if tested is None else {k: tested[k] for k in ("sha256", "n")}},
        "choices": {k: v for k, v in spec["choices"].items() if k not in _HOST},
        "command": {k: v for k, v in spec["command"].items() if k not in _PLACES | _PACE},
        "data": data,
    }


def _with_present_names(node: Any) -> Any:
    """Return a tree of parts under their present names."""
    if isinstance(node, Mapping):
        renamed = {k: _with_present_names(v) for k, v in node.items()}
        return renamed | {"part": RENAMED.get(node["part"], node["part"])} if "part" in node else renamed
    return [_with_present_names(n) for n in node] if isinstance(node, list) else node


def _from_2(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Format 2: parts had other names, players were recorded in words, and data by their absolute places alone."""
    players = []
    for player in spec["players"]:
        words = {key: renamed_words(str(player[key])) for key in ("objective", "estimator")}
        kept = {k: v for k, v in player.items() if k != "corruption"}
        players.append({**kept, **words, "parts": player_parts(player)})
    earlier = spec.get("earlier") or {"format": 2, "weights": ""}
    tested = spec["split"]["test"]
    return {
        **spec,
        "model": _with_present_names(spec["model"]),
        "players": players,
        "data": {"beside": "", **spec["data"]},
        "split": {**spec["split"], "test": None if tested is None else {"beside": "", **tested}},
        "sentence": renamed_words(str(spec["sentence"])),
        "command": with_current_names(spec["command"]),
        "earlier": {**earlier, "belongs": fingerprint(_tie_of_2(spec))},
    }


def _from_3(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Format 3: records had no digest of their own, and nothing else was different."""
    return dict(spec)


STEPS: dict[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2, 3: _from_3}


def migrated(spec: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """Return the specification in the present format.

    Args:
        spec: as it was read.
        where: from, to name it.

    Raises:
        CorruptRunError: its format is none that this version knows, or it is damaged.
    """
    present, began = dict(spec), spec.get("format")
    while (number := present.get("format")) != FORMAT:
        if type(number) is not int or number not in STEPS:
            raise CorruptRunError(
                f"{where} has format {began!r}, and this jensen reads formats 1 to {FORMAT}",
                f"It was written by jensen {spec.get('jensen', '?')}: use that version.",
            )
        try:
            present = {**STEPS[number](present), "format": number + 1}
        except (KeyError, TypeError, AttributeError, UsageError) as error:
            raise CorruptRunError(
                f"{where} is damaged ({type(error).__name__}: {error})", "Restore it from a copy, or train again."
            ) from error
    return present
