"""Equal rows, as a comparison of all pairs finds them."""

from __future__ import annotations

import time

import numpy as np
import pytest

from jensen.data import repeats
from jensen.data.repeats import count_duplicates, duplicates

R = np.random.default_rng(0)


def pairs(a, b):
    return np.array([any(np.array_equal(x, y) for x in a) for y in b])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("width", [1, 3, 8, 17])
def test_as_all_pairs(dtype, width):
    a, b = (R.integers(0, 3, (n, width)).astype(dtype) for n in (40, 60))
    assert duplicates(a, b).tolist() == pairs(a, b).tolist()
    assert count_duplicates(b) == len(b) - len(np.unique(b, axis=0))
    assert duplicates(a[:0], b).sum() == 0


@pytest.mark.parametrize("crowd", [False, True])
def test_masks_and_zeros(crowd, monkeypatch):
    if crowd:  # every row has the same hash
        monkeypatch.setattr(repeats, "_hashes", lambda rows, dtype: np.zeros(len(rows[0]), np.uint64))
    x = np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, 1.0], [2.0, 1.0], [3.0, 1.0], [3.0, 1.0]])
    mask = np.array([[1, 1], [1, 1], [0, 1], [1, 1], [1, 1], [1, 1]], bool)
    assert count_duplicates(x, mask) == 2
    assert duplicates(x[:1], x, mask[:1], mask).tolist() == [True, True, False, False, False, False]
    assert duplicates(x[3:], x[:4], None, mask[:4]).tolist() == [False, False, False, True]
    assert duplicates(x[3:], x[[4, 0]]).tolist() == [True, False]
    assert duplicates(np.array([[1, 2]], np.uint8), np.array([[1.0, 2.0], [1.5, 2.0]])).tolist() == [True, False]


def test_many_equal_rows_are_counted_at_once():
    start = time.process_time()
    assert count_duplicates(np.zeros((2_000_000, 2), np.uint8)) == 1_999_999
    assert time.process_time() - start < 5  # one row at a time took 20 s
