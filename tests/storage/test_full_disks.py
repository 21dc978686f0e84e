"""Disks that are full or read-only: what was kept is intact, messages name path and bytes, training goes on."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jensen.storage.commits
import jensen.storage.files
from jensen.core.errors import InterruptedRun, UsageError
from jensen.runs.resume import resume
from jensen.runs.run import load
from jensen.runs.train import train
from jensen.storage.commits import Damage, commit, newest
from jensen.storage.files import append, write_atomic
from jensen.storage.training_state import check_space, read_newest_state

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


def squeeze(disk: Path) -> None:
    """Leave nothing free, and nothing that could make room: one state alone."""
    *older, _ = sorted((disk / "run" / "state").iterdir())
    for path in older:
        shutil.rmtree(path)
    fill(disk, 0)


def latest(parent: Path) -> Any:
    return next(found for _, found in newest(parent) if not isinstance(found, Damage))


@pytest.mark.parametrize("checked", [True, False], ids=["space is checked", "it fills up meanwhile"])
def test_full_at_each_write_of_a_commit(disk: Path, monkeypatch: pytest.MonkeyPatch, checked: bool) -> None:
    old, new = {"a": b"a" * 9000, "b": b"b"}, {"a": b"A" * 13000, "b": b"B" * 5000}
    commit(disk / "state", old)
    if not checked:
        monkeypatch.setattr(jensen.storage.commits, "check_free", lambda folder, size: None)
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
        monkeypatch.setattr(jensen.storage.files, "check_free", lambda folder, size: None)
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
            squeeze(disk)
        if n == 12:
            (disk / "filler").unlink()
        return False

    run = train(str(data), out=disk / "run", epochs=4, should_stop=counted(act), notice=told.append, **SMALL)
    said = [text for text in told if "training continues" in text]
    assert 1 <= len(said) <= 2  # of states, and of lines and weights
    assert all(str(disk) in text and "bytes" in text for text in said)
    assert (run.path / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert [line["epoch"] for line in run.metrics] == [1, 2, 3, 4, 4]


def test_a_disk_that_stays_full_costs_what_was_trained_since(disk: Path, data: Path, tmp_path: Path) -> None:
    whole = train(str(data), out=tmp_path / "whole", epochs=4, **SMALL).path
    with pytest.raises(UsageError, match="No space left"):
        train(str(data), out=disk / "run", epochs=4, should_stop=counted(lambda n: n == 7 and squeeze(disk)), **SMALL)
    kept, _ = read_newest_state(disk / "run")
    assert kept.facts["step"] == 6
    with pytest.raises(UsageError, match="bytes"):
        resume(disk / "run")
    assert read_newest_state(disk / "run")[0].facts["step"] == 6
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
    assert read_newest_state(disk / "run")[0].facts["step"] == 7


LIMITED = """
import resource, sys
from pathlib import Path
from jensen.storage.commits import commit, newest
from jensen.core.errors import UsageError
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
    monkeypatch.setattr("jensen.storage.training_state.free_bytes", lambda folder: 1000)
    check_space(tmp_path, 200, 150, 100)
    with pytest.raises(UsageError, match=f"{tmp_path} has 1,000 bytes free.*about 1,003"):
        check_space(tmp_path, 201, 150, 100)
    with pytest.raises(UsageError, match="1,000 bytes free"):
        train(str(data), out=tmp_path / "run", epochs=1, **SMALL)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [{}, {"average": 0.9}, {"keep": "best"}, {"average": 0.9, "keep": "best"}])
