"""A training in a tracker: every epoch once at its step, whatever fails there, and the evaluation that is added."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from jensen.storage import tracking
from jensen.storage.metrics import chained
from jensen.storage.run_folder import METRICS, TRACKING
from jensen.storage.trackers import About, MLflow, WeightsAndBiases
from jensen.storage.tracking import Tracking, track_evaluation
from jensen.training.events import EpochEnded, Measures, Recovered, Started, Stopped
from tests.storage.fake_trackers import planted

ABOUT = About("run", "z ~ N")
EVALUATION = {"log_px": -2.5, "kind": "stochastic lower bound", "stderr": 0.1, "elbo": None, "quantity": "log p(x)"}


def ended(epoch: int) -> EpochEnded:
    train, valid = Measures(-float(epoch), -float(epoch), 1.0, None), None
    return EpochEnded(epoch, 10 * epoch, train, valid, 0.1, 0.5, 9.0, 1.0, 3.0, is_best=False)


def listening(folder, kind=MLflow) -> tuple[Tracking, list[str]]:
    (folder / "trackers" / "mlflow").mkdir(parents=True, exist_ok=True)
    notices: list[str] = []
    return Tracking(folder, kind(folder), ABOUT, notices.append), notices


def test_every_epoch_is_written_at_its_step(tmp_path, monkeypatch):
    mlflow, _ = planted(monkeypatch)
    listen, notices = listening(tmp_path)
    for event in (Started(2, 10, 5), ended(1), ended(2), Stopped("finished", 2, 1, 4.0)):
        listen(event)
    run = mlflow.only
    assert run.steps("bound/train") == [10, 20]
    assert {name for name, _, _ in run.metrics} == {
        "objective/train",
        "bound/train",
        "rate/train",
        "learning_rate",
        "epoch",
    }
    assert (run.tags["jensen.ended"], run.tags["jensen.kept_epoch"], run.status[-1]) == ("finished", "1", "FINISHED")
    assert notices == []


def test_what_fails_is_warned_of_once_and_waits(tmp_path, monkeypatch):
    mlflow, _ = planted(monkeypatch)
    monkeypatch.setattr(tracking, "SECONDS_BETWEEN_WRITES", 0.0)
    monkeypatch.setattr(tracking, "SHARE", float("inf"))
    listen, notices = listening(tmp_path)
    mlflow.broken = "the disk is full\nand more"
    for event in (Started(3, 10, 5), ended(1), ended(2)):
        listen(event)
    assert notices == ["MLflow was not written (the disk is full); training continues, and tries again"]
    assert not (tmp_path / TRACKING).exists()
    mlflow.broken = ""
    listen(ended(3))
    assert mlflow.only.steps("bound/train") == [10, 20, 30]
    mlflow.broken = "again"
    listen(Stopped("finished", 3, 3, 4.0))
    assert len(notices) == 1


def test_writing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    mlflow, _ = planted(monkeypatch)
    now = [100.0]
    monkeypatch.setattr(tracking.time, "monotonic", lambda: now[0])
    listen, _ = listening(tmp_path)
    listen(Started(4, 10, 5))
    listen.cost = 0.1  # a write of a tenth of a second: one in ten seconds
    for epoch, at in ((1, 109.0), (2, 109.9), (3, 110.1)):
        now[0] = at
        listen(ended(epoch))
        assert mlflow.only.steps("bound/train") == ([10, 20, 30] if at > 110 else [])


@pytest.mark.parametrize("kind", [MLflow, WeightsAndBiases])
def test_a_resume_goes_on_with_the_same_run_and_repeats_no_epoch(tmp_path, monkeypatch, kind):
    mlflow, wandb = planted(monkeypatch)
    for events in ((ended(1), ended(2), Stopped("interrupted", 2, 2, 1.0)), (ended(2), ended(3))):
        listen, _ = listening(tmp_path, kind)
        for event in (Started(3, 10, 5), *events, Stopped("finished", 3, 3, 1.0)):
            listen(event)
    if kind is MLflow:
        assert mlflow.only.steps("bound/train") == [10, 20, 30]
    else:
        assert len({run.arguments["id"] for run in wandb.runs}) == 1
        assert [step for run in wandb.runs for step, _ in run.logged] == [10, 20, 30]


def test_epochs_are_written_again_after_a_recovery(tmp_path, monkeypatch):
    mlflow, _ = planted(monkeypatch)
    listen, _ = listening(tmp_path)
    events = (ended(1), ended(2), Recovered(2, 10, 15, 1, 0.5, "a rate"), ended(2), Stopped("finished", 2, 2, 1.0))
    for event in (Started(3, 10, 5), *events):
        listen(event)
    assert mlflow.only.steps("bound/train") == [10, 20]  # what waited and is void was left out
    assert mlflow.only.tags["jensen.recoveries"].startswith("1, the last to step 10")


def test_an_evaluation_is_added_with_its_kind(tmp_path, monkeypatch):
    mlflow, wandb = planted(monkeypatch)
    track_evaluation(tmp_path, EVALUATION)
    assert mlflow.stores == {}  # no tracker has written this run
    for kind in (MLflow, WeightsAndBiases):
        listen, _ = listening(tmp_path, kind)
        for event in (Started(1, 10, 5), ended(1), Stopped("finished", 1, 1, 4.0)):
            listen(event)
    track_evaluation(tmp_path, EVALUATION)
    run, names = mlflow.only, ("evaluation/log_px_lower_bound", "evaluation/stderr")
    assert [m for m in run.metrics if m[0].startswith("eval")] == [(names[0], -2.5, 10), (names[1], 0.1, 10)]
    assert run.tags["jensen.evaluation.kind"] == "stochastic lower bound"
    assert run.status == ["RUNNING", "FINISHED"]
    assert wandb.runs[-1].arguments["id"] == wandb.runs[0].arguments["id"]
    assert wandb.runs[-1].summary[names[0]] == -2.5


def test_an_evaluation_reaches_a_server_only_if_that_is_asked_for(tmp_path, monkeypatch):
    _, wandb = planted(monkeypatch)
    listen = Tracking(tmp_path, WeightsAndBiases(tmp_path, online=True), ABOUT)
    for event in (Started(1, 10, 5), ended(1), Stopped("finished", 1, 1, 4.0)):
        listen(event)
    track_evaluation(tmp_path, EVALUATION)
    assert len(wandb.runs) == 1
    track_evaluation(tmp_path, {**EVALUATION, "kind": "exact"}, online=True)
    assert wandb.runs[-1].arguments["mode"] == "online"
    assert wandb.runs[-1].summary["evaluation/log_px"] == -2.5


def test_an_evaluation_is_kept_where_a_tracker_fails(tmp_path, monkeypatch):
    mlflow, _ = planted(monkeypatch)
    listen, _ = listening(tmp_path)
    for event in (Started(1, 10, 5), Stopped("finished", 1, 1, 4.0)):
        listen(event)
    mlflow.broken, notices = "no space", []
    track_evaluation(tmp_path, EVALUATION, notice=notices.append)
    assert notices == ["MLflow was not written (no space)"]
    (tmp_path / TRACKING).write_text("{")
    track_evaluation(tmp_path, EVALUATION, notice=notices.append)
    assert len(notices) == 1


def write_metrics(folder, epochs: int) -> None:
    lines = [{"event": "epoch", **asdict(ended(epoch))} for epoch in range(1, epochs + 1)]
    content, _ = chained([{k: v for k, v in line.items() if k != "seconds_left"} for line in lines])
    (folder / METRICS).write_bytes(content)


def test_epochs_that_a_killed_training_had_not_written_are_written_by_its_resume(tmp_path, monkeypatch):
    mlflow, _ = planted(monkeypatch)
    write_metrics(tmp_path, 2)
    listen, _ = listening(tmp_path)
    for event in (Started(3, 10, 5), ended(3), Stopped("finished", 3, 3, 1.0)):
        listen(event)
    written = [(step, value) for name, value, step in mlflow.only.metrics if name == "bound/train"]
    assert written == [(10, -1.0), (20, -2.0), (30, -3.0)]
    write_metrics(tmp_path, 3)
    listen, _ = listening(tmp_path)
    listen(Started(3, 10, 5))
    assert mlflow.only.steps("bound/train") == [10, 20, 30]  # each once
