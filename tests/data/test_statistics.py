"""Means and scales are those of the observed entries in double precision, however the rows are cut."""

from __future__ import annotations

import tracemalloc
import warnings
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.data import statistics
from jensen.data.statistics import center_and_scale, column_means, row_sums

X = np.random.default_rng(0).normal([0, 5, -3], [1, 100, 0.01], (501, 3))
MASK = np.random.default_rng(1).random(X.shape) < 0.7


def observed(j: int) -> np.ndarray:
    return X[MASK[:, j], j]


def test_without_holes():
    center, scale = center_and_scale(X, None, False, "columns", None)
    np.testing.assert_allclose(center, X.mean(0), rtol=1e-12)
    np.testing.assert_allclose(scale, X.std(0), rtol=1e-12)


def test_only_observed_entries_count():
    filled = np.where(MASK, X, 0.0)
    mean, n = column_means(filled, MASK)
    center, scale = center_and_scale(filled, MASK, False, "columns", None)
    for j in range(3):
        assert n[j] == len(observed(j))
        assert mean[j] == pytest.approx(observed(j).mean(), rel=1e-12)
        assert center[j] == pytest.approx(observed(j).mean(), rel=1e-12)
        assert scale[j] == pytest.approx(observed(j).std(), rel=1e-12)


def test_one_scale_is_the_root_of_the_mean_variance():
    _, scale = center_and_scale(X, None, False, "global", None)
    assert float(scale) == pytest.approx(np.sqrt(X.var(0).mean()), rel=1e-12)


def test_uniform_noise_adds_a_half_and_a_twelfth():
    x = np.random.default_rng(2).integers(0, 9, (300, 2)).astype(float)
    center, scale = center_and_scale(x, None, True, "columns", None)
    np.testing.assert_allclose(center, x.mean(0) + 1 / 2, rtol=1e-12)
    np.testing.assert_allclose(scale, np.sqrt(x.var(0) + 1 / 12), rtol=1e-12)


@pytest.mark.parametrize("standardize", ["columns", "global"])
def test_a_constant_column_is_centred_at_its_value(standardize):
    x = np.full((7, 1), 0.1)  # its mean in floating point need not be 0.1
    center, scale = center_and_scale(x, None, False, standardize, None)
    assert center[0] == 0.1
    assert float(scale.reshape(-1)[0]) == 1.0


def test_a_scale_is_at_least_its_floor():
    _, scale = center_and_scale(X, None, False, "columns", 0.5)
    np.testing.assert_allclose(scale, np.maximum(X.std(0), 0.5), rtol=1e-12)


def test_an_overflow_is_refused():
    with np.errstate(all="ignore"), pytest.raises(DataError, match="Divide them"):
        center_and_scale(np.array([[1e200], [-1e200]]), None, False, "columns", None)


def exactly(x):
    """Mean and standard deviation in rational numbers."""
    numbers = [Fraction(float(v)) for v in x]
    mean = sum(numbers) / len(numbers)
    variance = sum((v - mean) ** 2 for v in numbers) / len(numbers)
    with mpmath.workdps(40):
        deviation = mpmath.sqrt(mpmath.mpf(variance.numerator) / mpmath.mpf(variance.denominator))
        return float(mpmath.mpf(mean.numerator) / mpmath.mpf(mean.denominator)), float(deviation)


@pytest.mark.parametrize("size", [1e30, 1e37, 1e-30, 1e-170, 1e-200, 1e-300, 1.0])
@pytest.mark.parametrize("holed", [False, True])
def test_columns_of_any_size(size, holed):
    """Neither squares nor sums overflow or vanish, and NumPy has no warnings."""
    x = np.random.default_rng(4).normal(3, 1, (50, 2)) * [size, 1]
    mask = np.random.default_rng(5).random((50, 2)) < 0.7 if holed else None
    filled = x if mask is None else np.where(mask, x, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        center, scale = center_and_scale(filled, mask, False, "feature", None)
        mean, _ = column_means(filled, mask)
        one = float(center_and_scale(filled, mask, False, "global", None)[1])
    deviations = []
    for j in range(2):
        m, s = exactly(x[:, j] if mask is None else x[mask[:, j], j])
        assert center[j] == pytest.approx(m, rel=1e-13, abs=0)
        assert mean[j] == pytest.approx(m, rel=1e-13, abs=0)
        assert scale[j] == pytest.approx(s, rel=1e-12, abs=0)
        deviations.append(Fraction(s))
    assert one == pytest.approx(float(mpmath.sqrt(float(sum(d**2 for d in deviations) / 2))), rel=1e-12, abs=0)


@pytest.mark.parametrize("size", [1e39, 1e160, 1e200, 1e300, 4e307])
def test_columns_beyond_single_precision_are_refused_without_warnings(size):
    x = np.random.default_rng(4).normal(0, 1, (50, 2)) * [1, size]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"column 1 \(from 0\) .* beyond the range of single"):
            center_and_scale(x, None, False, "feature", None)


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 20])
def test_sums_of_rows_have_the_bits_of_all_rows_at_once(n: int, monkeypatch: pytest.MonkeyPatch):
    mask, values = np.random.default_rng(n).random((n, 50)) < 0.9, np.random.default_rng(2).normal(size=50)
    monkeypatch.setattr(statistics, "ROWS", 8)
    assert row_sums(mask, values).tobytes() == (mask @ values).tobytes()


def test_sums_of_rows_need_little_memory_beside_the_mask():
    mask, values = np.ones((50_000, 40), dtype=bool), np.ones(40)
    tracemalloc.start()
    sums = row_sums(mask, values)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (sums == 40).all()
    assert most < sums.nbytes + 8 * mask.size / 2
