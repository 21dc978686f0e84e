"""The specification of a run: spec.json, validated on load, and the model that it describes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import torch

from ..core.errors import CorruptRunError, UsageError
from ..core.modules import joined
from ..core.parts import build
from ..core.random import drawing_from, stream
from .files import JSON_LIMIT, parsed, read_limited
from .migrations import migrated
from .run_folder import REPLACED, SPEC
from .weights import allocating, read_weights, tie

__all__ = ["checked_spec", "read_spec", "rebuild"]

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Numbers = float | list[float] | None


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    """An object of a specification, with all fields that it may have."""


class _Data(_Strict):
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


class _Tested(_Strict):
    location: str
    beside: str
    labels_from: str | None
    own_labels: str | None
    sha256: str
    n: Count


class _Split(_Strict):
    fractions: tuple[float, float, float]
    seed: Count
    sizes: dict[Literal["train", "valid", "test"], Count]
    test: _Tested | None
    duplicates_of_training_rows: dict[str, Count]


class _Preparation(_Strict):
    binarize: Literal["static", "dynamic", "threshold"] | None
    dequantize: bool
    center: Numbers
    scale: Numbers
    seed: Count
    fill: Numbers


class _Player(_Strict):
    objective: str
    estimator: str
    during: tuple[float, float] = (0.0, 1.0)
    steps: Annotated[int, msgspec.Meta(ge=1)] = 1
    parts: dict[str, Any] | None = None


class _Choices(_Strict):
    device: str
    dtype: Literal["float32", "float64"]
    precision: str
    threads: Count
    epochs: Annotated[int, msgspec.Meta(ge=1)]
    steps_per_epoch: Count
    keep: str


class _Earlier(_Strict):
    format: Count
    weights: str
    belongs: str = ""


class _Spec(_Strict):
    """All fields of a specification: damage, and fields of a later version, are found when a run is opened."""

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
    """Read the specification of a run, brought to the present format.

    Raises:
        UsageError: the folder is not a run.
        CorruptRunError: the specification is damaged, or of a later version.
    """
    path = folder / SPEC
    if not folder.is_dir():
        raise UsageError(f"there is no run at {folder}", "Train one: jensen train DATA --out RUN.")
    if not path.exists():
        aside = folder / REPLACED  # where a training that was killed had moved an earlier run
        waits = f" {aside} holds one." if (aside / SPEC).exists() else ""
        raise UsageError(f"{folder} is not a run: it has no {SPEC}", f"Give the folder that jensen train wrote.{waits}")
    try:
        spec = parsed(read_limited(path, JSON_LIMIT), dict[str, Any])
    except (msgspec.DecodeError, OSError, ValueError) as error:
        raise CorruptRunError(f"{path} is damaged ({error})", "Restore it from a copy, or train again.") from error
    return checked_spec(spec, path)


def checked_spec(spec: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a specification in the present format, with names and types of all fields validated.

    Args:
        spec: as it was read.
        path: of its file, for error messages.

    Raises:
        CorruptRunError: it is damaged, or of a later version.
    """
    present = migrated(spec, path)
    try:
        checked = msgspec.convert(present, _Spec)
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
    return present


def rebuild(
    folder: Path, spec: dict[str, Any], parts: Mapping[str, Callable[..., Any]] | None = None
) -> tuple[Any, Any, str]:
    """Build the model and guide of a run, and load their weights.

    Args:
        folder: the run's.
        spec: its specification.
        parts: constructors of the user's own parts, by name.

    Returns:
        Model, guide, and "averaged" or "raw".
    """
    # fresh modules draw weights, which are replaced below: the user's own random numbers must not be used for them
    with drawing_from(stream(0, "rebuilt")), allocating(folder):
        model, guide = build(spec["model"], parts)
    dtype = getattr(torch, spec["choices"]["dtype"])
    model.to(dtype)
    guide.to(dtype)
    which = read_weights(folder, joined(model, guide), tie(spec))
    return model.eval(), guide.eval(), which
