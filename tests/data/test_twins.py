"""Columns that determine each other."""

import math

import numpy as np
import pytest

from jensen.data.twins import EVIDENCE, Twins, exceptions, twins

RNG = np.random.default_rng(5)


def everywhere(x):
    return np.ones(x.shape, bool)


def table(n=100):
    """Two columns of three values, two of reals, and one twin of the first and of the third each."""
    x = np.stack([RNG.integers(0, 3, n), RNG.integers(0, 3, n), RNG.normal(size=n), RNG.normal(size=n)], 1)
    return np.concatenate([x, x[:, [0]] * 2 - 7, x[:, [2]]], 1)


def test_equal_up_to_names():
    x = table()
    values = tuple(np.sort(x[:, 2]).tolist())
    pairs = twins(x, everywhere(x))
    assert pairs == [Twins(0, 4, (0.0, 1.0, 2.0), (-7.0, -5.0, -3.0)), Twins(2, 5, values, values)]


def test_where_both_are_observed():
    x, mask = table(), RNG.random((100, 6)) < 0.8
    assert [pair[:2] for pair in twins(x, mask)] == [(0, 4), (2, 5)]
    x[7, 4] = 1 - x[7, 4]
    mask[7] = True
    assert [pair[:2] for pair in twins(x, mask)] == [(2, 5)]
    mask[7, 0] = False  # then the odd value occurs with none of the first column
    assert [pair[:2] for pair in twins(x, mask)] == [(2, 5)]


def test_a_value_that_occurs_with_none_is_no_twin():
    x = np.repeat(np.arange(4.0), 25)[:, None] * [1.0, 10.0]
    mask = everywhere(x)
    assert [pair[:2] for pair in twins(x, mask)] == [(0, 1)]
    mask[75:, 0] = False  # the value 30 of the second is never seen beside one of the first
    assert twins(x, mask) == []


def test_beyond_the_first_rows():
    x = np.tile([[0.0, 1.0], [1.0, 0.0]], (500, 1))
    assert len(twins(x, everywhere(x))) == 1
    x[-1] = [1.0, 1.0]
    assert twins(x, everywhere(x)) == []


@pytest.mark.parametrize(("rare", "found"), [(1, False), (3, False), (4, True)])
def test_chance_is_ruled_out(rare, found):
    """Of 1,000 rows, r at random fall together with r others in one of C(1000, r) ways: 20 nats need four."""
    assert (math.log(math.comb(1000, rare)) > EVIDENCE) is found
    x = np.zeros((1000, 2))
    x[:rare] = 1.0
    x[:, 1] *= 3
    assert bool(twins(x, everywhere(x))) is found


def test_different_reals_are_no_twins():
    x = RNG.normal(size=(2000, 1)) * [1.0, 2.0]
    assert twins(x, everywhere(x)) == []
    assert len(twins(x * [1.0, 0.5], everywhere(x))) == 1


def test_exceptions_are_few_and_not_by_chance():
    a = RNG.integers(0, 3, 600).astype(float)
    b = 2 - a
    assert exceptions(a, b) is None  # there are none
    b[[5, 90]] = 2 - (a[[5, 90]] + 1) % 3
    assert exceptions(a, b).tolist() == [5, 90]
    a[5] = np.nan
    assert exceptions(a, b).tolist() == [90]
    assert exceptions(a, RNG.integers(0, 3, 600).astype(float)) is None
    rare = np.zeros(600)
    rare[0] = 1
    assert exceptions(rare, np.where(np.arange(600) == 3, 1.0, 0.0)) is None


def test_three_values_that_two_stand_for_are_no_twins():
    """One column determines the other, and not the other way round, which the first rows do not show."""
    a = np.tile([0.0, 1.0], 400)
    a[600:700] = 2.0
    b = np.where(a == 2.0, 5.0, 5.0 + a)
    x = np.stack([a, b], 1)
    assert twins(x, np.ones_like(x, dtype=bool)) == []
    assert twins(x[:, ::-1], np.ones_like(x, dtype=bool)) == []


def test_a_value_that_is_seen_alone_stands_for_none_of_the_others():
    """As many values on both sides, of which one is seen only where the other column is missing."""
    a = np.tile([0.0, 1.0], 300)
    a[400:500] = 2.0  # beyond the first rows, which rule out most pairs
    b = np.where(a == 1.0, 6.0, 5.0)
    mask = np.ones((600, 2), dtype=bool)
    mask[500:530, 0] = False
    b[500:530] = 7.0
    assert twins(np.stack([a, b], 1), mask) == []
