"""A training that is stopped and resumed from a snapshot is bit-identical to one that was never stopped."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec
import pytest
import torch
from torch import nn

from jensen import (
    Amortized,
    Bernoulli,
    Budget,
    Gaussian,
    Given,
    LatentVariableModel,
    Player,
    Rows,
    Trainer,
    Unconditional,
)
from jensen.core.modules import named_tensors
from jensen.models.guide import Guide
from jensen.nets import MLP
from jensen.objectives import Distortion, Ramp, Rate
from jensen.training import EpochEnded, History, Keeper, Optimizer, Snapshot
from jensen.training.running_measures import RunningMeasures


@dataclass
class Memory(Keeper):
    """Keeps every snapshot, or every n-th."""

    every: int = 1
    kept: list[Snapshot] = field(default_factory=list)
    asked: int = 0

    def due(self) -> bool:
        self.asked += 1
        return self.asked % self.every == 0

    def keep(self, snapshot: Snapshot, *, last: bool = False) -> None:
        self.kept.append(snapshot.copied())

    def earlier(self) -> list[Snapshot]:
        return self.kept


Parts = tuple[LatentVariableModel, Guide, list[Player], Rows, Rows]
OPTIONS = {"LBFGS": (("max_iter", 4),)}


def parts(optimizer: str = "Adam") -> Parts:
    torch.manual_seed(0)
    model = LatentVariableModel(Unconditional(Gaussian(2)), Given(MLP(2, 6, (8,), "silu"), Bernoulli(6)))
    guide = Amortized(Given(MLP(6, 4, (8,), "silu"), Gaussian(2)))
    everything = [*model.parameters(), *guide.parameters()]
    objective = -Distortion() - Ramp(1.0, 20) * Rate()
    x = torch.bernoulli(torch.full((70, 6), 0.4), generator=torch.Generator().manual_seed(1))
    player = Player(objective, everything, optimizer=Optimizer(optimizer, 1e-2, OPTIONS.get(optimizer, ())))
    return model, guide, [player], Rows(x[:50]), Rows(x[50:])


def weights(made: Parts) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in named_tensors(nn.ModuleDict({"model": made[0], "guide": made[1]})).items()}


def fit(
    made: Parts, trainer: Trainer, epochs: int = 5, start: tuple[Snapshot, list[EpochEnded]] | None = None
) -> History:
    model, guide, players, rows, valid = made
    return trainer.fit(model, guide, players, rows, Budget(epochs, 16), valid, start)


def measured(history: History) -> list[EpochEnded]:
    return [replace(e, data_per_second=0, seconds=0, seconds_left=0) for e in history.epochs]


def stop_after(n: int) -> Callable[[], bool]:
    asked = iter(range(1, 10_000))
    return lambda: next(asked) >= n


@pytest.mark.parametrize(
    ("optimizer", "average", "best"),
    [
        ("Adam", 0.9, True),
        ("SGD", None, True),
        ("NAdam", 0.9, False),
        ("LBFGS", None, False),
    ],
)
def test_stopped_again_and_again_also_twice_within_an_epoch(optimizer: str, average: float | None, best: bool) -> None:
    settings = Trainer(seed=3, average=average, keep_best=best)
    whole = parts(optimizer)
    expected = fit(whole, settings)
    start = None
    # 4 steps per epoch: stops after steps 1, 3 (both in the first epoch), 8 (its end), 9 and 15
    for steps in (1, 2, 5, 1, 6, None):
        again, memory = parts(optimizer), Memory(every=10_000)
        should_stop = (lambda: False) if steps is None else stop_after(steps)
        history = fit(again, replace(settings, keeper=memory, should_stop=should_stop), start=start)
        start = memory.kept[-1], history.epochs
    assert measured(history) == measured(expected)
    assert history.stopped is not None
    assert history.stopped.kept_epoch == expected.stopped.kept_epoch  # pyright: ignore
    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(again)[name]), name
    if average is not None:
        for one, two in zip(expected.average.values, history.average.values, strict=True):  # pyright: ignore
            assert torch.equal(one, two)


def test_from_every_snapshot_of_a_training() -> None:
    whole, memory = parts(), Memory()
    settings = Trainer(seed=3, average=0.9, keep_best=True)
    expected = fit(whole, replace(settings, keeper=memory))
    assert len(memory.kept) == 20 + 5 + 1  # after every step, after every epoch, and at the end
    for snapshot in memory.kept[::3]:
        again = parts()
        done = [e for e in expected.epochs if e.epoch < snapshot.facts["epoch"]]
        assert measured(fit(again, settings, start=(snapshot, done))) == measured(expected)
        assert all(torch.equal(t, weights(again)[k]) for k, t in weights(whole).items())


def test_sums_that_are_not_finite_are_kept_as_they_are() -> None:
    measures = RunningMeasures(3, sums=torch.tensor([1.5, math.inf, -math.inf, math.nan], dtype=torch.float64))
    again = RunningMeasures.from_list(msgspec.json.decode(msgspec.json.encode(measures.to_list())))
    assert (again.n, again.has_rate, again.has_distortion) == (3, True, True)
    assert torch.equal(again.sums.nan_to_num(nan=7.0), measures.sums.nan_to_num(nan=7.0))


def test_keeping_changes_nothing() -> None:
    with_, without = parts(), parts()
    fit(with_, Trainer(seed=3, keeper=Memory()))
    fit(without, Trainer(seed=3))
    assert all(torch.equal(t, weights(without)[k]) for k, t in weights(with_).items())
