"""The gradient of a step: that of the mean, laid out as its parameters, each in memory of its own."""

from __future__ import annotations

import torch

from jensen.core.random import stream
from jensen.objectives import CustomObjective, Elbo
from jensen.training import Budget, Player
from jensen.training.gradient import gradient
from jensen.training.plan import Plan
from jensen.training.setup import TrainingSetup
from tests.identities.models import close
from tests.training.test_loop import data, everyone, pair


def found(objective, parameters=None):
    model, guide = pair()
    [player] = everyone(model, guide, objective)
    player = player if parameters is None else Player(objective, parameters(model))
    setup = TrainingSetup(Plan(), model, guide, [player], data(), Budget(1, 9))
    batch = setup.data.take(torch.arange(9), stream(0, "rows"))
    return setup, player, batch, gradient(setup, player, batch, stream(0, "noise"), player.trained)


def test_it_is_the_gradient_of_minus_the_mean():
    setup, player, batch, result = found(Elbo())
    draw = player.estimator.draw(setup.model, setup.guide, batch, stream(0, "noise"))
    (-Elbo()(draw).mean()).backward()
    for parameter, part in zip(player.trained, result.parts, strict=True):
        assert torch.equal(parameter.grad, part)
    close(result.sums.values[0], Elbo()(draw).sum(), 1e-12)
    close(result.loss, -Elbo()(draw).mean(), 1e-12)


def test_gradients_are_laid_out_as_their_parameters_and_share_no_memory():
    held = []

    def both(draw):
        a, b = held
        return (a + b).sum().expand(len(draw.batch))

    def parameters(model):
        held.extend(torch.nn.Parameter(torch.zeros(3, dtype=torch.float64)) for _ in range(2))
        return held

    *_, result = found(CustomObjective(both, "both"), parameters)
    first, second = result.parts
    assert first.stride() == second.stride() == (1,)
    assert first.data_ptr() != second.data_ptr()
    close(first, -1.0)
    first.mul_(0)
    close(second, -1.0)


def test_a_parameter_that_the_objective_does_not_read_has_no_gradient():
    *_, result = found(CustomObjective(lambda draw: draw.log_prior.sum(-1)[0], "prior alone"))
    assert any(part is None for part in result.parts)
    assert any(part is not None for part in result.parts)
