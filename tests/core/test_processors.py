"""The processors that a process may use: its affinity, and the quotas of its control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from jensen.core import processors


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/\n", {"cpu.max": "250000 100000"}, 2),
        ("0::/job/step\n", {"job/cpu.max": "400000 100000", "job/step/cpu.max": "max 100000"}, 4),
        ("0::/job\n", {"cpu.max": "300000 100000", "job/cpu.max": "400000 100000"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        ("0::/elsewhere\n", {"cpu.max": "500000 100000"}, 5),  # as within a container
        ("3:cpuset:/\n1:cpu:/job\n", {"cpu/job/cpu.cfs_quota_us": "600000", "cpu/job/cpu.cfs_period_us": "100000"}, 6),
        ("2:cpu,cpuacct:/\n", {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 8),
        ("0::/\nnonsense\n", {"cpu.max": "nonsense"}, 8),
    ],
)
def test_processors_are_limited_by_control_groups(own, files, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(processors.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content + "\n")
    (tmp_path / "own").write_text(own)
    monkeypatch.setattr(processors, "CGROUPS", tmp_path)
    monkeypatch.setattr(processors, "OWN_CGROUPS", tmp_path / "own")
    assert processors.processors() == expected


def test_other_systems_say_how_many_there_are(monkeypatch):
    monkeypatch.setattr(processors.sys, "platform", "darwin")
    monkeypatch.setattr(processors.os, "cpu_count", lambda: 6)
    monkeypatch.setattr(processors, "OWN_CGROUPS", Path("/nowhere"))
    assert processors.processors() == 6
