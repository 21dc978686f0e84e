"""Two processes under torchrun: the run of one, stopped and resumed, killed and started again, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import environment
from tests.cli.test_process import SECONDS, wait_for

pytestmark = pytest.mark.slow

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
LONG = ["--epochs", "12", "--hidden", "16", "--latent", "2", "--save-every", "0", "--batch", "100"]


def launched(here: Path, *words: object, restarts: int = 0) -> subprocess.Popen[str]:
    command = [*TORCHRUN, "--max-restarts", str(restarts), "-m", "jensen", *map(str, words)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=here, env=environment(), stdout=pipe, stderr=pipe, text=True)


def answer(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=4 * SECONDS)
    return process.returncode, out, err


def lines(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics, without what differs between trainings, and without interruptions."""
    plain = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    free = ("seconds", "data_per_second", "sha256")
    return [{k: v for k, v in line.items() if k not in free} for line in plain if line.get("reason") != "interrupted"]


def children(process: subprocess.Popen[str]) -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run of two processes that nothing has stopped."""
    folder = tmp_path_factory.mktemp("whole")
    code, out, err = answer(launched(folder, "train", "digits", *LONG, "--out", "run", "--quiet"))
    assert code == 0, err
    assert out.count("log p(x)") == 1  # one process prints
    return folder / "run"


def test_the_specification_says_so(whole):
    choices = json.loads((whole / "spec.json").read_text())["choices"]
    assert choices["processes"] == 2
    assert "own_noise" not in choices


def test_stopped_and_resumed_to_the_same_bytes(whole, here, jensen):
    process = launched(here, "train", "digits", *LONG, "--out", "run")
    wait_for(here / "run" / "state", process)
    process.send_signal(signal.SIGTERM)
    code, _, err = answer(process)
    assert code != 0
    assert err.count("error: training stopped in epoch") == 1
    assert json.loads((here / "run" / "metrics.jsonl").read_text().splitlines()[-1])["reason"] == "interrupted"
    alone = jensen("resume", "run")
    assert alone.code == 2
    assert "was trained by 2 processes, and this is one" in alone.err
    assert "torchrun --nproc-per-node 2 -m jensen resume run" in alone.err
    code, _, err = answer(launched(here, "resume", "run", "--quiet"))
    assert code == 0, err
    assert (here / "run" / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert lines(here / "run") == lines(whole)


def test_another_number_of_processes_can_be_asked_for(whole, here, jensen):
    process = launched(here, "train", "digits", *LONG, "--out", "run")
    wait_for(here / "run" / "state", process)
    process.send_signal(signal.SIGTERM)
    answer(process)
    assert jensen("resume", "run", "--regroup", "--quiet").code == 0
    choices = json.loads((here / "run" / "spec.json").read_text())["choices"]
    assert choices["regrouped"] == [2]
    assert "processes" not in choices
    mine, other = (line["train"]["objective"] for run in (here / "run", whole) for line in [lines(run)[-2]])
    assert mine == pytest.approx(other, rel=1e-4)


def test_a_killed_process_is_started_again_and_goes_on(whole, here):
    process = launched(here, "train", "digits", *LONG, "--out", "run", restarts=2)
    wait_for(here / "run" / "state", process)
    os.kill(children(process)[-1], signal.SIGKILL)
    code, _, err = answer(process)
    assert code == 0, err
    assert (here / "run" / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert lines(here / "run") == lines(whole)
    # another torchrun has nothing to do with it
    code, _, err = answer(launched(here, "train", "digits", *LONG, "--out", "run"))
    assert code != 0
    assert err.count("holds a run already") == 1


def test_what_all_processes_refuse_is_said_once(here):
    started = time.monotonic()
    code, out, err = answer(launched(here, "train", "digits", "--recipe", "wae-mmd", "--epochs", "1", "--out", "run"))
    assert code != 0
    assert out == ""
    assert err.count("error: MMD couples the data of a batch") == 1
    assert not (here / "run").exists()
    assert time.monotonic() - started < SECONDS


def test_codes_are_those_of_one_process_to_the_byte(whole, here, jensen):
    assert jensen("encode", whole, "--out", "one.csv").code == 0
    code, out, err = answer(launched(here, "encode", whole, "--out", "two.csv"))
    assert code == 0, err
    assert out.count("latent features") == 1
    assert (here / "two.csv").read_bytes() == (here / "one.csv").read_bytes()


def numbers(text: str) -> dict[str, Any]:
    """The record of a result without what differs between processes that find the same."""
    record = json.loads(text.strip().splitlines()[-1])
    return {name: value for name, value in record.items() if name not in ("seconds", "out", "replay")}


@pytest.mark.parametrize("method", [["-k", "50"], ["--method", "annealed", "--temperatures", "4", "--chains", "2"]])
def test_evaluations_are_those_of_one_process_to_the_byte(whole, here, start, method):
    words = ["evaluate", whole, "digits", *method, "--json", "--rows"]
    code, alone, err = answer(start(*words, "one.csv"))
    assert code == 0, err
    code, out, err = answer(launched(here, *words, "two.csv"))
    assert code == 0, err
    assert len(out.strip().splitlines()) == 1  # one process prints
    assert (here / "two.csv").read_bytes() == (here / "one.csv").read_bytes()
    assert numbers(out) == numbers(alone)


def test_a_plain_evaluation_is_timed_kept_and_repeated(here, jensen):
    """K, training rows and temperatures are chosen by the clock of one process; then the numbers are those of one."""
    assert jensen("train", "digits", "--epochs", "1", "--hidden", "8", "--latent", "3", "--out", "run").code == 0
    (here / "run" / "evaluation.json").unlink(missing_ok=True)
    code, _, err = answer(launched(here, "evaluate", "run", "--budget", "30"))
    assert code == 0, err
    kept = json.loads((here / "run" / "evaluation.json").read_text())
    assert kept["kind"] == "stochastic lower bound"
    assert kept["train_test"] is not None
    assert kept["assessment"] is not None
    assert jensen("verify", "run").code == 0


@pytest.mark.parametrize("words", [["impute", "--mask", "left", "-k", "20", "-m", "2"], ["reconstruct"]])
def test_completed_rows_are_those_of_one_process_to_the_byte(whole, here, start, words):
    verb, *options = words
    code, _, err = answer(start(verb, whole, "digits", *options, "--out", "one.csv"))
    assert code == 0, err
    code, out, err = answer(launched(here, verb, whole, "digits", *options, "--out", "two.csv"))
    assert code == 0, err
    assert out.count("two.csv") == 1
    assert (here / "two.csv").read_bytes() == (here / "one.csv").read_bytes()


def test_samples_are_drawn_by_one_process(whole, here, start):
    code, _, err = answer(start("reconstruct", whole, "--sample", "--out", "one.csv"))
    assert code == 0, err
    code, _, err = answer(launched(here, "reconstruct", whole, "--sample", "--out", "two.csv"))
    assert code == 0, err
    assert (here / "two.csv").read_bytes() == (here / "one.csv").read_bytes()
