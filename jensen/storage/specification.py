"""The specification of a run: spec.json, validated on load, and the model that it describes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch

from ..core.allocation import allocating_at_most
from ..core.errors import CorruptRunError, JensenError
from ..core.memory import available_memory
from ..core.modules import joined
from ..core.part_checks import shown_text
from ..core.parts import build
from ..core.random import drawing_from, stream
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from .entries import check_entries
from .files import JSON_LIMIT, parsed, read_limited
from .migrations import FORMAT, migrated
from .run_folder import SPEC, WEIGHTS, require_run
from .seals import BrokenSeal, opened_seal
from .spec_fields import check_fields
from .weights import read_weights, tie

__all__ = ["checked_spec", "read_spec", "rebuild"]

RESTORE = "Restore it from a copy, or train again."


def read_spec(folder: Path) -> dict[str, Any]:
    """Read the specification of a run, brought to the present format.

    Raises:
        UsageError: the folder is not a run.
        CorruptRunError: the specification is damaged, has changed since it was written, or is of a later version; or
            the folder holds a link, or what is neither a file nor a folder.
    """
    require_run(folder)
    path = folder / SPEC
    check_entries(folder)
    try:
        spec = parsed(read_limited(path, JSON_LIMIT), dict[str, Any])
        number = spec.get("format")
        if type(number) is not int or number <= FORMAT:  # later ones are refused below, by their number
            spec = opened_seal(spec, demanded=number == FORMAT)
    except BrokenSeal as error:
        raise CorruptRunError(
            f"{path} is damaged ({error})",
            "Restore it from a copy, or train again; other options of a new run are given to jensen train --spec.",
        ) from error
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
    try:
        present = migrated(spec, path)
        check_fields(present)
    except RecursionError as error:
        raise CorruptRunError(f"{path} is damaged (nested too deeply)", RESTORE) from error
    except ValueError as error:
        if isinstance(error, JensenError):
            raise
        if "unknown field" in str(error):
            version = shown_text(str(spec.get("jensen", "?")))
            raise CorruptRunError(
                f"{path} holds what this jensen does not know ({shown_text(str(error))})",
                f"It was written by jensen {version}: use that version.",
            ) from error
        raise CorruptRunError(f"{path} is damaged ({shown_text(str(error))})", RESTORE) from error
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
    with drawing_from(stream(0, "rebuilt")), _no_more_than(folder):
        model, guide = build(spec["model"], parts, {"model": LatentVariableModel, "guide": Guide})
    dtype = getattr(torch, spec["choices"]["dtype"])
    model.to(dtype)
    guide.to(dtype)
    which = read_weights(folder, joined(model, guide), tie(spec))
    return model.eval(), guide.eval(), which


@contextmanager
def _no_more_than(folder: Path) -> Iterator[None]:
    """A scope in which tensors with far more numbers than the run's file of weights are refused.

    Raises:
        CorruptRunError: there are more, or no weights.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise CorruptRunError(
            f"{path} is missing", "The run was stopped before its first weights were written: train again."
        )
    with allocating_at_most(min(2**27 + 16 * path.stat().st_size, available_memory())):
        yield
