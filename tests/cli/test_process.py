"""What needs a process of its own: signals, closed pipes, a terminal, and the time that an answer takes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jensen.cli import main
from tests.cli.conftest import environment

SECONDS = 60


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until the file is there; a process that ends before has failed."""
    until = time.monotonic() + SECONDS
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def test_first_signal_stops_and_keeps_the_run(data, start, jensen):
    """SIGTERM; test_stopping.py sends SIGINT to a process, and both to a verb in this one."""
    process = start("train", "real.npy", "--epochs", "1000000", "--hidden", "8", "--out", "run", "--json")
    wait_for(data / "run" / "metrics.jsonl", process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 75, err
    assert out == ""
    assert "error: training stopped in epoch" in err
    assert "jensen evaluate run" in err
    assert "Traceback" not in err
    last = json.loads((data / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["reason"] == "interrupted"
    assert jensen("evaluate", "run", "-k", "5").code == 0


# a training whose first step outlasts two signals, however slow the machine is
LONG_STEP = """
import sys, time
from pathlib import Path
import torch
from jensen.cli import main
def step(optimizer, *given):
    Path("stepping").touch()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.01)
torch.optim.Adam.step = step
sys.exit(main(["train", "real.npy", "--epochs", "3", "--hidden", "8", "--out", "run"]))
"""


def test_second_signal_leaves_at_once(data):
    process = subprocess.Popen(
        [sys.executable, "-c", LONG_STEP],
        cwd=data,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(data / "stepping", process)
    process.send_signal(signal.SIGINT)
    # two signals within one long operation of a library are one: the second is for whoever has read of the first
    assert any("a second signal exits at once" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, err
    assert "Traceback" not in err


def test_closed_pipe_is_quiet(run, start):
    process = start("sample", "run", "-n", "200000", "--out", "-")
    assert process.stdout.readline() == "x1,x2,x3,x4\n"
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=SECONDS) == 141
    assert err == ""


def test_nothing_but_plain_text_off_a_terminal(data, jensen, monkeypatch):
    monkeypatch.setattr("jensen.cli.progress.PLAIN", 0.0)
    answer = jensen("train", "real.npy", "--epochs", "3", "--hidden", "8")
    assert answer.code == 0
    assert "epoch" in answer.err
    assert "\x1b" not in answer.out + answer.err
    assert "\r" not in answer.out + answer.err


@pytest.mark.parametrize("quiet", [False, True])
def test_one_line_on_a_terminal(quiet, data, capsys, monkeypatch):
    ours, theirs = pty.openpty()
    words = ["--epochs", "30", "--hidden", "8", *(["--quiet"] if quiet else [])]
    with open(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        assert main(["train", "real.npy", *words]) == 0
    out = capsys.readouterr().out
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:  # the terminal ends with its process
        pass
    finally:
        os.close(ours)
    assert "\x1b" not in out
    if quiet:
        assert said == b""
        return
    text = said.decode()
    assert "\n" not in text
    assert "bound -" in text
    assert "epoch " in text
    assert text.endswith("\r\x1b[K")  # nothing is left of it


def seconds(*words: str) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "jensen", *words], check=True, capture_output=True, timeout=SECONDS)
    return time.monotonic() - began


def test_help_is_quick():
    bare = min(_bare() for _ in range(3))
    assert min(seconds("--help") for _ in range(3)) < bare + 0.15


def _bare() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True, timeout=SECONDS)
    return time.monotonic() - began


# --- how errors are told ---


def fails_with(monkeypatch, error: BaseException) -> None:
    def fail(words: list[str]) -> None:
        raise error

    monkeypatch.setattr("jensen.cli.app.run", fail)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ZeroDivisionError("division by zero"), 1, "internal error (ZeroDivisionError: division by zero)"),
        (MemoryError(), 1, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "not enough memory"),
        (PermissionError(13, "Permission denied", "x.npy"), 1, "x.npy: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_the_unexpected_is_one_error(error, code, said, jensen, monkeypatch):
    fails_with(monkeypatch, error)
    answer = jensen("recipes")
    assert answer.code == code
    assert said in answer.err
    assert answer.out == ""
    assert len(answer.err.splitlines()) <= 4


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_debug_shows_the_traceback(how, here, monkeypatch, capsys):
    fails_with(monkeypatch, ZeroDivisionError("oh"))
    if how == "variable":
        monkeypatch.setenv("JENSEN_DEBUG", "1")
    assert main(["recipes", *(["--debug"] if how == "flag" else [])]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_overview(words, jensen):
    answer = jensen(*words)
    assert answer.code == 0
    assert "Usage: jensen COMMAND" in answer.out


@pytest.mark.parametrize("verb", ["train", "evaluate", "sample", "encode", "reconstruct", "report", "recipes", "data"])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_every_verb(verb, flag, jensen):
    answer = jensen(verb, flag)
    assert answer.code == 0
    assert answer.out.startswith(f"Usage: jensen {verb}")


def test_version(jensen):
    import jensen as package

    assert jensen("--version").out == f"{package.__version__}\n"
