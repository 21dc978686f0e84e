"""Means and scales are those of the observed entries in double precision, however the rows are cut."""

from __future__ import annotations

import numpy as np
import pytest

from jensen.core.errors import DataError
from jensen.data.statistics import center_and_scale, column_means

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
