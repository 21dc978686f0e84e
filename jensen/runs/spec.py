"""The specification of a run, and the command that it records."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.annotations import annotations_of, expected, fits, shown
from ..core.errors import CorruptRunError, DataError, UsageError
from ..core.part_checks import shown_text
from ..core.version import __version__
from ..data import EMBEDDED, Dataset
from ..data.column_ranges import column_ranges
from ..recipes import RECIPES, BuiltModel
from ..storage.migrations import FORMAT
from ..storage.run_folder import SPEC
from ..storage.seals import DIGEST, sealed
from ..storage.spec_fields import check_fields
from ..training import Player
from .places import beside, labels_at, located, table_options
from .players import record_players
from .training_data import DataOptions, TrainingData
from .training_options import TrainingOptions

__all__ = ["check_readable", "check_recorded_command", "recorded_command", "spec_from"]

LARGEST_COUNT = 2**53


def recorded_command(spec: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the arguments of `train` that a specification records, with the choices that were made for them.

    Files are named by their absolute paths, and options by what they are called now: the same weights come of it,
    wherever it is called from.

    Args:
        spec: of a run.
        path: where it was read, to name it.

    Raises:
        CorruptRunError: something that every specification has is not there.
    """
    try:
        where, tested, choices = spec["data"], spec["split"]["test"], spec["choices"]
        command = {k: v for k, v in spec["command"].items() if v is not None and k != "out"}
        folder = path.parent if path.name == SPEC else path
        reading = {"labels": where["labels_from"], "size": where["resize"], "missing": bool(where["missing"])}
        reading |= table_options(spec)
        data = _place(folder, where, reading) if where["readable"] else where["location"]
        command |= {"data": data, "labels": labels_at(where["labels_from"], where["location"], data)}
        command |= {"batch_key": command["labels"]} if "batch_key" in command else {}
        test = _place(folder, tested, reading) if tested and tested["location"] else None
        command |= {"test": test}
        # of runs that were written before there was a seed of the split, it is the one that split them
        command |= {"split_seed": spec["split"]["seed"]}
        command |= {k: choices[k] for k in ("device", "threads", "epochs", "keep")}
        command |= {"stream": bool(choices.get("stream"))}
        # of runs that were written before there was a choice, images of other proportions were stretched
        command |= {"resize": "stretch"} if reading.get("resize") == "stretch" else {}
        command |= _networks_of_earlier(spec)
        # runs that were written before there was a patience by default went on to the end
        by_default = command.get("patience") == "auto" and not choices.get("patience_changed")
        command |= {"patience": "auto" if by_default else choices.get("patience", command.get("patience"))}
        command |= {"precision": {"fast": "medium"}.get(choices["precision"], choices["precision"])}  # its old name
        if tested is not None and test is not None and "test_labels" in command:
            own = tested.get("own_labels", command["test_labels"])
            command |= {"test_labels": labels_at(own, tested["location"], test)}
        return command
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptRunError(
            f"{path} is damaged ({type(error).__name__}: {error})", "Restore it from a copy."
        ) from error


def _networks_of_earlier(spec: dict[str, Any]) -> dict[str, Any]:
    """Return the options of networks that give those of runs written before convolutions were normalised."""
    command, parts = spec["command"], str(spec["model"])
    recipe = RECIPES.get(str(command.get("recipe")))
    if recipe is None or not recipe.has_nets or "norm" in command:
        return {}
    convolved = command.get("net") == "conv" and ("ConvEncoder" in parts or "ConvDecoder" in parts)
    return {"net": command.get("net", "mlp"), **({"norm": "none"} if convolved else {})}


def check_recorded_command(spec: dict[str, Any], path: Path) -> None:
    """Refuse a recorded command whose options are not of the types that `train` takes.

    Args:
        spec: of a run.
        path: where it was read, to name it.

    Raises:
        CorruptRunError: naming the option.
    """
    for problem in _wrong_options(spec["command"]):
        raise CorruptRunError(f"{path} is damaged (command.{problem})", "Restore it from a copy, or train again.")


def _wrong_options(command: dict[str, Any]) -> Iterator[str]:
    """Yield which options of a command are not of the types that `train` takes."""
    hints: dict[str, Any] = {"data": str, "recipe": str | None}
    for options in (DataOptions, TrainingOptions):
        hints |= annotations_of(options)
    name = command.get("recipe")
    recipe = RECIPES.get(name) if isinstance(name, str) else None
    hints |= {} if recipe is None else recipe.hints
    for name, value in command.items():
        hint = hints.get(name, Any)
        if not fits(value, hint, most=LARGEST_COUNT):
            yield f"{shown_text(name)}: expected {expected(hint, most=LARGEST_COUNT)}, got {shown(value)}"


