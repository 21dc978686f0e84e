"""The state of a training: what a snapshot holds, what is restored, and what returning to an earlier state leaves."""

from __future__ import annotations

import json

import torch

from jensen.training import EpochEnded, Trainer
from jensen.training.events import Measures
from jensen.training.loop import TrainingLoop
from jensen.training.plan import Budget
from jensen.training.setup import TrainingSetup
from jensen.training.snapshot import Snapshot
from jensen.training.state import RecoveryRecord, TrainingState
from tests.training.test_resume import parts


def loop() -> TrainingLoop:
    """Return a training with averaged weights, the best weights and clipped spikes."""
    model, guide, players, rows, valid = parts()
    plan = Trainer(seed=3, average=0.9, keep_best=True, spikes=5.0)
    return TrainingLoop(TrainingSetup(plan, model, guide, players, rows, Budget(2, 16), valid))


def trained() -> TrainingState:
    """Return the state after two epochs, without recovery."""
    training = loop()
    training.state.initial_size = 2.5
    training.train()
    return training.state


def agree(one: Snapshot, other: Snapshot) -> bool:
    facts = [{k: v for k, v in s.facts.items() if k != "seconds"} for s in (one, other)]
    same = one.tensors.keys() == other.tensors.keys() and facts[0] == facts[1]
    return same and all(torch.equal(t, other.tensors[k]) for k, t in one.tensors.items())


def test_a_restored_state_has_the_same_snapshot():
    state, fresh = trained(), loop().state
    state.recovery = RecoveryRecord(2, 4, 0.25, [7, 3])
    kept = state.copy()
    assert not agree(kept, fresh.snapshot())
    measures = Measures(-1.0, -1.0, 0.5, 0.5)
    epochs = [EpochEnded(1, 4, measures, None, 0.1, 1.0, 10.0, 1.0, 1.0, True)]
    fresh.restore(Snapshot(kept.tensors, json.loads(json.dumps(kept.facts))), epochs)
    assert agree(kept, fresh.snapshot())
    assert fresh.recovery == state.recovery
    assert fresh.history.epochs == epochs
    assert fresh.clock.seconds >= kept.facts["seconds"]


def test_a_copy_does_not_change_with_the_training():
    state = trained()
    kept, alive = state.copy(), state.snapshot()
    name = next(name for name in kept.tensors if name.startswith("module/"))
    with torch.no_grad():
        next(state.module.parameters()).add_(1.0)
    assert torch.equal(kept.tensors[name] + 1.0, alive.tensors[name])
    assert not state.has_parameters_of(kept)
    state.rewind(kept)
    assert state.has_parameters_of(kept)


def test_going_back_leaves_the_record_of_recoveries():
    """As it leaves the clock, the history, and the size of the objective by which explosions are judged."""
    state = trained()
    kept = state.copy()
    record = state.recovery = RecoveryRecord(1, 4, 0.5, [2])
    state.history.epochs, state.initial_size, state.clock.before = state.history.epochs[:1], 9.0, 100.0
    state.step = 77
    state.rewind(kept)
    assert state.step == kept.facts["step"]
    assert state.recovery is record
    assert (len(state.history.epochs), state.initial_size, state.clock.before) == (1, 9.0, 100.0)
    assert all(p.grad is None for p in state.module.parameters())


def test_states_of_older_versions_have_no_record_or_one_without_a_step():
    assert RecoveryRecord.of({}) == RecoveryRecord.of({"recovered": None}) == RecoveryRecord()
    assert RecoveryRecord.of({"recovered": {"count": 1, "factor": 0.5, "rows": [3]}}) == RecoveryRecord(1, 0, 0.5, [3])
