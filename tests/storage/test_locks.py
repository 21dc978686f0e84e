"""A run folder has one writer; what a killed one leaves behind holds nobody up."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jensen.core.errors import RunExistsError
from jensen.storage import locks
from jensen.storage.locks import Holder, acquire, is_alive, release

DEAD = 2**22 + 1  # above the highest number that Linux gives


def start_of(pid: int) -> str:
    return locks._began(pid)


@pytest.fixture(params=["the system's", "by what is written"])
def kind(request, monkeypatch) -> str:
    """With locks of the system, and where there are none."""
    if request.param != "the system's":
        monkeypatch.setattr(locks, "fcntl", None)
        monkeypatch.setattr(locks, "RACE", 0.0)
    return request.param


def test_it_says_who_holds_it_and_is_gone_afterwards(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".lock"
    held = acquire(path)
    assert json.loads(path.read_bytes())["pid"] == os.getpid()
    release(path, held)
    assert not path.exists()
    release(path, acquire(path))


HOLDING = """
import os, sys
from pathlib import Path
from jensen.storage import locks
if sys.argv[2] != "the system's":
    locks.fcntl = None
locks.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_refused_until_it_is_killed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ".lock"
    words = [sys.executable, "-c", HOLDING, str(path), kind]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunExistsError, match=f"process {other.pid} on"):
            acquire(path)
        assert path.exists()
        other.kill()
    assert path.exists()  # nobody tidied up
    release(path, acquire(path))


def test_two_in_one_process(tmp_path: Path) -> None:
    held = acquire(tmp_path / ".lock")
    with pytest.raises(RunExistsError, match="another training"):
        acquire(tmp_path / ".lock")
    release(tmp_path / ".lock", held)


@pytest.mark.parametrize("content", [b"", b"17x", b"[]", b"{}", b"\xff" * 9, b"[" * 4000, str(DEAD).encode(), b"-1"])
def test_what_nobody_could_hold_does_not_hold(tmp_path: Path, kind: str, content: bytes) -> None:
    (tmp_path / ".lock").write_bytes(content)
    lock = acquire(tmp_path / ".lock")
    assert (tmp_path / ".lock").exists()
    release(tmp_path / ".lock", lock)
    assert not (tmp_path / ".lock").exists()


def test_a_number_that_another_process_has_now_is_no_holder() -> None:
    here, mine = socket.gethostname(), os.getpid()
    assert is_alive(Holder(here, mine, start_of(mine)))
    assert is_alive(Holder("", mine, ""))
    assert not is_alive(Holder(here, DEAD, ""))
    if start_of(mine):
        assert not is_alive(Holder(here, mine, "another start of the machine:1"))
    assert is_alive(Holder("another machine", DEAD, ""))  # it cannot be asked


def test_without_locks_a_holder_elsewhere_is_believed(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / ".lock"
    path.write_text(json.dumps({"host": "another machine", "pid": 5, "began": ""}))
    held = acquire(path)  # locks of the system know better
    release(path, held)
    path.write_text(json.dumps({"host": "another machine", "pid": 5, "began": ""}))
    monkeypatch.setattr(locks, "fcntl", None)
    with pytest.raises(RunExistsError, match="process 5 on another machine") as caught:
        acquire(path)
    assert f"delete {path}" in caught.value.remedy


RACING = """
import os, sys, time
from pathlib import Path
from jensen.core.errors import RunExistsError
from jensen.storage.locks import acquire, release
folder, many = Path(sys.argv[1]), int(sys.argv[2])
while many:
    try:
        held = acquire(folder / ".lock")
    except RunExistsError:
        continue
    os.mkdir(folder / "alone")  # fails where somebody else is inside
    os.rmdir(folder / "alone")
    release(folder / ".lock", held)
    many -= 1
"""


def test_four_that_race_are_never_inside_together(tmp_path: Path) -> None:
    words = [sys.executable, "-c", RACING, str(tmp_path), "50"]
    racing = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in racing:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="only Linux has /proc")
@pytest.mark.parametrize("name", ["é".encode(), b"\xff\xfe", b"a) b (c"])
@pytest.mark.parametrize("words", [["LC_ALL=C", "PYTHONUTF8=0"], ["PYTHONUTF8=1"]], ids=str)
def test_the_name_of_a_process_is_of_any_bytes(name: bytes, words: list[str]) -> None:
    code = f"""
import os
from jensen.storage import locks
before = locks._began(os.getpid())
open("/proc/self/comm", "wb").write({name!r})
assert before == locks._began(os.getpid()) != ""
"""
    environment = {**os.environ, **dict(w.split("=") for w in words)}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=environment).returncode == 0
