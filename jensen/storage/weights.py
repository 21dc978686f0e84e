"""Weights on the disk: safetensors, with a digest of every bit and the fingerprint of their specification.

The only entry of metadata is `jensen`: its format, the version that wrote it, the fingerprint of the specification that
the weights belong to, and a SHA-256 of all this and of every tensor's name, type, shape and bytes. A changed bit is
noticed, and weights of another run of the same shape are refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from ..core.errors import CorruptRunError, UsageError
from ..core.modules import named_tensors
from ..core.version import __version__
from ..data.regular_files import open_regular
from .commits import flush_folder
from .entries import make_folder
from .files import parsed, read_limited, write_atomic
from .migrations import fingerprint
from .run_folder import SPEC, WEIGHTS
from .safetensors_writer import Packed, raw_bytes
from .seals import numpy_number

__all__ = ["header_of", "read_weights", "tie", "undigested", "write_weights"]

FORMAT = 1
HEADER_LIMIT = 2**25  # bytes; a tensor takes about a hundred
KEY = "jensen"
# choices and options that do not change which weights are meant: data may be moved, and training resumed elsewhere
FREE_CHOICES = (
    *("device", "threads", "epochs", "patience", "patience_changed"),
    *("processes", "own_noise", "launch", "regrouped"),
)
FREE_OPTIONS = {
    *("data", "test", "labels", "test_labels", "size", "resize", "split", "split_seed", "out"),
    *("epochs", "device", "keep", "precision", "threads", "checkpoints", "save_every", "stream"),
    *("tensorboard", "mlflow", "wandb", "online"),
}


class Mark(msgspec.Struct, forbid_unknown_fields=True):
    """The metadata of a file of weights; `sha256` is of the other fields and of the tensors."""

    format: int
    jensen: str
    belongs: str
    sha256: str = ""


def tie(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a specification that weights belong to: model, training, data, split, preparation and seed.

    The place of the data and the length of the training are left out.
    """
    data = {k: spec["data"][k] for k in ("sha256", "n", "schema")}
    choices = {k: v for k, v in spec["choices"].items() if k not in FREE_CHOICES}
    command = {k: v for k, v in spec["command"].items() if k not in FREE_OPTIONS}
    split = {k: v for k, v in spec["split"].items() if k != "test"}
    tested = spec["split"]["test"]
    split["test"] = None if tested is None else {k: tested[k] for k in ("sha256", "n")}
    earlier = spec.get("earlier")
    return {
        "model": spec["model"],
        "preparation": spec["preparation"],
        "split": split,
        "choices": choices,
        "command": command,
        "data": data,
        "earlier": earlier,
    }


def _belongs(nodes: Any) -> str:
    plain = {k: v for k, v in nodes.items() if k != "earlier"} if isinstance(nodes, Mapping) else nodes
    return fingerprint(msgspec.json.decode(msgspec.json.encode(plain, enc_hook=numpy_number)))  # as it will be read


def _digest(mark: Mark, tensors: Mapping[str, Tensor]) -> str:
    sha256 = hashlib.sha256(msgspec.json.encode([mark.format, mark.jensen, mark.belongs]))
    for name, tensor in sorted(tensors.items()):
        sha256.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        sha256.update(raw_bytes(tensor))
    return sha256.hexdigest()


def write_weights(
    folder: Path, module: nn.Module, nodes: Any, averaged: Mapping[str, Tensor] | None, name: str = WEIGHTS
) -> None:
    """Write raw and, where there are any, averaged weights; the folder of `name` is made if need be.

    Args:
        folder: the run's.
        module: model and guide.
        nodes: that they belong to, see `tie`.
        averaged: averaged weights, by name.
        name: of the file within the folder.

    Raises:
        UsageError: it cannot be written; an earlier file is unchanged.
        CorruptRunError: its folder is a link.
    """
    tensors = {f"raw/{k}": v.detach().cpu().contiguous() for k, v in named_tensors(module).items()}
    tensors |= {f"averaged/{k}": v.detach().cpu().contiguous() for k, v in (averaged or {}).items()}
    mark = Mark(FORMAT, __version__, _belongs(nodes))
    mark.sha256 = _digest(mark, tensors)
    path = folder / name
    try:
        if path.parent != folder and make_folder(path.parent):
            flush_folder(folder)
    except OSError as error:
        raise UsageError(f"{path.parent} cannot be made ({error.strerror})", "Give --checkpoints 0.") from error
    write_atomic(path, Packed(tensors, {KEY: msgspec.json.encode(mark).decode()}))


