"""Rows that are evenly spaced are distinct, in order, and hold both ends."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from jensen.core.rows import evenly_spaced


@pytest.mark.parametrize("n", [1, 2, 7, 1797, 100_003])
@pytest.mark.parametrize("most", [1, 2, 5, 2000, 200_000])
def test_rows_are_distinct_and_in_order(n, most):
    rows = evenly_spaced(n, most).tolist()
    assert len(rows) == min(n, most)
    assert rows == sorted(set(rows))
    assert rows[0] == 0
    assert rows[-1] == n - 1 or most == 1
    steps = {b - a for a, b in pairwise(rows)}
    assert max(steps, default=1) - min(steps, default=1) <= 1  # as even as whole numbers can be
    if most >= n:
        assert rows == list(range(n))


def test_none_of_none():
    assert evenly_spaced(0, 5).tolist() == []
    assert evenly_spaced(5, 0).tolist() == []


@pytest.mark.parametrize("n", [33, 260, 1797, 50_000, 60_000])
@pytest.mark.parametrize("most", [32, 64, 1000, 20_000])
def test_starts_are_those_of_earlier_versions(n, most):
    """Annealing's pilot and the starts of recipes chose rows in single precision, rounded down; records rely on it."""
    before = torch.linspace(0, n - 1, min(n, most)).long()
    rows = evenly_spaced(n, most, nearest=False, dtype=torch.float32)
    assert torch.equal(rows, before)


def test_precision_decides_a_row():
    places = [evenly_spaced(260, 64, nearest=False, dtype=dtype).tolist() for dtype in (torch.float32, torch.float64)]
    assert places[0] != places[1]
