"""Distances of columns: exact values, those of SciPy, and a perfect model beside two halves of the data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from jensen.analysis.marginals import (
    around,
    circular_mean,
    circular_wasserstein,
    column_distance,
    compare_columns,
    deviation,
    halves,
    total_variation,
    wasserstein,
)
from jensen.data.columns import Column

HOUR = Column("hour", "circular", low=0, high=24)
AGE, SEX = Column("age", "real"), Column("sex", "categorical", levels=("a", "b", "c"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("shift", [0.0, 0.25, -3.0])
def test_a_shift_moves_by_itself(rng, shift):
    x = rng.normal(size=400)
    assert wasserstein(x, x + shift) == pytest.approx(abs(shift), abs=1e-12)


def test_wasserstein_is_that_of_scipy_for_ties_and_unequal_sizes(rng):
    a, b = rng.integers(0, 9, 300).astype(float), rng.normal(3, 2, 170)
    assert wasserstein(a, b) == pytest.approx(wasserstein_distance(a, b), rel=1e-12)


@pytest.mark.parametrize("shift", [1.0, 11.0, 13.0, 23.5])
def test_a_turn_of_a_circle_moves_the_shorter_way(rng, shift):
    x = rng.uniform(23.9, 24.1, 500) % 24  # across midnight
    assert circular_wasserstein(x, (x + shift) % 24, 0, 24) == pytest.approx(min(shift, 24 - shift), abs=1e-9)


def test_on_a_circle_the_ends_are_one_point(rng):
    a, b = rng.uniform(0, 24, (2, 60))
    moved = circular_wasserstein((a + 5) % 24, (b + 5) % 24, 0, 24)
    assert circular_wasserstein(a, b, 0, 24) == pytest.approx(moved, abs=1e-9)
    # the best of all rotations of pairs in their order on the circle, by brute force
    pairs = (np.roll(np.sort(b), k) for k in range(60))
    best = min(float(np.abs(around(HOUR, np.sort(a) - other)).mean()) for other in pairs)
    assert circular_wasserstein(a, b, 0, 24) == pytest.approx(best, abs=1e-9)


def test_total_variation_by_hand():
    a, b = np.array([0, 0, 0, 1, 2]), np.array([0, 1, 1, 1])
    assert total_variation(a, b, 4) == pytest.approx((abs(0.6 - 0.25) + abs(0.2 - 0.75) + 0.2) / 2)
    assert column_distance(SEX, a.astype(float), b.astype(float)) == total_variation(a, b, 3)


def test_deviations():
    assert deviation(AGE, np.array([1.0, 3.0])) == 1.0
    assert deviation(AGE, np.array([7.0, 7.0])) == 1.0  # nothing to divide by
    assert deviation(HOUR, np.array([23.0, 1.0])) == pytest.approx(1.0)
    assert around(HOUR, circular_mean(HOUR, np.array([23.0, 1.0]))) == pytest.approx(0.0, abs=1e-9)


def test_halves_are_halves():
    pairs = halves(11, 3, seed=1)
    assert [len(a) + len(b) for a, b in pairs] == [10, 10, 10]
    assert all(not set(a) & set(b) for a, b in pairs)
    assert not np.array_equal(pairs[0][0], pairs[1][0])


def test_a_perfect_model_is_as_far_as_halves_are(rng):
    """Of 60 columns of one distribution the mean distances agree within their errors; few are beyond the noise."""
    columns = [AGE] * 30 + [SEX] * 30

    def rows(n: int) -> np.ndarray:
        return np.hstack([rng.gumbel(size=(n, 30)), rng.integers(0, 3, (n, 30))])

    agreements = compare_columns(columns, rows(400), rows(400), repeats=10)
    for part in (agreements[:30], agreements[30:]):
        difference = np.array([a.distance - a.noise for a in part])
        assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(30)
        assert sum(a.is_beyond_noise for a in part) <= 3


def test_a_wrong_model_is_beyond_noise(rng):
    data, drawn = rng.normal(size=(1000, 1)), rng.normal(0.5, 1, size=(1000, 1))
    (agreement,) = compare_columns([AGE], data, drawn)
    assert agreement.is_beyond_noise
    assert agreement.distance == pytest.approx(0.5, abs=0.15)
    assert agreement.measure == "s.d."
    (scaled,) = compare_columns([AGE], 1000 * data, 1000 * drawn)
    assert scaled.distance == pytest.approx(agreement.distance, rel=1e-9)


def test_missing_cells_are_left_out(rng):
    data, drawn = rng.normal(5, 1, size=(400, 1)), rng.normal(5, 1, size=(400, 1))
    data[::2] = np.nan
    (agreement,) = compare_columns([AGE], data, drawn)
    assert agreement.distance < 0.4
    data[20:] = np.nan
    assert compare_columns([AGE], data, drawn) == (None,)
