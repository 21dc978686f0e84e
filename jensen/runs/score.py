"""Scores of rows: log p(x), p-values against rows that did not train the model, and their unlikely entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..analysis.column_scores import POINTS as COLUMN_POINTS
from ..analysis.column_scores import ColumnScores, column_scores
from ..analysis.conditional_points import check_conditionals
from ..analysis.conformal import p_values
from ..core.errors import CompositionError, DataError, NotNormalised, UsageError
from ..core.rows import evenly_spaced
from ..core.wording import plural
from ..data.cells import decode
from ..data.columns import Column
from ..evaluate import Estimate, Evaluator, Importance, choose
from ..evaluate.estimate import ProgressCallback, enough_points
from ..evaluate.quantity import EVIDENCE, Quantity
from .condition import column_names
from .data import RunData, Source, Targets
from .evaluation import Part, refuse_nan
from .result_frames import result_frame
from .row_values import identity_columns, row_values
from .trained_rows import trained_rows

__all__ = ["RowScores", "Unlikely", "score"]

POINTS = 1000  # per datum of an importance-weighted bound
HELD_OUT = 2000  # rows at most that others are compared with
HELD_OUT_CELLS = 500  # rows at most with whose entries those of others are compared
WIDEST = 256  # columns up to which each is scored unless asked otherwise


@dataclass(frozen=True)
class Unlikely:
    """An entry of a row, and how likely it is given the others of the row.

    Attributes:
        column: its name.
        value: the entry, as a table has it.
        log_p: log p(x_d | the other columns) in nats, in the column's own unit.
        alone: log p(x_d).
        p_value: the share of held-out rows whose entry in this column is as unlikely; None where there are none.
    """

    column: str
    value: str
    log_p: float
    alone: float
    p_value: float | None


@dataclass(frozen=True)
class RowScores:
    """The scores of rows, in nats and in the data's own units.

    Attributes:
        estimate: log p(x) of each row, with its kind.
        names: of the D columns.
        columns: log p of each entry, by itself and given the others; None where the columns are not scored.
        p_value: [N] conformal p-values of log p(x) against held-out rows; None where there are none.
        column_p_values: [N, D] those of log p(x_d | others), each against its own column; None likewise.
        typical: [D] the median over held-out rows of log p(x_d | others); None likewise.
        held_out: the name of these rows.
        data: the name of the rows.
        part: the rows.
        kinds: of the columns of a mixed table; None of others.
        notes: for the user.
        seed: of all Monte Carlo.
        quantity: log p(x), or log p(x | label) of a conditional model.
        identity: columns [N] that say which row it is.
    """

    estimate: Estimate
    names: tuple[str, ...]
    columns: ColumnScores | None
    p_value: np.ndarray | None
    column_p_values: np.ndarray | None
    typical: np.ndarray | None
    held_out: str | None
    data: str
    part: Part = field(repr=False)
    kinds: tuple[Column, ...] | None = None
    notes: tuple[str, ...] = ()
    seed: int = 0
    quantity: Quantity = EVIDENCE
    identity: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def log_px(self) -> np.ndarray:
        """log p(x) [N], or the bound on it that `estimate.kind` names."""
        return torch.as_tensor(self.estimate.nats).double().cpu().numpy()

    @property
    def given_others(self) -> np.ndarray | None:
        """log p(x_d | the other columns) [N, D]; NaN where an entry is missing."""
        return None if self.columns is None else self.columns.given_others.cpu().numpy()

    @property
    def alone(self) -> np.ndarray | None:
        """log p(x_d) [N, D]; NaN where an entry is missing."""
        return None if self.columns is None else self.columns.alone.cpu().numpy()

    def why(self, row: int) -> list[Unlikely]:
        """Return the entries of a row from the least likely on: by their p-values, since densities of columns in
        different units cannot be compared; of equal ones, by the distance from what is typical of the column.

        Without held-out rows it is the order of log p(x_d | others) itself.

        Raises:
            UsageError: the columns were not scored.
        """
        if self.columns is None:
            raise UsageError("the columns of these rows were not scored", "Score them with columns=True.")
        log_p, alone = (t[row].cpu().numpy() for t in (self.columns.given_others, self.columns.alone))
        p = None if self.column_p_values is None else self.column_p_values[row]
        order = self._order(row)
        return [
            Unlikely(
                self.names[d], self._cell(row, d), float(log_p[d]), float(alone[d]), None if p is None else float(p[d])
            )
            for d in order
        ]

    def least_likely(self, n: int) -> list[int]:
        """Return the n rows of the lowest log p(x), the lowest first."""
        return np.argsort(self.log_px, kind="stable")[:n].tolist()

    def place(self, row: int) -> str:
        """Return a row by its number in its source, or by its file."""
        if self.part.files is not None:
            return str(self.part.files[row])
        return f"row {row if self.part.numbers is None else int(self.part.numbers[row])}"

    def _cell(self, row: int, column: int) -> str:
        """Return an entry as a table has it."""
        value, kind = self.part.x[row, column], None if self.kinds is None else self.kinds[column]
        is_plain = kind is None or (kind.kind in ("real", "positive", "bounded") and kind.decimals is None)
        return f"{value:g}" if kind is None or is_plain else str(decode(kind, np.array([value]))[0])

    def _order(self, row: int) -> list[int]:
        """Return the numbers of the observed columns of a row, the least likely first."""
        others = self.given_others
        log_p = np.empty(0) if others is None else others[row]
        p = np.zeros(len(log_p)) if self.column_p_values is None else self.column_p_values[row]
        away = log_p if self.typical is None else log_p - self.typical
        order = np.lexsort((away, p))
        return [int(d) for d in order if not np.isnan(log_p[d])]

    @property
    def table(self) -> dict[str, np.ndarray]:
        """The columns [N] of a table of all rows: those that identify them, log p(x) with its kind, the p-value, the
        least likely columns, and log p of every entry given the others."""
        left_out = ("elbo", "rate", "distortion")
        values = row_values(self.estimate, self.quantity, self.identity)
        table = {name: column for name, column in values.items() if name not in left_out}
        if self.p_value is not None:
            table["p_value"] = self.p_value
        if self.columns is None:
            return table
        three = [", ".join(self.names[d] for d in self._order(i)[:3]) for i in range(len(self.log_px))]
        table["least_likely"] = np.array(three, dtype=object)
        others = self.columns.given_others.cpu().numpy()
        return table | {f"log p({name} | others)": others[:, d] for d, name in enumerate(self.names)}

    @property
    def frame(self) -> Any:
        """The table as a DataFrame of the library of the rows, with their index; see `result_frame`."""
        return result_frame(self.part, {k: v for k, v in self.table.items() if k not in self.identity}, self.identity)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of the means over rows."""
        record = {name: v for name, v in self.estimate.to_dict().items() if name not in ("elbo", "rate", "distortion")}
        others = self.given_others
        return {
            **record,
            "data": self.data,
            "units": "nats per datum",
            "held_out": self.held_out,
            "p_value_below_0.05": None if self.p_value is None else float(np.mean(self.p_value < 0.05)),
            "given_others": None
            if others is None
            else {name: _mean(others[:, d]) for d, name in enumerate(self.names)},
            "seed": self.seed,
            "notes": list(self.notes),
        }


