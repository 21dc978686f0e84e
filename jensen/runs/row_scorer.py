"""Scores of rows before they are compared: log p(x), log p of entries and likelihood regret, in own units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ..analysis.column_scores import POINTS as COLUMN_POINTS
from ..analysis.column_scores import ColumnScores, scores_in_pieces
from ..analysis.conditional_points import check_conditionals
from ..analysis.conformal import hole_offsets
from ..core.errors import CompositionError, DataError, NotNormalised, UsageError
from ..core.rows import evenly_spaced
from ..evaluate import Estimate, Evaluator, Importance, choose
from ..evaluate.estimate import ProgressCallback
from ..evaluate.regret import likelihood_regret
from .data import RunData
from .evaluation import Part, refuse_nan

__all__ = ["HELD_OUT", "OFFSET_ROWS", "RowScorer", "array_of", "may_score_columns", "rows_with_holes", "some_rows"]

POINTS = 1000  # per datum of an importance-weighted bound
HELD_OUT = 2000  # rows at most that others are compared with
OFFSET_ROWS = 300  # training rows at most whose entries say what stands for a missing one
WIDEST = 256  # columns up to which each is scored unless asked otherwise


@dataclass(frozen=True)
class RowScorer:
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
    def of(
        run: RunData, k: int | None = None, seed: int = 0, watch: Callable[[str], ProgressCallback] | None = None
    ) -> RowScorer:
        """Return one with so many points per datum, or as many as usual."""
        evaluator = choose(run.model, run.guide, "auto", k)
        evaluator = Importance(POINTS) if isinstance(evaluator, Importance) and k is None else evaluator
        return RowScorer(run, evaluator, k or COLUMN_POINTS, seed, watch)

    def _progress(self, phase: str) -> ProgressCallback | None:
        return None if self.watch is None or not phase else self.watch(phase)

    def rows(self, part: Part, phase: str = "") -> Estimate:
        """Return log p(x) of rows.

        Raises:
            NotNormalised: it is not defined. NumericalError: that of a row is not finite.
        """
        estimate = self.evaluator(self.run.model, self.run.guide, part.rows, self.seed, self._progress(phase))
        if estimate.nats is None:
            remedy = "Train a recipe with a density, such as vae."
            raise NotNormalised("log p(x) of an autoencoder is not defined: its prior is not trained", remedy)
        refuse_nan(estimate, part)
        return estimate.shifted(part.shift)

    def cells(self, part: Part, phase: str, size: int) -> Iterator[ColumnScores]:
        """Yield log p of the entries of so many rows after another, with the log-Jacobian of each column's
        preparation."""
        run = self.run
        mask = np.ones((len(part.rows), run.schema.size), dtype=bool) if part.mask is None else part.mask
        rows = run.preparation.masked(part.rows, mask)
        shift = torch.from_numpy(run.preparation.log_jacobians(np.eye(run.schema.size, dtype=bool)))
        how = {"size": size, "k": self.k, "seed": self.seed, "watch": self._progress(phase)}
        for scores in scores_in_pieces(run.model, run.guide, rows, **how):
            yield ColumnScores(scores.alone.cpu() + shift, scores.given_others.cpu() + shift, scores.ess, scores.k)

    def regret(self, part: Part, phase: str = "") -> np.ndarray:
        """Return the likelihood regret of rows [N], in nats.

        Raises:
            CompositionError: the guide is no network that proposes a Gaussian for each datum.
        """
        run, progress = self.run, self._progress(phase)
        return array_of(likelihood_regret(run.model, run.guide, part.rows, seed=self.seed, watch=progress))

    def offsets(self) -> np.ndarray:
        """Return what stands for a missing entry of each column [D] where rows are compared, by training rows.

        Raises:
            DataError, UsageError: the training rows cannot be read.
        """
        trained = some_rows(self.run.part("train", self.seed), OFFSET_ROWS)
        cells = self.cells(trained, "scoring training columns", len(trained.rows))
        return hole_offsets(np.concatenate([array_of(each.given_others) for each in cells]))

    def offsets_where_known(self) -> np.ndarray | None:
        """Return the offsets; None where columns are not scored, or the training rows cannot be read."""
        if not may_score_columns(self.run, None)[0]:
            return None
        try:
            return self.offsets()
        except (DataError, UsageError):
            return None


def array_of(values: torch.Tensor | None) -> np.ndarray:
    """Return a tensor as an array of double precision."""
    return torch.as_tensor(values).double().cpu().numpy()


def rows_with_holes(part: Part | None) -> int:
    """Return the number of rows with missing entries."""
    return 0 if part is None or part.mask is None else int((~part.mask.all(1)).sum())


def some_rows(part: Part, most: int) -> Part:
    """Return rows of a part, evenly spaced, in memory."""
    if len(part.rows) <= most:
        return part.loaded()
    return part.subset(evenly_spaced(len(part.rows), most, part.rows.device), f"{most:,} of {part.name}")


def may_score_columns(run: RunData, wanted: bool | None) -> tuple[bool, tuple[str, ...]]:
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
