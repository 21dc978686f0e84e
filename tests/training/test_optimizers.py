"""Optimisers by name, and learning-rate schedules."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from jensen.core.batch import Rows
from jensen.core.errors import UsageError
from jensen.guides import Exact
from jensen.objectives import Elbo
from jensen.training import Budget, Optimizer, Player, PrincipalComponents, Trainer, schedule_factor
from jensen.training.optimizers import SCHEDULES, optimizer_names
from tests.identities.models import close, evidence, linear_model, simulated


def test_schedules_start_at_one_and_decay_as_they_say():
    assert [schedule_factor(name, 0.0) for name in SCHEDULES] == [1, 1, 1]
    assert [schedule_factor(name, 1.0) for name in SCHEDULES] == [0, 1, 0]
    close(schedule_factor("cosine", 0.25), (1 + math.sqrt(0.5)) / 2)
    assert schedule_factor("linear", 0.25) == 0.75
    assert [schedule_factor(name, 1.5) for name in SCHEDULES] == [0, 1, 0]
    with pytest.raises(UsageError, match="Choose from cosine, constant, linear"):
        schedule_factor("Cosine", 0.0)


@pytest.mark.parametrize("name", optimizer_names())
def test_every_optimiser_that_can_be_named_works(name):
    matrix = nn.Parameter(torch.full((2, 3), 1.0))
    optimizer = Optimizer(name, 0.01)([matrix])

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = matrix.square().sum()
        loss.backward()
        return loss

    before = closure().item()
    for _ in range(3):
        optimizer.step(closure)
    assert closure().item() < before


def test_optimisers_that_no_model_here_can_use_are_not_named():
    assert {"Adam", "AdamW", "LBFGS", "SGD", "Muon"} <= set(optimizer_names())
    assert not {"SparseAdam", "Optimizer"} & set(optimizer_names())


def test_parameters_that_an_optimiser_cannot_train_are_refused():
    with pytest.raises(UsageError, match=r"Muon does not accept these parameters.*Use --optimizer Adam"):
        Optimizer("muon")([nn.Parameter(torch.zeros(3))])


def test_names_in_any_case_options_and_fusion():
    made = Optimizer("adamw", 0.1, (("weight_decay", 0.5),))([nn.Parameter(torch.zeros(1))])
    assert type(made) is torch.optim.AdamW
    assert (made.defaults["lr"], made.defaults["weight_decay"], made.defaults["fused"]) == (0.1, 0.5, True)
    assert Optimizer("lbfgs").name == "LBFGS"


@pytest.mark.parametrize("lr", [0.0, -1.0, math.nan, math.inf])
def test_rates_that_cannot_work_are_refused(lr):
    with pytest.raises(UsageError, match="--lr"):
        Optimizer("Adam", lr)


def test_unknown_optimisers_are_refused():
    with pytest.raises(UsageError, match="Choose from ASGD"):
        Optimizer("Adamant")


def test_lbfgs_looks_more_than_once_and_reaches_the_optimum():
    model, best = linear_model(1, 4), linear_model(1, 4)
    batch = simulated(linear_model(1, 4, name="truth"), 100)
    PrincipalComponents()(best, Rows(batch.x))
    players = [Player(Elbo(), list(model.parameters()), optimizer=Optimizer("lbfgs", 0.5))]
    history = Trainer(schedule="constant").fit(model, Exact(model), players, Rows(batch.x), Budget(20, 100))
    close(evidence(model, batch).mean(), evidence(best, batch).mean(), 1e-6)
    assert history.epochs[-1].step == 20
    # the reported objective is that of the first evaluation, at the weights before the step
    close(history.epochs[0].train.objective, evidence(linear_model(1, 4), batch).mean())
