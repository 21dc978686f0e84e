"""Scores of rows: log p(x), p-values against rows that did not train the model, and their unlikely entries."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..analysis.column_scores import POINTS as COLUMN_POINTS
from ..analysis.column_scores import ColumnScores, scores_in_pieces
from ..analysis.conditional_points import check_conditionals
from ..analysis.conformal import hole_offsets, p_values, with_offsets
from ..core.errors import CompositionError, DataError, NotNormalised, UsageError
from ..core.rows import evenly_spaced
from ..core.wording import plural
from ..evaluate import Estimate, Evaluator, Importance, choose
from ..evaluate.estimate import ProgressCallback, enough_points
from .condition import column_names
from .data import RunData, Source, Targets
from .evaluation import Part, refuse_nan
from .pieces import ROWS, InPieces
from .row_scores import RowScores, Unlikely
from .row_values import identity_columns
from .scored_rows import rows_to_score
from .trained_rows import trained_rows

__all__ = ["RowScores", "Unlikely", "held_out_evidence", "log_evidence", "score", "score_in_pieces"]

POINTS = 1000  # per datum of an importance-weighted bound
HELD_OUT = 2000  # rows at most that others are compared with
OFFSET_ROWS = 300  # training rows at most whose entries say what stands for a missing one
HELD_OUT_CELLS = 500  # rows at most with whose entries those of others are compared
KEPT = 100  # rows, the least likely ones, whose entries are kept where those of all are not
WIDEST = 256  # columns up to which each is scored unless asked otherwise


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
    part = rows_to_score(run, data, labels=labels, seed=seed).loaded()
    pieces = InPieces(_scored(_Scorer.of(run, k, seed, watch), part, data, columns, len(part.rows)))
    (scores,) = pieces
    return replace(scores, notes=pieces.summary.notes)


def score_in_pieces(
    run: RunData,
    data: Source | Part | None = None,
    *,
    labels: Targets | None = None,
    k: int | None = None,
    columns: bool | None = None,
    seed: int = 0,
    watch: Callable[[str], ProgressCallback] | None = None,
    size: int = ROWS,
) -> InPieces[RowScores]:
    """Score so many rows after another: the numbers of each row are those of `score`.

    log p(x) and p-values of all rows are held. Of entries, those of the rows that are least likely are; of the run's
    own test rows, which are compared with each other, all.

    Args:
        run, data, labels, k, columns, seed, watch: see `score`.
        size: rows of each; the last may have fewer.
    """
    part = rows_to_score(run, data, labels=labels, seed=seed)
    return InPieces(_scored(_Scorer.of(run, k, seed, watch), part, data, columns, size))


def log_evidence(run: RunData, part: Part, *, k: int | None = None, seed: int = 0) -> Estimate:
    """Return log p(x) of rows, as `score` estimates it, without their p-values and entries.

    Args:
        run: of the model.
        part: the rows.
        k, seed: see `score`.

    Raises:
        NotNormalised: the model has no density.
    """
    return _Scorer.of(run, k, seed, None).rows(part, "")


def held_out_evidence(run: RunData, *, k: int | None = None, seed: int = 0) -> np.ndarray | None:
    """Return log p(x) of the rows [M] that `score` compares others with; None where none were held out, or can be read.

    Args:
        run: of the model.
        k, seed: see `score`.
    """
    try:
        held = run.part("test", seed)
    except (DataError, UsageError):
        return None
    return _array(log_evidence(run, _some(held, HELD_OUT), k=k, seed=seed).nats)


def _scored(
    scorer: _Scorer, part: Part, data: Source | Part | None, columns: bool | None, size: int
) -> Generator[RowScores, None, RowScores]:
    """Yield the scores of so many rows after another, and return what holds for all rows."""
    run, n = scorer.run, len(part.rows)
    wanted, refusal = _scores_columns(run, columns)
    estimate = scorer.rows(part, "scoring rows")
    held, is_own, of_held = _held_out(run, part, data, scorer.seed)
    cells, others, p = None, None, None
    offsets, of_holes = _offsets(scorer, part, None if is_own else held, wanted)
    compared = with_offsets(_array(estimate.nats), part.mask, offsets)
    if wanted:
        cells = scorer.cells(part, "scoring columns", size)
    if held is not None:
        theirs = estimate if is_own else scorer.rows(held, "scoring held-out rows")
        p = p_values(compared, with_offsets(_array(theirs.nats), held.mask, offsets), own=is_own)
    if held is not None and cells is not None:
        if is_own:
            some = held_cells = list(cells)
        else:
            held_cells, some = cells, scorer.cells(_some(held, HELD_OUT_CELLS), "scoring their columns", HELD_OUT_CELLS)
        others, cells = np.concatenate([_array(each.given_others) for each in some]), iter(held_cells)
    whole = _of_all(scorer, part, estimate, p, others, None if held is None else held.name)
    if offsets is not None:
        whole = replace(whole, compared=compared, offsets=dict(zip(whole.names, offsets.tolist(), strict=True)))
    entries = _Entries(whole)
    for start in range(0, n, size):
        stop = min(start + size, n)
        some = None if cells is None else next(cells)
        column_p = None
        if some is not None and others is not None:
            column_p = p_values(_array(some.given_others), others, own=is_own)
        entries.add(start, some, column_p)
        yield replace(
            whole,
            estimate=estimate.some(start, stop),
            columns=some,
            p_value=None if p is None else p[start:stop],
            compared=None if offsets is None else compared[start:stop],
            column_p_values=column_p,
            identity={name: values[start:stop] for name, values in whole.identity.items()},
        )
    seen = () if part.is_whole else trained_rows(run, part, data).notes  # which its notes say already
    notes = (*run.unfinished, *part.notes, *seen, *refusal, *of_held, *of_holes, *entries.notes)
    return replace(entries.summary, notes=notes)


def _offsets(scorer: _Scorer, part: Part, held: Part | None, wanted: bool) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return what stands for a missing entry of each column [D] where rows are compared, and notes.

    It is of training rows, which are not compared. There is none where no row has a hole, and, with a note, where the
    entries of rows are not scored or no training row can be read.

    Args:
        scorer: of them.
        part: the rows.
        held: other rows that they are compared with.
        wanted: whether entries are scored.
    """
    holed = _with_holes(part)
    if not holed and not _with_holes(held):
        return None, ()
    of = f"{plural(holed, 'row')} of {len(part.rows):,} have" if holed != 1 else f"1 row of {len(part.rows):,} has"
    among = f", and {_with_holes(held):,} of the {len(held.rows):,} held-out ones" if held is not None else ""
    without = f"{of} missing cells{among}: they are compared by log p of their observed cells alone, since "
    if not wanted:
        return None, (f"{without}columns are not scored",)
    try:
        trained = _some(scorer.run.part("train", scorer.seed), OFFSET_ROWS)
    except (DataError, UsageError) as error:
        return None, (f"{without}no training rows can be read: {error.what}",)
    cells = scorer.cells(trained, "scoring training columns", len(trained.rows))
    return hole_offsets(np.concatenate([_array(each.given_others) for each in cells])), ()


