"""Players that are active during a part of the training only."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from jensen import Budget, Gaussian, LatentVariableModel, Linear, Player, Rows, Trainer, Unconditional
from jensen.core.errors import CompositionError
from jensen.guides import Exact
from jensen.objectives import Elbo
from jensen.training import EpochEnded, Optimizer
from jensen.training.events import Started


def two_stages(first: tuple[float, float], second: tuple[float, float]) -> tuple[LatentVariableModel, list[Player]]:
    torch.manual_seed(0)
    model = LatentVariableModel(Unconditional(Gaussian(1), learn=True), Linear(1, 3))
    likelihood, prior = list(model.likelihood.parameters()), list(model.prior.parameters())
    # one step of SGD shows the learning rate that it was made with
    sgd = Optimizer("SGD", 0.1)
    return model, [
        Player(Elbo(), likelihood, optimizer=sgd, during=first),
        Player(Elbo(), prior, optimizer=sgd, during=second),
    ]


def test_each_player_is_active_in_its_own_epochs() -> None:
    model, players = two_stages((0.0, 0.5), (0.5, 1.0))
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def look(event: object) -> None:
        if isinstance(event, Started | EpochEnded):
            seen.append((model.likelihood.W.detach().clone(), model.prior.value.detach().clone()))  # pyright: ignore

    rows = Rows(torch.randn(20, 3, generator=torch.Generator().manual_seed(1)))
    history = Trainer(listeners=[look], schedule="linear").fit(model, Exact(model), players, rows, Budget(4, 20))
    weights, priors = zip(*seen, strict=True)
    moved = [(not torch.equal(a, b)) for a, b in pairwise(weights)]
    shifted = [(not torch.equal(a, b)) for a, b in pairwise(priors)]
    assert moved == [True, True, False, False]
    assert shifted == [False, False, True, True]
    # the schedule of each runs over its own epochs: 0.1, 0.05, then again
    assert [e.learning_rate for e in history.epochs] == pytest.approx([0.1, 0.05, 0.1, 0.05])


def test_a_player_without_an_epoch_is_refused_before_the_loop() -> None:
    model, players = two_stages((0.0, 0.5), (0.9, 1.0))
    with pytest.raises(CompositionError, match=r"4 epochs leave .* none"):
        Trainer().fit(model, Exact(model), players, Rows(torch.zeros(4, 3)), Budget(4, 4))
