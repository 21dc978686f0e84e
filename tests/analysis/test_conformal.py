"""Conformal p-values are uniform among exchangeable rows, whatever the score."""

from __future__ import annotations

import numpy as np

from jensen.analysis.conformal import hole_offsets, p_values, with_offsets


def test_p_values_of_exchangeable_rows_are_uniform():
    """Each is k / (M + 1) with equal chance, by a chi-squared test with its standard deviation."""
    rng, m, trials = np.random.default_rng(0), 9, 8_000
    scores = np.exp(3 * rng.standard_normal((trials, m + 1)))  # of any distribution
    p = np.array([p_values(row[:1], row[1:])[0] for row in scores])
    counts = np.bincount(np.rint(p * (m + 1)).astype(int), minlength=m + 2)[1:]
    expected = trials / (m + 1)
    assert counts.sum() == trials
    assert np.abs(counts - expected).max() < 4.5 * np.sqrt(expected * (1 - 1 / (m + 1)))


def test_ties_are_on_the_side_of_caution():
    p = p_values(np.array([0.0, -1.0, 1.0]), np.array([0.0, 0.0, 1.0]))
    assert np.allclose(p, [3 / 4, 1 / 4, 1.0])


def test_columns_are_compared_with_their_own_and_gaps_stay_gaps():
    held = np.array([[0.0, 10.0], [1.0, np.nan], [2.0, 12.0]])
    scores = np.array([[1.5, 11.0], [np.nan, -5.0]])
    p = p_values(scores, held)
    assert np.allclose(p, [[3 / 4, 2 / 3], [np.nan, 1 / 3]], equal_nan=True)
    assert np.isnan(p_values(np.array([1.0]), np.array([np.nan]))).all()


def test_a_held_out_row_is_compared_with_the_others():
    scores = np.random.default_rng(1).normal(size=12)
    among = p_values(scores, scores, own=True)
    assert np.allclose(np.sort(among), np.arange(1, 13) / 12)
    assert np.allclose(among, [p_values(s, np.delete(scores, i))[0] for i, s in enumerate(scores[:, None])])


def test_offsets_are_means_of_what_is_known():
    given = np.array([[-1.0, np.nan, np.nan], [-3.0, -np.inf, np.nan], [np.nan, -5.0, np.nan]])
    assert hole_offsets(given).tolist() == [-2.0, -5.0, 0.0]
    seen = np.array([[True, True], [False, True], [False, False]])
    assert with_offsets(np.zeros(3), seen, np.array([-2.0, -5.0])).tolist() == [0.0, -2.0, -7.0]
    assert with_offsets(np.ones(3), None, np.array([-2.0, -5.0])).tolist() == [1.0] * 3
    assert with_offsets(np.ones(3), seen, None).tolist() == [1.0] * 3


def test_fixed_offsets_keep_p_values_of_rows_with_holes_valid():
    """Of a known Gaussian of independent columns, holes at random: each p-value is k / (M + 1) with equal chance."""
    rng, m, trials = np.random.default_rng(2), 9, 8_000
    x, seen = rng.standard_normal((trials, m + 1, 5)), rng.random((trials, m + 1, 5)) > 0.3
    log_p = np.where(seen, -0.5 * (np.log(2 * np.pi) + x**2), 0.0).sum(-1)
    s = log_p + (~seen) @ np.full(5, -0.5 * np.log(2 * np.pi * np.e))
    p = np.array([p_values(row[:1], row[1:])[0] for row in s])
    counts = np.bincount(np.rint(p * (m + 1)).astype(int), minlength=m + 2)[1:]
    expected = trials / (m + 1)
    assert np.abs(counts - expected).max() < 4.5 * np.sqrt(expected * (1 - 1 / (m + 1)))
