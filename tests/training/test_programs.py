"""Recorded steps train to the same bits as steps that are not; what could differ is refused, and noticed later."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from jensen.core.batch import Rows
from jensen.core.random import drawing_from, stream
from jensen.estimators.reparameterized import DoublyReparameterized, Pathwise
from jensen.families import Gaussian
from jensen.guides import Amortized
from jensen.models.conditionals import Given, Unconditional
from jensen.models.model import LatentVariableModel
from jensen.nets import MLP
from jensen.objectives import CustomObjective, Distortion, Elbo, ImportanceWeighted, Objective, Ramp, Rate
from jensen.training import Budget, Optimizer, Player, Trainer, programs
from jensen.training.events import EpochEnded
from jensen.training.loop import TrainingLoop
from jensen.training.plan import Plan
from jensen.training.setup import TrainingSetup
from tests.identities.models import amortized, curved_model, linear_model
from tests.training.test_loop import data, pair, same, values
from tests.training.test_resume import Memory


@pytest.fixture
def eager_to_record(monkeypatch):
    """Steps are recorded at once, whatever it gains; returns every manager of recordings that is made."""
    made: list[programs.Programs] = []
    start = programs.Programs.__post_init__

    def watched(self):
        start(self)
        made.append(self)

    monkeypatch.setattr(programs.Programs, "__post_init__", watched)
    for name, value in {"FIRST": 2, "LEAST_STEPS": 0, "LEAST_SECONDS": 0.0, "GAIN": 1e9, "CHECKED": 4}.items():
        monkeypatch.setattr(programs, name, value)
    return made


def never(monkeypatch):
    monkeypatch.setattr(programs, "LEAST_STEPS", 10**12)


X = torch.randn(22, 3, dtype=torch.float64, generator=stream(0, "rows"))
ROWS = Rows(X)
HOLES = Rows(X, mask=torch.rand(22, 3, generator=stream(0, "holes")) > 0.3, fill=torch.zeros(3))
CASES = {
    "one point": (Elbo(), Pathwise(1), ROWS, {}),
    "holes": (Elbo(), Pathwise(1), HOLES, {}),
    "importance weights": (ImportanceWeighted(), Pathwise(3), ROWS, {}),
    "without the score": (ImportanceWeighted(), DoublyReparameterized(3), ROWS, {}),
    "a warm-up": (-Distortion() - Ramp(1.0, 9) * Rate(), Pathwise(2), ROWS, {}),
    "clipped": (Elbo(), Pathwise(1), ROWS, {"clip": 0.5, "spikes": 2.0, "average": 0.9}),
}


def trained(objective: Objective, estimator, rows: Rows, settings) -> tuple[list[torch.Tensor], list[EpochEnded]]:
    model, guide = curved_model(), amortized(3, Gaussian(1))
    parameters = [*model.parameters(), *guide.parameters()]
    player = Player(objective, parameters, estimator, Optimizer("Adam", 0.01))
    epochs = Trainer(**settings).fit(model, guide, [player], rows, Budget(8, 8), ROWS).epochs  # batches of 8, 8 and 6
    return values(model, guide), epochs


SLOW = {"one point", "holes", "importance weights", "without the score", "clipped"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else []) for n in CASES])
def test_recorded_steps_give_the_same_bits(name, eager_to_record, monkeypatch):
    found = trained(*CASES[name])
    [kept] = eager_to_record
    assert kept.reasons == {}
    assert sorted(use.uses for use in kept.uses.values()) == [6, 13]  # the very first step is looked at
    never(monkeypatch)
    expected = trained(*CASES[name])
    assert same(found[0], expected[0])
    assert [(e.train, e.valid) for e in found[1]] == [(e.train, e.valid) for e in expected[1]]


def test_a_training_goes_on_to_the_same_bits_wherever_it_was_stopped(eager_to_record):
    """A resumed training records its steps again, at other places than one that was never stopped."""

    def parts():
        model, guide = pair()
        return model, guide, [Player(Elbo(), [*model.parameters(), *guide.parameters()], Pathwise(1))]

    whole = parts()
    Trainer().fit(*whole, data(12), Budget(6, 4))
    cut, steps, keeper = parts(), [], Memory()
    stopped = Trainer(should_stop=lambda: steps.append(0) or len(steps) == 7, keeper=keeper)
    history = stopped.fit(*cut, data(12), Budget(6, 4))
    again = parts()
    Trainer().fit(*again, data(12), Budget(6, 4), start=(keeper.kept[-1], history.epochs))
    assert same(values(*whole[:2]), values(*again[:2]))
    assert all(use.uses for kept in (eager_to_record[0], eager_to_record[-1]) for use in kept.uses.values())


def test_two_players_have_recordings_of_their_own(eager_to_record, monkeypatch):
    def run():
        model, guide = curved_model(), amortized(3, Gaussian(1))
        players = [
            Player(Elbo(), list(guide.parameters()), Pathwise(2), steps=2),
            Player(Elbo(), list(model.parameters()), Pathwise(1)),
        ]
        Trainer().fit(model, guide, players, ROWS, Budget(6, 11))
        return values(model, guide)

    found = run()
    assert {number: use.uses > 0 for (number, _), use in eager_to_record[0].uses.items()} == {0: True, 1: True}
    never(monkeypatch)
    assert same(found, run())


class Counting(nn.Module):
    """A module of the user's own, which counts its calls."""

    def __init__(self):
        super().__init__()
        self.net, self.calls = MLP(3, 2, (4,)), 0

    def forward(self, x):
        self.calls += 1
        return self.net(x)


