"""Renamed options: scripts, recorded commands and command lines may still use the old names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import UsageError

__all__ = ["RENAMED_OPTIONS", "with_current_names"]

RENAMED_OPTIONS = {"leaps": "leapfrog_steps"}


def with_current_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options by their current names.

    Raises:
        UsageError: an option is given by its old name and by its current one.

    Example:
        >>> with_current_names({"latent": 2, "leaps": 4})
        {'latent': 2, 'leapfrog_steps': 4}
    """
    for old, current in RENAMED_OPTIONS.items():
        if old in options and current in options:
            raise UsageError(f"{old} is the old name of {current}, and both are given", f"Give {current} alone.")
    return {RENAMED_OPTIONS.get(name, name): value for name, value in options.items()}
