"""Ctrl-C where Python itself handles it, as in a notebook: the run is saved, and resumes to the same bits."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

import jensen as j
from jensen.core.errors import InterruptedRun
from jensen.runs.interrupts import interruptible
from jensen.runs.resume import resume
from jensen.runs.train import train
from jensen.training import EpochEnded

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
SMALL = {"latent": 2, "hidden": (8,), "epochs": 6, "device": "cpu"}


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def fail() -> None:
    raise KeyboardInterrupt


def at_epoch(epoch, act):
    """A listener that acts once, at the end of an epoch."""

    def listen(event):
        if isinstance(event, EpochEnded) and event.epoch == epoch:
            act()

    return listen


@pytest.fixture(autouse=True)
def pythons_own_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("act", [press, fail])
@pytest.mark.sampled(1)
def test_an_interrupted_training_resumes_to_the_same_bits(act, tmp_path):
    whole = j.train(X, out=tmp_path / "whole", **SMALL)
    with pytest.raises(InterruptedRun, match=r"jensen resume .*part"):
        train(X, out=tmp_path / "part", listeners=[at_epoch(2, act)], **SMALL)
    stopped = j.load(tmp_path / "part")
    assert stopped.metrics[-1]["reason"] == "interrupted"
    with pytest.raises(InterruptedRun):
        resume(stopped.path, data=X, listeners=[at_epoch(4, act)])
    resumed = j.resume(stopped.path, data=X)
    assert (resumed.path / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()


def test_an_interrupt_after_the_last_step_is_raised_when_all_is_written(tmp_path):
    with pytest.raises(KeyboardInterrupt), interruptible(lambda: False, []):
        press()
    with pytest.raises((InterruptedRun, KeyboardInterrupt)):
        train(X, recipe="ppca", latent=1, device="cpu", out=tmp_path / "run", listeners=[lambda event: press_once()])
    assert j.load(tmp_path / "run").sample(2).shape == (2, 3)


pressed: list[bool] = []


def press_once() -> None:
    if not pressed:
        pressed.append(True)
        press()


def press_twice() -> None:
    with interruptible(lambda: False, []) as (should_stop, _):
        press()
        assert should_stop()
        press()
        raise AssertionError("the second one was not raised")


def test_the_second_interrupt_is_immediate():
    with pytest.raises(KeyboardInterrupt):
        press_twice()


def test_other_handlers_and_threads_keep_theirs():
    heard = []
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    with interruptible(lambda: False, []) as (should_stop, _):
        press()
        assert heard
        assert not should_stop()
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def enter() -> None:
        with interruptible(lambda: True, []) as (should_stop, _):
            heard.append(should_stop())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert heard[-1] is True
