"""Training as Python calls it: notices are logged, and Ctrl-C returns a run that can be resumed."""

from __future__ import annotations

import logging
import os
import signal

import numpy as np
import pytest

import jensen as j
from jensen.core.errors import InterruptedRun
from jensen.runs import interactive
from jensen.runs.group import RunGroup
from jensen.training import EpochEnded, Started

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
SMALL = {"latent": 2, "hidden": (8,), "epochs": 4, "device": "cpu"}


@pytest.fixture(autouse=True)
def pythons_own_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def logged():
    """The messages of the logger."""
    messages: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record):
            messages.append(f"{record.levelname} {record.getMessage()}")

    handler = Handler()
    interactive.LOG.addHandler(handler)
    yield messages
    interactive.LOG.removeHandler(handler)


def press_after(epoch):
    pressed: list[bool] = []

    def listen(event):
        if isinstance(event, EpochEnded) and event.epoch == epoch and not pressed:
            pressed.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    return listen


def test_ctrl_c_returns_a_run_that_resumes_to_the_same_bits(tmp_path, logged):
    whole = j.train(X, out=tmp_path / "whole", **SMALL)
    run = j.train(X, out=tmp_path / "part", progress=press_after(2), **SMALL)
    assert run.interrupted
    assert "interrupted" in repr(run)
    assert f"Go on with jensen.resume({str(run.path)!r}, data=...)" in logged[-1]
    assert run.evaluate(k=5).estimate.nats is not None  # its rows in memory are at hand
    again = j.resume(run.path, data=X, progress=press_after(3))
    assert again.interrupted
    resumed = j.resume(run.path, data=X)
    assert not resumed.interrupted
    assert (resumed.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()


def test_a_stop_that_was_asked_for_is_raised(tmp_path):
    with pytest.raises(InterruptedRun):
        j.train(X, out=tmp_path / "run", should_stop=lambda: True, **SMALL)


def test_ctrl_c_returns_a_group_too(tmp_path, logged):
    group = j.train(X, out=tmp_path / "group", seeds=2, listeners=[press_after(1)], **SMALL)
    assert isinstance(group, RunGroup)
    assert "jensen.resume_group" in logged[-1]
    assert j.resume_group(group.path, data=X).failed == {}


def test_notices_are_logged_or_given_to_whoever_asks(tmp_path, logged):
    y = np.zeros((60, 3))
    j.train(y, recipe="gaussian", out=tmp_path / "a")
    assert logged
    assert all(text.startswith("WARNING ") for text in logged)
    notices: list[str] = []
    logged.clear()
    j.train(y, recipe="gaussian", out=tmp_path / "b", notice=notices.append)
    assert notices
    assert not logged


def test_progress_may_be_a_function_of_events(tmp_path):
    events: list[object] = []
    j.train(X, out=tmp_path / "run", progress=events.append, **SMALL)
    assert isinstance(events[0], Started)
