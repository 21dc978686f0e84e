"""A run that is stopped, killed or damaged goes on, and ends in the bytes in which it would have ended."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jensen.core.errors import CorruptRunError, DataError, InterruptedRun, RunExistsError, UsageError
from jensen.data.splits import split
from jensen.runs.job import Job
from jensen.runs.resume import resume
from jensen.runs.run import load
from jensen.runs.train import train
from jensen.storage.commits import commit, commits, read_commit
from jensen.storage.files import write_json
from jensen.storage.run_folder import STATE

SMALL: dict[str, Any] = {"latent": 2, "hidden": (8,), "batch": 16, "epochs": 6, "binarize": None, "checkpoints": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "bits.npy"
    np.save(path, (np.random.default_rng(0).random((80, 6)) < 0.4).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that was never stopped."""
    return train(str(data), out=tmp_path_factory.mktemp("whole") / "run", average=0.9, **SMALL).path


def stop_after(n: int) -> Callable[[], bool]:
    asked = iter(range(1, 100_000))
    return lambda: next(asked) >= n


def timeless(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what a clock says, and without their digests of it."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "data_per_second", "sha256")} for line in lines]


def same(one: Path, other: Path) -> None:
    """Weights to the byte, checkpoints along training too, and every epoch once."""
    for name in ("model.safetensors", *(f"checkpoints/{p.name}" for p in (one / "checkpoints").iterdir())):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    assert timeless(one / "metrics.jsonl") == timeless(other / "metrics.jsonl")


def stopped(data: Path, out: Path, after: int, **more: Any) -> Path:
    with pytest.raises(InterruptedRun, match="jensen resume"):
        train(str(data), out=out, average=0.9, should_stop=stop_after(after), **SMALL | more)
    return out


@pytest.fixture(scope="module")
def interrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that was stopped in its second epoch."""
    return stopped(data, tmp_path_factory.mktemp("interrupted") / "run", 7)


def test_stopped_three_times_twice_within_one_epoch(data: Path, whole: Path, tmp_path: Path) -> None:
    run = stopped(data, tmp_path / "run", 6)
    for steps in (1, 5):
        with pytest.raises(InterruptedRun):
            resume(run, should_stop=stop_after(steps))
    resume(run)
    same(whole, run)
    with pytest.raises(UsageError, match=r"has made 6 epochs already \(finished\).*--epochs 12"):
        resume(run)


def test_fewer_epochs_than_were_made(data: Path, tmp_path: Path) -> None:
    run = stopped(data, tmp_path / "run", 14)
    before = (run / "spec.json").read_bytes()
    with pytest.raises(UsageError, match=r"has made 3 epochs already \(interrupted\)"):
        resume(run, epochs=3)
    assert (run / "spec.json").read_bytes() == before


def test_a_finished_run_trains_on(data: Path, whole: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    assert resume(run, epochs=8).spec["choices"]["epochs"] == 8
    lines = timeless(run / "metrics.jsonl")
    assert [line["epoch"] for line in lines] == [*range(1, 9), 8]
    assert lines[:6] == timeless(whole / "metrics.jsonl")[:6]
    with pytest.raises(UsageError, match="has made 8 epochs already"):
        resume(run, epochs=7)


@pytest.mark.parametrize("name", ["training.safetensors", "training.json", "manifest.json"])
@pytest.mark.sampled(2)
def test_a_damaged_state_is_named_and_the_one_before_it_used(
    data: Path, whole: Path, tmp_path: Path, name: str
) -> None:
    run = stopped(data, tmp_path / "run", 7, save_every=0.0)
    newest = max((run / STATE).iterdir()) / name
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    told: list[str] = []
    resume(run, notice=told.append)
    assert name in told[0]
    assert "the training state before it is used" in told[0]
    same(whole, run)


def test_no_whole_state(data: Path, tmp_path: Path) -> None:
    run = stopped(data, tmp_path / "run", 7, save_every=0.0)
    kept = len(list((run / STATE).iterdir()))
    for path in (run / STATE).iterdir():
        (path / "manifest.json").write_bytes(b"")
    told: list[str] = []
    with pytest.raises(CorruptRunError, match=r"no training state .* is intact .*jensen train --spec"):
        resume(run, notice=told.append)
    assert len(told) == kept - 1  # it goes back as often as there is something to go back to
    shutil.rmtree(run / STATE)
    with pytest.raises(CorruptRunError, match=r"holds no training state.*jensen train --spec"):
        resume(run)


def test_a_changed_specification_is_refused_with_the_difference(data: Path, tmp_path: Path) -> None:
    run = stopped(data, tmp_path / "run", 7)
    text = re.sub(r'"lr": 0\.001', '"lr": 0.002', (run / "spec.json").read_text())
    (run / "spec.json").write_text(text)
    with pytest.raises(CorruptRunError, match=r"spec\.json is damaged \(it has changed since it was written"):
        resume(run)
    write_json(run / "spec.json", json.loads(text))  # with a digest of its own, as another training would write it
    with pytest.raises(CorruptRunError, match=r"command\.lr: 0\.001 became 0\.002"):
        resume(run)
    assert timeless(run / "metrics.jsonl")  # nothing was cut off


def test_a_scale_that_another_processor_rounds_otherwise_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scales that follow from the data are computed again: their last digits may differ, and that is said."""
    array = np.random.default_rng(0).poisson(3.0, (80, 6))
    run = train(array, recipe="count-vae", out=tmp_path / "run", latent=2, hidden=(4,), epochs=2).path
    computed = Job.spec

    def on_another(factor: float) -> Callable[[Job], dict[str, Any]]:
        def spec(job: Job) -> dict[str, Any]:
            words = json.dumps(computed(job))
            return json.loads(re.sub(r'"spread": ([0-9.]+)', lambda m: f'"spread": {float(m[1]) * factor!r}', words))

        return spec

    notices: list[str] = []
    monkeypatch.setattr(Job, "spec", on_another(1 + 1e-7))
    resume(run, data=array, epochs=3, notice=notices.append)
    assert any("rounds otherwise" in notice for notice in notices), notices
    monkeypatch.setattr(Job, "spec", on_another(1 + 1e-3))
    with pytest.raises(CorruptRunError, match="spread"):
        resume(run, data=array, epochs=4)


@pytest.mark.parametrize(("option", "now"), [("warmup", 0.5), ("latent", 3), ("init_from", "other")])
@pytest.mark.parametrize("epochs", [None, 8])
def test_no_option_of_the_recipe_may_change_with_or_without_more_epochs(
    data: Path, interrupted: Path, tmp_path: Path, option: str, now: Any, epochs: int | None
) -> None:
    run = Path(shutil.copytree(interrupted, tmp_path / "run"))
    spec = json.loads((run / "spec.json").read_text())
    assert spec["command"][option] != now
    spec["command"][option] = now
    write_json(run / "spec.json", spec)
    before = (run / "metrics.jsonl").read_bytes()
    with pytest.raises(CorruptRunError, match=rf"command\.{option}: .* became .*{re.escape(str(now))}"):
        resume(run, epochs=epochs)
    assert (run / "metrics.jsonl").read_bytes() == before


def test_killed_between_the_longer_specification_and_the_first_state_under_it(
    interrupted: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(interrupted, tmp_path / "run"))
    spec = json.loads((run / "spec.json").read_text())
    spec["choices"]["epochs"] = spec["command"]["epochs"] = 8
    write_json(run / "spec.json", spec)
    assert resume(run).metrics[-1]["epoch"] == 8


def test_changed_data_are_refused(data: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copy(data, tmp_path / "bits.npy"))
    run = stopped(mine, tmp_path / "run", 7)
    x = np.load(mine)
    x[0, 0] ^= 1
    np.save(mine, x)
    with pytest.raises(DataError, match=rf"{mine} has changed since the run was trained"):
        resume(run)


def test_another_array_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedRun):
        train(np.load(data), out=tmp_path / "run", average=0.9, should_stop=stop_after(7), **SMALL)
    with pytest.raises(DataError, match="the array has changed"):
        resume(tmp_path / "run", data=np.load(data)[::-1].copy())


