"""Slots hold other tensors for a while, in all places of each, and give the own ones back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.objectives import Elbo, Ramp, Rate
from jensen.training.slots import Slots


def test_shared_tensors_are_one_and_everything_is_given_back():
    first, second = nn.Linear(2, 2), nn.BatchNorm1d(2)
    second.weight = nn.Parameter(torch.ones(2))
    shared = nn.Linear(2, 2)
    shared.weight = first.weight
    ramp = Ramp(1.0, 10)
    slots = Slots([first, shared, second, first], Elbo() - ramp * Rate())
    assert len(slots.tensors) == 2 + 1 + 5 + 1  # of first, the bias of shared, of second, and the ramp
    before = slots.tensors
    others = [torch.full_like(t, 3) for t in before]

    def fail():
        with slots.holding(others):
            assert first.weight is shared.weight is others[0]
            assert slots.ramps[0].value is others[-1]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert all(a is b for a, b in zip(slots.tensors, before, strict=True))
    assert isinstance(first.weight, nn.Parameter)