def _mean(values: np.ndarray) -> float | None:
    """Return the mean of the numbers that are known; None if none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def score(
    run: RunData,
    data: Source | Part | None = None,
    *,
    labels: Targets | None = None,
    k: int | None = None,
    columns: bool | None = None,
    seed: int = 0,
    watch: Callable[[str], ProgressCallback] | None = None,
) -> RowScores:
    """Score rows, by default the run's test rows; see `jensen.Run.score`.

    Args:
        watch: returns the progress callback of a phase.

    Raises:
        NotNormalised: the model has no density. CompositionError: columns are asked for, and depend on each other.
    """
    evaluator = choose(run.model, run.guide, "auto", k)
    evaluator = Importance(POINTS) if isinstance(evaluator, Importance) and k is None else evaluator
    scorer = _Scorer(run, evaluator, k or COLUMN_POINTS, seed, watch)
    part = run.chosen(data, seed, True, labels, own="all").loaded()
    wanted, refusal = _scores_columns(run, columns)
    estimate = scorer.rows(part, "scoring rows")
    cells = scorer.cells(part, "scoring columns") if wanted else None
    held, is_own, of_held = _held_out(run, part, data, seed)
    p, column_p, typical = None, None, None
    if held is not None:
        theirs = estimate if is_own else scorer.rows(held, "scoring held-out rows")
        p = p_values(_array(estimate.nats), _array(theirs.nats), own=is_own)
        if cells is not None:
            some = cells if is_own else scorer.cells(_some(held, HELD_OUT_CELLS), "scoring their columns")
            others = _array(some.given_others)
            column_p = p_values(_array(cells.given_others), others, own=is_own)
            typical = np.array([np.median(c[~np.isnan(c)]) if (~np.isnan(c)).any() else 0.0 for c in others.T])
    seen = () if part.is_whole else trained_rows(run, part, data).notes  # which its notes say already
    notes = (*run.unfinished, *part.notes, *seen, *refusal, *of_held, *_few_points(cells))
    return RowScores(
        estimate=estimate,
        names=column_names(run),
        columns=cells,
        p_value=p,
        column_p_values=column_p,
        typical=typical,
        held_out=None if held is None else held.name,
        data=part.name,
        part=part,
        kinds=run.schema.columns,
        notes=notes,
        seed=seed,
        quantity=run.quantity,
        identity=identity_columns(part.row_numbers, part.files, part.identity, part.labels, run.schema.classes),
    )


@dataclass(frozen=True)
class _Scorer:
    """Scores rows and entries in the data's own units.

    Attributes:
        run: of the model.
        evaluator: of log p(x).
        k: points per datum, for entries.
        seed: of all Monte Carlo.
        watch: returns the progress callback of a phase.
    """

    run: RunData
    evaluator: Evaluator
    k: int
    seed: int
    watch: Callable[[str], ProgressCallback] | None

    def rows(self, part: Part, phase: str) -> Estimate:
        """Return log p(x) of rows.

        Raises:
            NotNormalised: it is not defined. NumericalError: that of a row is not finite.
        """
        progress = None if self.watch is None else self.watch(phase)
        estimate = self.evaluator(self.run.model, self.run.guide, part.rows, self.seed, progress)
        if estimate.nats is None:
            remedy = "Train a recipe with a density, such as vae."
            raise NotNormalised("log p(x) of an autoencoder is not defined: its prior is not trained", remedy)
        refuse_nan(estimate, part)
        return estimate.shifted(part.shift)

    def cells(self, part: Part, phase: str) -> ColumnScores:
        """Return log p of the entries of rows, with the log-Jacobian of each column's preparation."""
        run, progress = self.run, None if self.watch is None else self.watch(phase)
        mask = np.ones((len(part.rows), run.schema.size), dtype=bool) if part.mask is None else part.mask
        rows = run.preparation.masked(part.rows, mask)
        scores = column_scores(run.model, run.guide, rows, k=self.k, seed=self.seed, watch=progress)
        shift = torch.from_numpy(run.preparation.log_jacobians(np.eye(run.schema.size, dtype=bool)))
        return ColumnScores(scores.alone.cpu() + shift, scores.given_others.cpu() + shift, scores.ess, scores.k)