def test_a_state_of_a_later_version_says_which_to_use_and_nothing_else(interrupted: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(interrupted, tmp_path / "run"))
    [newest, *_] = commits(run / STATE)
    files: dict[str, Any] = read_commit(newest)
    facts = json.loads(files["training.json"])
    facts["jensen"], facts["training"]["novelty"] = "9.9", 1
    commit(run / STATE, {**files, "training.json": json.dumps(facts).encode()})
    told: list[str] = []
    with pytest.raises(CorruptRunError, match=r"novelty.*written by jensen 9\.9: use that version"):
        resume(run, notice=told.append)
    assert told == []


def test_an_array_in_memory_is_given_again(data: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedRun):
        train(np.load(data), out=tmp_path / "run", average=0.9, should_stop=stop_after(7), **SMALL)
    with pytest.raises(DataError, match=r"data=\.\.\."):
        resume(tmp_path / "run")
    resume(tmp_path / "run", data=np.load(data))
    same(whole, tmp_path / "run")


def test_a_validation_bound_that_is_not_finite(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 4))
    x[split(60).valid[0]] = 1e15  # its square is finite, but not in units of the smallest scale
    np.save(tmp_path / "x.npy", x)
    options = {"latent": 2, "hidden": (), "floor": 1e-8, "batch": 16, "epochs": 4, "checkpoints": 3}
    whole = train(str(tmp_path / "x.npy"), out=tmp_path / "whole", **options)
    assert timeless(whole.path / "metrics.jsonl")[0]["valid"]["objective"] is None
    assert math.isnan(whole.metrics[0]["valid"]["objective"])
    for after in (4, 7):
        run = tmp_path / f"after {after}"
        with pytest.raises(InterruptedRun):
            train(str(tmp_path / "x.npy"), out=run, should_stop=stop_after(after), **options)
        resume(run)
        same(whole.path, run)


