"""Two processes write one run, are interrupted, and go on by the same command if the same torchrun gives it again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jensen.core.errors import InterruptedRun, JensenError, RunExistsError
from jensen.core.launch import Launch
from jensen.core.processes import Processes
from jensen.runs.launched import train_or_go_on
from jensen.runs.resume import resume
from tests.several import together

OPTIONS: dict[str, Any] = {"hidden": (4,), "latent": 1, "epochs": 3, "batch": 16, "save_every": 0, "threads": 1}


def call(processes: Processes, out: str, stop: int | None = None, launch: str = "job", force: bool = False) -> str:
    """Train as the command line does; return how it ended."""
    left = iter([*[False] * (10**6 if stop is None else stop), *[True] * 10**6])
    named = replace(processes, launch=Launch(processes.rank, processes.size, processes.rank, processes.size, 0, launch))
    heard = {"listeners": (), "should_stop": lambda: next(left), "notice": lambda text: None, "recorded": ()}
    try:
        run = train_or_go_on("data.npy", named, out=out, force=force, **heard, **OPTIONS)
    except JensenError as error:
        return type(error).__name__
    return str(run.path)


def _trained(processes: Processes) -> list[str]:
    ends = [call(processes, "whole"), call(processes, "run", stop=4), call(processes, "run", launch="another")]
    return [*ends, call(processes, "run"), call(processes, "run")]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    np.save("data.npy", np.random.default_rng(0).normal(size=(60, 3)))
    return tmp_path


def lines(run: Path) -> list[dict[str, Any]]:
    plain = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    free = ("seconds", "data_per_second", "sha256")
    return [{k: v for k, v in line.items() if k not in free} for line in plain if line.get("reason") != "interrupted"]


def test_the_same_command_goes_on_after_an_interruption(folder):
    answers = together(_trained)
    # the last call finds a run that has ended: there is nothing to go on with
    assert answers == [["whole", InterruptedRun.__name__, RunExistsError.__name__, "run", "UsageError"]] * 2
    assert (folder / "run/model.safetensors").read_bytes() == (folder / "whole/model.safetensors").read_bytes()
    assert lines(folder / "run") == lines(folder / "whole")
    choices = json.loads((folder / "run/spec.json").read_text())["choices"]
    assert (choices["processes"], choices["launch"]) == (2, "job")
    with pytest.raises(JensenError, match="was trained by 2 processes, and this is one"):
        resume("run")
    again = resume("run", epochs=4, regroup=True)
    assert again.spec["choices"]["regrouped"] == [2]
    assert lines(folder / "run")[-2]["epoch"] == 4