def _array(values: torch.Tensor | None) -> np.ndarray:
    return torch.as_tensor(values).double().cpu().numpy()


def _scores_columns(run: RunData, wanted: bool | None) -> tuple[bool, tuple[str, ...]]:
    """Return whether columns are scored, and a note where they are not for a reason of the model's.

    Raises:
        CompositionError, NotNormalised: they are asked for, and have no conditionals.
    """
    if wanted is False or (wanted is None and (run.schema.is_image or run.schema.size > WIDEST)):
        return False, ()
    try:
        check_conditionals(run.model, run.guide)
    except CompositionError as error:
        if wanted:
            raise
        return False, (f"columns are not scored: {error.what}",)
    return True, ()


def _held_out(
    run: RunData, part: Part, data: Source | Part | None, seed: int
) -> tuple[Part | None, bool, tuple[str, ...]]:
    """Return rows that did not train the model, whether these are the scored ones, and notes."""
    if data is None:
        held: Part | None = part
    else:
        try:
            held = run.part("test", seed)
        except (DataError, UsageError) as error:
            return None, False, (f"there are no p-values, since no rows were held out that can be read: {error.what}",)
    is_own = data is None or (part.own is not None and part.own.part != "train")
    notes = () if is_own else held.notes
    if any("validation" in note for note in held.notes):
        notes = (*notes, "validation rows may have chosen the epoch that was kept, so p-values are a little too high")
    return held if is_own else _some(held, HELD_OUT), is_own, notes


def _some(part: Part, most: int) -> Part:
    """Return rows of a part, evenly spaced, in memory."""
    if len(part.rows) <= most:
        return part.loaded()
    return part.subset(evenly_spaced(len(part.rows), most, part.rows.device), f"{most:,} of {part.name}")


def _few_points(cells: ColumnScores | None) -> tuple[str, ...]:
    """Return a note on entries whose score rests on too few points."""
    if cells is None or cells.ess is None or cells.k is None:
        return ()
    few, known = int((cells.ess < enough_points(cells.k)).sum()), int((~cells.ess.isnan()).sum())
    if not few:
        return ()
    rest = f"rest on too few of {cells.k:,} points: give more (-k {4 * cells.k})"
    return (f"log p(x_d | others) of {plural(few, 'entry')} of {known:,} {rest}",)
