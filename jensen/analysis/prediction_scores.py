"""Measures of predicted distributions where the truth is known: accuracy, log-loss, Brier, calibration, each with
its standard error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["LevelOutcomes", "Measure", "calibration_error", "level_measures", "number_measures"]

BINS = 15
RESAMPLES = 200
LEAST_PROBABILITY = 1e-300  # below which a log-loss would be infinite


@dataclass(frozen=True)
class Measure:
    """A measure of predictions.

    Attributes:
        name: such as "accuracy".
        value: of all rows.
        stderr: its standard error over rows.
        expected: the value that predictions would have if they were right, where that is not obvious: of the
            calibration error, which is above 0 for a calibrated model too.
    """

    name: str
    value: float
    stderr: float
    expected: float | None = None


def level_measures(probabilities: np.ndarray, truth: np.ndarray, seed: int = 0) -> list[Measure]:
    """Return accuracy, log-loss in nats, Brier score, expected calibration error, and of two levels the AUC.

    Args:
        probabilities: [N, L], rows that sum to 1.
        truth: [N] numbers of levels.
        seed: of resampling.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> measures = level_measures(p, np.array([0, 1, 1]))
        >>> [(m.name, round(m.value, 3)) for m in measures][:3]
        [('accuracy', 0.667), ('log-loss', 0.415), ('Brier score', 0.273)]
    """
    return LevelOutcomes.of(probabilities, truth).measures(seed)


@dataclass(frozen=True)
class LevelOutcomes:
    """The numbers of each row that measures of predicted levels are of.

    Attributes:
        correct: [N], True where the most probable level is the true one.
        confidence: [N] its probability.
        loss: [N] the log-loss, in nats.
        brier: [N] the Brier score.
        second: [N] the probability of the second of two levels; None of more.
        truth: [N] numbers of levels.
    """

    correct: np.ndarray
    confidence: np.ndarray
    loss: np.ndarray
    brier: np.ndarray
    second: np.ndarray | None
    truth: np.ndarray

    @staticmethod
    def of(probabilities: np.ndarray, truth: np.ndarray) -> LevelOutcomes:
        """Return those of probabilities [N, L] and true levels [N]."""
        n, levels = probabilities.shape
        return LevelOutcomes(
            correct=probabilities.argmax(1) == truth,
            confidence=probabilities.max(1),
            loss=-np.log(np.maximum(probabilities[np.arange(n), truth], LEAST_PROBABILITY)),
            brier=np.square(probabilities - np.eye(levels)[truth]).sum(1),
            second=probabilities[:, 1].copy() if levels == 2 else None,
            truth=truth,
        )

    @staticmethod
    def joined(parts: Sequence[LevelOutcomes]) -> LevelOutcomes:
        """Return those of several sets of rows, at least one, as of one."""
        second = [part.second for part in parts if part.second is not None]
        return LevelOutcomes(
            correct=np.concatenate([part.correct for part in parts]),
            confidence=np.concatenate([part.confidence for part in parts]),
            loss=np.concatenate([part.loss for part in parts]),
            brier=np.concatenate([part.brier for part in parts]),
            second=np.concatenate(second) if second else None,
            truth=np.concatenate([part.truth for part in parts]),
        )

    def measures(self, seed: int = 0) -> list[Measure]:
        """Return the measures of `level_measures`, of at least one row."""
        n = len(self.truth)
        # as if two more rows were right and two wrong (Agresti & Coull, 1998): never 0 for few rows
        share = (self.correct.sum() + 2) / (n + 4)
        measures = [
            Measure("accuracy", float(self.correct.mean()), math.sqrt(share * (1 - share) / (n + 4))),
            _average("log-loss", self.loss),
            _average("Brier score", self.brier),
            _calibration(self.confidence, self.correct, seed, BINS),
        ]
        if self.second is not None and 0 < self.truth.sum() < n:
            measures.append(_area_under_curve(self.second, self.truth == 1))
        return measures


def number_measures(
    mean: np.ndarray, low: np.ndarray, high: np.ndarray, log_probs: np.ndarray, truth: np.ndarray, level: float
) -> list[Measure]:
    """Return the root mean square error, the mean absolute error, the coverage of intervals, and the log-loss.

    Args:
        mean: [N] predicted.
        low, high: [N] ends of the intervals.
        log_probs: [N] log p(truth) in nats.
        truth: [N].
        level: of the intervals, such as 0.9.

    Example:
        >>> zero = np.zeros(2)
        >>> [m.value for m in number_measures(zero, zero - 1, zero + 1, zero, np.array([0.5, 2.0]), 0.9)][2]
        0.5
    """
    n, errors = len(truth), truth - mean
    square = _average("", np.square(errors))
    rmse = math.sqrt(square.value)
    inside = (low <= truth) & (truth <= high)
    share = (inside.sum() + 2) / (n + 4)
    return [
        Measure("root mean square error", rmse, square.stderr / (2 * rmse) if rmse else 0.0),
        _average("mean absolute error", np.abs(errors)),
        Measure(f"coverage of {level:.0%} intervals", float(inside.mean()), math.sqrt(share * (1 - share) / (n + 4))),
        _average("log-loss", -log_probs),
    ]


def calibration_error(probabilities: np.ndarray, truth: np.ndarray, seed: int = 0, bins: int = BINS) -> Measure:
    r"""Return the expected calibration error of the most probable level, in equally wide bins of its probability.

    .. math:: \sum_b \frac{n_b}{N} |\mathrm{accuracy}_b - \mathrm{confidence}_b|

    Its standard error is by resampling rows, and `expected` is its mean where truths are drawn from the probabilities
    themselves: the least that a calibrated model would show on so few rows.

    Args:
        probabilities: [N, L].
        truth: [N] numbers of levels.
        seed: of the resampling.
        bins: their number.

    Source: Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks", 2017.

    Example:
        >>> p = np.array([[0.75, 0.25]] * 4)
        >>> calibration_error(p, np.array([0, 0, 0, 1])).value, calibration_error(p, np.array([0, 0, 0, 0])).value
        (0.0, 0.25)
    """
    return _calibration(probabilities.max(1), probabilities.argmax(1) == truth, seed, bins)


def _calibration(confidence: np.ndarray, correct: np.ndarray, seed: int, bins: int) -> Measure:
    """Return the expected calibration error of levels of this probability [N], which are the true ones or not [N]."""
    rng, n = np.random.default_rng([seed, 1]), len(correct)
    places = np.minimum((confidence * bins).astype(int), bins - 1)

    def error(right: np.ndarray, rows: np.ndarray) -> float:
        away = np.bincount(places[rows], weights=right - confidence[rows], minlength=bins)
        return float(np.abs(away).sum() / n)

    rows = np.arange(n)
    resampled = [error(correct[index], index) for index in (rng.integers(0, n, n) for _ in range(RESAMPLES))]
    calibrated = [error(u < confidence, rows) for u in (rng.random(n) for _ in range(RESAMPLES))]
    value, stderr = error(correct.astype(float), rows), float(np.std(resampled))
    return Measure("expected calibration error", value, stderr, float(np.mean(calibrated)))


def _average(name: str, values: np.ndarray) -> Measure:
    stderr = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
    return Measure(name, float(values.mean()), stderr)


def _area_under_curve(scores: np.ndarray, positive: np.ndarray) -> Measure:
    """Return the probability that a positive row has the higher score, ties counted half, with DeLong's error.

    Source: DeLong, DeLong & Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", 1988.
    """
    above, below = scores[positive], scores[~positive]
    of_positive, of_negative = _shares_below(above, below), 1 - _shares_below(below, above)
    variance = sum(v.var(ddof=1) / len(v) for v in (of_positive, of_negative) if len(v) > 1)
    return Measure("AUC", float(of_positive.mean()), math.sqrt(variance))


def _shares_below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of the others below each value, ties counted half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, values) + np.searchsorted(ordered, values, side="right")) / (2 * len(others))
