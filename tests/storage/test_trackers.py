"""What trackers are given, and where: the run folder, unless a server was asked for."""

from __future__ import annotations

import os
import sys

import pytest

from jensen.core.errors import UsageError
from jensen.storage.trackers import KINDS, About, MLflow, Point, WeightsAndBiases
from tests.storage.fake_trackers import planted

ABOUT = About("run", "z ~ N", {"latent": 2, "note": "x" * 9000}, {"folder": "/here"})
POINTS = [Point(12, {"bound/train": -2.0, "bound/valid": -3.0}, 1.5), Point(24, {"bound/train": -1.0}, 2.5)]


@pytest.mark.parametrize("tracker", KINDS)
def test_each_is_an_extra_of_its_name(tracker, monkeypatch):
    monkeypatch.setitem(sys.modules, tracker.key, None)
    with pytest.raises(UsageError) as error:
        tracker.check()
    assert tracker.title in error.value.what
    assert error.value.remedy == f"pip install 'jensen[{tracker.key}]'"


def test_mlflow_writes_a_file_store_in_the_folder(tmp_path, monkeypatch):
    mlflow, _ = planted(monkeypatch)
    tracker = MLflow(tmp_path)
    name = tracker.open(ABOUT, None)
    tracker.write(POINTS, {"ended": "finished"})
    tracker.close("finished")
    assert list(mlflow.stores) == [(tmp_path / "trackers" / "mlflow").as_uri()]
    run = mlflow.only
    assert (run.name, run.params["latent"], len(run.params["note"])) == ("run", "2", 5000)
    assert run.tags == {"mlflow.note.content": "z ~ N", "jensen.folder": "/here", "jensen.ended": "finished"}
    assert run.metrics == [("bound/train", -2.0, 12), ("bound/valid", -3.0, 12), ("bound/train", -1.0, 24)]
    assert run.status == ["RUNNING", "FINISHED"]
    assert mlflow.allowed == ["true"]
    assert "MLFLOW_ALLOW_FILE_STORE" not in os.environ
    assert name == "experiment jensen, run 0"


def test_mlflow_goes_on_with_the_run_that_is_known(tmp_path, monkeypatch):
    mlflow, _ = planted(monkeypatch)
    name = MLflow(tmp_path).open(ABOUT, None)
    (tmp_path / "trackers" / "mlflow").mkdir()
    again = MLflow(tmp_path)
    assert again.open(ABOUT, name) == name
    again.close("interrupted")
    assert mlflow.only.status == ["RUNNING", "RUNNING", "KILLED"]
    added = MLflow(tmp_path)
    added.open(None, name)
    added.close(None)
    assert mlflow.only.status == ["RUNNING", "RUNNING", "KILLED"]  # nothing was trained
    (tmp_path / "trackers" / "mlflow").rmdir()
    assert MLflow(tmp_path).open(ABOUT, name) != name


def test_mlflow_is_given_no_more_at_a_time_than_it_takes(tmp_path, monkeypatch):
    mlflow, _ = planted(monkeypatch)
    tracker = MLflow(tmp_path)
    tracker.open(About("run", "", {f"o{i}": i for i in range(250)}), None)
    tracker.write([Point(i, {"a": 1.0, "b": 2.0}) for i in range(1200)], {})
    assert (len(mlflow.only.params), len(mlflow.only.metrics), mlflow.largest) == (250, 2400, 1000)


def test_mlflow_needs_an_address_for_a_server(tmp_path, monkeypatch):
    mlflow, _ = planted(monkeypatch)
    with pytest.raises(UsageError, match="MLFLOW_TRACKING_URI"):
        MLflow.check(online=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret@tracking.example")
    assert MLflow(tmp_path).open(ABOUT, None)
    assert list(mlflow.stores) == [
        (tmp_path / "trackers" / "mlflow").as_uri()
    ]  # without --online the variable counts for nothing
    name = MLflow(tmp_path, online=True).open(ABOUT, None)
    assert list(mlflow.stores) == [(tmp_path / "trackers" / "mlflow").as_uri(), "https://user:secret@tracking.example"]
    assert mlflow.allowed == ["true", None]
    assert "secret" not in name


def test_weights_and_biases_is_offline_and_leaves_the_terminal_alone(tmp_path, monkeypatch):
    _, wandb = planted(monkeypatch)
    monkeypatch.setenv("WANDB_MODE", "online")
    tracker = WeightsAndBiases(tmp_path)
    name = tracker.open(ABOUT, None)
    tracker.write(POINTS, {"ended": "finished"})
    tracker.close("finished")
    (run,) = wandb.runs
    given = [run.arguments[k] for k in ("mode", "dir", "id", "project")]
    assert given == ["offline", str(tmp_path / "trackers"), name, "jensen"]
    assert run.arguments["settings"] == {"symlink": False, "console": "off", "silent": True, "save_code": False}
    assert run.arguments["config"]["jensen.folder"] == "/here"
    assert (run.reporting, os.environ.get("WANDB_ERROR_REPORTING")) == ("false", None)
    assert [(step, values["step"]) for step, values in run.logged] == [(12, 12), (24, 24)]
    assert run.axes == {"step": None, "*": "step"}
    assert (run.summary, run.exit_code) == ({"jensen.ended": "finished"}, 0)


def test_weights_and_biases_keeps_its_steps_rising_after_a_recovery(tmp_path, monkeypatch):
    _, wandb = planted(monkeypatch)
    tracker = WeightsAndBiases(tmp_path, online=True)
    assert tracker.open(ABOUT, "known") == "known"
    tracker.write([Point(12, {}), Point(24, {}), Point(12, {}), Point(24, {}), Point(36, {})], {})
    assert [(step, values["step"]) for step, values in wandb.runs[0].logged] == [
        *((12, 12), (24, 24)),
        *((25, 12), (26, 24), (36, 36)),
    ]
    tracker.close("failed")
    assert (wandb.runs[0].exit_code, wandb.runs[0].arguments["mode"]) == (1, "online")


def test_an_evaluation_is_of_no_step_of_weights_and_biases(tmp_path, monkeypatch):
    _, wandb = planted(monkeypatch)
    tracker = WeightsAndBiases(tmp_path)
    tracker.open(None, "known")
    tracker.write([Point(24, {"evaluation/log_px": -1.0})], {})
    assert (wandb.runs[0].logged, wandb.runs[0].summary) == ([], {"evaluation/log_px": -1.0})


def test_the_file_store_of_mlflow_itself_can_be_read(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    tracker = MLflow(tmp_path)
    name = tracker.open(ABOUT, None)
    tracker.write(POINTS, {})
    tracker.close("finished")
    history = tracker.client.get_metric_history(name, "bound/train")
    assert [(m.step, m.value) for m in history] == [(12, -2.0), (24, -1.0)]
    assert mlflow.MlflowClient is type(tracker.client)


def test_weights_and_biases_itself_writes_into_the_folder(tmp_path):
    pytest.importorskip("wandb")
    tracker = WeightsAndBiases(tmp_path)
    name = tracker.open(ABOUT, None)
    tracker.write(POINTS, {})
    tracker.close("finished")
    assert [path.stat().st_size > 100 for path in tmp_path.glob(f"trackers/wandb/offline-run-*/run-{name}.wandb")] == [
        True
    ]
