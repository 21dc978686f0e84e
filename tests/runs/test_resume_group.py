"""A group that was stopped or killed goes on with the members that are left, to the bytes of an uninterrupted one."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import jensen
from jensen.core.errors import DataError, InterruptedRun, UsageError
from jensen.runs.group import open_group
from jensen.runs.resume_group import resume_group
from jensen.storage.files import write_json

SMALL = {"latent": 2, "hidden": (8,), "epochs": 3, "batch": 16, "seeds": 3}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    np.save(folder / "bits.npy", (np.random.default_rng(0).random((75, 6)) < 0.4).astype(np.uint8))
    jensen.train(folder / "bits.npy", out=folder / "whole", **SMALL)
    return folder


def weights(folder, seeds=3):
    return [(folder / f"seed-{i}" / "model.safetensors").read_bytes() for i in range(seeds)]


def stopped_after(steps):
    """Return a function that says after so many calls that training should stop, as Ctrl-C does."""
    calls = iter(range(10**6))
    return lambda: next(calls) >= steps


def test_an_interrupted_group_goes_on_to_the_same_bytes(home, tmp_path):
    with pytest.raises(InterruptedRun, match="0 of 3 members done"):
        jensen.train(home / "bits.npy", out=tmp_path / "g", should_stop=stopped_after(4), **SMALL)
    states = [m["state"] for m in open_group(tmp_path / "g").record["members"]]
    assert states[0] == "interrupted"
    assert "finished" not in states
    phases = []
    group = resume_group(tmp_path / "g", phase=phases.append)
    assert [phase.partition(",")[0] for phase in phases] == ["seed-0", "seed-1", "seed-2"]
    assert weights(tmp_path / "g") == weights(home / "whole")
    assert len(group.runs) == 3
    assert json.loads((tmp_path / "g" / "summary.json").read_text())["settings"][0]["valid"]["n"] == 3


@pytest.mark.slow
def test_a_group_may_be_stopped_again_and_again(home, tmp_path):
    with pytest.raises(InterruptedRun):
        jensen.train(home / "bits.npy", out=tmp_path / "g", should_stop=stopped_after(4), **SMALL)
    for _ in range(2):
        with pytest.raises(InterruptedRun):
            resume_group(tmp_path / "g", should_stop=stopped_after(6))
    resume_group(tmp_path / "g")
    assert weights(tmp_path / "g") == weights(home / "whole")


def test_members_that_a_killed_group_never_began_are_trained(home, tmp_path):
    """What a kill leaves: one member whole but not recorded so, one without a training state, one without a folder."""
    shutil.copytree(home / "whole", tmp_path / "g")
    record = open_group(tmp_path / "g").record
    for member, state in zip(record["members"], ("training", "training", "waiting"), strict=True):
        member["state"] = state
    write_json(tmp_path / "g" / "group.json", record)
    shutil.rmtree(tmp_path / "g" / "seed-1" / "state")
    (tmp_path / "g" / "seed-1" / "metrics.jsonl").unlink()
    shutil.rmtree(tmp_path / "g" / "seed-2")
    phases = []
    resume_group(tmp_path / "g", phase=phases.append)
    assert [phase.partition(",")[0] for phase in phases] == ["seed-1", "seed-2"]
    assert weights(tmp_path / "g") == weights(home / "whole")


def test_more_epochs_are_for_all_members(home, tmp_path):
    shutil.copytree(home / "whole", tmp_path / "g")
    with pytest.raises(UsageError, match=r"no member of .* is left"):
        resume_group(tmp_path / "g")
    with pytest.raises(InterruptedRun):
        resume_group(tmp_path / "g", epochs=4, should_stop=stopped_after(6))  # in the second member
    assert [m["state"] for m in open_group(tmp_path / "g").record["members"]] == ["finished", "interrupted", "waiting"]
    group = resume_group(tmp_path / "g")
    assert [m.epoch for m in group.summary().members] == [4, 4, 4]
    with pytest.raises(UsageError, match=r"no member of .* is left"):
        resume_group(tmp_path / "g", epochs=4)


def test_data_in_memory_have_to_be_given_again(tmp_path):
    x, few = (np.random.default_rng(0).random((60, 5)) < 0.4).astype(np.uint8), SMALL | {"seeds": 1}
    jensen.train(x, out=tmp_path / "whole", **few)
    with pytest.raises(InterruptedRun):
        jensen.train(x, out=tmp_path / "g", should_stop=stopped_after(4), **few)
    with pytest.raises(DataError, match="data in memory"):
        resume_group(tmp_path / "g")
    resume_group(tmp_path / "g", data=x)
    assert weights(tmp_path / "g", 1) == weights(tmp_path / "whole", 1)