def header_of(content: bytes, size: int) -> dict[str, Any]:
    """Decode the header of a safetensors file.

    Args:
        content: the first bytes of the file.
        size: of the file in bytes.

    Raises:
        ValueError: it is damaged.
    """
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(size - 8, HEADER_LIMIT):
        raise ValueError(f"a header of {length:,} bytes in a file of {size:,}")
    try:
        return parsed(content[8 : 8 + length], dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError(f"its header is not JSON: {error}") from error


def _read(path: Path, most: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and metadata of a file of at most so many bytes."""
    try:
        content = read_limited(path, most)
        metadata = header_of(content, len(content)).get("__metadata__") or {}
        return load_tensors(content), metadata
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptRunError(f"{path} is damaged ({error})", "Restore it from a copy, or train again.") from error


def _marked(path: Path, metadata: Mapping[str, Any]) -> Mark | None:
    """Return the mark in the metadata of a file; None for a file that was written before there were digests."""
    if metadata.keys() == {"model"}:
        return None
    written = metadata.get(KEY)
    if metadata.keys() != {KEY} or not isinstance(written, str):
        raise CorruptRunError(
            f"{path} was not written by jensen, or is damaged: it has {sorted(metadata) or 'no'} metadata",
            "Restore it from a copy, or train again.",
        )
    try:
        mark = parsed(written.encode(), dict[str, Any])
        if type(number := mark.get("format")) is not int or number == FORMAT:
            return msgspec.convert(mark, Mark)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise CorruptRunError(f"{path} is damaged ({error})", "Restore it from a copy, or train again.") from error
    raise CorruptRunError(
        f"{path} has format {number} of weights, and this jensen reads format {FORMAT}",
        f"It was written by jensen {mark.get('jensen', '?')}: use that version.",
    )


def read_weights(folder: Path, module: nn.Module, nodes: Any, name: str = WEIGHTS) -> str:
    """Load weights into a module, averaged ones where there are any, and return "averaged" or "raw".

    Args:
        folder: the run's.
        module: model and guide.
        nodes: that the weights must belong to, see `tie`.
        name: of the file within the folder.

    Raises:
        CorruptRunError: the file is missing or damaged, or its weights are not this model's.
    """
    path, mine = folder / name, named_tensors(module)
    if not path.exists():
        raise CorruptRunError(
            f"{path} is missing", "The run was stopped before its first weights were written: train again."
        )
    most = 2 * sum(t.nbytes for t in mine.values()) + HEADER_LIMIT
    stored, metadata = _read(path, most)
    mark = _marked(path, metadata)
    if mark is not None and mark.sha256 != _digest(mark, stored):
        raise CorruptRunError(
            f"{path} is damaged: its weights are not those that were written", "Restore it from a copy, or train again."
        )
    earlier = (nodes.get("earlier") if isinstance(nodes, Mapping) else None) or {}
    undigested = earlier.get("weights") or None  # the fingerprint in weights of format 1
    theirs = metadata.get("model") == undigested
    if mark is not None:
        theirs = mark.belongs in (_belongs(nodes), earlier.get("belongs"))
    raw = {name.removeprefix("raw/"): t for name, t in stored.items() if name.startswith("raw/")}
    averaged = {name.removeprefix("averaged/"): t for name, t in stored.items() if name.startswith("averaged/")}
    fits = raw.keys() == mine.keys() and averaged.keys() <= raw.keys() and len(raw) + len(averaged) == len(stored)
    fits = fits and all(raw[n].shape == t.shape and raw[n].dtype == t.dtype for n, t in mine.items())
    fits = fits and all(t.shape == raw[n].shape and t.dtype == raw[n].dtype for n, t in averaged.items())
    if not fits or not theirs:
        raise CorruptRunError(
            f"the weights in {path} do not belong to the model in {SPEC}", "Restore both files from the same run."
        )
    with torch.no_grad():
        for name, tensor in mine.items():
            tensor.copy_(averaged.get(name, raw[name]))
    return "averaged" if averaged else "raw"


def undigested(folder: Path) -> tuple[str, ...]:
    """Return a note if the weights were written before files had a digest; none otherwise."""
    path = folder / WEIGHTS
    try:
        with open(open_regular(path), "rb") as file:
            first = file.read(8)
            first += file.read(min(int.from_bytes(first, "little"), HEADER_LIMIT))
            size = os.fstat(file.fileno()).st_size
        metadata = dict(header_of(first, size).get("__metadata__") or {})
    except (OSError, ValueError, TypeError):
        return ()
    older = "an older jensen wrote the weights without a digest: a changed bit in them would not be noticed"
    return (older,) if metadata.keys() == {"model"} else ()
