"""Averaged weights: the moving average by hand, in place and back, followed by validation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from jensen.core.batch import Batch, Rows
from jensen.core.errors import UsageError
from jensen.core.random import stream
from jensen.guides import Exact
from jensen.objectives import Elbo
from jensen.training import Budget, EpochEnded, Optimizer, Player, Trainer
from jensen.training.averages import Average
from tests.identities.models import close, evidence, linear_model


def by_hand(start: torch.Tensor, later: list[torch.Tensor], decay: float) -> torch.Tensor:
    mean = start
    for t, value in enumerate(later, 1):
        d = min(decay, (1 + t) / (10 + t))
        mean = d * mean + (1 - d) * value
    return mean


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9])
def test_the_average_is_the_one_by_hand(decay):
    parameter = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    average = Average([parameter], decay)
    path = [torch.randn(2, dtype=torch.float64, generator=stream(i, "path")) for i in range(20)]
    for value in path:
        with torch.no_grad():
            parameter.copy_(value)
        average.update()
    close(average.values[0], by_hand(torch.zeros(2).double(), path, decay))
    if decay == 0:
        assert torch.equal(average.values[0], path[-1])


def test_the_present_weights_come_back():
    parameter = nn.Parameter(torch.ones(2))
    average = Average([parameter], 0.5)
    with torch.no_grad():
        parameter.fill_(3.0)
    with average.in_place():
        assert torch.equal(parameter.detach(), torch.ones(2))
    assert torch.equal(parameter.detach(), torch.full((2,), 3.0))
    with pytest.raises(RuntimeError, match="inside"), average.in_place():
        raise RuntimeError("inside")
    assert torch.equal(parameter.detach(), torch.full((2,), 3.0))


@pytest.mark.parametrize("decay", [1.0, -0.1, float("nan")])
def test_decays_out_of_range_are_refused(decay):
    with pytest.raises(UsageError, match=f"--average must be at least 0 and below 1, got {decay:g}"):
        Average([], decay)


def test_training_averages_after_every_step_and_validates_the_average():
    model = linear_model(1, 3)
    x = torch.randn(10, 3, dtype=torch.float64, generator=stream(0, "x"))
    start, path = model.likelihood.W.detach().clone(), []

    def listen(event) -> None:
        if isinstance(event, EpochEnded):
            path.append(model.likelihood.W.detach().clone())

    players = [Player(Elbo(), list(model.parameters()), optimizer=Optimizer("Adam", 0.1))]
    trainer = Trainer(average=0.7, listeners=[listen])
    history = trainer.fit(model, Exact(model), players, Rows(x), Budget(12, 10), Rows(x + 1))  # one step an epoch
    where = next(i for i, p in enumerate(history.average.parameters) if p is model.likelihood.W)
    close(history.average.values[where], by_hand(start, path, 0.7))
    assert torch.equal(model.likelihood.W, path[-1])  # the model itself keeps the raw ones
    with history.average.in_place():
        close(history.epochs[-1].valid.bound, evidence(model, Batch(x + 1)).mean())
