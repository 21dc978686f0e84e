"""The files of a run whose training met a fault: what forensics.json says, and resuming to the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from jensen.core.batch import Rows
from jensen.core.errors import InterruptedRun, NumericalError
from jensen.data import Preparation, Split, from_array
from jensen.runs.resume import resume
from jensen.runs.train import train
from jensen.runs.training_data import TrainingData
from jensen.storage.fault_log import FaultLog
from jensen.storage.run_folder import FAULTS
from jensen.storage.training_state import read_newest_state
from jensen.training import Diagnosed, Event, Fault, Recovered
from tests.runs.test_resume import same, stop_after

SMALL = {"latent": 2, "hidden": (8,), "batch": 16, "checkpoints": 2, "warmup": 0}


def array(bad: int | None = None) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    if bad is not None:
        x[bad, 2] = 1e15  # its square is finite; those of its gradients are not
    return x


def test_a_bad_row_is_named_as_it_is_numbered_in_the_data(tmp_path: Path) -> None:
    with pytest.raises(NumericalError, match=r"row 37 of the data, from 0; see .*forensics\.json") as caught:
        train(array(37), out=tmp_path / "run", epochs=3, split=(1, 0, 0), standardize="none", **SMALL)
    assert caught.value.exit_code == 5
    told = json.loads((tmp_path / "run" / FAULTS).read_text())
    assert told["command"]["recipe"] == "vae"
    [fault] = told["faults"]
    assert (fault["number"], fault["culprit"], fault["data_rows"]) == (1, "row", [37])
    assert fault["rows"] != [37]  # among the training rows, which are in another order
    assert fault["values"][0] == {"row": fault["rows"][0], "feature": 2, "value": "1e+15"}
    assert len(fault["data_batch"]) == len(fault["batch"]) == 16
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["stopped"]
    assert lines[0]["reason"] == "failed"


def test_a_run_that_recovered_can_be_read_and_resumed(tmp_path: Path) -> None:
    """Rates of 2 and 1 explode, and one half does not; it is stopped after both recoveries."""
    settings = {"epochs": 5, "lr": 2.0, "schedule": "constant", "save_every": 0, **SMALL}
    run = train(array(), out=tmp_path / "whole", **settings)
    whole = tmp_path / "whole"
    lines = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    recovered = [line for line in lines if line["event"] == "recovered"]
    assert [line["factor"] for line in recovered] == [0.5, 0.25]
    assert [line["epoch"] for line in lines if line["event"] == "epoch"] == [1, 2, 3, 4, 5]
    assert len(json.loads((whole / FAULTS).read_text())["faults"]) == len(recovered)
    assert run.unfinished == ()
    with pytest.raises(InterruptedRun):
        train(array(), out=tmp_path / "run", should_stop=stop_after(25), **settings)
    told = [json.loads(line)["event"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert told.count("recovered") == 2
    resume(tmp_path / "run", data=array())
    same(whole, tmp_path / "run")


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it on its way out."""


@pytest.mark.parametrize(("event", "save_every"), [(Recovered, 60.0), (Diagnosed, 0.0)])
def test_killed_after_a_recovery_or_just_before(tmp_path: Path, event: type, save_every: float) -> None:
    """The state that a recovery begins with is kept at once; one from between the anchor and the fault leads there."""

    def kill(heard: Event) -> None:
        if isinstance(heard, event):
            raise Killed

    settings = {"epochs": 5, "lr": 1.0, "schedule": "constant", **SMALL}
    whole = train(array(), out=tmp_path / "whole", **settings).path
    with pytest.raises(Killed):
        train(array(), out=tmp_path / "run", listeners=[kill], save_every=save_every, **settings)
    kept, _ = read_newest_state(tmp_path / "run")
    assert kept.facts["recovered"]["count"] == (1 if event is Recovered else 0)
    assert (kept.facts["step"] > 0) == (event is Diagnosed)
    resume(tmp_path / "run", data=array())
    same(whole, tmp_path / "run")


def test_repeated_rows_are_those_that_they_repeat() -> None:
    part = Split(np.array([5, 3, 9]), np.arange(0), np.arange(0), (1.0, 0.0, 0.0), 0)
    rows = Rows(torch.zeros(7, 2), context=torch.tensor([[0.0], [1.0], [1.0], [1.0], [1.0], [1.0], [1.0]]))
    found = TrainingData(from_array(array()), None, part, Preparation(), rows, None, {}, 3)
    assert found.in_file([0, 1, 2, 3, 4, 5, 6]) == [5, 3, 9, 3, 9, 3, 9]


def test_a_fault_that_is_met_again_replaces_the_one_before(tmp_path: Path) -> None:
    faults = [Fault(n, n, 1, "update", "rate", False, what, "Elbo") for n, what in ((1, "a"), (2, "b"), (2, "c"))]
    for fault in faults:
        FaultLog(tmp_path, {}, list)(Diagnosed(fault))
    told = json.loads((tmp_path / FAULTS).read_text())["faults"]
    assert [fault["what"] for fault in told] == ["a", "c"]
