"""The names of the columns that a run is of, read from its record before anything slow is imported."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from ..core.errors import UsageError
from .run_folder import SPEC

__all__ = ["MOST_LISTED", "check_columns", "unknown_column"]

MOST_LISTED = 20


def check_columns(folder: Path, names: Sequence[str]) -> None:
    """Refuse names that are no columns of a run.

    A record that cannot be read, and one of images, is left to whatever opens the run.

    Raises:
        UsageError: there is no such column.
    """
    known = _recorded(folder)
    absent = next((name for name in names if known is not None and name not in known), None)
    if known is not None and absent is not None:
        raise unknown_column(absent, known)


def _recorded(folder: Path) -> tuple[str, ...] | None:
    """Return the names of the columns of a run, with those that they determine.

    None of images, and where they cannot be read.
    """
    try:
        schema = json.loads((folder / SPEC).read_bytes())["data"]["schema"]
        names, shape = schema["names"], schema["shape"]
        if len(shape) > 1:
            return None
        determined = [d["column"]["name"] for c in schema.get("columns") or () for d in c.get("determines", ())]
        return tuple(map(str, (*names, *determined))) if names else tuple(f"x{i + 1}" for i in range(math.prod(shape)))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def unknown_column(name: str, known: Sequence[str]) -> UsageError:
    """Return the error of a name that no column has.

    Example:
        >>> unknown_column("aeg", ("age", "sex")).remedy
        'Did you mean age? It has age, sex.'
    """
    plain = {column.casefold(): column for column in known}
    near = [plain[name.casefold()]] if name.casefold() in plain else get_close_matches(name, known, 1)
    listed = ", ".join(known[:MOST_LISTED]) + (f", ... {len(known)} in all" if len(known) > MOST_LISTED else "")
    meant = f"Did you mean {near[0]}? " if near else ""
    return UsageError(f"the model has no column {name!r}", f"{meant}It has {listed}.")
