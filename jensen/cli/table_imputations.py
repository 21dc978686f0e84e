"""Imputations of a mixed table: written as they are asked for, and their errors in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.wording import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from ..data.columns import Column
    from ..data.output_tables import OutputTable
    from ..runs.pieces import InPieces
    from ..runs.table_completion import TableCompletion
    from .writing import Target

__all__ = ["completion_record", "error_lines", "title", "write_completion", "write_in_pieces"]

MOST_LINES = 20


def write_completion(target: Target, completion: TableCompletion, drawn: bool) -> None:
    """Write the completed table, or all its versions.

    Args:
        target: the file; an .npy or .npz holds numbers as the model's data set stores them.
        completion: of the rows.
        drawn: whether draws were asked for, and not points.
    """
    if not target.is_array:
        table = completion.stacked() if drawn else completion.table()
        target.write_table(table, completion.written_columns)
        return
    names = [column.name for column in completion.columns]
    target.write(completion.x if drawn else completion.point, names, bytes, arrays=_others(completion))


def _others(completion: TableCompletion) -> dict[str, np.ndarray]:
    """Return the arrays [N, ...] of an .npz beside the imputations."""
    others = {
        "mean": completion.mean,
        "point": completion.point,
        "probability": completion.probability,
        "observed": completion.mask,
        "ess": completion.drawn.ess.cpu().numpy(),
        "k_hat": completion.drawn.k_hat.cpu().numpy(),
    }
    if completion.low is not None and completion.high is not None:
        others |= {"low": completion.low, "high": completion.high}
    return others


def write_in_pieces(target: Target, completions: InPieces[TableCompletion], drawn: bool) -> None:
    """Write what `write_completion` does, some rows after another.

    Args:
        target: the file.
        completions: of the rows.
        drawn: whether draws were asked for, and not points.
    """
    from .table_pieces import write_arrays, write_tables

    if target.is_array:
        pieces = (_arrays(target, completion, drawn) for completion in completions)
        write_arrays(target, pieces, versions=("x",) if drawn else ())
        return
    columns: list[Column] = []

    def tables() -> Iterator[list[OutputTable]]:
        for completion in completions:
            columns[:] = completion.written_columns
            yield list(completion.numbered_versions()) if drawn else [completion.table()]

    write_tables(target, tables(), columns)


def _arrays(target: Target, completion: TableCompletion, drawn: bool) -> dict[str, np.ndarray]:
    """Return the arrays of some rows that are written, "x" first."""
    x = {"x": completion.x if drawn else completion.point}
    return x | _others(completion) if target.is_archive else x


def title(completion: TableCompletion, drawn: bool) -> str:
    """Return a name for what was written."""
    settings = completion.settings
    if drawn:
        return plural(len(completion.x), "imputation")
    level = "" if settings.level is None else f" and {settings.level:.0%} intervals"
    point = "one value" if settings.point == "auto" else settings.point
    return f"{point} of each missing cell{level}"


def completion_record(completion: TableCompletion) -> dict[str, Any]:
    """Return points, intervals and the errors of points as JSON-serialisable values."""
    return {
        "point": completion.settings.point,
        "intervals": completion.settings.level,
        "errors_of_hidden": [error.to_dict() for error in completion.errors],
    }


def error_lines(completion: TableCompletion) -> list[str]:
    """Return the errors of hidden cells in sentences: over all columns, then for each of the first."""
    errors, lines = completion.errors, list[str]()
    numbers = [e.relative for e in errors if not e.is_levelled]
    names = [e.relative for e in errors if e.is_levelled]
    if numbers:
        mean = f"{sum(numbers) / len(numbers):.3f} sd on average over {plural(len(numbers), 'column')}"
        lines.append(f"root mean square error of hidden numbers: {mean}")
    if names:
        mean = f"{sum(names) / len(names):.1%} on average over {plural(len(names), 'column')}"
        lines.append(f"wrong names in hidden cells: {mean}")
    lines += [f"  {error}" for error in errors[:MOST_LINES]]
    return lines if len(errors) <= MOST_LINES else [*lines, f"  ... {len(errors)} columns in all: --json has them"]
