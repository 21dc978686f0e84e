"""Columns of mixed kinds: each scale, with its log-Jacobian; metres and feet differ by exactly that."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from jensen.core.errors import UsageError
from jensen.data import Preparation, Schema
from jensen.data.column_scales import column_scales, inside_ends
from jensen.data.columns import Column

COLUMNS = (
    Column("height", "real"),
    Column("income", "positive"),
    Column("share", "bounded", low=0, high=100),
    Column("hour", "circular", low=0, high=24),
    Column("age", "integer"),
    Column("visits", "count"),
    Column("colour", "categorical", levels=("blue", "green", "red")),
)
SCHEMA = Schema("mixed", (7,), names=tuple(c.name for c in COLUMNS), columns=COLUMNS)


def table(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Rows of every kind, in stored form, a tenth of them missing."""
    rng = np.random.default_rng(0)
    x = np.stack(
        [
            rng.normal(1.7, 0.1, n),
            rng.lognormal(8, 1, n),
            rng.uniform(1, 99, n),
            rng.uniform(0, 24, n),
            rng.integers(-5, 90, n),
            rng.poisson(3, n),
            rng.integers(0, 3, n),
        ],
        1,
    )
    mask = rng.random(x.shape) > 0.1
    return np.where(mask, x, 0.0), mask


def test_each_kind_has_the_scale_of_its_observed_entries():
    x, mask = table()
    center, scale, fill = column_scales(x, mask, COLUMNS)
    seen = [x[mask[:, i], i] for i in range(len(COLUMNS))]
    assert center[0] == pytest.approx(seen[0].mean())
    assert scale[0] == pytest.approx(seen[0].std())
    assert np.log(seen[1] / scale[1]).mean() == pytest.approx(0, abs=1e-12)
    assert (center[2], scale[2]) == (0, 100)
    assert (center[3], scale[3]) == (12, 12 / math.pi)
    assert center[4:].tolist() == [0, 0, 0]
    assert scale[4:].tolist() == [1, 1, 1]
    assert fill[5] == np.median(seen[5])
    assert fill[6] == np.bincount(seen[6].astype(int)).argmax()


def test_prepared_values_are_in_their_supports_and_go_back():
    x, mask = table()
    preparation = Preparation.fit(x, SCHEMA, mask=mask)
    prepared = preparation.rows(x, SCHEMA, mask=mask).take(torch.arange(len(x))).x.numpy()
    assert ((prepared[:, 1] > 0) & (prepared[:, 2] > 0) & (prepared[:, 2] < 1)).all()
    assert (np.abs(prepared[:, 3]) <= np.float32(math.pi)).all()
    back = preparation.invert(prepared)
    np.testing.assert_allclose(back[mask], x[mask], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(back[:, 4:][mask[:, 4:]], x[:, 4:][mask[:, 4:]])
    assert preparation.outcome(SCHEMA) == SCHEMA
    assert Preparation.from_dict(preparation.to_dict()).invert(prepared).tolist() == back.tolist()


def test_metres_and_feet_are_the_same_rows_and_differ_by_the_jacobian():
    x, mask = table()
    factors = np.array([3.28084, 100.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    first, second = Preparation.fit(x, SCHEMA, mask=mask), Preparation.fit(x * factors, SCHEMA, mask=mask)
    rows = [p.rows(v, SCHEMA, mask=mask).take(torch.arange(len(x))).x for p, v in ((first, x), (second, x * factors))]
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-5, atol=1e-5)
    difference = second.log_jacobians(mask) - first.log_jacobians(mask)
    np.testing.assert_allclose(difference, -(mask @ np.log(factors)), rtol=1e-12, atol=1e-12)


def test_large_whole_numbers_are_told_apart():
    """Near 10^12 they come back exactly from single precision, without a Jacobian; zeros among others stay zeros."""
    columns = (Column("id", "integer", low=0), Column("revenue", "integer", low=0), Column("debt", "integer"))
    rng = np.random.default_rng(0)
    x = np.stack(
        [10**12 + rng.integers(0, 2**24, 500), 10**8 * rng.integers(0, 3, 500), -rng.integers(2**30, 2**31, 500)], 1
    )
    schema = Schema("mixed", (3,), names=tuple(c.name for c in columns), columns=columns)
    preparation = Preparation.fit(x.astype(np.float64), schema)
    rows = preparation.rows(x.astype(np.float64), schema)
    back = preparation.invert(rows.stored)
    assert rows.stored.dtype == torch.float32
    assert (back[:, :2] == x[:, :2]).all()
    assert (back[:, 1] == 0).any()
    assert np.abs(back[:, 2] - x[:, 2]).max() <= 64  # of a range beyond 2^24: a whole number next to it
    assert preparation.log_jacobian(3) == 0
    assert [c.low for c in preparation.outcome(schema).columns or ()] == [-x[:, 0].min(), 0, None]


def test_outliers_do_not_make_the_scale():
    values = np.concatenate([np.linspace(-1, 1, 999), [1e6]])[:, None]
    center, scale, _ = column_scales(values, None, (Column("a", "real"),))
    assert abs(center[0]) < 0.01
    assert 0.5 < scale[0] < 1


def test_values_next_to_an_end_stay_inside_after_rounding():
    share = (Column("share", "bounded", low=0, high=1),)
    x = np.array([[1 - 1e-12], [1e-30], [1.0]])
    rounded = inside_ends(x.astype(np.float32), x, share)
    assert 0 < rounded[1, 0] < rounded[0, 0] < 1
    assert rounded[2, 0] == 1  # which is refused, and not hidden


def test_other_steps_are_refused():
    x, mask = table()
    with pytest.raises(UsageError, match="each by its kind"):
        Preparation.fit(x, SCHEMA, mask=mask, standardize="feature")
