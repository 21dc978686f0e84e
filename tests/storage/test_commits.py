"""Commits are whole or known not to be, whatever happens to the disk or to the process."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jensen.storage.commits
from jensen.core.errors import UsageError
from jensen.storage.commits import Damage, commit, commits, newest, read_commit

FILES = {"a.bin": bytes(range(200)), "b.json": b'{"step": 7}'}


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it on its way out."""


def overwrite(path: Path, content: bytes) -> None:
    """Write in place: a file that is cut to nothing first is flushed to the disk by some file systems."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


def latest(parent: Path) -> dict[str, bytes] | None:
    """What a reader finds."""
    for _, found in newest(parent):
        if not isinstance(found, Damage):
            return found
    return None


def test_what_is_read_is_what_was_written_and_the_oldest_are_pruned(tmp_path: Path) -> None:
    for i in range(4):
        commit(tmp_path, {"a": bytes([i])})
    assert [read_commit(path)["a"] for path in commits(tmp_path)] == [b"\x03", b"\x02"]
    assert len(list(tmp_path.iterdir())) == 2


def test_the_same_content_twice_is_two_commits(tmp_path: Path) -> None:
    commit(tmp_path, FILES)
    commit(tmp_path, FILES)
    assert len(commits(tmp_path)) == 2


@pytest.mark.parametrize("name", ["a.bin", "b.json", "manifest.json"])
def test_every_flipped_byte_and_every_length_is_detected(tmp_path: Path, name: str) -> None:
    commit(tmp_path, {"a.bin": b"older"})
    path = commit(tmp_path, FILES) / name
    whole = path.read_bytes()
    noise = random.Random(0)
    changed = [whole[:i] for i in range(len(whole))] + [whole + b"\0"]
    changed += [whole[:i] + bytes([whole[i] ^ (1 << noise.randrange(8))]) + whole[i + 1 :] for i in range(len(whole))]
    for content in changed:
        overwrite(path, content)
        found = list(newest(tmp_path))
        assert isinstance(found[0][1], Damage)
        assert name in str(found[0][1])
        assert found[1][1] == {"a.bin": b"older"}
    path.unlink()
    assert latest(tmp_path) == {"a.bin": b"older"}


def test_bits_at_random_places(tmp_path: Path) -> None:
    path = commit(tmp_path, FILES)
    noise, files = random.Random(1), sorted(path.iterdir())
    for _ in range(1500):
        file = noise.choice(files)
        whole = file.read_bytes()
        at = noise.randrange(len(whole))
        overwrite(file, whole[:at] + bytes([whole[at] ^ (1 << noise.randrange(8))]) + whole[at + 1 :])
        with pytest.raises(Damage):
            read_commit(path)
        overwrite(file, whole)
    assert read_commit(path) == FILES


def test_files_of_another_commit_are_noticed(tmp_path: Path) -> None:
    first, second = commit(tmp_path, {"a": b"1"}), commit(tmp_path, {"a": b"2"})
    shutil.copy(first / "a", second / "a")
    with pytest.raises(Damage, match="has changed"):
        read_commit(second)
    shutil.copy(first / "manifest.json", second / "manifest.json")
    with pytest.raises(Damage, match="manifest"):
        read_commit(second)


class Faults:
    """Lets the n-th call of anything that touches the disk fail, or be the last."""

    def __init__(self, at: int, error: Callable[[], BaseException]) -> None:
        self.left, self.error = at, error

    def wrap(self, call: Callable[..., Any], half: bool = False) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                if half:
                    args[0].write_bytes(args[1][: len(args[1]) // 2])
                raise self.error()
            return call(*args, **kwargs)

        return counted


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Faults | None], None]]:
    where = [
        (os, "fsync", False),
        (os, "rename", False),
        (jensen.storage.commits, "_write", True),
        (Path, "mkdir", False),
    ]
    plain = [(owner, name, getattr(owner, name), half) for owner, name, half in where]

    def arm(faults: Faults | None) -> None:
        for owner, name, call, half in plain:
            monkeypatch.setattr(owner, name, call if faults is None else faults.wrap(call, half))

    yield arm
    arm(None)


@pytest.mark.parametrize("error", [Killed, lambda: OSError(errno.ENOSPC, "No space left on device")])
def test_stopped_at_each_touch_of_the_disk(
    tmp_path: Path, faulty: Callable[[Faults | None], None], error: Callable[[], BaseException]
) -> None:
    """The old state, or the new one, is there; and the next commit works and clears what was left."""
    old, new = {"a": b"old", "b": b"old too"}, {"a": b"new", "b": b"new too"}
    told: list[str] = []
    for at in range(1, 40):
        parent = tmp_path / str(at)
        commit(parent, old)
        faults = Faults(at, error)
        faulty(faults)
        try:
            commit(parent, new)
        except Killed:
            pass
        except UsageError as caught:
            told.append(str(caught))
        faulty(None)
        assert latest(parent) in (old, new)
        if faults.left > 0:
            assert latest(parent) == new
            break
        commit(parent, {"a": b"next"})
        assert latest(parent) == {"a": b"next"}
        assert not [p for p in parent.iterdir() if p.name.startswith(".")]
    else:
        pytest.fail("40 calls were not enough")
    assert at > 8
    assert all("bytes" in text and str(tmp_path) in text for text in told)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(UsageError, match="cannot take the 211 bytes"):
        commit(tmp_path / "state", FILES)


def test_names_reach_the_disk_before_the_folder_has_its_own(tmp_path, monkeypatch):
    """A commit that is visible is whole: the names of its files are flushed before it is renamed, and its own after."""
    import jensen.storage.commits as module

    steps, rename = [], module.os.rename
    monkeypatch.setattr(module, "flush_folder", lambda folder: steps.append(folder.name))
    monkeypatch.setattr(module.os, "rename", lambda a, b: (steps.append("rename"), rename(a, b)))
    module.commit(tmp_path, {"a": b"1"})
    assert steps[0].startswith(".")
    assert steps[1:] == ["rename", tmp_path.name]
