"""Two processes train the model of one: the same weights in double precision, the same measures, the same stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from jensen.core.batch import Rows
from jensen.core.errors import CompositionError
from jensen.core.modules import joined, named_tensors
from jensen.core.processes import ALONE, Processes
from jensen.core.random import drawing_from, stream
from jensen.data import Schema
from jensen.data.augmentation import Augmentation
from jensen.data.conversions import BinaryDraw
from jensen.recipes import RECIPES, BuiltModel, RecipeContext
from jensen.training import Budget, Optimizer, Trainer
from jensen.training.events import EpochEnded, Event, Recovered, Stopped
from jensen.training.shared_steps import has_noise_of_one
from jensen.training.snapshot import Keeper, Snapshot
from tests.identities.models import close
from tests.several import together

N, D, BATCH = 91, 4, 30  # four steps per epoch, the last of a single row: one process has none
SMALL = {"latent": 2, "components": 2, "hidden": (5,), "groups": (1, 2), "width": 3}
COUPLED = ("adversarial-autoencoder", "beta-tcvae", "factor-vae", "info-vae", "vae-gan", "wae-mmd")


def made(name: str) -> tuple[BuiltModel, Rows]:
    """The parts of a recipe in double precision, and its data: bits that are drawn anew, or reals; augmented or not."""
    drawn, generator = name == "binarised", stream(0, "data")
    x = torch.randn(N, D, dtype=torch.float64, generator=generator)
    rows = Rows(x)
    if drawn:
        stored = torch.randint(0, 256, (N, D), generator=generator).to(torch.uint8)
        rows = Rows(stored, BinaryDraw(255, torch.float64))
    if name == "augmented":
        rows = replace(rows, augment=Augmentation(("flip", "crop"), (2, 2, 1)))
    recipe = RECIPES["vae" if name in ("binarised", "augmented") else name]
    schema = Schema("binary" if drawn else "real", (D,))
    context = RecipeContext(schema, x.mean(0), x.std(0), rows, 4, Optimizer())
    with drawing_from(stream(0, "init")):
        built = recipe(context, **{k: v for k, v in SMALL.items() if k in recipe.options})
    for module in (built.model, built.guide, *built.critics):
        module.double()
    return built, rows


def trained(name: str, processes: Processes, epochs: int = 25, **settings: Any) -> dict[str, Any]:
    """The weights after training, the measures of the last epoch, and whether the noise is that of one process."""
    built, rows = made(name)
    same = has_noise_of_one(built.model, built.guide, built.players, rows, processes)
    trainer, valid = Trainer(processes=processes, spikes=3.0, clip=5.0, **settings), rows.subset(torch.arange(31))
    history = trainer.fit(built.model, built.guide, built.players, rows, Budget(epochs, BATCH), valid)
    last = history.epochs[-1]
    assert last.valid is not None
    measures = [x for m in (last.train, last.valid) for x in (m.objective, m.bound, m.rate, m.distortion)]
    weights = {k: t.clone() for k, t in named_tensors(joined(built.model, built.guide)).items()}
    return {"weights": weights, "measures": measures, "same": same}


def compare(names: Sequence[str], epochs: int) -> None:
    answers = together(lambda processes: {name: trained(name, processes, epochs) for name in names})
    for name in names:
        alone = trained(name, ALONE, epochs)
        for answer in answers:
            assert answer[name]["same"], name
            for key, tensor in alone["weights"].items():
                close(answer[name]["weights"][key], tensor, 1e-10)
            for mine, one in zip(answer[name]["measures"], alone["measures"], strict=True):
                assert (mine is None) == (one is None)
                close(0.0 if mine is None else mine, 0.0 if one is None else one, 1e-9)
        for key, tensor in answers[0][name]["weights"].items():
            assert tensor.equal(answers[1][name]["weights"][key]), (name, key)
        assert answers[0][name]["measures"] == answers[1][name]["measures"]


def test_two_processes_train_the_model_of_one():
    """After 100 steps, of which every fourth has a single row; bits drawn anew, and augmented rows, after 20."""
    compare(["vae"], 25)
    compare(["binarised", "augmented"], 5)


@pytest.mark.slow
def test_two_processes_train_the_models_of_one():
    others = [
        *("autoencoder", "beta-vae", "capacity", "denoising-autoencoder", "denoising-vae", "dip-vae", "dreg"),
        *("flow-prior", "free-bits", "gan", "gmm", "iwae", "mixture-posterior", "mixture-prior"),
        *("refined", "renyi", "sigma-vae", "sticking-the-landing", "svi", "two-stage", "vampprior", "vq-vae"),
    ]
    compare(others, 10)


@pytest.mark.slow
def test_what_draws_noise_of_its_own_says_so():
    answers = together(lambda processes: {n: trained(n, processes, 1)["same"] for n in ("iaf", "low-rank", "vae")})
    assert answers == [{"iaf": False, "low-rank": False, "vae": True}] * 2


@pytest.mark.parametrize("name", COUPLED)
def test_terms_that_couple_a_batch_are_refused_before_training(name):
    built, rows = made(name)
    with pytest.raises(CompositionError, match=r"couples the data of a batch.*Train in one process"):
        Trainer(processes=Processes(0, 2)).fit(built.model, built.guide, built.players, rows, Budget(1, BATCH))


class Kept(Keeper):
    """Keeps snapshots in memory, one after every step."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    def due(self) -> bool:
        return True

    def keep(self, snapshot: Snapshot, *, last: bool = False) -> None:
        self.snapshots.append(snapshot.copied())

    def earlier(self) -> list[Snapshot]:
        return []


