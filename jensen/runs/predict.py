"""The distribution of one column given the others, and how good it is on rows where the column is known."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ..analysis.conditional_prediction import DRAWS, POINTS, ColumnPrediction, predictions_in_pieces
from ..analysis.prediction_scores import LevelOutcomes, Measure, number_measures
from ..core.errors import UsageError
from ..core.wording import plural
from ..data.columns import Column
from ..data.determined import finder
from ..data.file_rows import column_of
from ..evaluate.estimate import ProgressCallback
from .condition import column_index, column_names
from .data import RunData, Source
from .evaluation import Part
from .pieces import ROWS, InPieces
from .predicted_values import INTERVAL, column_at, names_of, numbers_of, probabilities_of
from .result_frames import result_frame
from .row_values import identity_columns
from .trained_rows import trained_rows

__all__ = ["Prediction", "predict", "predict_in_pieces"]


@dataclass(frozen=True, repr=False)
class Prediction:
    """p(column | the other observed columns) of N rows, in the data's own units.

    Attributes:
        column: its name.
        levels: names of the levels; empty for a column of numbers.
        probabilities: [N, L] of the levels; None for numbers.
        mean: [N] of numbers, of angles about the circle; None for levels.
        quantiles: [3, N], the median between the ends of the interval that holds 90 %; None for levels.
        log_prob: [N] log p(x_d | others) in nats where the column is known; NaN elsewhere.
        truth: [N] as stored, NaN where it is not known: numbers of levels, or numbers.
        measures: how good the predictions are, where the truth is known.
        drawn: the prediction as the model sees it, with its diagnostics.
        part: the rows.
        notes: for the user.
        seed: of all Monte Carlo.
        identity: columns [N] that say which row it is.
        any_known: whether the column is known in any row, where these are some of them; None where they are all.
    """

    column: str
    levels: tuple[str, ...]
    probabilities: np.ndarray | None
    mean: np.ndarray | None
    quantiles: np.ndarray | None
    log_prob: np.ndarray
    truth: np.ndarray
    measures: tuple[Measure, ...]
    drawn: ColumnPrediction
    part: Part = field(repr=False)
    notes: tuple[str, ...] = ()
    seed: int = 0
    identity: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    any_known: bool | None = None

    def __len__(self) -> int:
        return len(self.truth)

    def __repr__(self) -> str:
        of_known = f", known in {known:,}" if (known := int(self.known.sum())) else ", which is known in none"
        lines = [f"{self.column} of {self.data} (n = {len(self):,}){of_known}"]
        for m in self.measures:
            error = f" ± {m.stderr:.2g}" if m.stderr == m.stderr else ""
            expected = "" if m.expected is None else f" (a calibrated model: {m.expected:.4g})"
            lines.append(f"{m.name} {m.value:.4g}{error}{expected}")
        return "\n".join(lines)

    @property
    def data(self) -> str:
        """The name of the rows."""
        return self.part.name

    @property
    def known(self) -> np.ndarray:
        """[N], True where the column is known."""
        return ~np.isnan(self.truth)

    @property
    def value(self) -> np.ndarray:
        """The most probable level [N] by name, or the mean [N]."""
        if self.probabilities is None:
            return np.asarray(self.mean)
        return np.array(self.levels, dtype=object)[self.probabilities.argmax(1)]

    @property
    def table(self) -> dict[str, np.ndarray]:
        """The columns [N] of a table of all rows: those that identify them, the known value, what is predicted, and log
        p of the known one."""
        name, table = self.column, dict(self.identity)
        has_known = bool(self.known.any()) if self.any_known is None else self.any_known
        if has_known:
            table[name] = self._known_values()
        if self.probabilities is not None:
            table[f"{name}_predicted"] = self.value
            table |= {f"p({name}={level})": self.probabilities[:, i] for i, level in enumerate(self.levels)}
        elif self.quantiles is not None:
            table[f"{name}_mean"] = np.asarray(self.mean)
            table |= {f"{name}_{end}": q for end, q in zip(("low", "median", "high"), self.quantiles, strict=True)}
        if has_known:
            table["log_p"] = self.log_prob
        return table

    @property
    def frame(self) -> Any:
        """The table as a DataFrame of the library of the rows, with their index; see `result_frame`."""
        return result_frame(self.part, {k: v for k, v in self.table.items() if k not in self.identity}, self.identity)

    def _known_values(self) -> np.ndarray:
        """Return the known values [N], by name where they are levels; None or NaN elsewhere."""
        if not self.levels:
            return self.truth
        names = np.array(self.levels, dtype=object)[np.nan_to_num(self.truth).astype(int)]
        return np.where(self.known, names, "")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serialisable record of the measures."""
        drawn = self.drawn
        ess = None if drawn.ess is None else float(drawn.ess.double().median())
        return {
            "column": self.column,
            "data": self.data,
            "n": len(self),
            "known": int(self.known.sum()),
            "measures": {m.name: {"value": m.value, "stderr": m.stderr, "expected": m.expected} for m in self.measures},
            "k": drawn.k,
            "ess": ess,
            "seed": self.seed,
            "notes": list(self.notes),
        }


