"""Signals reach a training at any moment, and a stderr that takes nothing loses no run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jensen.cli.output import notifier, print_error
from jensen.cli.progress import ProgressLine
from jensen.cli.signals import SIGNALS, stopping
from jensen.storage.files import write_json
from tests.cli.conftest import environment
from tests.cli.test_process import SECONDS, wait_for

FULL = Path("/dev/full")
full_disk = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


@pytest.mark.slow
def test_a_stopped_run_is_kept_although_the_reader_of_stderr_has_gone(data, start):
    """As where the same Ctrl-C ends `tee`."""
    process = start("train", "real.npy", "--epochs", "1000000", "--hidden", "8", "--out", "run")
    wait_for(data / "run" / "metrics.jsonl", process)
    process.stderr.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=SECONDS) == 75
    process.stdout.close()
    assert json.loads((data / "run" / "metrics.jsonl").read_text().splitlines()[-1])["reason"] == "interrupted"
    assert any((data / "run" / "state").iterdir())


@full_disk
def test_a_full_stderr_does_not_change_the_exit_code(start):
    with FULL.open("w") as stderr:
        assert start("--nope", stderr=stderr).wait(timeout=SECONDS) == 2


def test_no_stderr_at_all(here):
    command = ["sh", "-c", 'exec "$0" -m jensen --nope 2>&-', sys.executable]
    result = subprocess.run(command, cwd=here, env=environment(), capture_output=True, timeout=SECONDS)
    assert (result.returncode, result.stdout) == (2, b"")


@pytest.fixture(params=["closed", "full"])
def deaf(request):
    """A stream that takes nothing; the test puts it in place, since pytest sets stderr once more after fixtures."""
    if request.param == "closed":
        reader, writer = os.pipe()
        os.close(reader)
    elif FULL.exists():
        writer = os.open(FULL, os.O_WRONLY)
    else:
        pytest.skip("no /dev/full here")
    with open(writer, "w") as stream:
        yield stream


@pytest.mark.parametrize("in_place", [False, True])
def test_nobody_need_hear(in_place, deaf, monkeypatch):
    monkeypatch.setattr("sys.stderr", deaf)
    line = ProgressLine(quiet=False)
    line.in_place, line.last = in_place, -1e9
    with line:
        line.update("shown")
        line.print_above("said")
    notifier(quiet=False)("noted")
    print_error("what happened", "what to do")
    with stopping() as should_stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert should_stop()


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_are_heard_while_a_verb_is_imported(number, jensen, monkeypatch):
    """The parser imports the verb, and torch with it: seconds, in which no run is lost nor a process killed."""
    heard = []

    def slow(words: list[str]) -> int:
        os.kill(os.getpid(), number)
        with stopping() as should_stop:
            heard.append(should_stop())
        return 0

    monkeypatch.setattr("jensen.cli.app.run", slow)
    before = signal.getsignal(number)
    for verb in ("train", "resume", "rate-distortion"):
        answer = jensen(verb)
        assert answer.code == 0
        assert "stopping after this step" in answer.err
    assert heard == [True] * 3
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("threads", [100_000, 2**40])
def test_resume_takes_no_absurd_number_of_threads(threads, run, refused):
    spec = json.loads((run / "spec.json").read_text())
    spec["choices"]["threads"] = threads
    write_json(run / "spec.json", spec)
    refused(["resume", "run"], 4, "spec.json is damaged", f"{threads:,} threads")
