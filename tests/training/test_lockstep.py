"""Trainings in lockstep end where each would alone: parameters, measures, early stops, faults and interruptions."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch

import jensen
from jensen.core.batch import Rows
from jensen.core.errors import NumericalError
from jensen.core.random import drawing_from, stream
from jensen.training import Budget, EpochEnded, Event, GaussianMaximum, Optimizer, Player, Stopped, Trainer
from jensen.training.lockstep import Lockstep, partition
from jensen.training.loop import TrainingLoop
from jensen.training.pace import Pace
from jensen.training.stack import reason_against

F64 = torch.float64
X = (torch.rand(144, 4, generator=torch.Generator().manual_seed(0)) < 0.4).to(F64)


class Member(NamedTuple):
    """The arguments of a training, and the events that it has emitted."""

    trainer: Trainer
    fit: tuple[Any, ...]
    events: list[Event]

    def loop(self) -> TrainingLoop:
        return self.trainer.loop(*self.fit)


def member(seed=0, lr=1e-2, epochs=51, patience=None, objective=None, optimizer="Adam", batch=50, **plan) -> Member:
    """Return a training on 100 rows."""
    with drawing_from(stream(seed, "init")):
        model = jensen.LatentVariableModel(
            jensen.Unconditional(jensen.Gaussian(2)), jensen.Given.mlp(2, (4,), jensen.Bernoulli(4))
        )
        guide = jensen.Amortized.mlp(4, (4,), jensen.Gaussian(2))
    model.to(F64)
    guide.to(F64)
    events: list[Event] = []
    trainer = Trainer(seed=seed, threads=1, listeners=[events.append], **plan)
    player = Player(objective or jensen.Elbo(), [model, guide], optimizer=Optimizer(optimizer, lr))
    budget = Budget(epochs, batch, patience)
    return Member(trainer, (model, guide, [player], DATA, budget, VALID), events)


DATA, VALID = Rows(X[:100]), Rows(X[100:])


def parameters(one: Member) -> list[torch.Tensor]:
    return [p.detach() for module in one.fit[:2] for p in module.parameters()]


def distance(one: Member, other: Member) -> float:
    """Return the largest difference of parameters, relative to the largest entry of each; some are zero in both."""
    pairs = zip(parameters(one), parameters(other), strict=True)
    return max(float((p - q).abs().max() / q.abs().max().clamp_min(1e-3)) for p, q in pairs)


KINDS = [
    {"seed": 0},
    {"seed": 2, "lr": 3e-2},
    {"seed": 3, "lr": 0.3, "patience": 2},  # stops early, after which half are left, in a smaller stack
    {"seed": 4, "lr": 1e40},  # cannot be trained
]


@pytest.fixture(scope="module")
def both():
    """Members in lockstep with their results, and the same ones alone."""
    alone: list[tuple[Member, Any]] = []
    for kind in KINDS:
        one = member(**kind, clip=0.5)
        try:
            alone.append((one, one.trainer.fit(*one.fit)))
        except NumericalError as error:
            alone.append((one, error))
    together = [member(**kind, clip=0.5) for kind in KINDS]
    results = Lockstep([one.loop() for one in together]).run()
    return alone, list(zip(together, results, strict=True))


def test_parameters_are_those_of_each_alone(both):
    for (alone, expected), (one, result) in zip(*both, strict=True):
        assert isinstance(result, NumericalError) == isinstance(expected, NumericalError)
        if not isinstance(expected, NumericalError):
            assert result.epochs[-1].step == expected.epochs[-1].step
            assert distance(one, alone) < 1e-10
    assert both[1][0][1].epochs[-1].step == 102


def test_the_number_of_threads_is_chosen_by_the_joint_step(monkeypatch):
    joint: list[int] = []

    def change(pace: Pace, work: Any) -> None:
        before = [p.clone() for one in together for p in parameters(one)]
        noises = [loop.state.noise.get_state() for loop in loops]
        work()
        assert all(torch.equal(p, q) for p, q in zip(before, (p for m in together for p in parameters(m)), strict=True))
        assert all(torch.equal(n, lp.state.noise.get_state()) for n, lp in zip(noises, loops, strict=True))
        joint.append(lockstep.stack.held[0].shape[0])
        pace.state.threads.now = 3  # as if it had chosen

    monkeypatch.setattr(Pace, "change", change)
    together = [member(seed, epochs=2) for seed in range(3)]
    loops = [one.loop() for one in together]
    lockstep = Lockstep(loops)
    lockstep.run()
    assert joint == [3]
    assert [loop.state.threads.now for loop in loops] == [3, 3, 3]


def test_measures_are_those_of_each_alone(both):
    for (alone, _), (one, _) in list(zip(*both, strict=True))[:3]:
        mine, own = ([e for e in m.events if isinstance(e, EpochEnded)] for m in (one, alone))
        assert [e.epoch for e in mine] == [e.epoch for e in own]
        assert [e.is_best for e in mine] == [e.is_best for e in own]
        for a, b in zip(mine, own, strict=True):
            assert a.train.bound == pytest.approx(b.train.bound, rel=1e-9)
            assert a.valid.bound == pytest.approx(b.valid.bound, rel=1e-9)
            assert a.learning_rate == b.learning_rate


def test_one_may_stop_early_and_one_may_fail(both):
    reasons = [next(e.reason for e in one.events if isinstance(e, Stopped)) for one, _ in both[1]]
    assert reasons == ["finished", "finished", "early stopping", "failed"]
    assert reasons == [next(e.reason for e in one.events if isinstance(e, Stopped)) for one, _ in both[0]]
    assert str(both[1][3][1]).split(" at step")[0] == str(both[0][3][1]).split(" at step")[0]


def test_what_cannot_be_trained_together_says_why():
    closed = Player(jensen.Elbo(), [], closed=GaussianMaximum())
    lone = [member(epochs=100), member(epochs=100, optimizer="SGD"), member(epochs=2), member(epochs=100, seed=1)]
    parts = partition([one.loop() for one in lone])
    assert parts.together == ((0, 3),)
    assert parts.reasons == {1: "SGD takes the steps of each by itself", 2: "4 steps are too few to be recorded"}
    assert parts.worth_saying
    two = member()
    model, guide = two.fit[:2]
    players = [Player(jensen.Elbo(), [model]), Player(jensen.Elbo(), [guide])]
    assert reason_against(two.trainer.loop(model, guide, players, *two.fit[3:])) == "it has several players"
    assert closed.closed is not None
    other = [member(epochs=100), member(epochs=100, objective=jensen.ImportanceWeighted())]
    assert set(partition([one.loop() for one in other]).reasons.values()) == {"no other member has its shape"}


@pytest.mark.slow
def test_an_interruption_stops_all_and_each_can_go_on():
    """Each is left as it would be alone after as many steps."""
    calls = iter(range(10**6))
    stop = {"should_stop": lambda: next(calls) >= 40}
    together = [member(seed=s, **stop) for s in range(2)]
    results = Lockstep([one.loop() for one in together]).run()
    assert [r.stopped.reason for r in results] == ["interrupted", "interrupted"]
    for seed, one in enumerate(together):
        own = iter(range(10**6))
        alone = member(seed=seed, should_stop=lambda own=own: next(own) >= 40)
        alone.trainer.fit(*alone.fit)
        assert distance(one, alone) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("plan", [{"spikes": 2.0}, {"average": 0.9}, {"keep_best": True}, {"batch": 40}])
def test_plans_are_those_of_each_alone(plan):
    together = [member(seed=s, **plan) for s in range(2)]
    results = Lockstep([one.loop() for one in together]).run()
    for seed, (one, result) in enumerate(zip(together, results, strict=True)):
        alone = member(seed=seed, **plan)
        expected = alone.trainer.fit(*alone.fit)
        assert distance(one, alone) < 1e-10
        assert result.stopped.kept_epoch == expected.stopped.kept_epoch
        if expected.average is not None:
            for a, b in zip(result.average.values, expected.average.values, strict=True):
                assert float((a - b).abs().max()) < 1e-10


@pytest.mark.slow
def test_ramps_of_other_targets_are_taken_together():
    def of(target: float, seed: int) -> Member:
        ramp = jensen.Ramp(target, steps=60)
        return member(seed=seed, objective=-1.0 * jensen.Distortion() + ramp.times(-1.0) * jensen.Rate())

    notices: list[str] = []
    together = [of(0.5, 0), of(4.0, 1)]
    assert partition([one.loop() for one in together], least=0).together == ((0, 1),)
    Lockstep([one.loop() for one in together], notices.append).run()
    assert notices == []
    for one, (target, seed) in zip(together, [(0.5, 0), (4.0, 1)], strict=True):
        alone = of(target, seed)
        alone.trainer.fit(*alone.fit)
        assert distance(one, alone) < 1e-10


@pytest.mark.slow
def test_members_whose_objectives_differ_are_trained_alone():
    """Numbers that are no tensors are those of the first member, which a comparison notices."""
    kinds = [(1.0, 0), (1.0, 1), (3.0, 2)]

    def of(weight: float, seed: int) -> Member:
        return member(seed=seed, objective=jensen.Distortion() * -1.0 + jensen.Rate() * -weight)

    notices: list[str] = []
    together = [of(*kind) for kind in kinds]
    Lockstep([one.loop() for one in together], notices.append).run()
    assert notices == ["1 member of 3 trained alone: their objectives or networks differ"]
    for one, kind in zip(together, kinds, strict=True):
        alone = of(*kind)
        alone.trainer.fit(*alone.fit)
        assert distance(one, alone) < 1e-10