def predict(
    run: RunData,
    data: Source | Part | None,
    column: str,
    *,
    k: int | None = None,
    seed: int = 0,
    watch: ProgressCallback | None = None,
) -> Prediction:
    """Predict a column of rows, by default of the run's test rows; see `jensen.Run.predict`.

    Raises:
        UsageError: there is no such column, or the run models bits of grey values.
    """
    source = column_names(run)[_index(run, column)]
    part = run.chosen(data, seed, True, own="all", spare=(source,)).loaded()
    pieces = InPieces(_predicted(run, part, data, column, k, seed, watch, len(part.rows)))
    (prediction,) = pieces
    return replace(prediction, measures=pieces.summary.measures, notes=pieces.summary.notes)


def predict_in_pieces(
    run: RunData,
    data: Source | Part | None,
    column: str,
    *,
    k: int | None = None,
    seed: int = 0,
    watch: ProgressCallback | None = None,
    size: int = ROWS,
) -> InPieces[Prediction]:
    """Predict a column of so many rows after another: the numbers of each row are those of `predict`.

    Of all rows, only the numbers that measures are of are held.

    Args:
        run, data, column, k, seed, watch: see `predict`.
        size: rows of each; the last may have fewer.
    """
    source = column_names(run)[_index(run, column)]
    part = run.chosen(data, seed, True, own="all", spare=(source,))
    return InPieces(_predicted(run, part, data, column, k, seed, watch, size))


def _index(run: RunData, column: str) -> int:
    """Return the number of a column that can be predicted.

    Raises:
        UsageError: see `predict`.
    """
    determined = finder(run.schema.columns or (), column)
    index = column_index(run, column) if determined is None else determined[0]
    if run.preparation.binarize is not None:
        raise UsageError("this run models bits of grey values, and not the values themselves", "Use jensen impute.")
    return index


def _predicted(
    run: RunData,
    part: Part,
    data: Source | Part | None,
    column: str,
    k: int | None,
    seed: int,
    watch: ProgressCallback | None,
    size: int,
) -> Generator[Prediction, None, Prediction]:
    """Yield the predictions of so many rows after another, and return what holds for all rows."""
    index, width = _index(run, column), run.schema.size
    kind = column_at(run, index)
    mask = np.ones((len(part.rows), width), dtype=bool) if part.mask is None else part.mask
    rows = run.preparation.masked(part.rows, mask)
    levels, k = names_of(run, index, column), POINTS if k is None else k
    shift = float(run.preparation.log_jacobians(np.eye(width, dtype=bool)[index][None])[0])
    truth = np.where(mask[:, index], column_of(part.x, index), np.nan).astype(np.float64)
    unseen, of_unseen = _unseen(run, part, data, index, ~np.isnan(truth))
    whole = Prediction(
        column=column,
        levels=levels,
        probabilities=None,
        mean=None,
        quantiles=None,
        log_prob=np.empty(0),
        truth=truth,
        measures=(),
        drawn=ColumnPrediction(torch.empty(0, 0), None, torch.empty(0)),
        part=part,
        seed=seed,
        identity=identity_columns(part.row_numbers, part.files, part.identity, part.labels, run.schema.classes),
        any_known=bool((~np.isnan(truth)).any()),
    )
    how = {"size": size, "k": k, "m": 0 if levels else DRAWS, "seed": seed, "watch": watch}
    outcomes, diagnostics, start = _Outcomes(kind), list[ColumnPrediction](), 0
    for drawn in predictions_in_pieces(run.model, run.guide, rows, index, **how):
        some = slice(start, start + len(drawn.summary))
        probabilities = probabilities_of(drawn, levels)
        mean, quantiles = (None, None) if levels else numbers_of(run, drawn, index, kind)
        piece = replace(
            whole,
            probabilities=probabilities,
            mean=mean,
            quantiles=quantiles,
            log_prob=drawn.log_prob.cpu().numpy() + shift,
            truth=truth[some],
            drawn=drawn,
            identity={name: values[some] for name, values in whole.identity.items()},
        )
        outcomes.add(piece, unseen[some] & ~np.isnan(truth[some]))
        diagnostics.append(replace(drawn, summary=drawn.summary[:0].clone(), draws=None))
        start = some.stop
        yield piece
    diagnosed = _joined(diagnostics)
    notes = (*run.unfinished, *part.notes, *of_unseen, *_few_points(diagnosed))
    return replace(whole, measures=outcomes.measures(seed), drawn=diagnosed, notes=notes)


