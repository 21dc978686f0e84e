from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jensen.core.errors import UsageError
from jensen.data import duplicates, parse_fractions, split


def test_a_split_depends_on_its_seed_only():
    first, again, other = split(100), split(100), split(100, seed=1)
    np.testing.assert_array_equal(first.train, again.train)
    assert (first.train != other.train).any()
    assert first.train.dtype == np.int64
    assert first.train[:5].tolist() == np.random.default_rng(0).permutation(100)[:5].tolist()


@given(st.integers(1, 300), st.sampled_from([(0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.5, 0.0, 0.5), (0.98, 0.01, 0.01)]))
def test_parts_partition_the_rows(n, fractions):
    parts = split(n, fractions)
    joined = np.concatenate([parts.train, parts.valid, parts.test])
    assert sorted(joined.tolist()) == list(range(n))
    for part, fraction in zip((parts.train, parts.valid, parts.test), fractions, strict=True):
        assert abs(len(part) - fraction * n) < 3
        assert fraction > 0 or len(part) == 0
        assert fraction == 0 or len(part) >= 1 or n < 3


@pytest.mark.parametrize(
    ("n", "fractions", "sizes"),
    [
        (1797, (0.8, 0.1, 0.1), (1437, 180, 180)),
        (100, (0.29, 0.42, 0.29), (29, 42, 29)),
        (10, (0.98, 0.01, 0.01), (8, 1, 1)),
        (2, (0.8, 0.1, 0.1), (1, 1, 0)),
        (1, (0.8, 0.1, 0.1), (1, 0, 0)),
    ],
)
def test_sizes(n, fractions, sizes):
    parts = split(n, fractions)
    assert (len(parts.train), len(parts.valid), len(parts.test)) == sizes


def test_a_test_file_takes_the_place_of_the_test_part():
    parts = split(90, test_rows=7)
    assert parts.test_source == "file"
    assert parts.test.tolist() == list(range(7))
    assert (len(parts.train), len(parts.valid)) == (80, 10)
    assert parts.fractions == pytest.approx((8 / 9, 1 / 9, 0))
    assert split(9).test_source == "split"


@pytest.mark.parametrize(
    "text", ["0.8,0.1", "0.8,0.1,0.2", "0,0.5,0.5", "1.2,-0.1,-0.1", "a,b,c", "", "nan,0,1", "0.8 0.1 0.1"]
)
def test_fractions_refused(text):
    with pytest.raises(UsageError, match=r"--split 0\.8,0\.1,0\.1"):
        parse_fractions(text)


def test_fractions_read():
    assert parse_fractions(" 0.7, 0.2,0.1 ") == (0.7, 0.2, 0.1)


def test_no_rows():
    with pytest.raises(UsageError):
        split(0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_duplicates(dtype):
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, (40, 3)).astype(dtype)
    b = rng.integers(0, 4, (30, 3)).astype(dtype)
    expected = [any((row == other).all() for other in a) for row in b]
    assert 0 < sum(expected) < 30
    assert duplicates(a, b).tolist() == expected
    assert duplicates(a, b.astype(np.float64)).tolist() == expected


def test_zeros_of_both_signs_are_equal():
    assert duplicates(np.array([[0.0]]), np.array([[-0.0]])).tolist() == [True]
