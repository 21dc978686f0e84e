"""`jensen traverse`: decode along a path through the latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..core.errors import UsageError
from ..storage.recorded_table import check_table
from .flags import NO_FLAGS, Data, Force, Labels, Out, Run, RunFlags, Safe, switch
from .output import notifier

if TYPE_CHECKING:
    from ..runs.run import Run as LoadedRun
    from ..runs.traverse import Traversal
    from .writing import Target

__all__ = ["traverse"]


def traverse(
    run: Run,
    data: Data = None,
    /,
    *,
    feature: Annotated[
        int | None, Parameter(help="a latent feature, from 1, that moves from -2.5 to 2.5 standard deviations")
    ] = None,
    between: Annotated[
        str | None, Parameter(help="two rows, from 0, such as 3,17: the path from the code of one to that of the other")
    ] = None,
    attribute: Annotated[
        str | None, Parameter(help="a class of the labels, or a column of numbers, towards which codes move")
    ] = None,
    row: Annotated[
        int | None, Parameter(help="the row, from 0, where a feature or an attribute starts; by default a mean code")
    ] = None,
    steps: Annotated[int, Parameter(help="points of the path")] = 9,
    spherical: Annotated[bool, switch("a path on a great circle, beside --between")] = False,
    out: Out = None,
    labels: Labels = None,
    force: Force = False,
    safe: Safe = False,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Decode along one feature, between two data, or towards an attribute. Without --out: RUN/traversal.png or .csv.

    What is decoded is the mean of p(x | z); of names in a mixed table the most probable one. Tables have the place of
    each step in their first column: the value of the feature, 0 to 1 between two data, or standard deviations.
    """
    rows = None if between is None else _rows(between)
    check_table(run, data)
    from ..runs.traverse import traverse as path_of
    from .targets import result_target
    from .writing import print_target

    opened, notify = flags.opened(run), notifier(flags.quiet)
    images = opened.schema.is_image
    target = result_target(opened, "traversal", data, out, force, safe, flags, pictures=images)
    path = path_of(
        opened,
        feature=feature,
        between=rows,
        attribute=attribute,
        row=row,
        steps=steps,
        spherical=spherical,
        data=data,
        labels=labels,
        seed=flags.seed,
    )
    for text in path.notes:
        notify(text)
    _write(opened, target, path)
    first, last = path.at[0], path.at[-1]
    line = f"{len(path.at)} means of p(x | z), {path.path} ({first:.3g} to {last:.3g}), in {target.path}"
    record = {"path": path.path, "at": path.at.tolist(), "z": path.z.tolist(), "notes": list(path.notes)}
    print_target(target, flags.json, line, record)


def _rows(text: str) -> tuple[int, int]:
    """Return two numbers of rows.

    Raises:
        UsageError: they are not two whole numbers.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise UsageError(f"--between must be two rows, got {text!r}", "Number them from 0: --between 3,17.")
    return int(parts[0]), int(parts[1])


def _write(opened: LoadedRun, target: Target, path: Traversal) -> None:
    """Write the means in the format of the target: a strip of images, or a table with the place of each first."""
    from .grids import model_range, png, scaled, strips
    from .named_columns import KINDS
    from .writing import column_names

    columns = opened.schema.columns
    if columns is not None and not target.is_array:
        from ..data.table_building import table_of
        from ..data.table_values import as_written

        suffix = ".csv" if target.path is None else target.path.suffix.lower()
        table = table_of(columns, as_written(columns, path.x), KINDS.get(suffix, "csv"), dialect=opened.dialect)
        target.write_table(table.inserted(0, "at", path.at), columns)
        return
    names = column_names(opened.schema)
    between = model_range(opened, path.x)
    target.write(
        path.x, names, lambda: png(strips(scaled(path.x, between)[None])), before={"at": path.at}, arrays={"z": path.z}
    )
