"""What a training writes beside its weights: the trackers of experiments that were asked for."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jensen.cli import main
from jensen.core.errors import InterruptedRun, UsageError
from jensen.runs.resume import resume
from jensen.runs.run import load
from jensen.runs.run_writer import check_trackers
from jensen.runs.train import train, untrained
from jensen.runs.training_options import TrainingOptions
from tests.storage.fake_trackers import planted

SMALL: dict[str, Any] = {"latent": 2, "hidden": (8,), "batch": 16, "epochs": 4, "recipe": "vae", "threads": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "bits.npy"
    np.save(path, (np.random.default_rng(0).random((80, 6)) < 0.4).astype(np.uint8))
    return str(path)


def bounds(folder: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["valid"]["bound"]) for line in lines if line["event"] == "epoch"]


def test_trackers_have_every_epoch_and_change_no_byte_of_the_weights(data, tmp_path, monkeypatch):
    mlflow, wandb = planted(monkeypatch)
    plain = train(data, out=tmp_path / "plain", **SMALL).path
    asked = iter(range(1000))
    how: dict[str, Any] = {"save_every": 0, "should_stop": lambda: next(asked) > 8, "mlflow": True, "wandb": True}
    with pytest.raises(InterruptedRun):
        train(data, out=tmp_path / "run", **how, **SMALL)
    assert mlflow.only.status[-1] == "KILLED"
    (tmp_path / "run" / "trackers" / "mlflow").mkdir()  # as the package would
    run = resume(tmp_path / "run")
    assert (run.path / "model.safetensors").read_bytes() == (plain / "model.safetensors").read_bytes()
    written = [(step, value) for name, value, step in mlflow.only.metrics if name == "bound/valid"]
    assert written == bounds(run.path) == bounds(plain)
    assert mlflow.only.params["latent"] == "2"
    assert mlflow.only.params["epochs"] == "4"
    assert mlflow.only.tags["jensen.data_sha256"] == run.spec["data"]["sha256"]
    assert len(mlflow.only.tags["jensen.belongs"]) == 64
    assert mlflow.only.status[-1] == "FINISHED"
    assert [run.arguments["id"] for run in wandb.runs] == 2 * [wandb.runs[0].arguments["id"]]
    evaluation = run.evaluate(k=3)
    run.keep(evaluation)
    assert wandb.runs[-1].summary["evaluation/log_px_lower_bound"] == evaluation.estimate.mean


def test_a_run_opens_and_is_repeated_without_its_trackers(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "https://tracking.example")
        mlflow, _ = planted(patch)
        patch.setenv("MLFLOW_TRACKING_URI", "https://tracking.example")
        train(data, out=tmp_path / "run", mlflow=True, online=True, **SMALL)
        assert list(mlflow.stores) == ["https://tracking.example"]
        for name in ("spec.json", "tracking.json"):  # addresses may have passwords in them
            assert "tracking.example" not in (tmp_path / "run" / name).read_text()
        assert main(["train", "--spec", str(tmp_path / "run"), "--out", str(tmp_path / "again"), "--quiet"]) == 0
        assert [uri for uri in mlflow.stores if uri.startswith("https")] == ["https://tracking.example"]
        assert len(mlflow.stores["https://tracking.example"]) == 1  # the network is asked for anew each time
    monkeypatch.setitem(sys.modules, "mlflow", None)
    run = load(tmp_path / "run")
    assert untrained(run).model is not None
    with pytest.raises(UsageError, match=r"jensen\[mlflow\]"):
        train(data, out=tmp_path / "other", mlflow=True, **SMALL)
    assert not (tmp_path / "other").exists()


def test_members_of_a_group_are_runs_of_their_own(data, tmp_path, monkeypatch):
    mlflow, _ = planted(monkeypatch)
    train(data, out=tmp_path / "group", seeds=2, mlflow=True, **SMALL)
    assert [len(runs) for runs in mlflow.stores.values()] == [1, 1]
    assert {run.params["seed"] for runs in mlflow.stores.values() for run in runs.values()} == {"0", "1"}


def test_a_run_that_is_replaced_takes_what_its_trackers_wrote_with_it(data, tmp_path, monkeypatch):
    planted(monkeypatch)
    train(data, out=tmp_path / "run", wandb=True, **SMALL)
    (tmp_path / "run" / "trackers" / "wandb" / "logs").mkdir(parents=True)
    (tmp_path / "run" / "trackers" / "wandb" / "logs" / "link").symlink_to(tmp_path)  # as the package leaves one
    train(data, out=tmp_path / "run", force=True, **SMALL)
    assert not (tmp_path / "run" / "trackers" / "wandb").exists()
    assert not (tmp_path / "run" / "tracking.json").exists()
    assert load(tmp_path / "run").metrics


def test_online_needs_a_tracker():
    with pytest.raises(UsageError, match="--mlflow and --wandb"):
        check_trackers(TrainingOptions(online=True))
