"""Values of which squares overflow are named before anything is computed of them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from jensen.core.errors import DataError
from jensen.data import Preparation, Schema
from jensen.data.magnitudes import check_magnitudes, dominating_entries

X = np.random.default_rng(0).normal(size=(60, 3))
SCHEMA = Schema("real", (3,), names=("a", "b", "c"))
FITTED = Preparation.fit(X, SCHEMA, standardize="feature")


@pytest.mark.parametrize("value", [1e30, -1e30, 1e300, -1.7e308, 1e18])
@pytest.mark.parametrize("prepared", [FITTED, Preparation()])
def test_row_column_and_value_are_named(value, prepared):
    x = X.copy()
    x[7, 1] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match="these rows hold 1 value") as caught:
            prepared.rows(x, SCHEMA, numbers=np.arange(100, 160), what="these rows")
    assert f"{value:g} in row 107, column 'b' (from 0)" in str(caught.value)


def test_all_are_counted_and_the_first_named():
    x = X.copy()
    x[10:20, 2] = 1e30
    with pytest.raises(DataError, match=r"10 values.*row 10, .*row 14, column 'c'; \.\.\."):
        FITTED.rows(x, SCHEMA)


def test_what_fits_is_prepared():
    x = X.copy()
    x[7, 1] = 1e12
    assert torch.isfinite(FITTED.rows(x, SCHEMA).stored.square()).all()
    x[7, 1] = 1e100
    assert torch.isfinite(FITTED.rows(x, SCHEMA, dtype=torch.float64).stored.square()).all()


def test_missing_entries_are_not_looked_at():
    mask = np.ones((60, 3), bool)
    mask[3, 0] = False
    prepared = np.where(mask, X, -1e30).astype(np.float32)
    check_magnitudes(prepared, X, mask, None, None, "rows")
    with pytest.raises(DataError, match="row 3, column 0"):
        check_magnitudes(prepared, X, None, None, None, "rows")


@pytest.mark.parametrize("value", [1e30, -1e12, 1e300])
def test_a_value_that_makes_all_others_equal_is_named(value):
    x = X.copy()
    x[11, 2] = value
    center, scale = x.mean(0), np.array([1.0, 1.0, abs(value) / np.sqrt(60)])
    [note] = dominating_entries(x, None, center, scale, ("a", "b", "c"), np.arange(60) + 5)
    assert f"{value:g} in row 16, column 'c' (from 0)" in note
    assert dominating_entries(X, None, X.mean(0), X.std(0), None) == []


def test_rare_values_above_zeros_are_no_fault():
    x = np.zeros((100, 1))
    x[3] = 5.0
    assert dominating_entries(x, None, x.mean(0), x.std(0), None) == []
