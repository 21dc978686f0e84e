"""Tensors are counted by their sizes, and too many are refused before they are there."""

from __future__ import annotations

import resource

import pytest
import torch
from torch import nn

from jensen.core.allocation import Counted, TooLarge, allocating_at_most

SIZED = {
    "zeros": (lambda: torch.zeros(3, 5), 60),
    "empty of a shape": (lambda: torch.empty((3, 5), dtype=torch.float64), 120),
    "arange": (lambda: torch.arange(10), 80),
    "eye": (lambda: torch.eye(4), 64),
    "full": (lambda: torch.full((2, 3), 7.0), 24),
    "new_zeros": (lambda: torch.ones(1).new_zeros(2, 3), 28),
    "repeat": (lambda: torch.ones(2).repeat(3, 4), 104),
    "an affine layer": (lambda: nn.Linear(3, 5), 80),
    "a convolution": (lambda: nn.Conv2d(2, 3, 5), 612),
}


@pytest.mark.parametrize("name", SIZED)
def test_bytes(name: str) -> None:
    make, size = SIZED[name]
    counted = Counted(10**6)
    with counted:
        make()
    assert counted.bytes == size


def test_results_of_other_tensors() -> None:
    counted, a, b = Counted(10**6, returned=10**6), torch.ones(3, 5), torch.ones(5, 7)
    with counted:
        c = a @ b
        c.add_(1)  # in place
        c.view(21)  # no copy
        c.expand(100, 3, 7)
        torch.relu(c)
    assert counted.bytes == 4 * 3 * 7 * 2


@pytest.mark.parametrize("size", [10**9, 10**18, 2**63, 10**30])
def test_too_many_are_refused_before_they_are_made(size: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge, match="needs at least") as caught, allocating_at_most(10**6):
        nn.Linear(size, 8)
    assert caught.value.needed == 32 * size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_results_have_a_limit_of_their_own() -> None:
    a = torch.ones(100, 100)
    with pytest.raises(TooLarge), Counted(10**9, returned=10**5):
        torch.linalg.multi_dot([a, a, a]).add(1).mul(2).exp()
