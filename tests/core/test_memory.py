"""The memory that there is: of the system and of the process, whichever is less."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from jensen.core import memory
from jensen.core.memory import available_memory, size_in_words


def test_no_more_than_the_machine_has():
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total = 1024 * int(lines["MemTotal"].split()[0])
    assert 0 < available_memory() < total


def test_a_limit_of_the_process_counts(monkeypatch):
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (taken + 10**9, resource.RLIM_INFINITY))
    assert available_memory() == pytest.approx(0.9e9, abs=5e7)


def test_a_limit_of_the_container_counts(monkeypatch, tmp_path):
    (tmp_path / "max").write_text("1000000\n")
    monkeypatch.setattr(memory, "LIMITS", (tmp_path / "max", tmp_path / "none"))
    assert available_memory() == 900_000
    (tmp_path / "max").write_text("max\n")
    assert available_memory() > 900_000


def test_a_system_without_proc(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PROC", tmp_path)
    assert available_memory() > 10**8


def test_a_system_that_tells_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "PROC", tmp_path)
    monkeypatch.setattr(memory, "LIMITS", ())
    monkeypatch.setattr(memory, "resource", None)
    assert available_memory() > 10**15  # nothing is refused for want of memory


@pytest.mark.parametrize(
    ("size", "words"), [(3, "3 bytes"), (999, "999 bytes"), (41e9, "41 GB"), (9.8e12, "9.8 TB"), (1e18, "1,000 PB")]
)
def test_words(size, words):
    assert size_in_words(size) == words
