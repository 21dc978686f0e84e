"""The number of threads in the specification, in a resumed run, and in a command that is repeated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import jensen
from jensen.core.errors import InterruptedRun, UsageError
from jensen.runs.resume import resume
from jensen.runs.spec import recorded_command
from jensen.runs.threads_recorder import ThreadsRecorder
from jensen.storage.specification import read_spec
from jensen.storage.training_state import read_newest_state
from jensen.training import pace
from jensen.training.events import Event, Stopped, ThreadsChosen
from jensen.training.pace import Pace
from tests.training.test_resume import stop_after

OPTIONS = {"latent": 2, "hidden": (4,), "batch": 16, "epochs": 3, "checkpoints": 0, "save_every": 0.0}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    x = torch.bernoulli(torch.full((60, 6), 0.4), generator=torch.Generator().manual_seed(1))
    np.save(tmp_path / "data.npy", x.numpy().astype(np.uint8))
    return tmp_path / "data.npy"


@pytest.fixture
def trials(monkeypatch) -> list[int]:
    """The numbers that the next trials choose, on a machine with four processors."""
    numbers: list[int] = []
    for module in ("jensen.training.pace", "jensen.runs.job"):
        monkeypatch.setattr(f"{module}.planned_threads", lambda asked, device: 4 if asked == "auto" else min(asked, 4))
    monkeypatch.setattr(pace, "processors", lambda: 4)
    monkeypatch.setattr(Pace, "_tried", lambda self: numbers.pop(0))
    return numbers


def test_the_choice_is_recorded_and_a_resumed_run_goes_on_with_it(data, tmp_path, trials):
    trials.append(3)
    run, notices, events = tmp_path / "run", [], []
    with pytest.raises(InterruptedRun):
        jensen.train(data, out=run, should_stop=stop_after(2), **OPTIONS)
    spec = read_spec(run)
    assert (spec["choices"]["threads"], spec["command"]["threads"]) == (3, "auto")
    assert trials == []
    before = torch.get_num_threads()
    again = resume(run, notice=notices.append, listeners=[events.append])
    assert torch.get_num_threads() == before
    assert again.spec["choices"]["threads"] == 3
    assert [e for e in events if isinstance(e, ThreadsChosen)] == [ThreadsChosen(2, 3, 3, False)]
    assert [text for text in notices if "thread" in text] == []
    assert read_newest_state(run)[1] == read_spec(run)


def test_a_change_is_in_the_state_and_the_user_is_told(data, tmp_path, trials, monkeypatch):
    trials += [4, 1]
    monkeypatch.setattr(pace, "WINDOW", 0.0)
    monkeypatch.setattr(pace, "SLOW", 0.0)  # every step is slow
    notices: list[str] = []
    monkeypatch.setattr(pace, "WAIT", 1e6)
    jensen.train(data, out=tmp_path / "run", notice=notices.append, **OPTIONS)
    assert [text for text in notices if "threads" in text] == [
        "the machine was busy, and the number of threads changed 1 time: the weights may differ in their last bits "
        "from those of the same command; --threads 4 keeps the number"
    ]
    state, spec = read_newest_state(tmp_path / "run")
    assert state.facts["threads"] == {"now": 1, "chosen": 4, "changes": [[3, 1]]}
    assert spec["choices"]["threads"] == 4


def test_a_run_is_repeated_with_its_number(data, tmp_path, trials):
    trials.append(2)
    run = jensen.train(data, out=tmp_path / "run", **OPTIONS)
    command = recorded_command(run.spec, run.path)
    assert command["threads"] == 2
    command.pop("recipe")
    command.pop("data")
    again = jensen.train(data, out=tmp_path / "again", **command)
    assert (again.spec["choices"]["threads"], again.spec["command"]["threads"]) == (2, 2)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "again")]
    assert len(weights[0]) == len(weights[1])


@pytest.mark.parametrize(("asked", "used"), [(2, 2), (64, 4)])
def test_a_number_is_asked_for(asked, used, data, tmp_path, trials):
    events: list[Event] = []
    run = jensen.train(data, out=tmp_path / "run", threads=asked, listeners=[events.append], **OPTIONS)
    assert (run.spec["choices"]["threads"], run.spec["command"]["threads"]) == (used, asked)
    assert [e.threads for e in events if isinstance(e, ThreadsChosen)] == [used]
    assert any(isinstance(e, Stopped) for e in events)


def test_a_number_that_cannot_be_is_refused_before_data_are_read(tmp_path):
    with pytest.raises(UsageError, match="--threads must be a whole number"):
        jensen.train(tmp_path / "nowhere.npy", out=tmp_path / "run", threads=0)


def test_a_state_without_the_number_goes_on_with_that_of_the_specification(data, tmp_path, trials, monkeypatch):
    """As states of earlier versions, which also had no such option."""
    trials.append(3)
    run, events = tmp_path / "run", []
    with pytest.raises(InterruptedRun):
        jensen.train(data, out=run, should_stop=stop_after(2), **OPTIONS)
    from jensen.runs import resume as module

    state, spec = read_newest_state(run)
    older = type(state)(state.tensors, {k: v for k, v in state.facts.items() if k != "threads"})
    monkeypatch.setattr(module, "read_newest_state", lambda path, notice: (older, spec))
    resume(run, listeners=[events.append])
    assert [e for e in events if isinstance(e, ThreadsChosen)] == [ThreadsChosen(2, 3, 3, False)]


def test_fewer_processors_are_noticed(tmp_path):
    notices: list[str] = []
    recorder = ThreadsRecorder(tmp_path, {"choices": {"threads": 16}}, notices.append)
    recorder(ThreadsChosen(40, 4, 16, False))
    recorder(ThreadsChosen(60, 4, 4, True))
    recorder.tell_changes()
    assert notices == ["threads were 16 and are 4: the weights may differ in their last bits"]
    assert list(tmp_path.iterdir()) == []


def test_the_specification_is_written_again_only_for_another_number(tmp_path):
    recorder = ThreadsRecorder(tmp_path, {"choices": {"threads": 4}}, lambda text: None)
    recorder(ThreadsChosen(0, 4, None, False))
    assert list(tmp_path.iterdir()) == []
    recorder(ThreadsChosen(0, 2, None, False))
    assert json.loads((tmp_path / "spec.json").read_text())["choices"] == {"threads": 2}