def run_with(guide, objective=None, optimizer="Adam", model=None, **settings):
    model = linear_model(1, 3) if model is None else model
    parameters = [*model.parameters(), *guide.parameters()]
    player = Player(Elbo() if objective is None else objective, parameters, Pathwise(1), Optimizer(optimizer, 0.01))
    Trainer(**settings).fit(model, guide, [player], ROWS, Budget(5, 11))


def test_parts_of_the_users_own_run_in_every_step(eager_to_record):
    with drawing_from(stream(0, "net")):
        net = Counting()
    run_with(Amortized(Given(net, Gaussian(1))).double())
    assert "your own" in eager_to_record[0].reasons[0]
    assert net.calls >= 10
    calls = []
    hooked = amortized(3, Gaussian(1))
    hooked.register_forward_hook(lambda *given: calls.append(0))
    run_with(hooked)
    assert len(calls) >= 10
    seen = []
    run_with(amortized(3, Gaussian(1)), CustomObjective(lambda draw: seen.append(0) or Elbo()(draw), "seen"))
    assert len(seen) >= 10
    scored = []

    class Watching(Gaussian):
        """A family of the user's own, which is no module."""

        def log_prob(self, params, x, mask=None):
            scored.append(0)
            return super().log_prob(params, x, mask)

    with drawing_from(stream(0, "net")):
        model = LatentVariableModel(Unconditional(Gaussian(1)), Given(MLP(1, 6, (4,)), Watching(3))).double()
    run_with(amortized(3, Gaussian(1)), model=model)
    assert len(scored) >= 10
    assert [kept.reasons.keys() for kept in eager_to_record] == [{0}, {0}, {0}, {0}]


def test_a_line_search_is_not_recorded(eager_to_record):
    run_with(amortized(3, Gaussian(1)), optimizer="LBFGS")
    assert "line search" in eager_to_record[0].reasons[0]


weight = [1.0]


@dataclass(frozen=True)
class Drifting(Elbo):
    """Its weight changes in Python alone: as a part that would slip through."""

    def __call__(self, draw):
        return Elbo()(draw) * weight[0]


def test_a_step_that_becomes_another_one_is_noticed(eager_to_record, monkeypatch):
    monkeypatch.setattr(programs, "is_own_code", lambda setup, player: False)
    weight[0] = 1.0
    run_with(amortized(3, Gaussian(1)), Drifting(), listeners=[lambda event: weight.__setitem__(0, weight[0] + 1e-9)])
    assert "differ" in eager_to_record[0].reasons[0]
    assert all(use.program is None for use in eager_to_record[0].uses.values())


def test_a_number_that_is_not_finite_is_found_as_in_any_step(eager_to_record):
    model, guide = curved_model(), amortized(3, Gaussian(1))
    player = Player(Elbo(), [*model.parameters(), *guide.parameters()], Pathwise(1), Optimizer("SGD", 1e-3))
    rows = Rows(torch.cat([X, torch.full((2, 3), torch.nan, dtype=torch.float64)]))
    with pytest.raises(Exception, match=r"row|finite"):
        Trainer().fit(model, guide, [player], rows, Budget(3, 8))
    assert len(eager_to_record) == 1


@pytest.mark.parametrize(
    ("steps", "seconds", "worthwhile"), [(10**6, 1e-3, True), (100, 1.0, False), (500, 1e-4, False)]
)
def test_a_short_training_is_not_recorded(steps, seconds, worthwhile):
    model, guide = pair()
    player = Player(Elbo(), [*model.parameters(), *guide.parameters()], Pathwise(1))
    loop = TrainingLoop(programs_setup(model, guide, player, steps))
    use = programs._Use(steps=programs.FIRST, seconds=seconds)
    loop.steps.programs.uses[0, ()] = use
    assert loop.steps.programs._is_worthwhile(use) == worthwhile


def programs_setup(model, guide, player, steps):

    return TrainingSetup(Plan(), model, guide, [player], data(4), Budget(steps, 4))
