"""Missing cells of a mixed table: draws, points and intervals, in the data's own units and in the table's own form."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..analysis.draw_summaries import mode, quantiles
from ..analysis.imputation import Imputation, Statistics
from ..core.errors import UsageError
from ..data import Preparation
from ..data.cells import decode
from ..data.columns import Column
from ..data.output_tables import OutputTable, filled
from ..data.table_values import as_written, plain_array
from ..families import Columns
from .evaluation import Part
from .table_results import given_table

__all__ = ["POINTS", "ColumnError", "PointSettings", "TableCompletion", "column_error", "complete_table"]

POINTS = ("auto", "mean", "median", "mode")
DRAWS = 200  # of each cell, for its median, mode and interval


@dataclass(frozen=True)
class PointSettings:
    """The one value of each missing cell, and its interval.

    Attributes:
        columns: the D columns.
        family: of p(x | z).
        point: "mean", "median" or "mode" of numbers; "auto" is the median of counts, whose mean is far from most of
            them, and the mean of other numbers.
        level: the probability of intervals; None for no intervals.
        summary: of columns where they are missing, from parameters, and which are hidden on purpose (see
            `Conditional.missing_summary`); None for that of the family.

    Raises:
        UsageError: there is no such point, or the probability is not between 0 and 1.
    """

    columns: tuple[Column, ...]
    family: Columns
    point: str = "auto"
    level: float | None = None
    summary: Callable[[Tensor, Tensor | None], Tensor] | None = None

    def __post_init__(self) -> None:
        if self.point not in POINTS:
            raise UsageError(f"--point must be one of {', '.join(POINTS)}, got {self.point}", "Choose one of them.")
        if self.level is not None and not 0 < self.level < 1:
            raise UsageError(
                f"--intervals must be above 0 and below 1, got {self.level:g}", "Give a probability: --intervals 0.9."
            )

    @property
    def are_levelled(self) -> Tensor:
        """[D], True for columns of names."""
        return torch.tensor([column.is_levelled for column in self.columns])

    @property
    def are_counts(self) -> Tensor:
        """[D], True for columns of counts."""
        return torch.tensor([column.kind == "count" for column in self.columns])

    @property
    def of_draws(self) -> tuple[str, ...]:
        """The names of the statistics of draws, D numbers each."""
        own = {"mean": [], "auto": ["median"] if bool(self.are_counts.any()) else []}.get(self.point, [self.point])
        return (*own, *([] if self.level is None else ["low", "high"]))

    @property
    def statistics(self) -> Statistics:
        """The statistics that are computed where missing cells are drawn."""
        circular = torch.tensor([column.kind == "circular" for column in self.columns])
        half = 0.0 if self.level is None else self.level / 2

        def of_draws(draws: Tensor) -> Tensor:
            angles, parts = circular.to(draws.device), [draws.new_zeros(draws.shape[1], 0)]
            if self.point == "mode":
                parts.append(mode(draws, angles))
            levels = [0.5] if "median" in self.of_draws else []
            levels += [] if self.level is None else [0.5 - half, 0.5 + half]
            parts += list(quantiles(draws, levels, angles)) if levels else []
            return torch.cat(parts, -1)

        def of_family(params: Tensor, hidden: Tensor | None) -> Tensor:
            return self.family.summary(params)

        return Statistics(self.summary or of_family, of_draws, DRAWS if self.of_draws else 1)

    def values(self, drawn: Imputation, name: str) -> Tensor:
        """Return one of those that are computed of draws [N, D]."""
        size, place = len(self.columns), self.of_draws.index(name)
        return torch.as_tensor(drawn.of_draws)[:, place * size : (place + 1) * size]


@dataclass(frozen=True)
class ColumnError:
    """The error of the points in the cells of a column that were hidden.

    Attributes:
        name: of the column.
        is_levelled: True if its values are names.
        n: hidden cells whose value is known.
        error: root mean square error of numbers; fraction of wrong names.
        sd: standard deviation of all known values of the column in these rows; None of names.
        range: the largest of them less the smallest; None of names.
    """

    name: str
    is_levelled: bool
    n: int
    error: float
    sd: float | None = None
    range: float | None = None

    @property
    def relative(self) -> float:
        """The error in standard deviations of the column; of names, the fraction of wrong ones."""
        return self.error if self.sd is None else self.error / self.sd if self.sd > 0 else float("nan")

    def __str__(self) -> str:
        if self.is_levelled:
            return f"{self.name}: {self.error:.1%} of {self.n:,} wrong"
        return f"{self.name}: root mean square error {self.error:.4g} ({self.relative:.3f} sd) of {self.n:,}"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-serialisable values."""
        kind = "error rate" if self.is_levelled else "rmse"
        scale = {"sd": self.sd, "range": self.range}
        return {"column": self.name, "n": self.n, "measure": kind, "error": self.error, **scale}