def _with_holes(part: Part | None) -> int:
    """Return the number of rows with missing entries."""
    return 0 if part is None or part.mask is None else int((~part.mask.all(1)).sum())


def _of_all(
    scorer: _Scorer, part: Part, estimate: Estimate, p: np.ndarray | None, others: np.ndarray | None, held: str | None
) -> RowScores:
    """Return the scores of all rows, without those of entries.

    Args:
        scorer: of them.
        part: the rows.
        estimate: of log p(x).
        p: the p-values of rows.
        others: [M, D] log p(x_d | others) of held-out rows.
        held: the name of these rows.
    """
    run, typical = scorer.run, None
    if others is not None:
        typical = np.array([np.median(c[~np.isnan(c)]) if (~np.isnan(c)).any() else 0.0 for c in others.T])
    return RowScores(
        estimate=estimate,
        names=column_names(run),
        columns=None,
        p_value=p,
        column_p_values=None,
        typical=typical,
        held_out=held,
        data=part.name,
        part=part,
        kinds=run.schema.columns,
        seed=scorer.seed,
        quantity=run.quantity,
        identity=identity_columns(part.row_numbers, part.files, part.identity, part.labels, run.schema.classes),
    )


class _Entries:
    """The scores of entries that are kept, of some rows after another: their means, and those of a few rows.

    Args:
        whole: the scores of all rows.
    """

    def __init__(self, whole: RowScores) -> None:
        self.whole, self.kept = whole, np.array(sorted(whole.least_likely(KEPT)), dtype=np.int64)
        self.parts: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.p_values: list[np.ndarray] = []
        self.sums, self.counts = np.zeros(len(whole.names)), np.zeros(len(whole.names), dtype=np.int64)
        self.few, self.k = 0, None

    def add(self, start: int, scores: ColumnScores | None, p: np.ndarray | None) -> None:
        """Take those of the rows from `start` on."""
        if scores is None:
            return
        values = _array(scores.given_others)
        known = ~np.isnan(values)
        self.sums += np.where(known, values, 0.0).sum(0)
        self.counts += known.sum(0)
        rows = self.kept[(self.kept >= start) & (self.kept < start + len(values))] - start
        self.parts.append((scores.alone[rows], scores.given_others[rows]))
        self.p_values += [] if p is None else [p[rows]]
        if scores.ess is not None and scores.k is not None:
            self.few, self.k = self.few + int((scores.ess < enough_points(scores.k)).sum()), scores.k

    @property
    def notes(self) -> tuple[str, ...]:
        """A note on entries whose score rests on too few points."""
        if not self.few or self.k is None:
            return ()
        of = f"{plural(self.few, 'entry')} of {self.counts.sum():,}"
        return (f"log p(x_d | others) of {of} rest on too few of {self.k:,} points: give more (-k {4 * self.k})",)

    @property
    def summary(self) -> RowScores:
        """The scores of all rows, with those of a few rows' entries."""
        if not self.parts:
            return self.whole
        alone, others = (torch.cat(values) for values in zip(*self.parts, strict=True))
        means = [float(s / n) if n else None for s, n in zip(self.sums, self.counts, strict=True)]
        return replace(
            self.whole,
            columns=ColumnScores(alone, others),
            column_p_values=np.concatenate(self.p_values) if self.p_values else None,
            kept=tuple(self.kept.tolist()),
            means=dict(zip(self.whole.names, means, strict=True)),
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

    @staticmethod
    def of(run: RunData, k: int | None, seed: int, watch: Callable[[str], ProgressCallback] | None) -> _Scorer:
        """Return one with so many points per datum, or as many as usual."""
        evaluator = choose(run.model, run.guide, "auto", k)
        evaluator = Importance(POINTS) if isinstance(evaluator, Importance) and k is None else evaluator
        return _Scorer(run, evaluator, k or COLUMN_POINTS, seed, watch)

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

    def cells(self, part: Part, phase: str, size: int) -> Iterator[ColumnScores]:
        """Yield log p of the entries of so many rows after another, with the log-Jacobian of each column's
        preparation."""
        run, progress = self.run, None if self.watch is None else self.watch(phase)
        mask = np.ones((len(part.rows), run.schema.size), dtype=bool) if part.mask is None else part.mask
        rows = run.preparation.masked(part.rows, mask)
        shift = torch.from_numpy(run.preparation.log_jacobians(np.eye(run.schema.size, dtype=bool)))
        how = {"size": size, "k": self.k, "seed": self.seed, "watch": progress}
        for scores in scores_in_pieces(run.model, run.guide, rows, **how):
            yield ColumnScores(scores.alone.cpu() + shift, scores.given_others.cpu() + shift, scores.ess, scores.k)


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
