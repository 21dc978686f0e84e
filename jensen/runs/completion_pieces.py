"""The missing cells of a mixed table that stays in its files, completed some rows after another."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..analysis.imputation import Imputation, imputations
from ..core.memory import require_memory
from ..data.columns import Column
from ..data.file_rows import column_of
from ..data.output_tables import stored_levels
from .data import RunData
from .evaluation import Part
from .pieces import ROWS, InPieces, table_parts
from .table_completion import ColumnError, PointSettings, TableCompletion, column_error, complete_table

__all__ = ["completions"]


def completions(
    run: RunData, part: Part, original: Part, settings: PointSettings, m: int, *, size: int = ROWS, **how: Any
) -> InPieces[TableCompletion]:
    """Return completions of so many rows after another: their cells are those of the completion of all rows.

    Args:
        run: of the model.
        part: the rows, with a mask.
        original: the rows before anything was hidden.
        settings: of points and intervals.
        m: draws of each missing cell.
        size: rows of each; the last may have fewer.
        how: further arguments of `jensen.analysis.imputation.imputations`.
    """
    needed = 8 * m * size * part.x.shape[1]
    require_memory(needed, f"-m {m:,} versions of {size:,} rows", "Give a smaller -m.")
    return InPieces(_completed(run, part, original, settings, m, size, how))


def _completed(
    run: RunData, part: Part, original: Part, settings: PointSettings, m: int, size: int, how: dict[str, Any]
) -> Generator[TableCompletion, None, TableCompletion]:
    """Yield the completions, and return what holds for all rows."""
    mask, columns = np.asarray(part.mask), settings.columns
    levels = {} if part.frame is None else stored_levels(part.frame, columns)
    errors, holed, diagnostics, start = _HiddenErrors(columns), ~mask.all(0), list[Imputation](), 0
    drawn_in_pieces = imputations(run.model, run.guide, part.rows, m, size=size, statistics=settings.statistics, **how)
    for drawn, rows in zip(drawn_in_pieces, table_parts(part, size), strict=True):
        stop = start + len(rows.x)
        before = replace(rows, mask=None if original.mask is None else original.mask[start:stop])
        completion = complete_table(replace(rows, notes=()), drawn, before, settings, run.preparation)
        errors.add(completion)
        diagnostics.append(_without_cells(drawn))
        start = stop
        yield replace(completion, levels=levels, holed=holed)
    drawn, none = _joined(diagnostics), np.empty((0, len(columns)))
    return TableCompletion(
        x=np.empty((m, 0, len(columns))),
        mean=none,
        point=none,
        low=None,
        high=None,
        probability=none,
        mask=mask,
        truth=None,
        drawn=drawn,
        part=part,
        settings=settings,
        notes=(*part.notes, *([] if drawn.warning is None else [drawn.warning])),
        known_errors=errors.of_columns(original),
    )


class _HiddenErrors:
    """The points in hidden cells whose values are known, from which their errors follow: two numbers for each cell."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns
        self.cells: list[list[np.ndarray]] = [[] for _ in columns]

    def add(self, completion: TableCompletion) -> None:
        """Take those of some rows."""
        if completion.truth is None:
            return
        for d in range(len(self.columns)):
            scored = ~completion.mask[:, d] & ~np.isnan(completion.truth[:, d])
            if scored.any():
                self.cells[d].append(np.stack([completion.point[scored, d], completion.truth[scored, d]]))

    def of_columns(self, original: Part) -> tuple[ColumnError, ...]:
        """Return the errors of all rows, which were these before anything was hidden."""
        errors = []
        for d, (column, cells) in enumerate(zip(self.columns, self.cells, strict=True)):
            if cells:
                known = column_of(original.x, d)
                known = known if original.mask is None else known[original.mask[:, d]]
                point, truth = np.concatenate(cells, 1)
                errors.append(column_error(column, point, truth, known))
        return tuple(errors)


def _without_cells(drawn: Imputation) -> Imputation:
    """Return the diagnostics of rows, without values of cells."""
    return replace(
        drawn, x=drawn.x[:, :0].clone(), z=drawn.z[:, :0].clone(), mean=drawn.mean[:0].clone(), of_draws=None
    )


def _joined(parts: Sequence[Imputation]) -> Imputation:
    """Return the diagnostics of all rows."""

    def whole(name: str) -> torch.Tensor | None:
        values = [vars(part)[name] for part in parts]
        return None if values[0] is None else torch.cat(values)

    return replace(parts[0], **{name: whole(name) for name in ("ess", "k_hat", "acceptance", "r_hat")})
