"""Measures of predictions: against plain formulas, and their errors against repetitions."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from jensen.analysis.prediction_scores import LevelOutcomes, calibration_error, level_measures, number_measures


def drawn(n: int, levels: int, seed: int = 0, sharp: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and truths drawn from them, of which `sharp` makes the former over-confident."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(levels), n)
    truth = (rng.random((n, 1)) > p.cumsum(1)).sum(1)
    p = p**sharp
    return p / p.sum(1, keepdims=True), truth


def by_name(measures):
    return {m.name: m for m in measures}


def test_measures_of_levels_are_those_of_scikit_learn():
    p, truth = drawn(500, 2)
    measures = by_name(level_measures(p, truth))
    assert measures["log-loss"].value == pytest.approx(log_loss(truth, p))
    assert measures["AUC"].value == pytest.approx(roc_auc_score(truth, p[:, 1]))
    assert measures["accuracy"].value == (p.argmax(1) == truth).mean()
    assert measures["Brier score"].value == pytest.approx(2 * np.mean((p[:, 1] - truth) ** 2))
    assert "AUC" not in by_name(level_measures(*drawn(50, 3)))


def test_standard_errors_are_the_spread_over_repetitions():
    repeated = [by_name(level_measures(*drawn(400, 2, seed))) for seed in range(50)]
    for name in ("accuracy", "log-loss", "Brier score", "AUC"):
        values = np.array([r[name].value for r in repeated])
        told = np.mean([r[name].stderr for r in repeated])
        assert told == pytest.approx(values.std(ddof=1), rel=0.4)  # whose own error is 10 %


def test_a_calibrated_model_shows_the_error_that_is_expected_and_another_one_more():
    calm = [calibration_error(*drawn(400, 3, seed), seed) for seed in range(25)]
    away = np.array([m.value - m.expected for m in calm])
    assert abs(away.mean()) < 4.5 * away.std() / 25**0.5
    sharp = calibration_error(*drawn(400, 3, 0, sharp=4.0))
    assert sharp.value > sharp.expected + 4.5 * sharp.stderr


def test_ties_of_the_area_count_half():
    p = np.array([[0.5, 0.5]] * 4)
    assert by_name(level_measures(p, np.array([0, 1, 0, 1])))["AUC"].value == 0.5


def test_measures_of_numbers():
    rng = np.random.default_rng(0)
    truth, log_p = rng.normal(size=2000), rng.normal(size=2000)
    low, high = np.full(2000, -1.6449), np.full(2000, 1.6449)
    measures = by_name(number_measures(np.zeros(2000), low, high, log_p, truth, 0.9))
    rmse = measures["root mean square error"]
    assert rmse.value == pytest.approx(np.sqrt(np.mean(truth**2)))
    assert rmse.stderr == pytest.approx(1 / np.sqrt(2 * 2000), rel=0.1)
    coverage = measures["coverage of 90% intervals"]
    assert abs(coverage.value - 0.9) < 4.5 * coverage.stderr
    assert measures["log-loss"].value == pytest.approx(-log_p.mean())
    assert measures["mean absolute error"].value == pytest.approx(np.abs(truth).mean())


@pytest.mark.parametrize("levels", [2, 3])
def test_outcomes_of_rows_in_parts_have_the_measures_of_all(levels: int):
    p, truth = drawn(100, levels)
    parts = [LevelOutcomes.of(p[start : start + 7], truth[start : start + 7]) for start in range(0, 100, 7)]
    assert LevelOutcomes.joined(parts).measures(3) == level_measures(p, truth, 3)


def test_resampling_takes_little_memory():
    p, truth = drawn(20_000, 2)
    tracemalloc.start()
    calibration_error(p, truth)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20 * p.nbytes
