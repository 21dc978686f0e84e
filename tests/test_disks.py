"""Disks that are full or read-only: what was kept is intact, messages name path and bytes, training goes on."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jensen.commits
import jensen.files
from jensen.commits import Damage, commit, newest
from jensen.errors import InterruptedRun, UsageError
from jensen.files import append, write_atomic
from jensen.resumption import resume
from jensen.states import check_space, found_state
from jensen.workflow import train

PAGE = os.sysconf("SC_PAGE_SIZE")
SMALL: dict[str, Any] = {
    "latent": 2,
    "hidden": (8,),
    "batch": 16,
    "binarize": None,
    "checkpoints": 0,
    "save_every": 0.0,
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two MiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    try:
        made = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if made.returncode:
        pytest.skip(f"a disk cannot be mounted here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, left: int) -> None:
    """Leave so many pages free."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    free = os.statvfs(disk).f_bavail
    with filler.open("wb") as file:
        file.write(b"x" * PAGE * (free - left))
    assert os.statvfs(disk).f_bavail == left


def latest(parent: Path) -> Any:
    return next(found for _, found in newest(parent) if not isinstance(found, Damage))


@pytest.mark.parametrize("checked", [True, False], ids=["space is checked", "it fills up meanwhile"])
def test_full_at_each_write_of_a_commit(disk: Path, monkeypatch: pytest.MonkeyPatch, checked: bool) -> None:
    old, new = {"a": b"a" * 9000, "b": b"b"}, {"a": b"A" * 13000, "b": b"B" * 5000}
    commit(disk / "state", old)
    if not checked:
        monkeypatch.setattr(jensen.commits, "check_free", lambda folder, size: None)
    told = []
    for left in range(20):
        fill(disk, left)
        try:
            commit(disk / "state", new)
        except UsageError as error:
            told.append(str(error))
            assert latest(disk / "state") == old
            assert len(list((disk / "state").iterdir())) == 1  # nothing half-written stays
            continue
        break
    assert latest(disk / "state") == new
    assert len(told) >= 5
    assert all("No space left" in text and f"{disk / 'state'} cannot take the 18,000 bytes" in text for text in told)


@pytest.mark.parametrize("checked", [True, False], ids=["space is checked", "it fills up meanwhile"])
def test_full_at_each_write_of_a_file(disk: Path, monkeypatch: pytest.MonkeyPatch, checked: bool) -> None:
    path, lines = disk / "model", disk / "lines"
    write_atomic(path, b"old")
    append(lines, b"one\n")
    if not checked:
        monkeypatch.setattr(jensen.files, "check_free", lambda folder, size: None)
    for left in range(3):
        fill(disk, left)
        with pytest.raises(UsageError, match=f"{path}.* 20,000 bytes .*No space left"):
            write_atomic(path, b"n" * 20_000)
        assert path.read_bytes() == b"old"
        with pytest.raises(UsageError, match=f"{lines} cannot take 20,000 more bytes"):
            append(lines, b"n" * 20_000)
        assert lines.read_bytes() == b"one\n"
        assert {p.name for p in disk.iterdir()} == {"model", "lines", "filler"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "bits.npy"
    np.save(path, (np.random.default_rng(0).random((80, 6)) < 0.4).astype(np.uint8))
    return path


def counted(act: Callable[[int], bool]) -> Callable[[], bool]:
    """Asked between steps; told how often it was asked."""
    asked = iter(range(1, 100_000))
    return lambda: act(next(asked))


def test_training_outlasts_a_full_disk_and_ends_as_if_nothing_had_been(disk: Path, data: Path, tmp_path: Path) -> None:
    whole = train(str(data), out=tmp_path / "whole", epochs=4, **SMALL).path
    told: list[str] = []

    def act(n: int) -> bool:
        if n == 5:
            fill(disk, 0)
        if n == 12:
            (disk / "filler").unlink()
        return False

    run = train(str(data), out=disk / "run", epochs=4, should_stop=counted(act), notice=told.append, **SMALL)
    said = [text for text in told if "training goes on" in text]
    assert 1 <= len(said) <= 2  # of states, and of lines and weights
    assert all(str(disk) in text and "bytes" in text for text in said)
    assert (run.path / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert [line["epoch"] for line in run.metrics] == [1, 2, 3, 4, 4]


def test_a_disk_that_stays_full_costs_what_was_trained_since(disk: Path, data: Path, tmp_path: Path) -> None:
    whole = train(str(data), out=tmp_path / "whole", epochs=4, **SMALL).path
    with pytest.raises(UsageError, match="No space left"):
        train(str(data), out=disk / "run", epochs=4, should_stop=counted(lambda n: n == 7 and fill(disk, 0)), **SMALL)
    kept, _ = found_state(disk / "run")
    assert kept.facts["step"] == 6
    with pytest.raises(UsageError, match="bytes"):
        resume(disk / "run")
    assert found_state(disk / "run")[0].facts["step"] == 6
    (disk / "filler").unlink()
    resume(disk / "run")
    assert (disk / "run" / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_read_only_disk(disk: Path, data: Path) -> None:
    with pytest.raises(InterruptedRun):
        train(str(data), out=disk / "run", epochs=4, should_stop=counted(lambda n: n == 7), **SMALL)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for call in (
        lambda: resume(disk / "run"),
        lambda: commit(disk / "run" / "state", {"a": b"1"}),
        lambda: write_atomic(disk / "run" / "evaluation.json", b"1"),
        lambda: append(disk / "run" / "metrics.jsonl", b"1"),
        lambda: train(str(data), out=disk / "other", epochs=1, **SMALL),
    ):
        with pytest.raises(UsageError, match=str(disk)):
            call()
    assert found_state(disk / "run")[0].facts["step"] == 7


LIMITED = """
import resource, sys
from pathlib import Path
from jensen.commits import commit, newest
from jensen.errors import UsageError
parent, old, new = Path(sys.argv[1]), {"a": b"old"}, {"a": b"n" * 5000, "b": b"n" * 3000}
commit(parent, old)
for most in range(0, 5000, 250):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    try:
        commit(parent, new)
    except UsageError as error:
        if "8,000 bytes" not in str(error) or str(parent) not in str(error):
            sys.exit(f"the message is {error}")
    else:
        sys.exit(f"it was written within {most}")
    if [files for _, files in newest(parent)] != [old] or len(list(parent.iterdir())) != 1:
        sys.exit(f"the old state is gone at {most}")
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
commit(parent, new)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="files cannot be limited here")
def test_files_that_may_not_grow(tmp_path: Path) -> None:
    """The second way to a disk that takes no more, where none can be mounted."""
    found = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "state")], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_space_is_checked_before_a_run(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jensen.states.free_bytes", lambda folder: 1000)
    check_space(tmp_path, 71)
    with pytest.raises(UsageError, match=f"{tmp_path} has 1,000 bytes free.*about 1,008"):
        check_space(tmp_path, 72)
    with pytest.raises(UsageError, match="1,000 bytes free"):
        train(str(data), out=tmp_path / "run", epochs=1, **SMALL)
    assert not (tmp_path / "run").exists()


def test_a_file_system_that_says_nothing_of_its_size_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"total": 0, "free": 0})())
    commit(tmp_path, {"a": b"1"})
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"total": 9, "free": 0})())
    with pytest.raises(UsageError, match=os.strerror(errno.ENOSPC)):
        commit(tmp_path, {"a": b"2"})
