"""`jensen score`: say how likely rows are, and which of their entries are unlikely."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..core.wording import plural
from ..storage.recorded_table import check_table
from .flags import NO_FLAGS, Data, Force, Labels, Out, Run, RunFlags, Safe
from .named_columns import column_target, write_column_pieces, write_columns
from .output import notifier, print_json, print_lines
from .progress import ProgressLine

if TYPE_CHECKING:
    from ..runs.row_measures import RowMeasure
    from ..runs.row_scores import RowScores, Unlikely

__all__ = ["score"]

SHOWN, REASONS = 5, 3  # rows and entries of each that are printed
FEW = 0.05  # p-values below which rows are counted

K = Annotated[
    int | None, Parameter(name="-k", help="points per datum, where log p(x) is not exact; by default about 1,000")
]
Columns = Annotated[
    bool | None,
    Parameter(
        name="--columns",
        negative="--no-columns",
        show_default=False,
        help="score each entry too; by default that of tables of up to 256 columns",
    ),
]
Measures = Annotated[
    str | None,
    Parameter(
        name="--measures",
        help="typicality, regret or both (typicality,regret): further measures of each row, with p-values of their own",
    ),
]


def score(
    run: Run,
    data: Data = None,
    /,
    *,
    out: Out = None,
    k: K = None,
    columns: Columns = None,
    measures: Measures = None,
    labels: Labels = None,
    force: Force = False,
    safe: Safe = False,
    flags: RunFlags = NO_FLAGS,
) -> None:
    """Say how likely rows are, and which of their entries are unlikely. Without --out: RUN/scores.csv.

    The p-value of a row is the share of rows that did not train the model whose log p(x) is as low: among rows of the
    same kind, 5 % are below 0.05. A cell that is missing, also where DATA lacks its column, adds the mean log p of its
    column given the others to what is compared. An entry is compared in the same way with its own column, by log p of
    it given the other entries of its row; "least likely" names those with the lowest p-values. Rows that trained the
    model look more likely than they are, and their p-values are too high.
    """
    check_table(run, data, may_lack=True)
    from ..runs.score import score_in_pieces
    from ..runs.scored_rows import rows_to_score
    from .table_pieces import are_in_pieces

    opened = flags.opened(run)
    target = column_target(opened, "scores", data, out, force, safe, flags)
    part = None if data is None and labels is None else rows_to_score(opened, data, labels=labels, seed=flags.seed)
    if out is None and part is not None:
        target = target.of(data, part.is_whole or part.own is not None, force)
    target.require_rows(0 if part is None else len(part.rows))
    with ProgressLine(flags.quiet) as line:
        names = [] if measures is None else [name.strip() for name in measures.split(",")]
        how = {"k": k, "columns": columns, "measures": names, "seed": flags.seed, "watch": line.task}
        if part is not None and are_in_pieces(target, part):
            pieces = score_in_pieces(opened, part, **how)
            write_column_pieces(target, (piece.table for piece in pieces), opened.dialect_of(part))
            scores = pieces.summary
        else:
            scores = opened.score(part, **how)
            write_columns(target, scores.table, opened.dialect_of(scores.part))
    notify = notifier(flags.quiet)
    for note in scores.notes:
        notify(note)
    if flags.json:
        print_json({**scores.to_dict(), "least_likely": _least_likely(scores), "run": run, "out": target.path})
    elif target.path is not None:
        print_lines([*_lines(scores), f"values of every row: {target.path}"])


def _lines(scores: RowScores) -> list[str]:
    """Return the mean, the number of low p-values, and the rows that are least likely, with the reasons."""
    n = len(scores.log_px)
    lines = [f"{scores.estimate.sentence(str(scores.quantity))} on {scores.data}"]
    if scores.p_value is not None and scores.held_out is not None:
        low = int((scores.p_value < FEW).sum())
        against = "each other" if scores.held_out == scores.data else scores.held_out
        lines.append(
            f"p-values against {against}: {plural(low, 'row')} of {n:,} below {FEW:g}, where"
            f" {FEW:.0%} of rows of the same kind are"
        )
    if scores.offsets is not None:
        lines.append(f"compared and ordered by {scores.compared_by}")
    for i in scores.least_likely(SHOWN):
        p = "" if scores.p_value is None else f", p = {scores.p_value[i]:.2g}"
        lines.append(f"{_place(scores, i)}: log p {scores.log_px[i]:.2f}{p}{_reasons(scores, i)}")
    return [*lines, *(line for measure in scores.measures.values() for line in _of_measure(scores, measure))]


def _of_measure(scores: RowScores, measure: RowMeasure) -> list[str]:
    """Return the definition of a measure, the number of low p-values, and the rows in which it is highest."""
    p, n = measure.p_value, len(measure.values)
    low = "" if p is None else f"; {plural(int((p < FEW).sum()), 'row')} of {n:,} with a p-value below {FEW:g}"
    rows = [
        f"{_place(scores, i)} {measure.values[i]:.2f}{'' if p is None else f' (p = {p[i]:.2g})'}"
        for i in measure.highest(SHOWN)
    ]
    return [f"{measure.sentence}{low}", f"the highest: {', '.join(rows)}"]


def _place(scores: RowScores, row: int) -> str:
    """Return the number of a row, and by what it is found in its source."""
    where = scores.found_by(row)
    return scores.place(row) if where is None else f"{scores.place(row)} ({where})"


def _reasons(scores: RowScores, row: int) -> str:
    """Return the entries of a row that are least likely, as far as they are unlikely."""
    if scores.columns is None:
        return ""
    entries = [entry for entry in scores.why(row)[:REASONS] if entry.p_value is None or entry.p_value < FEW]
    return f"; {', '.join(map(_entry, entries))}" if entries else ""


def _entry(entry: Unlikely) -> str:
    """Return an entry with log p of it given the others."""
    p = "" if entry.p_value is None else f", p = {entry.p_value:.2g}"
    return f"{entry.column} = {entry.value} (log p {entry.log_p:.2f} given the others{p})"


def _least_likely(scores: RowScores) -> list[dict[str, Any]]:
    """Return the rows that are least likely, with all entries from the least likely on, as JSON-serialisable values."""
    rows = []
    for i in scores.least_likely(SHOWN):
        why = [] if scores.columns is None else [asdict(entry) for entry in scores.why(i)]
        p = None if scores.p_value is None else float(scores.p_value[i])
        compared = float((scores.log_px if scores.compared is None else scores.compared)[i])
        more = {name: float(measure.values[i]) for name, measure in scores.measures.items()}
        more |= {f"p_value_{n}": float(m.p_value[i]) for n, m in scores.measures.items() if m.p_value is not None}
        row = {"row": scores.place(i), "found_by": scores.found_by(i), "log_px": float(scores.log_px[i])}
        rows.append({**row, "compared": compared, "p_value": p, **more, "why": why})
    return rows
