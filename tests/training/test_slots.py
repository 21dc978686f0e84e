"""Slots hold other tensors for a while, in all places of each, and give the own ones back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.nets import Critic
from jensen.objectives import Elbo, LogRatio, Ramp, Rate
from jensen.training import Player
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


def test_a_critic_that_an_objective_reads_is_held_as_are_modules_that_a_player_trains():
    model, guide, own, critic = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(3, 3), Critic(nn.Linear(2, 4), 4)
    slots = Slots.of(model, guide, Player(Elbo() - LogRatio(critic), [model, own]))
    held = {id(t) for t in slots.tensors}
    assert all(id(t) in held for module in (model, guide, own, critic) for t in module.parameters())
