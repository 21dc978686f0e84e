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
report.html
samples.*, codes.csv, reconstructions.*, imputations.*   what the command line writes unless told where
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from .errors import CorruptRunError, UsageError
from .parts import build
from .randomness import drawing_from, stream
from .training.snapshot import named_tensors

__all__ = [
    "CHECKPOINTS",
    "EVALUATIONS",
    "FIDELITY",
    "FORMAT",
    "STATE",
    "WRITTEN",
    "read_spec",
    "read_weights",
    "rebuild",
    "resolve_device",
    "write_atomic",
    "write_weights",
]

FORMAT = 1
CHECKPOINTS = "checkpoints"
EVALUATIONS = "evaluations"
STATE = "state"
FIDELITY = "fidelity.json"
WRITTEN = (
    "model.safetensors",
    "metrics.jsonl",
    "evaluation.json",
    "calibration.json",
    FIDELITY,
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


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds the old one or the new one, whole: temporary name, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(
            f"{path} cannot be written ({error.strerror})", "Free space, or give --out another folder."
        ) from error


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


def tie(spec: Mapping[str, Any]) -> Any:
    """What weights belong to: the model, and the data, split, preparation and seed that it was trained with."""
    data = {k: spec["data"][k] for k in ("sha256", "n", "schema")}
    parts = {k: spec[k] for k in ("model", "split", "preparation", "choices")}
    return {**parts, "data": data, "seed": spec["command"]["seed"]}


def fingerprint(nodes: Any) -> str:
    """What ties weights to the specification that they belong to."""
    return hashlib.sha256(json.dumps(nodes, sort_keys=True).encode()).hexdigest()


def write_weights(
    folder: Path, module: nn.Module, nodes: Any, averaged: Mapping[str, Tensor] | None, name: str = "model.safetensors"
) -> None:
    """Write raw and, where there are any, averaged weights; the folder of `name` is made if need be."""
    tensors = {f"raw/{k}": v.detach().cpu().contiguous() for k, v in named_tensors(module).items()}
    tensors |= {f"averaged/{k}": v.detach().cpu().contiguous() for k, v in (averaged or {}).items()}
    metadata = {"model": fingerprint(nodes)}  # one entry: safetensors writes several in a random order
    path = folder / name
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path.parent} cannot be made ({error.strerror})", "Give --checkpoints 0.") from error
    write_atomic(path, save(tensors, metadata))


def read_weights(folder: Path, module: nn.Module, nodes: Any, name: str = "model.safetensors") -> str:
    """Put the weights into the module: averaged ones where there are any, else raw. Says which.

    Raises:
        CorruptRunError: the file is missing or damaged, or its weights are not this model's.
    """
    path = folder / name
    if not path.exists():
        raise CorruptRunError(
            f"{path} is missing", "The run was stopped before its first weights were written: train again."
        )
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise CorruptRunError(f"{path} is damaged ({error})", "Restore it from a copy, or train again.") from error
    mine = named_tensors(module)
    raw = {name.removeprefix("raw/"): t for name, t in stored.items() if name.startswith("raw/")}
    averaged = {name.removeprefix("averaged/"): t for name, t in stored.items() if name.startswith("averaged/")}
    fits = raw.keys() == mine.keys() and averaged.keys() <= raw.keys()
    fits = fits and all(raw[n].shape == t.shape and raw[n].dtype == t.dtype for n, t in mine.items())
    fits = fits and all(t.shape == raw[n].shape for n, t in averaged.items())
    if not fits or metadata.get("model") != fingerprint(nodes):
        raise CorruptRunError(
            f"the weights in {path} do not belong to the model in spec.json", "Restore both files from the same run."
        )
    with torch.no_grad():
        for name, tensor in mine.items():
            tensor.copy_(averaged.get(name, raw[name]))
    return "averaged" if averaged else "raw"


Count = Annotated[int, msgspec.Meta(ge=0)]
Numbers = float | list[float] | None
REQUIRED = {"format", "jensen", "command", "model", "players", "data", "split", "preparation", "choices", "sentence"}


class _Data(TypedDict):
    name: str
    location: str
    readable: bool
    labels_from: str | None
    resize: tuple[Count, Count] | None
    sha256: str
    n: Count
    schema: dict[str, Any]


class _Tested(TypedDict):
    location: str
    labels_from: str | None
    sha256: str
    n: Count


class _Split(TypedDict):
    fractions: tuple[float, float, float]
    seed: Count
    sizes: dict[str, Count]
    test: _Tested | None
    duplicates_of_training_rows: dict[str, Count]


class _Preparation(TypedDict):
    binarize: Literal["static", "dynamic", "threshold"] | None
    dequantize: bool
    center: Numbers
    scale: Numbers
    seed: Count


class _Spec(TypedDict):
    """What is read of a specification beside the model's nodes, so that damage is found when a run is opened."""

    model: Annotated[list[Any], msgspec.Meta(min_length=2, max_length=2)]
    players: list[dict[str, Any]]
    command: dict[str, Any]
    data: _Data
    split: _Split
    preparation: _Preparation
    choices: dict[str, Any]
    sentence: str


def read_spec(folder: Path) -> dict[str, Any]:
    """The specification of a run.

    Raises:
        UsageError: this is no run folder.
        CorruptRunError: the specification is damaged, or of a newer format.
    """
    path = folder / "spec.json"
    if not folder.is_dir():
        raise UsageError(f"there is no run at {folder}", "Train one: jensen train DATA --out RUN.")
    if not path.exists():
        raise UsageError(f"{folder} is no run: it has no spec.json", "Give the folder that jensen train wrote.")
    try:
        spec = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError, OSError) as error:
        raise CorruptRunError(f"{path} is damaged ({error})", "Restore it from a copy, or train again.") from error
    if spec.get("format") != FORMAT:
        raise CorruptRunError(
            f"{path} has format {spec.get('format')!r}, and this jensen reads format {FORMAT}",
            f"It was written by jensen {spec.get('jensen', '?')}.",
        )
    missing = REQUIRED - spec.keys()
    if missing:
        raise CorruptRunError(f"{path} lacks {', '.join(sorted(missing))}", "Restore it from a copy, or train again.")
    try:
        checked = msgspec.convert(spec, _Spec)
    except msgspec.ValidationError as error:
        raise CorruptRunError(f"{path} is damaged ({error})", "Restore it from a copy, or train again.") from error
    if sum(checked["split"]["sizes"].values()) != checked["data"]["n"]:
        raise CorruptRunError(
            f"the parts of the split in {path} are not as many rows as the data",
            "Restore it from a copy, or train again.",
        )
    return spec


def rebuild(
    folder: Path, spec: dict[str, Any], parts: Mapping[str, Callable[..., Any]] | None = None
) -> tuple[Any, Any, str]:
    """Model, guide, and which weights they have: from the folder alone, and the user's own parts."""
    # fresh modules draw weights: these are replaced below, and must not use up the user's random numbers
    with drawing_from(stream(0, "rebuilt")):
        model, guide = build(spec["model"], parts)
    dtype = getattr(torch, spec["choices"]["dtype"])
    model.to(dtype)
    guide.to(dtype)
    which = read_weights(folder, modules(model, guide), tie(spec))
    return model.eval(), guide.eval(), which
