"""One training at a time in a folder, and an old run is lost only to a new one that came to its end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import jensen
from jensen.cli import main
from jensen.core.errors import InterruptedRun, NumericalError, RunExistsError, UsageError
from jensen.runs.train import train
from jensen.storage.run_lock import locked, writing

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


def test_what_tells_of_the_old_model_goes_with_it(tmp_path):
    train("digits", out=tmp_path, **QUICK)
    names = ["calibration.json", "evaluation.json", "report.html"]
    paths = [tmp_path / name for name in (*names, *(f"imputations.{s}" for s in ("png", "csv", "npz")))]
    for path in paths:
        path.write_text("of the old model")
    with pytest.raises(NumericalError):
        train("digits", out=tmp_path, force=True, lr=1e38, **QUICK | {"epochs": 20})
    assert [path for path in paths if not path.exists()] == []
    train("digits", out=tmp_path, force=True, **QUICK)
    assert [path for path in paths if path.exists()] == []


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


# --- a run waits aside until another can stand for it ---


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train("digits", out=folder, **QUICK)
    return folder


@pytest.fixture
def old(trained, tmp_path):
    """A run that ended, and what is in it."""
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    return folder, contents(folder)


def begun(folder):
    """The files of a training that was killed before its first state."""
    for name in ("spec.json", "model.safetensors"):
        shutil.copy(folder / ".replaced" / name, folder)
    (folder / "metrics.jsonl").write_text("")


def with_state(folder):
    begun(folder)
    shutil.copytree(folder / ".replaced" / "state", folder / "state")


def replace(folder, write, error):
    """A training with --force that writes this, and ends so."""
    with writing(folder, force=True):
        write(folder)
        raise error


class Killed(BaseException):
    """Where a process would have been killed: nothing is put in order after it."""


@pytest.fixture
def killed(old, monkeypatch):
    """The old run, and a training with --force that is killed: after it began, once so many files were moved."""
    folder, before = old

    def kill(write, moves=None):
        taken = []
        rename = Path.rename

        def counted(path, target):
            if path.parent == folder and path.name != ".moving":
                taken.append(path)
                if moves is not None and len(taken) > moves:
                    raise Killed
            return rename(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", counted)
            patch.setattr("jensen.storage.run_lock._restore_replaced", lambda folder: None)
            patch.setattr("jensen.storage.run_lock._resolve_replacement", lambda folder: None)
            with pytest.raises(Killed):
                replace(folder, write, Killed)
        return folder, before

    return kill


@pytest.mark.parametrize("moves", [1, 2, 3, None])
def test_killed_before_anything_was_written(moves, killed):
    """Wherever the files are by then, the old run is back before anybody may take the folder."""
    folder, before = killed(lambda folder: None, moves)
    if moves is None:
        with pytest.raises(UsageError, match=r"\.replaced holds one"):
            jensen.load(folder)
    with pytest.raises(RunExistsError, match="holds a run already"):
        train("digits", out=folder, **QUICK)
    assert contents(folder) == before


def test_killed_before_a_state(killed):
    """The new run is no run to lose an old one to; messages say where that is, and --force does not delete it."""
    folder, before = killed(begun)
    with pytest.raises(RunExistsError, match=r"replace in .*replaced"):
        train("digits", out=folder, **QUICK)
    with pytest.raises(NumericalError):
        train("digits", out=folder, force=True, lr=1e38, **QUICK | {"epochs": 20})
    after = contents(folder)
    after.pop(Path("forensics.json"))
    assert after == before


def test_resume_without_a_state_names_the_run_that_waits(killed, capsys):
    folder, _ = killed(begun)
    assert main(["resume", str(folder)]) == 4
    assert str(folder / ".replaced") in capsys.readouterr().err


def test_killed_with_a_state(killed):
    """It can be gone on with: the old one goes with the next to hold the folder, and the new one can be replaced."""
    folder, _ = killed(with_state)
    now = {k: v for k, v in contents(folder).items() if k.parts[0] not in (".replaced", ".lock")}
    with locked(folder):
        pass
    assert contents(folder) == now
    with pytest.raises(NumericalError):
        train("digits", out=folder, force=True, lr=1e38, **QUICK | {"epochs": 20})
    after = contents(folder)
    after.pop(Path("forensics.json"))
    assert after == now


@pytest.mark.parametrize("write", [begun, with_state])
def test_a_second_interrupt(write, old):
    """It leaves at once; before the first state, the old run returns."""
    folder, before = old
    with pytest.raises(KeyboardInterrupt):
        replace(folder, write, KeyboardInterrupt)
    assert not (folder / ".replaced").exists()
    assert (contents(folder) == before) == (write is begun)


def test_interrupted_without_a_state(old):
    """Both runs can be read, and the message says where the old one is."""
    folder, before = old
    with pytest.raises(InterruptedRun, match=r"replace is in .*replaced"):
        train("digits", out=folder, force=True, seed=1, save_every=None, should_stop=lambda: True, **QUICK)
    assert contents(folder / ".replaced") == before
    assert jensen.load(folder).spec["command"]["seed"] == 1


def test_files_written_in_part_go(old):
    folder, before = old
    (folder / "checkpoints").mkdir(exist_ok=True)
    names = (".model.safetensors.0123abcd", "checkpoints/.epoch-1.safetensors.0123abcd", ".evaluation.json.0123abcd")
    (folder / names[2]).write_bytes(b"of a command that may still run")
    for name in (*names[:2], ".mine.0123abcd", ".report.html.0123abcd"):
        (folder / name).write_bytes(b"in part")
    os.utime(folder / ".report.html.0123abcd", (0, 0))
    with locked(folder):
        pass
    left = {str(p) for p in contents(folder).keys() - before.keys()}
    assert left == {".evaluation.json.0123abcd", ".mine.0123abcd"}


def test_a_file_written_in_part_is_no_run(tmp_path):
    (tmp_path / ".model.safetensors.0123abcd").write_bytes(b"in part")
    train("digits", out=tmp_path, **QUICK)
    assert not (tmp_path / ".model.safetensors.0123abcd").exists()
