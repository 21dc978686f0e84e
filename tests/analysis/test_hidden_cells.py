"""Cells hidden on purpose: errors by hand, and the coverage of a model that is right."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.analysis.hidden_cells import DRAWS, covered, hidden_cells, score_cells
from jensen.data.columns import Column

REAL, COUNT = Column("a", "real"), Column("n", "count")
THREE = Column("three", "categorical", levels=("x", "y", "z"))
HOUR = Column("hour", "circular", low=0, high=24)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_each_cell_is_hidden_once_and_one_of_each_row_stays(rng):
    observed = rng.random((2000, 6)) < 0.6
    part = hidden_cells(observed, 5, seed=0)
    several = observed.sum(1) > 1
    assert ((part >= 0) == (observed & several[:, None])).all()
    for i in range(5):
        hidden = part == i
        assert (observed[several] & ~hidden[several]).any(1).all()
        assert hidden.sum() == pytest.approx((part >= 0).sum() / 5, rel=0.05)
    of_column = (hidden_cells(np.ones((4000, 8), bool), 5, seed=1) == 0).mean(0)
    assert of_column == pytest.approx(0.2, abs=0.03)


def test_every_rank_of_the_truth_counts_alike():
    """Of the 100 ranks among 99 draws the middle 90 are covered; of equal draws, 90 in 100 of one."""
    draws = np.tile(np.arange(99.0)[:, None], (1, 100))
    assert covered(np.arange(100) - 0.5, draws).sum() == pytest.approx(90)
    assert covered(np.zeros(1), np.zeros((99, 1))).item() == pytest.approx(0.9)
    assert covered(np.array([3.0]), np.full((99, 1), 2.0)).item() == 0.0


@pytest.mark.parametrize("discrete", [False, True])
def test_a_right_model_covers_nine_tenths_and_keeps_its_promise(rng, discrete):
    n = 3000
    values = rng.poisson(0.8, (DRAWS + 2, n)).astype(float) if discrete else rng.gumbel(size=(DRAWS + 2, n))
    truth, training, draws = values[0][:, None], values[1][:, None], values[2:, :, None]
    (score,) = score_cells([COUNT if discrete else REAL], truth, draws, np.ones((n, 1), bool), training)
    assert score.coverage == pytest.approx(0.9, abs=3 * score.coverage_stderr)
    assert score.error == pytest.approx(score.expected, abs=3 * score.stderr)
    assert score.error == pytest.approx(score.simple, abs=0.03)  # there is nothing to predict from


def test_a_model_that_is_too_sure_is_seen(rng):
    truth, draws = rng.normal(size=(500, 1)), 0.5 * rng.normal(size=(DRAWS, 500, 1))
    (score,) = score_cells([REAL], truth, draws, np.ones((500, 1), bool), rng.normal(size=(500, 1)))
    assert score.coverage < 0.7
    assert score.expected < 0.6 * score.error


def test_errors_by_hand():
    truth = np.array([[1.0, 0.0, 23.0], [5.0, 2.0, 1.0], [9.0, 1.0, 0.0]])
    draws = np.stack([truth + np.array(shift) for shift in ((0.0, 0.0, 1.0), (2.0, 0.0, 1.0))])
    draws[:, 2, 1] = 0.0  # a wrong level
    draws[..., 2] %= 24
    training = np.array([[0.0, 0.0, 22.0], [4.0, 0.0, 2.0], [np.nan, 1.0, 23.0], [np.nan, 2.0, 1.0]])
    number, level, hour = score_cells([REAL, THREE, HOUR], truth, draws, np.ones((3, 3), bool), training)
    assert number.error == pytest.approx(1.0 / 2.0)  # off by 1, in standard deviations of 2
    assert number.simple == pytest.approx(np.sqrt((1 + 9 + 49) / 3) / 2)
    assert number.stderr == 0.0
    assert (level.error, level.simple, level.expected) == (pytest.approx(1 / 3), pytest.approx(2 / 3), 0.0)
    assert level.coverage is None
    deviation = np.sqrt((4 + 4 + 1 + 1) / 4)  # about midnight
    assert hour.error == pytest.approx(1 / deviation)
    assert hour.simple == pytest.approx(np.sqrt(2 / 3) / deviation)
    assert hour.expected == 0.0


def test_only_hidden_cells_count(rng):
    truth = rng.normal(size=(50, 2))
    hidden = np.zeros((50, 2), bool)
    hidden[:20, 0] = True
    draws = np.where(hidden, truth, np.nan)[None].repeat(3, 0)
    first, second = score_cells([REAL, REAL], truth, draws, hidden, truth)
    assert (first.n, first.error) == (20, pytest.approx(0.0, abs=1e-12))
    assert second is None