def _stopped_and_resumed(processes: Processes) -> list[Any]:
    """One process hears of a stop, in the second step: both stop after it, and go on from the state of the first."""
    keeper, events = Kept(), list[Event]()
    built, rows = made("vae")
    asked = iter([False, True, True, True])
    trainer = Trainer(
        processes=processes,
        keeper=keeper if processes.is_first else None,
        listeners=[events.append],
        should_stop=lambda: processes.rank == 1 and next(asked),
    )
    trainer.fit(built.model, built.guide, built.players, rows, Budget(3, BATCH))
    stopped, steps = events[-1], len(keeper.snapshots)
    assert isinstance(stopped, Stopped)
    facts = dict(keeper.snapshots[-1].facts) if processes.is_first else None
    facts = processes.broadcast_object(facts)
    again, _ = made("vae")
    module = joined(again.model, again.guide)
    # all processes read the state of the first
    names = processes.broadcast_object(list(keeper.snapshots[-1].tensors) if processes.is_first else None)
    tensors = {}
    for name in names:
        mine = keeper.snapshots[-1].tensors[name] if processes.is_first else None
        shape = processes.broadcast_object(None if mine is None else [str(mine.dtype)[6:], list(mine.shape)])
        tensors[name] = torch.zeros(shape[1], dtype=getattr(torch, shape[0])) if mine is None else mine.clone()
        processes.broadcast_all([tensors[name]])
    ended = list[Event]()
    on = Trainer(processes=processes, listeners=[ended.append])
    on.fit(again.model, again.guide, again.players, rows, Budget(3, BATCH), None, (Snapshot(tensors, facts), []))
    lines = [[e.epoch, e.train.objective, e.train.rate] for e in ended if isinstance(e, EpochEnded)]
    return [stopped.reason, steps, {k: t.clone() for k, t in named_tensors(module).items()}, lines]


def _whole(processes: Processes) -> list[Any]:
    built, rows = made("vae")
    history = Trainer(processes=processes).fit(built.model, built.guide, built.players, rows, Budget(3, BATCH))
    weights = {k: t.clone() for k, t in named_tensors(joined(built.model, built.guide)).items()}
    return [weights, [[e.epoch, e.train.objective, e.train.rate] for e in history.epochs]]


def test_a_stop_that_one_hears_of_stops_all_and_they_go_on_to_the_same_bits():
    answers = together(lambda processes: [_stopped_and_resumed(processes), _whole(processes)])
    for (reason, _, weights, lines), (expected, epochs) in answers:
        assert reason == "interrupted"
        assert weights.keys() == expected.keys()
        assert all(tensor.equal(expected[key]) for key, tensor in weights.items())
        assert lines == epochs
    assert answers[0][0][1] in (2, 3)  # a state after each of the steps, and the last


def _with_a_bad_row(processes: Processes) -> list[Any]:
    """The objective is not finite for a row of the second process: both go back, three times, and then give up."""
    built, rows = made("vae")
    events, broken = list[Event](), []

    def prepare(x: Tensor, generator: torch.Generator | None) -> Tensor:
        if processes.rank == 1 and len(x) > 8:
            broken.append(1)
            if 6 < len(broken) < 9:  # twice: after two recoveries all is well
                raise ValueError("a row of process 1 cannot be read")
        return x

    class Broken(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return prepare(x, None)

    net = built.guide.conditional.net
    built.guide.conditional.net = torch.nn.Sequential(Broken(), net)
    trainer = Trainer(processes=processes, listeners=[events.append])
    history = trainer.fit(built.model, built.guide, built.players, replace(rows), Budget(4, BATCH))
    recovered = [(e.count, e.factor, e.what) for e in events if isinstance(e, Recovered)]
    return [recovered, history.epochs[-1].train.objective]


def test_a_step_that_fails_in_one_process_is_undone_in_all():
    first, second = together(_with_a_bad_row)
    assert first[1] == second[1]
    for recovered, _ in (first, second):
        assert [(count, factor) for count, factor, _ in recovered] == [(1, 0.5), (2, 0.25)]
    assert "a row of process 1 cannot be read (in one of 2 processes)" in second[0][0][2]
    assert "to find the cause, resume in one process" in first[0][0][2]