def check_readable(spec: dict[str, Any]) -> None:
    """Refuse a specification that could not be read again, before a run is written with it.

    Raises:
        UsageError: naming the field or the option.
    """
    read = {k: v for k, v in sealed(spec).items() if k != DIGEST}  # as it will be
    problem = next(_wrong_options(read["command"]), None)
    try:
        check_fields(read)
    except ValueError as error:
        problem = problem or shown_text(str(error))
    if problem is not None:
        raise UsageError(f"the run could not be opened again ({problem})", "Give another value in its place.")


def _place(folder: Path, record: dict[str, Any], reading: dict[str, Any]) -> str:
    """Return where data are now, or were: another place may be given in its stead."""
    try:
        return located(folder, record, **reading)
    except DataError:
        return record["location"]


def _sentence(made: BuiltModel) -> str:
    """Return the model in one sentence of parts."""
    aims = " and ".join(f"{p.objective} by {_how(p)}" for p in made.players)
    latent = made.model.latent
    prior = f"z ~ {made.model.prior.phrase}, x | z ~ " if latent else "x ~ "
    return f"{prior}{made.model.likelihood.phrase}; q(z|x): {made.guide.phrase}; maximise {aims}"


def _augmented(training_data: TrainingData) -> str:
    """Return the augmentation as the end of the sentence; empty without one."""
    own = training_data.augmentation
    return "" if own is None else f"; batches are of augmented rows ({', '.join(own.kinds)})"


def _how(player: Player) -> str:
    """Return the closed form, or the estimator and the optimiser; and the epochs, if not all."""
    how = type(player.closed).__name__ if player.closed else f"{player.estimator}, {player.optimizer.name}"
    first, last = player.during
    return how if player.during == (0.0, 1.0) else f"{how} (from {100 * first:.3g} to {100 * last:.3g} % of the epochs)"


def _absolute(labels: str | None) -> str | None:
    """Return a file by its absolute path; a column or key as it is."""
    return str(Path(labels).resolve()) if labels is not None and Path(labels).is_file() else labels


def _of_table(data: Dataset) -> dict[str, Any]:
    """Return what is known of a table of mixed columns beside its schema: how its file is written, and its ranges."""
    if data.schema.columns is None:
        return {}
    dialect = None if data.frame is None else data.frame.dialect
    written = {} if dialect is None else {"dialect": dialect.to_dict()}
    ranges = column_ranges(data.schema.columns, data.x, data.mask)
    return written | {"ranges": [None if ends is None else list(ends) for ends in ranges]}


def spec_from(
    command: dict[str, Any], training_data: TrainingData, made: BuiltModel, choices: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Return the specification of a training: enough to rebuild the model without code, and to train it again."""
    data, where = training_data.data, training_data.split
    nodes, players = record_players(made.model, made.guide, made.players)
    readable = bool(data.source.files) or data.source.name in EMBEDDED
    absolute = str(Path(data.source.name).resolve()) if data.source.files else data.source.name
    labels = _absolute(command["labels"])
    tested = None
    if training_data.test is not None:
        source = training_data.test.source
        location = str(Path(source.name).resolve()) if source.files else ""  # none of rows in memory
        tested = {
            "location": location,
            "beside": beside(location, folder),
            "labels_from": labels,
            "own_labels": _absolute(command["test_labels"]),
            "sha256": source.sha256,
            "n": source.n,
        }
    return {
        "format": FORMAT,
        "jensen": __version__,
        "sentence": _sentence(made) + _augmented(training_data),
        "command": command,
        "model": nodes,
        "players": players,
        "data": {
            "name": data.source.name,
            "location": absolute,
            "beside": beside(absolute, folder) if data.source.files else "",
            "readable": readable,
            "labels_from": labels,
            "resize": command["size"] or data.source.resized,
            **({} if data.source.fit is None else {"fit": data.source.fit}),
            "sha256": data.source.sha256,
            "n": data.source.n,
            "missing": 0 if data.mask is None else int((~data.mask).sum()),
            "schema": data.schema.to_dict(),
            "classes": None if training_data.labels is None else training_data.labels.to_dict(),
            **({} if training_data.conditions is None else {"conditions": training_data.conditions.to_dict()}),
            **_of_table(data),
        },
        "split": {
            "fractions": list(where.fractions),
            "seed": where.seed,
            "sizes": {"train": len(where.train), "valid": len(where.valid), "test": len(where.test)},
            "test": tested,
            "duplicates_of_training_rows": training_data.repeated,
        },
        "preparation": training_data.preparation.to_dict(),
        "choices": choices,
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__), "numpy": np.__version__},
    }
