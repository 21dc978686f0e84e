"""Associations of columns: the three classical measures by hand, circular ones, and missing cells."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats.contingency import association

from jensen.analysis.associations import associations, compare_associations
from jensen.data.columns import Column

REAL, COUNT = Column("a", "real"), Column("n", "count")
THREE = Column("three", "categorical", levels=("x", "y", "z"))
TWO = Column("two", "boolean", levels=("no", "yes"))
HOUR = Column("hour", "circular", low=0, high=24)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def pair(one: Column, other: Column, a: np.ndarray, b: np.ndarray) -> float:
    return float(associations([one, other], np.stack([a, b], -1).astype(float))[0, 1])


@pytest.mark.parametrize("slope", [2.0, -0.3])
def test_numbers_have_their_correlation(rng, slope):
    a = rng.normal(1e6, 1, 300)
    b = slope * a + rng.normal(size=300)
    assert pair(REAL, COUNT, a, b) == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-6)


def test_a_number_and_levels_have_the_correlation_ratio(rng):
    level = rng.integers(0, 3, 200)
    x = np.array([0.0, 2.0, -1.0])[level] + rng.normal(size=200)
    between = sum((level == k).sum() * (x[level == k].mean() - x.mean()) ** 2 for k in range(3))
    ratio = np.sqrt(between / ((x - x.mean()) ** 2).sum())
    assert pair(THREE, REAL, level, x) == pytest.approx(ratio, abs=1e-9)
    assert pair(REAL, THREE, x, level) == pytest.approx(ratio, abs=1e-9)


def test_levels_have_cramers_v_by_hand():
    """10 8 / 2 20: chi squared is n (ad - bc)^2 / (the product of all four sums)."""
    a = np.repeat([0, 0, 1, 1], [10, 8, 2, 20])
    b = np.repeat([0, 1, 0, 1], [10, 8, 2, 20])
    v = (10 * 20 - 8 * 2) / np.sqrt(18 * 22 * 12 * 28)
    assert pair(TWO, TWO, a, b) == pytest.approx(v, abs=1e-9)


def test_cramers_v_is_that_of_scipy_and_of_levels_that_occur(rng):
    a = rng.integers(0, 3, 500)
    b = np.where(rng.random(500) < 0.5, a, rng.integers(0, 3, 500))
    table = np.array([[((a == i) & (b == j)).sum() for j in range(3)] for i in range(3)])
    more = Column("more", "categorical", levels=tuple("uvwxyz"))  # three levels that do not occur
    assert pair(THREE, more, a, b) == pytest.approx(association(table, method="cramer"), abs=1e-9)


def test_an_hour_and_what_follows_it(rng):
    hour = rng.uniform(0, 24, 400)
    assert pair(HOUR, REAL, hour, np.cos(2 * np.pi * hour / 24 - 1)) == pytest.approx(1.0, abs=1e-9)
    assert pair(HOUR, HOUR, hour, (hour + 7) % 24) == pytest.approx(1.0, abs=1e-9)
    assert abs(pair(HOUR, REAL, hour, rng.normal(size=400))) < 0.15


def test_pairs_are_of_rows_that_have_both(rng):
    x = rng.normal(size=(200, 2))
    x[:, 1] += x[:, 0]
    holed = x.copy()
    holed[:50, 0], holed[150:, 1] = np.nan, np.nan
    assert associations([REAL, REAL], holed)[0, 1] == pytest.approx(np.corrcoef(x[50:150].T)[0, 1], abs=1e-9)
    assert np.isnan(associations([REAL, REAL], np.where(np.arange(200)[:, None] < 19, x, np.nan))[0, 1])


def test_a_constant_column_has_none(rng):
    values = associations([REAL, REAL, THREE], np.stack([rng.normal(size=50), np.ones(50), np.zeros(50)], -1))
    assert np.isnan(values[np.triu_indices(3, 1)]).all()
    assert np.diag(values).tolist() == [1.0, 1.0, 1.0]


def test_a_model_without_associations_is_beyond_noise(rng):
    base = rng.normal(size=(600, 1))
    data = np.hstack([base, base + 0.1 * rng.normal(size=(600, 1)), (base > 0).astype(float)])
    columns = [REAL, REAL, TWO]
    good = compare_associations(columns, data[:300], data[300:])
    apart = compare_associations(columns, data[:300], np.stack([rng.permutation(c) for c in data[300:].T], -1))
    assert abs(good.difference - good.noise) < 0.05
    assert apart.difference > 0.5 > 10 * apart.noise
