"""`jensen differential`: genes whose expression differs between two groups of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..storage.recorded_table import check_table
from .expression import K, TransformBatch
from .flags import NO_FLAGS, Force, Labels, Out, Run, RunFlags, Safe, switch
from .named_columns import column_target, stem_of, write_columns
from .output import notifier, print_json, print_lines

if TYPE_CHECKING:
    from ..runs.expression import DifferentialExpression

__all__ = ["differential"]

DEFAULTS: dict[str, Any] = {"delta": 0.25, "fdr": 0.05, "offset": None, "pairs": 5000, "cells": 1, "k": 1, "seed": 0}
DEFAULTS |= {"batches": None, "corrected": True, "labels": None}  # what the name of the default file leaves out
SHOWN = 5  # genes that are printed

Cells = Annotated[str, Parameter(help="the cells, with the column of the groups")]
Groups = Annotated[
    tuple[str, str, str],
    Parameter(
        negative="", help="a column (obs of an .h5ad) and two of its values, A and B; B may be rest, all other cells"
    ),
]


def differential(
    run: Run,
    data: Cells,
    /,
    *,
    groups: Groups,
    out: Out = None,
    delta: Annotated[float, Parameter(help="smallest change that counts, in powers of two")] = DEFAULTS["delta"],
    fdr: Annotated[
        float, Parameter(help="expected share of false discoveries among the genes that are called")
    ] = DEFAULTS["fdr"],
    offset: Annotated[
        float | None, Parameter(help="share that is added to both; by default a tenth of a count in a median cell")
    ] = None,
    pairs: Annotated[int, Parameter(help="pairs of cells that are drawn")] = DEFAULTS["pairs"],
    cells: Annotated[
        int, Parameter(help="cells of each group in a pair, whose mean is compared: 1 for cells, 50 or so for groups")
    ] = 1,
    transform_batch: TransformBatch = None,
    uncorrected: Annotated[
        bool, switch("decode each cell at its own batch, and not both of a pair at each batch")
    ] = False,
    k: K = 1,
    labels: Labels = None,
    force: Force = False,
    safe: Safe = False,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Find the genes whose share of the counts differs between two groups of cells. Without --out:
    RUN/differential-COLUMN-A-B.csv, with options that are not the defaults in its name.

    By pairs of a random cell of each group and points of their posteriors: the mean log2-fold change of A over B, the
    probability that it is beyond --delta, its odds and its Bayes factor against the prior of the model. Genes are
    called from the most probable one on, as long as the expected share of false discoveries is below --fdr. Both cells
    of a pair are decoded at the same batch, and batches take turns.
    """
    check_table(run, data)
    opened = flags.opened(run)
    how = {"delta": delta, "fdr": fdr, "offset": offset, "pairs": pairs, "cells": cells, "k": k, "seed": flags.seed}
    how |= {"batches": transform_batch, "corrected": not uncorrected, "labels": labels}
    stem = stem_of("differential", *groups, **{name: (value, DEFAULTS[name]) for name, value in how.items()})
    target = column_target(opened, stem, data, out, force, safe, flags)
    result = opened.differential_expression(data, groups, **how)
    target = target if out is not None else target.of(data, result.is_whole, force)
    write_columns(target, result.table, opened.dialect)
    notify = notifier(flags.quiet)
    for note in result.notes:
        notify(note)
    if flags.json:
        print_json({**result.to_dict(), "groups": groups, "run": run, "out": target.path})
    elif target.path is not None:
        print_lines([*_lines(result), f"all genes: {target.path}"])


def _lines(result: DifferentialExpression) -> list[str]:
    """Return what was found, and the genes that are most probable to differ."""
    table = result.table
    lines = [repr(result)]
    for i in range(min(SHOWN, len(table["gene"]))):
        change = f"log2-fold change {table['lfc'][i]:+.2f} (sd {table['lfc_sd'][i]:.2f})"
        lines.append(f"{table['gene'][i]}: {change}, probability {table['probability'][i]:.3f}")
    return lines