@dataclass(frozen=True)
class TableCompletion:
    """The missing cells of N rows of a mixed table: m draws of each, one value, and an interval.

    Numbers are as a data set stores them: those of levels, seconds, and so on (see `jensen.data.columns.Column`).
    Observed cells have their value everywhere.

    Attributes:
        x: [m, N, D] draws, as their columns are written.
        mean: [N, D] E[x | x_observed], not rounded; of names the most probable one.
        point: [N, D] the value that is written: mean, median or mode by the settings, as its column is written.
        low, high: [N, D] the ends of intervals, NaN for names and observed cells; None if none were asked for.
        probability: [N, D] of the point, of names; NaN for others and observed cells.
        mask: [N, D], True where observed.
        truth: [N, D] the data with the cells that were hidden, NaN where missing; None where none were hidden.
        drawn: the draws in the model's space, with their diagnostics.
        part: the rows.
        settings: of points and intervals.
        notes: for the user.
        levels: by column, the objects that stand for levels, where these are some rows of a table in files; else None.
        holed: [D], True for columns with a missing cell in any row of the table, where these are some rows; else None.
        known_errors: the errors of the points, where those of cells are not held; else None.
    """

    x: np.ndarray
    mean: np.ndarray
    point: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None
    probability: np.ndarray
    mask: np.ndarray
    truth: np.ndarray | None
    drawn: Imputation
    part: Part
    settings: PointSettings
    notes: tuple[str, ...] = ()
    levels: Mapping[str, Mapping[str, Any]] | None = None
    holed: np.ndarray | None = None
    known_errors: tuple[ColumnError, ...] | None = None

    @property
    def data(self) -> str:
        """The name of the rows."""
        return self.part.name

    @property
    def columns(self) -> tuple[Column, ...]:
        """The D columns."""
        return self.settings.columns

    @property
    def errors(self) -> tuple[ColumnError, ...]:
        """The error of the points in each column with hidden cells whose values are known."""
        if self.known_errors is not None or self.truth is None:
            return self.known_errors or ()
        errors = []
        for d, column in enumerate(self.columns):
            truth = self.truth[:, d]
            scored = ~self.mask[:, d] & ~np.isnan(truth)
            if scored.any():
                errors.append(column_error(column, self.point[scored, d], truth[scored], truth[~np.isnan(truth)]))
        return tuple(errors)

    def table(self) -> OutputTable:
        """Return the table as it was given, with the points in missing cells, and columns of intervals at the end."""
        table = self._filled(self._given(), self.point)
        for name, column, values in self._ends():
            missing = ~np.isnan(values)
            cells = values if column is None else plain_array(column, values, missing)
            if column is not None and self._is_text:
                cells = _texts(column, values, missing)
            table = table.inserted(len(table.names), name, cells)
        return table

    @property
    def written_columns(self) -> tuple[Column, ...]:
        """The kinds of the columns of `table`: of those that are data, and of the ends of their intervals."""
        return (*self.columns, *(replace(column, name=name) for name, column, _ in self._ends() if column is not None))

    def _ends(self) -> Iterator[tuple[str, Column | None, np.ndarray]]:
        """Yield name, kind and numbers [N] of each column of intervals; None is the kind of probabilities of names."""
        if self.low is None or self.high is None:
            return
        taken = set(self._given().names)
        holed = ~np.asarray(self.mask.all(0)) if self.holed is None else self.holed
        for d, column in enumerate(self.columns):
            if not holed[d]:
                continue
            if column.is_levelled:
                ends = [("probability", None, np.round(self.probability[:, d], 4))]
            else:
                ends = [("low", column, self.low[:, d]), ("high", column, self.high[:, d])]
            for name, kind, values in ends:
                free = _free(f"{column.name}_{name}", taken)
                taken.add(free)
                yield free, kind, values

    def versions(self) -> Iterator[OutputTable]:
        """Yield m tables as they were given, each with one draw in missing cells."""
        for x in self.x:
            yield self._filled(self._given(), x)

    def numbered_versions(self) -> Iterator[OutputTable]:
        """Yield the parts of `stacked`."""
        for number, table in enumerate(self.versions(), 1):
            if len(self.x) == 1:
                yield table
            else:
                yield table.inserted(0, _free("version", table.names), np.full(len(table), number))

    def stacked(self) -> OutputTable:
        """Return all versions one after another; where there are several, after a column with their number."""
        m, n = self.x.shape[:2]
        table = self._given().repeated(m)
        table = self._filled(table, self.x.reshape(m * n, -1), np.tile(~self.mask, (m, 1)))
        number = np.repeat(np.arange(1, m + 1), n)
        return table if m == 1 else table.inserted(0, _free("version", table.names), number)

    def _given(self) -> OutputTable:
        return given_table(self.part, self.columns)

    def _filled(self, table: OutputTable, x: np.ndarray, where: np.ndarray | None = None) -> OutputTable:
        return filled(table, self.part.frame, self.columns, x, ~self.mask if where is None else where, self.levels)

    @property
    def _is_text(self) -> bool:
        """True if all cells of the table that was given are texts."""
        frame = self.part.frame
        return frame is None or frame.source_kind in ("csv", "array")


