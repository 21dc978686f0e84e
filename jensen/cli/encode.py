"""`jensen encode`: compute latent features of data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ..core.commands import command_line
from ..core.errors import UsageError
from ..core.wording import plural
from ..storage.recorded_table import check_table
from .flags import NO_FLAGS, Data, Force, Labels, Out, Run, RunFlags, Safe, switch
from .output import notifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from ..data.columns import Column
    from ..data.output_tables import OutputTable
    from ..runs.evaluation import Part
    from .writing import Target

__all__ = ["encode"]


def encode(
    run: Run,
    data: Data = None,
    /,
    *,
    out: Out = None,
    labels: Labels = None,
    active: Annotated[
        bool, switch("only active features, whose mean varies over training rows (variance above 0.01)")
    ] = False,
    force: Force = False,
    safe: Safe = False,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Compute the mean of q(z | x) of each datum, with its label if it has one. Without --out: RUN/codes.csv.

    Codes of a folder of images have the file of each in the column "file", relative to the folder; those of a mixed
    table have its columns that are no data.
    """
    check_table(run, data)
    import numpy as np

    from ..core.divided import divided
    from ..core.processes import joined
    from .targets import result_target
    from .writing import Piece, print_target, row_arrays, row_columns, write_parts

    opened = flags.opened(run)
    if opened.model.latent == 0:
        raise UsageError(f"the model in {run} has no latent features", "Train one that has some, such as --recipe vae.")
    columns = opened.schema.columns
    target = result_target(opened, "codes", data, out, force, safe, flags, pictures=False)
    part = opened.chosen(data, flags.seed, labels=labels, own="all")
    target = target if out is not None else target.of(data, part.is_whole or part.own is not None, force)
    notify = notifier(flags.quiet)
    for text in part.notes:
        notify(text)
    kept = [int(i) for i in np.flatnonzero(opened.active_features())] if active else list(range(opened.model.latent))
    if not kept:
        raise UsageError(f"no latent feature of {run} is active", f"See why: {command_line('doctor', run)}.")
    names = [f"z{i + 1}" for i in kept]

    def encoded(rows: Part) -> Piece:
        return Piece(opened.encode(rows, seed=flags.seed)[:, kept], rows.labels, row_columns(rows, names))

    with joined() as processes, divided(processes):
        if columns is not None and not target.is_array:
            codes = encoded(part).x
            if processes.is_first:
                _write_table(target, part, columns, codes, names)
        elif processes.is_first:
            write_parts(target, part, encoded, names, opened.schema.classes, lambda: row_arrays(part, ()))
        else:
            for rows in part.pieces():
                encoded(rows)
    line = f"{plural(len(kept), 'latent feature')} of {part.name} in {target.path}"
    record = {"n": len(part.rows), "features": len(kept), "data": part.name, "notes": list(part.notes)}
    print_target(target, flags.json, line, record)


def _write_table(
    target: Target, part: Part, columns: Sequence[Column], codes: np.ndarray, names: Sequence[str]
) -> None:
    """Write codes [N, Z] as a table; those of a table that stays in its files some rows after another."""
    from ..runs.table_results import encoded_table
    from .table_pieces import are_in_pieces, write_tables

    if are_in_pieces(target, part):
        write_tables(target, _tables(part, columns, codes, names), columns)
    else:
        target.write_table(encoded_table(part, columns, codes, names, identified=True), columns)


def _tables(
    part: Part, columns: Sequence[Column], codes: np.ndarray, names: Sequence[str]
) -> Iterator[list[OutputTable]]:
    """Yield the tables of codes [N, Z] of some rows after another, of a table that stays in its files."""
    from ..runs.pieces import ROWS, table_parts
    from ..runs.table_results import encoded_table

    start = 0
    for rows in table_parts(part, ROWS):
        stop = start + len(rows.x)
        yield [encoded_table(rows, columns, codes[start:stop], names, identified=True)]
        start = stop
