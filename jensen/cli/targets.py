"""The file that a verb writes its result to, in the format of the data that it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..runs.run import Run
    from .flags import RunFlags
    from .writing import Target

__all__ = ["result_target"]


def result_target(
    opened: Run, stem: str, data: str | None, out: str | None, force: bool, safe: bool, flags: RunFlags, pictures: bool
) -> Target:
    """Return the file that was asked for, or the default one in the run: a picture, a table like the given one, or CSV.

    Args:
        opened: the run.
        stem: name of the default file, without a suffix.
        data: rows that the result is of; None for the run's own.
        out, force, safe, flags: of the command line.
        pictures: whether the result can be a picture.

    Raises:
        UsageError, RunExistsError: see `Target.choose`.
    """
    from ..data.table_writing import table_suffix
    from .writing import Target

    mixed = opened.schema.columns is not None
    suffix = table_suffix(data or opened.spec["data"]["location"]) if mixed else ".csv"
    default = opened.path / f"{stem}{'.png' if pictures else suffix}"
    return Target.choose(out, default, force, pictures, flags.json, safe, flags.quiet, tables=mixed)
