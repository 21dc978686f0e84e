"""The first tensor with a number that is not finite is named; sums that overflow deceive nobody."""

from __future__ import annotations

import math

import pytest
import torch

from jensen.training.nonfinite import first_nonfinite, is_finite


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 3])
def test_the_first_is_named(bad, at):
    tensors = {name: torch.ones(2, 4) for name in "abc"}
    tensors["b"][1, at] = bad
    tensors["c"][0, 0] = bad
    assert first_nonfinite(tensors) == "b"
    assert not is_finite(tensors["b"])


def test_finite_numbers_whose_sum_overflows_are_finite():
    assert first_nonfinite({"a": torch.full((4,), 3e38), "b": torch.full((2,), -3e38)}) is None


def test_infinities_of_both_signs_are_seen():
    assert first_nonfinite({"a": torch.tensor([math.inf, -math.inf])}) == "a"


def test_integers_and_empty_tensors_are_finite():
    assert first_nonfinite({"steps": torch.tensor(3), "empty": torch.zeros(0)}) is None
    assert first_nonfinite({}) is None
