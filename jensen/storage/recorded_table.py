"""A table beside the record of a run: refused where it lacks columns of the run, before the model is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import CorruptRunError
from .run_folder import SPEC

__all__ = ["check_table"]


def check_table(folder: str | Path, data: str | None, spare: Sequence[str] = (), may_lack: bool = False) -> None:
    """Refuse a table that lacks columns of a run on a table of mixed columns.

    Everything else that may be wrong with it, and a record that cannot be read, is left to whatever opens them.

    Args:
        folder: of the run.
        data: path of the table; None for none.
        spare: names of columns that it may lack.
        may_lack: whether it may lack any, but not all, and none that is misspelt.

    Raises:
        DataError: naming what is absent.
    """
    if data is None or not Path(data).exists():
        return
    try:
        spec = json.loads((Path(folder) / SPEC).read_bytes())
        recorded, header = spec["data"]["schema"].get("columns"), spec["command"].get("header") or "auto"
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return
    if not recorded or header not in ("auto", "yes", "no"):
        return
    from ..data.columns import Column  # imports NumPy
    from ..data.sources import EMBEDDED
    from ..data.table_heads import check_names

    try:
        columns = tuple(map(Column.from_dict, recorded))
    except (CorruptRunError, TypeError):
        return
    if data not in EMBEDDED:
        check_names(Path(data), columns, header, spare, may_lack)
