"""Adam's fused step is torch's own, to the bit, also after its state was loaded."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from jensen.core.random import stream
from jensen.training.fused import FusedAdam

KINDS = {
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "Adam, weights decayed": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1, betas=(0.5, 0.9), fused=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "Adam that decays as AdamW": lambda p: torch.optim.Adam(
        p, lr=0.01, weight_decay=0.1, decoupled_weight_decay=True, fused=True
    ),
    "maximised": lambda p: torch.optim.Adam(p, lr=0.01, maximize=True, fused=True),
    "another epsilon": lambda p: torch.optim.Adam(p, lr=0.01, eps=0.1, fused=True),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, fused=True),
    "not fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=False),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, fused=True),
    "two groups": lambda p: torch.optim.Adam([{"params": p[:1]}, {"params": p[1:], "lr": 0.1}], fused=True),
}


@pytest.mark.parametrize("name", KINDS)
def test_steps_are_those_of_torch(name):
    noise = stream(0, "start")
    own = [nn.Parameter(torch.randn(n, generator=noise)) for n in (1, 7, 40)]
    theirs = [nn.Parameter(p.detach().clone()) for p in own]
    mine, plain = KINDS[name](own), KINDS[name](theirs)
    steps = FusedAdam(mine)
    for number in range(9):
        if number == 5:  # as a resumed training does
            mine.load_state_dict(copy.deepcopy(mine.state_dict()))
        for p, q in zip(own, theirs, strict=True):
            q.grad = p.grad = torch.randn(p.shape, generator=noise)
        if number == 3:  # a parameter that a loss did not depend on
            own[1].grad = theirs[1].grad = None
        for group in (*mine.param_groups, *plain.param_groups):
            group["lr"] *= 0.9
        steps.step()
        plain.step()
        assert all(torch.equal(p, q) for p, q in zip(own, theirs, strict=True)), number
    first, second = (o.state_dict()["state"] for o in (mine, plain))
    assert all(torch.equal(first[i][k], second[i][k]) for i in second for k in second[i] if second[i][k] is not None)