def test_the_space_that_is_asked_for_is_what_a_run_takes(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """States are counted whole: with averages, and with the weights of the best epoch."""
    asked: list[tuple[int, int, int, bool]] = []

    def note(folder: Path, state: int, weights: int, along: int, again: bool) -> None:
        asked.append((state, weights, along, again))

    monkeypatch.setattr("jensen.runs.job.check_space", note)
    wide: dict[str, Any] = SMALL | {"hidden": (1000,), "checkpoints": 2} | options
    run = train(str(data), out=tmp_path / "run", epochs=3, **wide).path
    resume(run, epochs=4)
    [(state, weights, along, again), then] = asked
    assert then == (state, weights, along, True)
    assert again is False
    tensors = [p.stat().st_size for p in (run / "state").rglob("training.safetensors")]
    assert max(tensors) == pytest.approx(state, rel=0.1)  # headers, and streams of noise
    assert (run / "model.safetensors").stat().st_size == pytest.approx(weights, rel=0.1)
    kept = [p.stat().st_size for p in (run / "checkpoints").iterdir()]
    assert 2 * kept[0] == pytest.approx(along, rel=0.1)


def test_what_a_run_has_on_the_disk_counts_as_space_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state" / "a").mkdir(parents=True)
    (tmp_path / "state" / "a" / "x").write_bytes(b"x" * 500)
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    monkeypatch.setattr("jensen.storage.training_state.free_bytes", lambda folder: 400)
    check_space(tmp_path, 250, 125, again=True)
    with pytest.raises(UsageError, match=r"400 bytes free, 600 in the run, and .* about 1,002"):
        check_space(tmp_path, 250, 126, again=True)
    with pytest.raises(UsageError, match=r"400 bytes free and .* about 1,000"):
        check_space(tmp_path, 250, 125)


def test_the_older_of_two_states_makes_room_for_the_third(disk: Path) -> None:
    for letter in (b"a", b"b"):
        commit(disk / "state", {"x": letter * 20 * PAGE})
    fill(disk, 10)
    commit(disk / "state", {"x": b"c" * 20 * PAGE})
    assert latest(disk / "state") == {"x": b"c" * 20 * PAGE}
    fill(disk, 0)
    with pytest.raises(UsageError, match="No space left"):
        commit(disk / "state", {"x": b"d" * 60 * PAGE})
    assert latest(disk / "state") == {"x": b"c" * 20 * PAGE}


@pytest.mark.parametrize("interrupted", [False, True])
def test_weights_are_written_where_the_last_state_cannot_be(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    """An old run that is replaced does not come back either: the new one came to its end."""
    options: dict[str, Any] = SMALL | {"save_every": 600.0}
    whole = train(str(data), out=tmp_path / "whole", epochs=2, **options).path
    train(str(data), out=tmp_path / "run", epochs=1, **options)
    refusal = UsageError("the disk cannot take 9 bytes", "Free space.")

    def refuse(parent: Path, files: Any) -> Any:
        raise refusal

    monkeypatch.setattr("jensen.storage.training_state.commit", refuse)
    stop = counted(lambda n: interrupted and n == 7)
    with pytest.raises(InterruptedRun if interrupted else UsageError, match="cannot take 9 bytes"):
        train(str(data), out=tmp_path / "run", epochs=2, force=True, should_stop=stop, **options)
    run = load(tmp_path / "run")
    assert run.metrics[-1]["reason"] == ("interrupted" if interrupted else "finished")
    same = (run.path / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert same is not interrupted
    assert run.spec["choices"]["epochs"] == 2


def test_names_reach_the_disk(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each folder is flushed after a name in it was made: the run's, its parents', and those within it."""
    flushed: set[str] = set()
    real = os.fsync

    def fsync(handle: int) -> None:
        place = os.readlink(f"/proc/self/fd/{handle}")
        if Path(place).is_dir():
            flushed.add(place)
        real(handle)

    if not Path("/proc/self/fd").exists():
        pytest.skip("what a handle is of cannot be read here")
    monkeypatch.setattr("os.fsync", fsync)
    write_atomic(tmp_path / "x", b"1")
    assert str(tmp_path) in flushed
    flushed.clear()
    options: dict[str, Any] = SMALL | {"checkpoints": 1}
    run = train(str(data), out=tmp_path / "runs" / "run", epochs=1, **options).path
    assert {str(p) for p in (tmp_path, run.parent, run, run / "state", run / "checkpoints")} <= flushed
    flushed.clear()
    commit(tmp_path / "state", {"a": b"1"})
    assert {str(tmp_path), str(tmp_path / "state")} <= flushed


def test_a_file_system_that_says_nothing_of_its_size_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"total": 0, "free": 0})())
    commit(tmp_path, {"a": b"1"})
    monkeypatch.setattr("shutil.disk_usage", lambda place: type("Usage", (), {"total": 9, "free": 0})())
    with pytest.raises(UsageError, match=os.strerror(errno.ENOSPC)):
        commit(tmp_path, {"a": b"2"})
