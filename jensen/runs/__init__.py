"""Verbs on runs, one file per verb, as in `jensen.cli`: train, resume, evaluate, compare, impute.

`jensen.runs(FOLDER)` is a table of the runs in a folder: the module can be called, since the name is that of this room
too, which any import from it binds in the package.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

__all__: list[str] = []


class _Runs(ModuleType):
    """The module, which returns the runs in a folder when it is called; see `jensen.runs.listing.list_runs`."""

    def __call__(self, folder: str | Path, *, latex: bool = False) -> Any:
        from .listing import list_runs

        return list_runs(folder, latex=latex)


sys.modules[__name__].__class__ = _Runs
