"""The scores of rows: how likely they are, and which of their entries are unlikely."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..analysis.column_scores import ColumnScores
from ..core.errors import UsageError
from ..data.cells import decode
from ..data.columns import Column
from ..evaluate import Estimate
from ..evaluate.quantity import EVIDENCE, Quantity
from .evaluation import Part
from .result_frames import result_frame
from .row_measures import RowMeasure
from .row_values import row_values

__all__ = ["COMPARED", "RowScores", "Unlikely"]

SHOWN = 5  # rows of the text of the scores
WIDTH = 40  # letters of an identifier
COMPARED = "log_px_with_mean_of_missing"  # the column of what rows with holes are compared by
MEAN_OF_MISSING = "mean log p(x_d | others) of each missing cell, over training rows"


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


@dataclass(frozen=True, repr=False)
class RowScores:
    """The scores of rows, in nats and in the data's own units.

    Attributes:
        estimate: log p(x) of each row, with its kind.
        names: of the D columns.
        columns: log p of each entry, by itself and given the others; None where the columns are not scored.
        p_value: [N] conformal p-values of `compared` against held-out rows; None where there are none.
        column_p_values: [N, D] those of log p(x_d | others), each against its own column; None likewise.
        typical, lowest: [D] the median, and the least, of log p(x_d | others) over held-out rows; None likewise.
        held_out: the name of these rows.
        data: the name of the rows.
        part: the rows.
        kinds: of the columns of a mixed table; None of others.
        notes: for the user.
        seed: of all Monte Carlo.
        quantity: log p(x), or log p(x | label) of a conditional model.
        identity: columns [N] that say which row it is.
        kept: numbers of the rows whose entries `columns` and `column_p_values` hold; None where they hold all.
        means: by column, the mean of log p(x_d | others) where these are not of all rows.
        compared: [N] what rows are compared by where some have holes: log p(x) of the observed entries plus the offset
            of each missing one. None where it is log p(x).
        offsets: by column, the mean of log p(x_d | others) over training rows; None likewise.
        measures: typicality and regret of rows, where they were asked for.
    """

    estimate: Estimate
    names: tuple[str, ...]
    columns: ColumnScores | None
    p_value: np.ndarray | None
    column_p_values: np.ndarray | None
    typical: np.ndarray | None
    lowest: np.ndarray | None
    held_out: str | None
    data: str
    part: Part = field(repr=False)
    kinds: tuple[Column, ...] | None = None
    notes: tuple[str, ...] = ()
    seed: int = 0
    quantity: Quantity = EVIDENCE
    identity: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    kept: tuple[int, ...] | None = None
    means: dict[str, float | None] | None = None
    compared: np.ndarray | None = field(default=None, repr=False)
    offsets: dict[str, float] | None = field(default=None, repr=False)
    measures: dict[str, RowMeasure] = field(default_factory=dict)

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

    @property
    def compared_by(self) -> str:
        """The quantity that rows are compared and ordered by, in words."""
        return str(self.quantity) if self.offsets is None else f"{self.quantity} + {MEAN_OF_MISSING}"

    def why(self, row: int) -> list[Unlikely]:
        """Return the entries of a row from the least likely on.

        First come those below every held-out entry of their column, by how far below, in nats, which has no unit; then
        the others by their p-values, since densities of columns in different units cannot be compared, and of equal
        ones by the distance from what is typical of the column.

        Without held-out rows it is the order of log p(x_d | others) itself.

        Raises:
            UsageError: the columns were not scored.
        """
        if self.columns is None:
            raise UsageError("the columns of these rows were not scored", "Score them with columns=True.")
        at = row if self.kept is None else self.kept.index(row)
        log_p, alone = (t[at].cpu().numpy() for t in (self.columns.given_others, self.columns.alone))
        p = None if self.column_p_values is None else self.column_p_values[at]
        order = self._order(at)
        return [
            Unlikely(
                self.names[d], self._cell(row, d), float(log_p[d]), float(alone[d]), None if p is None else float(p[d])
            )
            for d in order
        ]

    def least_likely(self, n: int) -> list[int]:
        """Return the n rows of the lowest log p(x), with the offsets of missing entries, the lowest first."""
        return np.argsort(self.log_px if self.compared is None else self.compared, kind="stable")[:n].tolist()

    def place(self, row: int) -> str:
        """Return a row by its number in its source, or by its file."""
        if self.part.files is not None:
            return str(self.part.files[row])
        return f"row {row if self.part.numbers is None else int(self.part.numbers[row])}"

    def found_by(self, row: int) -> str | None:
        """Return by what a row is found in its source: the first of the columns kept beside the data, or the line of a
        file of text; None where there is neither."""
        for name, values in self.part.identity.items():
            text = str(values[row])
            if text:
                return f"{name} = {text if len(text) <= WIDTH else text[: WIDTH - 3] + '...'}"
        frame = self.part.frame
        return None if frame is None or frame.lines is None else f"line {frame.lines[row]}"

    def __repr__(self) -> str:
        lines = [f"{self.estimate.sentence(str(self.quantity))} on {self.data} (n = {len(self.log_px):,})"]
        for i in self.least_likely(SHOWN):
            where, p = self.found_by(i), "" if self.p_value is None else f", p = {self.p_value[i]:.2g}"
            lines.append(f"{self.place(i)}{'' if where is None else f' ({where})'}: log p {self.log_px[i]:.2f}{p}")
        return "\n".join(lines)

    def _cell(self, row: int, column: int) -> str:
        """Return an entry as a table has it."""
        value, kind = self.part.x[row, column], None if self.kinds is None else self.kinds[column]
        is_plain = kind is None or (kind.kind in ("real", "positive", "bounded") and kind.decimals is None)
        return f"{value:g}" if kind is None or is_plain else str(decode(kind, np.array([value]))[0])

    def _order(self, row: int) -> list[int]:
        """Return the numbers of the observed columns of a row of the entries that are held, the least likely first."""
        others = self.given_others
        log_p = np.empty(0) if others is None else others[row]
        p = np.zeros(len(log_p)) if self.column_p_values is None else self.column_p_values[row]
        away = log_p if self.typical is None else log_p - self.typical
        if self.lowest is not None:
            below = log_p < self.lowest
            p, away = np.where(below, -1.0, p), np.where(below, log_p - self.lowest, away)
        order = np.lexsort((away, p))
        return [int(d) for d in order if not np.isnan(log_p[d])]

    @property
    def table(self) -> dict[str, np.ndarray]:
        """The columns [N] of a table of all rows: those that identify them, log p(x) with its kind, what is compared
        where rows have holes, the p-value, the least likely columns, and log p of every entry given the others."""
        left_out = ("elbo", "rate", "distortion")
        values = row_values(self.estimate, self.quantity, self.identity)
        table = {name: column for name, column in values.items() if name not in left_out}
        if self.compared is not None:
            table[COMPARED] = self.compared
        if self.p_value is not None:
            table["p_value"] = self.p_value
        for measure in self.measures.values():
            table |= measure.table
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
            "compared": self.compared_by,
            "offsets": self.offsets,
            "p_value_below_0.05": None if self.p_value is None else float(np.mean(self.p_value < 0.05)),
            "given_others": self.means
            if others is None or self.means is not None
            else {name: _mean(others[:, d]) for d, name in enumerate(self.names)},
            "measures": {name: measure.to_dict() for name, measure in self.measures.items()},
            "seed": self.seed,
            "notes": list(self.notes),
        }


def _mean(values: np.ndarray) -> float | None:
    """Return the mean of the numbers that are known; None if none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
