"""Gradients far above their running norm are clipped to it."""

from __future__ import annotations

import pytest
import torch
from torch import nn


def test_one_spike_does_not_permit_the_next():
    """After twenty steps of norm 1 and a spike clipped to 10, the running norm is 1 + 9/21, the limit 10 times it."""
    from jensen.training.spikes import Spikes

    weight = nn.Parameter(torch.zeros(1))
    spikes = Spikes(10.0, 1, torch.device("cpu"))
    for gradient in (*[1.0] * 20, 500.0, 500.0):
        weight.grad = torch.tensor([gradient])
        spikes.clip(0, [weight])
    assert weight.grad is not None
    assert float(weight.grad) == pytest.approx(10 * (1 + 9 / 21))
    assert spikes.count == 2
