"""Imputation measured on cells that were hidden on purpose: errors beside those of mean and mode, and calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.columns import Column
from .marginals import around, circular_mean, deviation

__all__ = ["DRAWS", "LEVEL", "CellScore", "covered", "hidden_cells", "score_cells"]

DRAWS = 99  # the truth has one of 100 equally likely ranks among as many draws of a calibrated model
LEVEL = 0.9  # of intervals, from the 5th to the 95th of 99 draws


@dataclass(frozen=True)
class CellScore:
    """The imputation of the hidden cells of one column.

    Attributes:
        name: of the column.
        measure: "RMSE" in standard deviations of the training rows, or "wrong", the share of levels that are not the
            most frequent draw.
        n: hidden cells.
        error: of the mean of the draws, or of the most frequent one.
        stderr: its standard error over cells.
        expected: the error that the spread of the draws leads to expect, which a calibrated model has.
        simple: the error of the mean or mode of the training rows.
        simple_stderr: its standard error.
        coverage: share of cells within intervals of 90 % of the draws, ties in part; None of columns with levels.
        coverage_stderr: its standard error.
    """

    name: str
    measure: str
    n: int
    error: float
    stderr: float
    expected: float
    simple: float
    simple_stderr: float
    coverage: float | None = None
    coverage_stderr: float | None = None


def hidden_cells(observed: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """Return the part, 0 to parts - 1, in which each observed cell [N, D] is hidden; -1 of cells that never are.

    Each part hides an equal share of the cells of a row, chosen at random, and the parts together hide each cell once.
    Missing cells, and the only observed one of a row, are not hidden.

    Example:
        >>> part = hidden_cells(np.ones((1000, 10), bool), 5, seed=0)
        >>> [float((part == i).mean()) for i in range(5)]
        [0.2, 0.2, 0.2, 0.2, 0.2]
    """
    rng = np.random.default_rng(seed)
    chance = np.where(observed, rng.random(observed.shape), 2.0)
    rank = chance.argsort(1).argsort(1)  # of the observed cells of a row, in a random order
    part = (rank + rng.integers(0, parts, (len(observed), 1))) % parts
    return np.where(observed & (observed.sum(1, keepdims=True) > 1), part, -1)


def covered(truth: np.ndarray, draws: np.ndarray, level: float = LEVEL) -> np.ndarray:
    """Return the share [n] of the ranks of each true value among draws [m, n] that are in the middle `level` of them.

    Ties have several ranks, of which each counts in part, so that the mean is `level` for whole numbers too if truth
    and draws are of one distribution: exactly, where (m + 1) (1 - level) / 2 is whole, as of 99 draws.

    Example:
        >>> draws = np.arange(99.0)[:, None]
        >>> covered(np.array([50.5]), draws).item(), covered(np.array([97.5]), draws).item()
        (1.0, 0.0)
    """
    below, ties = (draws < truth).sum(0), (draws == truth).sum(0)
    out = (len(draws) + 1) * (1 - level) / 2  # ranks left out at each end
    first, last = np.maximum(below, out), np.minimum(below + ties, len(draws) - out)
    return np.clip(last - first + 1, 0.0, None) / (ties + 1)


def score_cells(
    columns: Sequence[Column], truth: np.ndarray, draws: np.ndarray, hidden: np.ndarray, training: np.ndarray
) -> tuple[CellScore | None, ...]:
    """Score draws of hidden cells, column by column.

    Args:
        columns: the D columns.
        truth: [N, D] stored values.
        draws: [m, N, D] imputed values.
        hidden: [N, D], True for cells that were hidden.
        training: [M, D] training rows, NaN where missing: of means, modes and standard deviations.

    Returns:
        The score of each column; None where fewer than two cells are hidden, or no training row has it.
    """
    scores: list[CellScore | None] = []
    for i, column in enumerate(columns):
        cells, known = hidden[:, i], training[~np.isnan(training[:, i]), i]
        if cells.sum() < 2 or len(known) == 0:
            scores.append(None)
            continue
        score = _levels if column.is_levelled else _numbers
        scores.append(score(column, truth[cells, i], draws[:, cells, i], known))
    return tuple(scores)


def _levels(column: Column, truth: np.ndarray, draws: np.ndarray, training: np.ndarray) -> CellScore:
    counts = np.stack([(draws == level).sum(0) for level in range(len(column.levels))])
    right = counts.argmax(0) == truth
    mode = np.bincount(training.astype(np.int64)).argmax()
    error, stderr = _share(~right)
    simple, simple_stderr = _share(truth != mode)
    return CellScore(
        name=column.name,
        measure="wrong",
        n=len(truth),
        error=error,
        stderr=stderr,
        expected=float(1 - (counts.max(0) / len(draws)).mean()),
        simple=simple,
        simple_stderr=simple_stderr,
    )


def _numbers(column: Column, truth: np.ndarray, draws: np.ndarray, training: np.ndarray) -> CellScore:
    scale = deviation(column, training)
    is_circular = column.kind == "circular"
    guess = circular_mean(column, draws) if is_circular else draws.mean(0)
    mean = circular_mean(column, training) if is_circular else training.mean()
    error, stderr = _root(around(column, guess - truth) / scale)
    simple, simple_stderr = _root(around(column, mean - truth) / scale)
    spread = np.square(around(column, draws - guess) / scale).sum(0) / max(len(draws) - 1, 1)
    # both as distances from the guess, so that an interval may lie across the ends of a circle
    inside = covered(around(column, truth - guess), around(column, draws - guess))
    coverage, coverage_stderr = _share(inside)
    return CellScore(
        name=column.name,
        measure="RMSE",
        n=len(truth),
        error=error,
        stderr=stderr,
        expected=float(np.sqrt(spread.mean() * (1 + 1 / len(draws)))),
        simple=simple,
        simple_stderr=simple_stderr,
        coverage=coverage,
        coverage_stderr=coverage_stderr,
    )


def _share(values: np.ndarray) -> tuple[float, float]:
    """Return the mean of shares, with a standard error that is not 0 where all are 0 or 1 (Agresti & Coull, 1998)."""
    n = len(values) + 4
    share = (values.sum() + 2) / n
    return float(values.mean()), float(math.sqrt(share * (1 - share) / n))


def _root(errors: np.ndarray) -> tuple[float, float]:
    """Return the root mean square of errors, with its standard error to first order."""
    squares = np.square(errors)
    root = float(np.sqrt(squares.mean()))
    return root, float(squares.std(ddof=1) / math.sqrt(len(squares)) / (2 * root)) if root > 0 else 0.0
