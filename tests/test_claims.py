"""One training at a time in a folder, and an old run is lost only to a new one that came to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import jensen
from jensen.claims import writing
from jensen.errors import InterruptedRun, NumericalError, RunExistsError
from jensen.workflow import train

QUICK = {"latent": 2, "hidden": (8,), "epochs": 1, "checkpoints": 0}


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_second_training_is_refused(tmp_path):
    with writing(tmp_path / "run", force=False), pytest.raises(RunExistsError, match="another training"):
        train("digits", out=tmp_path / "run", **QUICK)
    train("digits", out=tmp_path / "run", **QUICK)  # the lock is gone with its holder


def test_the_lock_of_a_dead_process_does_not_hold(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    (tmp_path / ".lock").write_text(dead.stdout.strip())
    train("digits", out=tmp_path, **QUICK)
    assert not (tmp_path / ".lock").exists()
    assert os.getpid()


@pytest.mark.parametrize(
    "name", ["calibration.json", "evaluation.json", "report.html"] + [f"imputations.{s}" for s in ("png", "csv", "npz")]
)
def test_what_tells_of_the_old_model_goes_with_it(name, tmp_path):
    train("digits", out=tmp_path, **QUICK)
    (tmp_path / name).write_text("of the old model")
    with pytest.raises(NumericalError):
        train("digits", out=tmp_path, force=True, lr=1e38, **QUICK | {"epochs": 20})
    assert (tmp_path / name).exists()
    train("digits", out=tmp_path, force=True, **QUICK)
    assert not (tmp_path / name).exists()


def test_a_failed_replacement_brings_the_old_run_back(tmp_path):
    train("digits", out=tmp_path, **QUICK)
    before = contents(tmp_path)
    with pytest.raises(NumericalError):
        train("digits", out=tmp_path, force=True, lr=1e38, **QUICK | {"epochs": 20})
    after = contents(tmp_path)
    assert b"1e+38" in after.pop(Path("forensics.json"))  # what became of the new one
    assert after == before


def test_an_interrupted_replacement_is_kept_and_says_so(tmp_path):
    train("digits", out=tmp_path, **QUICK)
    with pytest.raises(InterruptedRun):
        train("digits", out=tmp_path, force=True, seed=1, should_stop=lambda: True, **QUICK)
    assert not (tmp_path / ".replaced").exists()
    run = jensen.load(tmp_path)
    assert run.spec["command"]["seed"] == 1
    assert any("interrupted" in note for note in run.evaluate(k=2).notes)


def test_a_training_that_failed_does_not_pass_for_trained(tmp_path):
    with pytest.raises(NumericalError):
        train("digits", out=tmp_path, lr=1e38, **QUICK | {"epochs": 20})
    last = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["reason"]) == ("stopped", "failed")
    assert any("failed" in note for note in jensen.load(tmp_path).evaluate(k=2).notes)


def test_metrics_speak_the_units_of_the_data(tmp_path):
    """The same data in other units: every log-density moves by D log 1000, in the metrics as in the evaluation."""
    import numpy as np

    x = np.random.default_rng(0).normal(size=(60, 3)) @ np.diag([1.0, 2.0, 3.0])
    shift = 3 * np.log(1000.0)
    for recipe, more in (("ppca", {"latent": 1}), ("vae", QUICK), ("gaussian", {})):
        runs = [train(y, recipe=recipe, out=tmp_path / f"{recipe}{i}", **more) for i, y in enumerate((x, 1000 * x + 7))]
        near, far = (run.metrics[-2] for run in runs)
        for part in ("train", "valid"):
            for name, sign in (("objective", -1), ("bound", -1), ("distortion", 1)):
                assert far[part][name] - near[part][name] == pytest.approx(sign * shift, abs=2e-4), (recipe, name)
