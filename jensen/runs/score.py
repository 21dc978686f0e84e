"""Scores of rows: log p(x), p-values against rows that did not train the model, and their unlikely entries."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import numpy as np
import torch

from ..analysis.column_scores import ColumnScores
from ..analysis.conformal import p_values, with_offsets
from ..core.errors import DataError, UsageError
from ..core.wording import plural
from ..evaluate import Estimate
from ..evaluate.estimate import ProgressCallback, enough_points
from .condition import column_names
from .data import RunData, Source, Targets
from .evaluation import Part
from .pieces import ROWS, InPieces
from .row_measures import checked_measures, measure_rows, typical_rows
from .row_scorer import HELD_OUT, RowScorer, array_of, may_score_columns, rows_with_holes, some_rows
from .row_scores import RowScores, Unlikely
from .row_values import identity_columns
from .scored_rows import rows_to_score
from .trained_rows import trained_rows

__all__ = ["RowScores", "Unlikely", "log_evidence", "score", "score_in_pieces"]

HELD_OUT_CELLS = 500  # rows at most with whose entries those of others are compared
KEPT = 100  # rows, the least likely ones, whose entries are kept where those of all are not


def score(
    run: RunData,
    data: Source | Part | None = None,
    *,
    labels: Targets | None = None,
    k: int | None = None,
    columns: bool | None = None,
    measures: Sequence[str] = (),
    seed: int = 0,
    watch: Callable[[str], ProgressCallback] | None = None,
) -> RowScores:
    """Score rows, by default the run's test rows; see `jensen.Run.score`.

    Args:
        watch: returns the progress callback of a phase.

    Raises:
        NotNormalised: the model has no density.
        CompositionError: columns are asked for, and depend on each other; or a measure, which the model does not have.
    """
    names = checked_measures(run, measures)
    part = rows_to_score(run, data, labels=labels, seed=seed).loaded()
    pieces = InPieces(_scored(RowScorer.of(run, k, seed, watch), part, data, columns, names, len(part.rows)))
    (scores,) = pieces
    return replace(scores, notes=pieces.summary.notes)


def score_in_pieces(
    run: RunData,
    data: Source | Part | None = None,
    *,
    labels: Targets | None = None,
    k: int | None = None,
    columns: bool | None = None,
    measures: Sequence[str] = (),
    seed: int = 0,
    watch: Callable[[str], ProgressCallback] | None = None,
    size: int = ROWS,
) -> InPieces[RowScores]:
    """Score so many rows after another: the numbers of each row are those of `score`.

    log p(x) and p-values of all rows are held. Of entries, those of the rows that are least likely are; of the run's
    own test rows, which are compared with each other, all.

    Args:
        run, data, labels, k, columns, measures, seed, watch: see `score`.
        size: rows of each; the last may have fewer.
    """
    names = checked_measures(run, measures)
    part = rows_to_score(run, data, labels=labels, seed=seed)
    return InPieces(_scored(RowScorer.of(run, k, seed, watch), part, data, columns, names, size))


def log_evidence(run: RunData, part: Part, *, k: int | None = None, seed: int = 0) -> Estimate:
    """Return log p(x) of rows, as `score` estimates it, without their p-values and entries.

    Args:
        run: of the model.
        part: the rows.
        k, seed: see `score`.

    Raises:
        NotNormalised: the model has no density.
    """
    return RowScorer.of(run, k, seed).rows(part)


def _scored(
    scorer: RowScorer,
    part: Part,
    data: Source | Part | None,
    columns: bool | None,
    measures: Sequence[str],
    size: int,
) -> Generator[RowScores, None, RowScores]:
    """Yield the scores of so many rows after another, and return what holds for all rows."""
    run, n = scorer.run, len(part.rows)
    wanted, refusal = may_score_columns(run, columns)
    held, is_own, of_held = _held_out(run, part, data, scorer.seed)
    typical = typical_rows(run, held, scorer.seed) if "typicality" in measures else None
    estimate = scorer.rows(part, "scoring rows")
    cells, others, of_others = None, None, None
    offsets, of_holes = _offsets(scorer, part, None if is_own else held, typical, wanted)
    compared = with_offsets(array_of(estimate.nats), part.mask, offsets)
    if wanted:
        cells = scorer.cells(part, "scoring columns", size)
    if is_own:
        of_others = compared
    elif held is not None:
        of_others = with_offsets(array_of(scorer.rows(held, "scoring held-out rows").nats), held.mask, offsets)
    p = None if of_others is None else p_values(compared, of_others, own=is_own)
    if held is not None and cells is not None:
        if is_own:
            some = held_cells = list(cells)
        else:
            few = some_rows(held, HELD_OUT_CELLS)
            held_cells, some = cells, scorer.cells(few, "scoring their columns", HELD_OUT_CELLS)
        others, cells = np.concatenate([array_of(each.given_others) for each in some]), iter(held_cells)
    whole = _of_all(scorer, part, estimate, p, others, None if held is None else held.name)
    log_px = (compared, of_others)
    of_rows = measure_rows(scorer, measures, part, None if is_own else held, typical, log_px, offsets)
    whole = replace(whole, measures=of_rows)
    if offsets is not None:
        whole = replace(whole, compared=compared, offsets=dict(zip(whole.names, offsets.tolist(), strict=True)))
    entries = _Entries(whole)
    for start in range(0, n, size):
        stop = min(start + size, n)
        some = None if cells is None else next(cells)
        column_p = None
        if some is not None and others is not None:
            column_p = p_values(array_of(some.given_others), others, own=is_own)
        entries.add(start, some, column_p)
        yield replace(
            whole,
            estimate=estimate.some(start, stop),
            columns=some,
            p_value=None if p is None else p[start:stop],
            compared=None if offsets is None else compared[start:stop],
            column_p_values=column_p,
            measures={name: measure.some(start, stop) for name, measure in of_rows.items()},
            identity={name: values[start:stop] for name, values in whole.identity.items()},
        )
    seen = () if part.is_whole else trained_rows(run, part, data).notes  # which its notes say already
    notes = (*run.unfinished, *part.notes, *seen, *refusal, *of_held, *of_holes, *entries.notes)
    return replace(entries.summary, notes=notes)


def _offsets(
    scorer: RowScorer, part: Part, held: Part | None, typical: Part | None, wanted: bool
) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return what stands for a missing entry of each column [D] where rows are compared, and notes.

    It is of training rows, which are not compared. There is none where no row has a hole, and, with a note, where the
    entries of rows are not scored or no training row can be read.

    Args:
        scorer: of them.
        part: the rows.
        held: other rows that they are compared with.
        typical: rows that say what is typical.
        wanted: whether entries are scored.
    """
    holed = rows_with_holes(part)
    if not holed and not rows_with_holes(held) and not rows_with_holes(typical):
        return None, ()
    of = f"{plural(holed, 'row')} of {len(part.rows):,} have" if holed != 1 else f"1 row of {len(part.rows):,} has"
    among = f", and {rows_with_holes(held):,} of the {len(held.rows):,} held-out ones" if held is not None else ""
    without = f"{of} missing cells{among}: they are compared by log p of their observed cells alone, since "
    if not wanted:
        return None, (f"{without}columns are not scored",)
    try:
        return scorer.offsets(), ()
    except (DataError, UsageError) as error:
        return None, (f"{without}no training rows can be read: {error.what}",)


def _of_all(
    scorer: RowScorer, part: Part, estimate: Estimate, p: np.ndarray | None, others: np.ndarray | None, held: str | None
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
    run, typical, lowest = scorer.run, None, None
    if others is not None:
        known = [c[~np.isnan(c)] for c in others.T]
        typical, lowest = (np.array([f(c) if len(c) else 0.0 for c in known]) for f in (np.median, np.min))
    return RowScores(
        estimate=estimate,
        names=column_names(run),
        columns=None,
        p_value=p,
        column_p_values=None,
        typical=typical,
        lowest=lowest,
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
        values = array_of(scores.given_others)
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
    return held if is_own else some_rows(held, HELD_OUT), is_own, notes
