"""The file that a verb writes its result to, in the format of the data that it is of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import UsageError

if TYPE_CHECKING:
    from ..runs.run import Run
    from .flags import RunFlags
    from .writing import Target

__all__ = ["result_target"]


def result_target(
    opened: Run,
    stem: str,
    data: str | None,
    out: str | None,
    force: bool,
    safe: bool,
    flags: RunFlags,
    pictures: bool,
    annotated: bool = False,
) -> Target:
    """Return the file that was asked for, or the default one in the run: a picture, a table like the given one, or CSV.

    Args:
        opened: the run.
        stem: name of the default file, without a suffix.
        data: rows that the result is of; None for the run's own.
        out, force, safe, flags: of the command line.
        pictures: whether the result can be a picture.
        annotated: whether it can be a copy of an .h5ad file with the result in it.

    Raises:
        UsageError, RunExistsError: see `Target.choose`.
    """
    from ..data.table_writing import table_suffix
    from ..storage.annotated_copies import check_copy
    from .writing import Target

    if annotated and out is not None and Path(out).suffix.lower() == ".h5ad":
        if safe:
            raise UsageError(f"--spreadsheet-safe is of a .csv, and {out} is none", "Name a .csv, or leave it out.")
        check_copy(data, Path(out), force)
        return Target(Path(out), safe, flags.quiet)
    mixed = opened.schema.columns is not None
    suffix = table_suffix(data or opened.spec["data"]["location"]) if mixed else ".csv"
    default = opened.path / f"{stem}{'.png' if pictures else suffix}"
    return Target.choose(out, default, force, pictures, flags.json, safe, flags.quiet, tables=mixed)