def _texts(column: Column, values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return numbers [N] of a column as texts; None in other cells than `where`."""
    texts = np.full(len(values), None, dtype=object)
    texts[where] = decode(column, values[where])
    return texts


def _free(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: the name itself, or with a number."""
    return next(n for i in range(1, len(taken) + 2) if (n := name if i == 1 else f"{name} ({i})") not in taken)


def column_error(column: Column, values: np.ndarray, truth: np.ndarray, known: np.ndarray) -> ColumnError:
    """Return the error of values [M] against the truth [M].

    Args:
        column: of the values.
        values: of hidden cells.
        truth: of the same cells.
        known: all known values of the column.
    """
    if column.is_levelled:
        return ColumnError(column.name, True, len(truth), float((values != truth).mean()))
    differences = values - truth
    if column.kind == "circular" and column.low is not None and column.high is not None:
        period = column.high - column.low
        differences = np.mod(differences + period / 2, period) - period / 2
    rmse = float(np.sqrt(np.mean(differences**2)))
    return ColumnError(column.name, False, len(truth), rmse, float(known.std()), float(np.ptp(known)))


def complete_table(
    part: Part, drawn: Imputation, original: Part, settings: PointSettings, preparation: Preparation
) -> TableCompletion:
    """Return draws, points and intervals in the data's own units.

    Args:
        part: the rows, with a mask.
        drawn: the draws for them, with the statistics of the settings.
        original: the rows before anything was hidden.
        settings: of points and intervals.
        preparation: of the run.
    """
    columns, own = settings.columns, part.x[:]
    mask = np.ones(own.shape, dtype=bool) if part.mask is None else part.mask
    holed = drawn.holed  # rows with missing cells, for which alone anything was computed
    summary = drawn.mean[holed]

    def completed(x: Tensor | np.ndarray) -> np.ndarray:
        """Return numbers of the model's space for rows with missing cells [..., H, D] in those of all rows."""
        values = np.broadcast_to(own, (*x.shape[:-2], *own.shape)).copy()
        values[..., holed.cpu().numpy(), :] = preparation.invert(x)
        return np.where(mask, own, values)

    def ends(name: str, rounded: np.ufunc) -> np.ndarray:
        """Return one of the ends of intervals; NaN of names and observed cells."""
        end = completed(settings.values(drawn, name)[holed])
        end = as_written(columns, np.where([column.is_discrete for column in columns], rounded(end), end))
        return np.where(mask | [column.is_levelled for column in columns], np.nan, end)

    expected, levelled = settings.family.point(summary, "mean"), settings.are_levelled.to(summary.device)
    names = settings.family.point(summary, "median" if settings.point == "median" else "mode")
    numbers = expected
    if "median" in settings.of_draws or settings.point == "mode":
        of_draws = settings.values(drawn, settings.of_draws[0])[holed]
        chosen = settings.are_counts if settings.point == "auto" else torch.ones(len(columns), dtype=torch.bool)
        numbers = torch.where(chosen.to(expected.device), of_draws.to(expected), expected)
    point = completed(torch.where(levelled, names, numbers))
    point = np.where(mask, own, as_written(columns, point))
    truth = None
    if not (mask if original.mask is None else mask | ~original.mask).all():
        truth = np.where(True if original.mask is None else original.mask, original.x[:], np.nan)
    probability = np.full(point.shape, np.nan)
    probability[holed.cpu().numpy()] = _probabilities(settings, summary.cpu().numpy(), point[holed.cpu().numpy()])
    return TableCompletion(
        x=np.where(mask, own, as_written(columns, completed(drawn.x[:, holed]))),
        mean=completed(torch.where(levelled, names, expected)),
        point=point,
        low=None if settings.level is None else ends("low", np.floor),
        high=None if settings.level is None else ends("high", np.ceil),
        probability=np.where(mask, np.nan, probability),
        mask=mask,
        truth=truth,
        drawn=drawn,
        part=part,
        settings=settings,
        notes=(*part.notes, *([] if drawn.warning is None else [drawn.warning])),
    )


def _probabilities(settings: PointSettings, summary: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Return the probability [N, D] of each point, of names; NaN of others."""
    probability = np.full(point.shape, np.nan)
    for d, (column, place) in enumerate(zip(settings.columns, settings.family.summary_slices, strict=True)):
        if column.is_levelled:
            of_levels = summary[:, place]
            number = point[:, d].astype(np.int64)
            probability[:, d] = np.take_along_axis(of_levels, number[:, None], 1)[:, 0]
    return probability
