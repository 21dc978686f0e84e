"""A scheduler that takes its machine back waits for seconds only: a model of 100 MB is saved within them."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path

import pytest

from tests.cli.test_process import wait_for

SECONDS = 5
LARGE = ["--hidden", "3600,3600", "--batch", "16", "--checkpoints", "0", "--epochs", "3", "--json"]


def used(pid: int) -> float:
    """Seconds of the processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def used_by_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the time of a process cannot be read here")
def test_a_hundred_megabytes_are_saved_in_time_and_resumed_exactly(data, start, jensen):
    before = used_by_children()
    process = start("train", "bits.npy", *LARGE, "--out", "run")
    wait_for(data / "run" / "metrics.jsonl", process)
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)  # what others take of the machine is not its doing
    began, spent = time.monotonic(), used(process.pid)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    taken, spent = time.monotonic() - began, used_by_children() - before - spent
    assert process.returncode == 75, err
    assert json.loads((data / "run" / "metrics.jsonl").read_text().splitlines()[-1])["reason"] == "interrupted"
    assert (data / "run" / "model.safetensors").stat().st_size > 100e6
    for words in (("resume", "run", "--json"), ("train", "bits.npy", *LARGE, "--out", "whole")):
        other = start(*words)
        _, err = other.communicate(timeout=300)
        assert other.returncode == 0, err
    assert (data / "run" / "model.safetensors").read_bytes() == (data / "whole" / "model.safetensors").read_bytes()
    assert spent < SECONDS
    assert taken < SECONDS or busy
