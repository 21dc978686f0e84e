"""The run folder: written while training, read by everything else.

spec.json            the whole model as a tree of nodes, data, split, preparation, seeds, versions, choices
model.safetensors    raw and averaged weights, each shared module once
state/               the last two states of the training, each a folder that is whole or known not to be
checkpoints/         weights after some of the epochs, epoch-000012.safetensors
metrics.jsonl        one line per epoch, and a last one that says how training ended
evaluation.json      the plain evaluation of the run's own test rows
evaluations/         evaluations by a named method or K, importance-k100.json
calibration.json     whether the guide is as sure as it should be, on the model's own data
fidelity.json        how near samples are to data
representation.json  what codes tell of labels and factors
report.html
samples.*, codes.csv, reconstructions.*, imputations.*   what the command line writes unless told where
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import torch
from torch import nn

from ..core.errors import CorruptRunError, UsageError
from ..core.parts import build
from ..core.random import drawing_from, stream
from .files import JSON_LIMIT, parsed, read_limited, write_atomic
from .migrations import FORMAT, migrated
from .weights import allocating, read_weights, tie

__all__ = [
    "CHECKPOINTS",
    "EVALUATIONS",
    "FIDELITY",
    "FORENSICS",
    "FORMAT",
    "REPLACED",
    "REPRESENTATION",
    "STATE",
    "WRITTEN",
    "checked_spec",
    "digest",
    "modules",
    "read_spec",
    "rebuild",
    "resolve_device",
    "write_atomic",
    "write_json",
]

CHECKPOINTS = "checkpoints"
EVALUATIONS = "evaluations"
STATE = "state"
REPLACED = ".replaced"
FIDELITY = "fidelity.json"
FORENSICS = "forensics.json"
REPRESENTATION = "representation.json"
WRITTEN = (
    "model.safetensors",
    "metrics.jsonl",
    "evaluation.json",
    "calibration.json",
    FIDELITY,
    FORENSICS,
    REPRESENTATION,
    "report.html",
    "samples.png",
    "samples.csv",
    "codes.csv",
    "reconstructions.png",
    "reconstructions.csv",
    "imputations.png",
    "imputations.csv",
    "imputations.npz",
    "spec.json",
)


def resolve_device(name: str) -> torch.device:
    """The device of that name; "auto" is the accelerator where there is one.

    Raises:
        UsageError: it cannot be used here.
    """
    try:
        device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
        torch.empty(1, device=device).cpu()  # a device without memory, such as meta, fails here
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"the device {name!r} cannot be used here", "Use --device cpu.") from error
    return device


def write_json(path: Path, content: Any) -> None:
    """Readable JSON, atomically."""
    write_atomic(path, msgspec.json.format(msgspec.json.encode(content, enc_hook=_number), indent=2) + b"\n")


def _number(value: Any) -> Any:
    """A NumPy number, such as a seed out of a loop over an array, as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes; of nothing where there is no file."""
    return hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()


def modules(model: nn.Module, guide: nn.Module) -> nn.ModuleDict:
    """Model and guide under one roof: a module that both hold appears once, under the model."""
    return nn.ModuleDict({"model": model, "guide": guide})


Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Numbers = float | list[float] | None


class _Known(msgspec.Struct, forbid_unknown_fields=True):
    """An object of a specification: every field that it may have, and no other."""


class _Data(_Known):
    name: str
    location: str
    beside: str
    readable: bool
    labels_from: str | None
    resize: tuple[Count, Count] | None
    sha256: str
    n: Count
    missing: Count
    schema: dict[str, Any]
    classes: dict[str, Any] | None


class _Tested(_Known):
    location: str
    beside: str
    labels_from: str | None
    own_labels: str | None
    sha256: str
    n: Count


class _Split(_Known):
    fractions: tuple[float, float, float]
    seed: Count
    sizes: dict[Literal["train", "valid", "test"], Count]
    test: _Tested | None
    duplicates_of_training_rows: dict[str, Count]


class _Preparation(_Known):
    binarize: Literal["static", "dynamic", "threshold"] | None
    dequantize: bool
    center: Numbers
    scale: Numbers
    seed: Count
    fill: Numbers


class _Player(_Known):
    objective: str
    estimator: str
    during: tuple[float, float] = (0.0, 1.0)
    steps: Annotated[int, msgspec.Meta(ge=1)] = 1
    parts: dict[str, Any] | None = None


class _Choices(_Known):
    device: str
    dtype: Literal["float32", "float64"]
    precision: str
    threads: Count
    epochs: Annotated[int, msgspec.Meta(ge=1)]
    steps_per_epoch: Count
    keep: str


class _Earlier(_Known):
    format: Count
    weights: str
    belongs: str = ""


class _Spec(_Known):
    """All that a specification holds, so that damage, and what a later version added, is found when a run is opened."""

    format: int
    jensen: str
    sentence: str
    command: dict[str, Any]
    model: Annotated[list[Any], msgspec.Meta(min_length=2, max_length=2)]
    players: list[_Player]
    data: _Data
    split: _Split
    preparation: _Preparation
    choices: _Choices
    versions: dict[str, str]
    earlier: _Earlier | None = None


def read_spec(folder: Path) -> dict[str, Any]:
    """The specification of a run, in the present format whatever it was written in.

    Raises:
        UsageError: this is no run folder.
        CorruptRunError: the specification is damaged, or holds what only a later version knows.
    """
    path = folder / "spec.json"
    if not folder.is_dir():
        raise UsageError(f"there is no run at {folder}", "Train one: jensen train DATA --out RUN.")
    if not path.exists():
        aside = folder / REPLACED  # where a training that was killed had moved an earlier run
        waits = f" {aside} holds one." if (aside / "spec.json").exists() else ""
        raise UsageError(f"{folder} is no run: it has no spec.json", f"Give the folder that jensen train wrote.{waits}")
    try:
        spec = parsed(read_limited(path, JSON_LIMIT), dict[str, Any])
    except (msgspec.DecodeError, OSError, ValueError) as error:
        raise CorruptRunError(f"{path} is damaged ({error})", "Restore it from a copy, or train again.") from error
    return checked_spec(spec, path)


def checked_spec(spec: dict[str, Any], path: Path) -> dict[str, Any]:
    """A specification brought to the present format, every field of a known name and type.

    Args:
        spec: as it was read.
        path: from, to name it.

    Raises:
        CorruptRunError: it is damaged, or holds what only a later version knows.
    """
    found = migrated(spec, path)
    try:
        checked = msgspec.convert(found, _Spec)
    except msgspec.ValidationError as error:
        if "unknown field" in str(error):
            raise CorruptRunError(
                f"{path} holds what this jensen does not know ({error})",
                f"It was written by jensen {spec.get('jensen', '?')}: use that version.",
            ) from error
        raise CorruptRunError(f"{path} is damaged ({error})", "Restore it from a copy, or train again.") from error
    if sum(checked.split.sizes.values()) != checked.data.n:
        raise CorruptRunError(
            f"the parts of the split in {path} are not as many rows as the data",
            "Restore it from a copy, or train again.",
        )
    return found


def rebuild(
    folder: Path, spec: dict[str, Any], parts: Mapping[str, Callable[..., Any]] | None = None
) -> tuple[Any, Any, str]:
    """Model, guide, and which weights they have: from the folder alone, and the user's own parts."""
    # fresh modules draw weights: these are replaced below, and must not use up the user's random numbers
    with drawing_from(stream(0, "rebuilt")), allocating(folder):
        model, guide = build(spec["model"], parts)
    dtype = getattr(torch, spec["choices"]["dtype"])
    model.to(dtype)
    guide.to(dtype)
    which = read_weights(folder, modules(model, guide), tie(spec))
    return model.eval(), guide.eval(), which