@pytest.mark.parametrize("damage", [None, b"{", b'{"event": "epoch"}\n'])
def test_lines_of_epochs_are_restored_from_the_state(
    interrupted: Path, whole: Path, tmp_path: Path, damage: bytes | None
) -> None:
    run = Path(shutil.copytree(interrupted, tmp_path / "run"))
    if damage is None:
        (run / "metrics.jsonl").unlink()
    else:
        (run / "metrics.jsonl").write_bytes(damage + (run / "metrics.jsonl").read_bytes())
        with pytest.raises(CorruptRunError, match=rf"line 1 .* damaged .*jensen resume {run}"):
            _ = load(run).metrics
    told: list[str] = []
    resume(run, notice=told.append)
    assert any("metrics.jsonl" in text and "restored from the last training state" in text for text in told)
    same(whole, run)


def test_lines_that_no_state_has_either_are_not_made_up(interrupted: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(interrupted, tmp_path / "run"))
    files = read_commit(commits(run / STATE)[0])
    del files["metrics.jsonl"]  # as an earlier version wrote it
    commit(run / STATE, files)
    (run / "metrics.jsonl").unlink()
    with pytest.raises(CorruptRunError, match="lacks epochs that are complete in the training state"):
        resume(run)


def test_two_at_once(data: Path, tmp_path: Path) -> None:
    run = stopped(data, tmp_path / "run", 7)
    from jensen.storage.run_lock import locked

    with locked(run), pytest.raises(RunExistsError, match="another training"):
        resume(run)


KILLING = """
import os, random, signal, sys, time, pathlib
import torch, torch._dynamo  # which a training would import, for longer than it is left alone
torch.set_num_threads(1)
from jensen.runs.resume import resume
from jensen.storage.training_state import read_newest_state
from jensen.runs.train import train
from jensen.core.errors import CorruptRunError, JensenError, UsageError
from jensen.runs.run import load
data, out, kills, seed = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
options = dict(latent=2, hidden=(8,), batch=16, epochs=40, checkpoints=3, average=0.9, save_every=0.0)
def child():
    pid = os.fork()
    if pid:
        return pid
    try:
        if (out / "state").is_dir() and any(p.name[0] != "." for p in (out / "state").iterdir()):
            resume(out)
        else:
            train(data, out=out, force=True, **options)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)
noise, done, unreadable, lost, last = random.Random(seed), 0, 0, 0, -1
while True:
    pid = child()
    if done < kills:
        time.sleep(noise.uniform(0.0, 0.25))
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status):
        if os.WEXITSTATUS(status):
            print("FAILED"); sys.exit(1)
        if done >= kills:
            break
        import shutil
        shutil.rmtree(out)  # it came to its end before it was killed enough
        last = -1
        continue
    done += 1
    try:
        state, _ = read_newest_state(out)
        if state.facts["step"] < last:
            lost += 1
        last = state.facts["step"]
    except (CorruptRunError, UsageError):
        unreadable += last >= 0
    if (out / "model.safetensors").exists():
        try:
            _ = load(out).metrics
        except JensenError as error:
            print(repr(error), file=sys.stderr, flush=True)
            unreadable += 1
print(done, unreadable, lost)
"""


def killed(data: Path, tmp_path: Path, kills: int) -> None:
    options = {**SMALL, "epochs": 40, "average": 0.9}
    whole = train(str(data), out=tmp_path / "whole", **options).path
    words = [sys.executable, "-c", KILLING, str(data), str(tmp_path / "run"), str(kills), "0"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == [str(kills), "0", "0"]
    same(whole, tmp_path / "run")


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
def test_killed_at_three_random_instants(data: Path, tmp_path: Path) -> None:
    killed(data, tmp_path, 3)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
def test_killed_at_two_hundred_random_instants(data: Path, tmp_path: Path) -> None:
    killed(data, tmp_path, 200)