def _joined(parts: Sequence[ColumnPrediction]) -> ColumnPrediction:
    """Return the diagnostics of all rows."""
    first = parts[0]
    ess, k_hat = (
        None if vars(first)[name] is None else torch.cat([vars(part)[name] for part in parts])
        for name in ("ess", "k_hat")
    )
    return replace(first, log_prob=torch.cat([part.log_prob for part in parts]), ess=ess, k_hat=k_hat)


class _Outcomes:
    """The numbers of rows that measures are of, of some rows after another.

    Args:
        column: what is known of the column; None of other tables than mixed ones.
    """

    def __init__(self, column: Column | None) -> None:
        self.column = column
        self.of_levels: list[LevelOutcomes] = []
        self.of_numbers: list[np.ndarray] = []

    def add(self, piece: Prediction, known: np.ndarray) -> None:
        """Take those of the rows where this is True."""
        if not known.any():
            return
        truth = piece.truth
        if piece.probabilities is not None:
            self.of_levels.append(LevelOutcomes.of(piece.probabilities[known], truth[known].astype(int)))
        elif piece.mean is not None and piece.quantiles is not None:
            column, mean, quantiles = self.column, piece.mean, piece.quantiles
            if column is not None and column.low is not None and column.high is not None and column.kind == "circular":
                period = column.high - column.low  # the truth at its nearest turn to the mean, and the ends too
                truth, quantiles = (_near(v, mean, period) for v in (truth, quantiles))
            low, _, high = quantiles
            self.of_numbers.append(np.stack([v[known] for v in (mean, low, high, piece.log_prob, truth)]))

    def measures(self, seed: int) -> tuple[Measure, ...]:
        """Return the measures; none if there are no such rows."""
        if self.of_levels:
            return tuple(LevelOutcomes.joined(self.of_levels).measures(seed))
        if not self.of_numbers:
            return ()
        mean, low, high, log_prob, truth = np.concatenate(self.of_numbers, 1)
        return tuple(number_measures(mean, low, high, log_prob, truth, INTERVAL))


def _unseen(
    run: RunData, part: Part, data: Source | Part | None, index: int, known: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return [N], True for the rows on which predictions are measured, and notes.

    Of the very data that the run was trained on, and of others that hold some of its rows, these are the rows that did
    not train it.

    Args:
        run: of the model.
        part: the rows.
        data: that they were chosen by.
        index: of the column.
        known: [N], True where it is known.
    """
    unseen = np.ones(len(part.rows), dtype=bool)
    if part.is_whole:
        unseen[run.split().train[:]] = False
        return unseen, (f"measured on the {int((unseen & known).sum()):,} rows that did not train the model",)
    trained = trained_rows(run, part, data, None if known.any() else index)
    if not (trained.are_same and trained.equal is not None and trained.equal.any()):
        return unseen, trained.notes
    if not known.any():
        n = int(trained.equal.sum())
        return unseen, (
            f"{n} of these {len(unseen)} rows were trained on: predictions of them are better than of others",
        )
    unseen = ~trained.equal
    n = int((unseen & known).sum())
    return unseen, (f"measured on {n:,} of these {len(unseen):,} rows: {int(trained.equal.sum()):,} trained the model",)


def _near(values: np.ndarray, mean: np.ndarray, period: float) -> np.ndarray:
    """Return points of a circle by the turn that is nearest to these means."""
    return mean + np.mod(values - mean + period / 2, period) - period / 2


def _few_points(drawn: ColumnPrediction) -> tuple[str, ...]:
    """Return a note on rows whose prediction rests on too few points."""
    if drawn.unreliable is None or drawn.k is None or not drawn.unreliable.any():
        return ()
    few, n = int(drawn.unreliable.sum()), len(drawn.unreliable)
    return (f"predictions of {plural(few, 'row')} of {n:,} rest on too few of {drawn.k:,} points: give more (-k)",)
