"""`jensen predict`: the distribution of one column given the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..core.wording import digits, fixed
from ..storage.recorded_columns import check_columns
from ..storage.recorded_table import check_table
from .flags import NO_FLAGS, Force, Out, Run, RunFlags, Safe
from .named_columns import column_target, write_column_pieces, write_columns
from .output import notifier, print_json, print_lines
from .progress import ProgressLine

if TYPE_CHECKING:
    from ..analysis.prediction_scores import Measure
    from ..runs.predict import Prediction

__all__ = ["predict"]

Table = Annotated[str, Parameter(help="a table with the other columns, and with or without this one")]
Column = Annotated[str, Parameter(help="name of the column to predict")]
K = Annotated[int | None, Parameter(name="-k", help="weighted latent points per datum, where the latent is not finite")]


def predict(
    run: Run,
    data: Table,
    column: Column,
    /,
    *,
    out: Out = None,
    k: K = None,
    force: Force = False,
    safe: Safe = False,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Predict one column of a table from the others. Without --out: RUN/predictions.csv.

    The distribution follows from the joint p(x) by Bayes' rule: probabilities of levels, or the mean of numbers and an
    interval that holds 90 %. Where the column is known, its accuracy, log-loss and calibration are printed; of the data
    that the run was trained on, these are measured on rows that did not train it.
    """
    check_columns(Path(run), (column,))  # before the model and the data are read
    check_table(run, data, spare=(column,))
    from ..runs.condition import column_index
    from ..runs.predict import predict_in_pieces
    from .table_pieces import are_in_pieces

    opened = flags.opened(run)
    column_index(opened, column)
    target = column_target(opened, "predictions", data, out, force, safe, flags)
    part = opened.chosen(data, flags.seed, True, own="all", spare=(column,))
    target = target if out is not None else target.of(data, part.is_whole or part.own is not None, force)
    target.require_rows(len(part.rows))
    with ProgressLine(flags.quiet) as line:
        how = {"k": k, "seed": flags.seed, "watch": line.task("predicting")}
        if are_in_pieces(target, part):
            pieces = predict_in_pieces(opened, part, column, **how)
            write_column_pieces(target, (piece.table for piece in pieces), opened.dialect_of(part))
            prediction = pieces.summary
        else:
            prediction = opened.predict(part, column, **how)
            write_columns(target, prediction.table, opened.dialect_of(part))
    notify = notifier(flags.quiet)
    for note in prediction.notes:
        notify(note)
    if flags.json:
        print_json({**prediction.to_dict(), "run": run, "out": target.path})
    elif target.path is not None:
        print_lines([*_lines(prediction), f"predictions of every row: {target.path}"])


def _lines(prediction: Prediction) -> list[str]:
    """Return one line of what was predicted, and one for each measure."""
    known = int(prediction.known.sum())
    of_known = f", known in {known:,}" if known else ", which is known in none"
    first = f"{prediction.column} of {prediction.data}{of_known}"
    return [first, *map(_measure, prediction.measures)]


def _measure(measure: Measure) -> str:
    """Return a measure with its standard error."""
    places = digits(measure.stderr) + 1
    error = f" ± {fixed(measure.stderr, places)}" if measure.stderr == measure.stderr else ""
    expected = "" if measure.expected is None else f" (a calibrated model: {fixed(measure.expected, places)})"
    return f"{measure.name} {fixed(measure.value, places)}{error}{expected}"
