"""`jensen expression`: the normalised expression of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..core.wording import plural
from ..storage.recorded_table import check_table
from .flags import NO_FLAGS, Data, Force, Labels, Out, Run, RunFlags, Safe
from .named_columns import column_target, stem_of, write_columns
from .output import notifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from ..runs.evaluation import Part

__all__ = ["K", "TransformBatch", "expression"]

SIZE, DRAWS = 10_000.0, 25

TransformBatch = Annotated[
    list[str] | None,
    Parameter(negative="", help="batch to decode at; may be given several times, for the average over several"),
]
K = Annotated[
    int,
    Parameter(name="-k", help="each point is one of k of q(z | x), by importance weight; 1 takes it for the posterior"),
]


def expression(
    run: Run,
    data: Data = None,
    /,
    *,
    out: Out = None,
    size: Annotated[float, Parameter(help="sum of the expression of a cell")] = SIZE,
    transform_batch: TransformBatch = None,
    draws: Annotated[int, Parameter(help="points z of each cell, over which the mean is taken")] = DRAWS,
    k: K = 1,
    labels: Labels = None,
    force: Force = False,
    safe: Safe = False,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Compute the normalised expression of cells, from a model of counts. Without --out: RUN/expression.csv, with
    options that are not the defaults in its name.

    It is the posterior mean of the share of each gene in the mean count of x | z, times --size: how large a cell is
    plays no part, and with --transform-batch all cells are as if they were of one batch.
    """
    check_table(run, data)
    from ..runs.expression import expression_columns
    from .writing import print_target

    opened = flags.opened(run)
    options = {"size": (size, SIZE), "batch": (transform_batch, None), "draws": (draws, DRAWS), "k": (k, 1)}
    options |= {"labels": (labels, None), "seed": (flags.seed, 0)}
    target = column_target(opened, stem_of("expression", **options), data, out, force, safe, flags)
    part = opened.chosen(data, flags.seed, labels=labels, own="all")
    target = target if out is not None else target.of(data, part.is_whole or part.own is not None, force)
    notify = notifier(flags.quiet)
    for text in part.notes:
        notify(text)
    how: dict[str, Any] = {"batch": transform_batch, "draws": draws, "k": k, "size": size, "seed": flags.seed}
    columns = expression_columns(opened, part, **how)
    write_columns(target, {**_which(part, columns), **columns}, opened.dialect_of(part))
    line = f"expression of {plural(len(columns), 'gene')} in {part.name}, {size:g} in each cell: {target.path}"
    print_target(target, flags.json, line, {"n": len(part.rows), "genes": len(columns), "data": part.name, **how})


def _which(part: Part, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns that say which cell a row is: its name, or else its number."""
    from ..runs.row_values import identity_columns

    return identity_columns(None if part.identity else part.row_numbers, part.files, part.identity, taken=columns)
