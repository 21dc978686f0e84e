"""The patience of a run: a fifth of its epochs by default, the same after a kill, none where nothing is followed."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jensen.cli import main
from jensen.core.errors import InterruptedRun, UsageError
from jensen.runs.resume import resume
from jensen.runs.run import load
from jensen.runs.spec import recorded_command
from jensen.runs.train import train
from jensen.storage.specification import read_spec
from jensen.training import EpochEnded
from tests.runs.test_resume import same, stop_after
from tests.several import forked

LEARNS_BY_HEART: dict[str, Any] = {"latent": 2, "hidden": (16,), "batch": 16, "epochs": 60, "lr": 0.02, "warmup": 3}


def train_and_die(data: Path, out: Path, epoch: int) -> None:
    """Train, and kill this process at the end of an epoch."""

    def kill(event: object) -> None:
        if isinstance(event, EpochEnded) and event.epoch == epoch:
            os.kill(os.getpid(), signal.SIGKILL)

    train(str(data), out=out, listeners=[kill], save_every=0, **LEARNS_BY_HEART)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "bits.npy"
    np.save(path, (np.random.default_rng(0).random((80, 6)) < 0.4).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(str(data), out=tmp_path_factory.mktemp("whole") / "run", **LEARNS_BY_HEART).path


@pytest.fixture(scope="module")
def unstopped(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(str(data), out=tmp_path_factory.mktemp("full") / "run", patience=None, **LEARNS_BY_HEART).path


def epochs_of(run: Path) -> list[dict[str, Any]]:
    return [line for line in load(run).metrics if line["event"] == "epoch"]


def tensors_equal(one: Path, other: Path) -> bool:
    a, b = (load_file(run / "model.safetensors") for run in (one, other))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_training_stops_a_fifth_of_its_epochs_after_the_best(whole: Path, unstopped: Path) -> None:
    bounds = [line["valid"]["bound"] for line in epochs_of(unstopped)]
    assert len(bounds) == 60
    best, end = 0, None  # by hand: 12 epochs without a rise, of which the 3 of the warm-up do not count
    for epoch, bound in enumerate(bounds, 1):
        best = epoch if not best or bound > bounds[best - 1] else best
        if end is None and epoch - max(best, 3) >= 12:
            end = (epoch, best)
    stopped = load(whole).metrics[-1]
    assert end is not None
    assert (stopped["reason"], stopped["epoch"], stopped["kept_epoch"]) == ("early stopping", *end)
    assert [line["valid"]["bound"] for line in epochs_of(whole)] == bounds[: end[0]]
    assert (read_spec(whole)["choices"]["patience"], read_spec(unstopped)["choices"]["patience"]) == (12, None)


@pytest.mark.parametrize(
    ("options", "patience"),
    [
        ({"epochs": 30}, 6),
        ({"epochs": 8}, 5),
        ({"epochs": 30, "patience": "auto"}, 6),
        ({"epochs": 30, "patience": 3}, 3),
        ({"epochs": 30, "patience": 99}, 99),
        ({"epochs": 30, "patience": None}, None),
        ({"epochs": 30, "keep": "last"}, None),
        ({"epochs": 30, "split": "0.9,0,0.1"}, None),  # without validation rows
        ({"epochs": 30, "recipe": "beta-vae"}, None),  # whose bound is not what is maximised
        ({"epochs": 30, "recipe": "beta-vae", "keep": "best"}, 6),
        ({"epochs": 30, "recipe": "autoencoder"}, None),  # which has no bound
        ({"epochs": 30, "recipe": "gan"}, None),
        ({"epochs": 30, "recipe": "wake-sleep", "hidden": (4,)}, 6),
        ({"epochs": 30, "recipe": "gmm", "components": 2}, None),  # which converges by itself
        ({"epochs": 30, "recipe": "gmm", "components": 2, "keep": "best"}, None),
    ],
)
@pytest.mark.sampled(8)
def test_the_patience_of_a_recipe(data: Path, tmp_path: Path, options: dict[str, Any], patience: int | None) -> None:
    with pytest.raises(InterruptedRun):  # at once: its specification tells
        train(str(data), out=tmp_path / "run", should_stop=lambda: True, **options)
    assert read_spec(tmp_path / "run")["choices"]["patience"] == patience


@pytest.mark.parametrize(
    "after", [40, pytest.param(3, marks=pytest.mark.slow), pytest.param(52, marks=pytest.mark.slow)]
)
def test_an_interruption_leaves_the_patience_as_it_was(data: Path, whole: Path, tmp_path: Path, after: int) -> None:
    with pytest.raises(InterruptedRun):
        train(str(data), out=tmp_path / "run", should_stop=stop_after(after), **LEARNS_BY_HEART)
    resume(tmp_path / "run")
    same(whole, tmp_path / "run")
    assert read_spec(tmp_path / "run") == read_spec(whole) | {
        "data": read_spec(tmp_path / "run")["data"],
        "split": read_spec(tmp_path / "run")["split"],
    }


@pytest.mark.parametrize(
    "last", [0, pytest.param(-1, marks=pytest.mark.slow), pytest.param(-9, marks=pytest.mark.slow)]
)
def test_a_kill_leaves_the_patience_as_it_was(data: Path, whole: Path, tmp_path: Path, last: int) -> None:
    """Killed just after an epoch, the last one included: its state is not yet on the disk."""
    epoch, out = len(epochs_of(whole)) + last, tmp_path / "run"
    assert forked(lambda: train_and_die(data, out, epoch)) == -signal.SIGKILL
    resume(out)
    same(whole, out)


def test_what_patience_ended_goes_on_only_with_more(data: Path, whole: Path, unstopped: Path, tmp_path: Path) -> None:
    run = train(str(data), out=tmp_path / "run", **LEARNS_BY_HEART).path
    done = len(epochs_of(run))
    for epochs in (None, 60):
        with pytest.raises(UsageError, match=f"stopped at epoch {done} of 60: the validation bound .*none"):
            resume(run, epochs=epochs)
    assert (run / "metrics.jsonl").read_bytes().count(b"stopped") == 1
    again = resume(run, patience="auto").path  # which is what it was: not one epoch more
    assert len(epochs_of(again)) == done
    resume(run, patience=None)
    assert len(epochs_of(run)) == 60
    assert tensors_equal(run, unstopped)
    assert read_spec(run)["choices"]["patience"] is None
    assert recorded_command(read_spec(run), run)["patience"] is None
    with pytest.raises(UsageError, match="made 60 epochs already"):
        resume(run, patience=None)


@pytest.mark.slow
def test_an_interruption_on_the_way_to_the_end_keeps_the_new_patience(
    data: Path, unstopped: Path, tmp_path: Path
) -> None:
    run = train(str(data), out=tmp_path / "run", **LEARNS_BY_HEART).path
    with pytest.raises(InterruptedRun):
        resume(run, patience=None, should_stop=stop_after(9))
    resume(run)
    assert tensors_equal(run, unstopped)


def test_a_longer_training_is_more_patient(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedRun):
        train(str(data), out=tmp_path / "run", should_stop=stop_after(9), **LEARNS_BY_HEART)
    with pytest.raises(InterruptedRun):
        resume(tmp_path / "run", epochs=200, should_stop=stop_after(3))
    assert read_spec(tmp_path / "run")["choices"]["patience"] == 40


@pytest.mark.slow
def test_the_command_of_a_run_repeats_its_patience(whole: Path, unstopped: Path, tmp_path: Path) -> None:
    for run in (whole, unstopped):
        assert (
            main(["train", "--spec", str(run / "spec.json"), "--out", str(tmp_path / run.parent.name), "--quiet"]) == 0
        )
        again = tmp_path / run.parent.name / "model.safetensors"
        assert (run / "model.safetensors").read_bytes() == again.read_bytes()


def test_a_run_of_an_earlier_version_has_no_patience(unstopped: Path) -> None:
    spec = read_spec(unstopped)
    del spec["choices"]["patience"]
    assert recorded_command(spec, unstopped)["patience"] is None
    del spec["command"]["patience"]
    assert recorded_command(spec, unstopped)["patience"] is None


def test_the_command_line_says_why_it_stopped_and_what_goes_on(
    data: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--latent", "2", "--hidden", "16", "--batch", "16", "--epochs", "60", "--lr", "0.02", "--warmup", "3"]
    assert main(["train", str(data), "--out", str(tmp_path / "a run"), *flags, "--quiet"]) == 0
    ended = load(whole).metrics[-1]
    said = f"stopped at epoch {ended['epoch']} of 60: the validation bound has not risen since epoch"
    out = capsys.readouterr().out
    assert f"{said} {ended['kept_epoch']}; jensen resume '{tmp_path}/a run' --patience none goes on\n" in out
    assert main(["resume", str(tmp_path / "a run"), "--patience", "none", "--quiet", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["reason"], result["epoch"], result["kept_epoch"]) == ("finished", 60, result["best_epoch"])


@pytest.mark.parametrize("given", ["soon", "0", "-3", "early"])
def test_a_patience_that_is_none_is_refused(data: Path, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(data), "--out", str(data.parent / "never"), "--patience", given]) == 2
    assert not (data.parent / "never").exists()
    assert "--patience" in capsys.readouterr().err
