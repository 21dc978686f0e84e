"""The processors that this process may use, by what Linux says about them."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

__all__ = ["processors"]

CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def processors() -> int:
    """Return the number of processors that this process may use, by its affinity and the quota of its control group."""
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, int(min(allowed, _quota())))


def _quota() -> float:
    """Return the processors that the control groups of this process grant it; infinity without a limit."""
    try:
        lines = [line.split(":", 2) for line in OWN_CGROUPS.read_text().splitlines()]
    except OSError:
        return math.inf
    limits = [math.inf]
    for _, controllers, path in (line for line in lines if len(line) == 3):
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = CGROUPS / controllers if controllers else CGROUPS
        group = root / path.strip("/")
        limits += [_quota_of(folder) for folder in (group, *group.parents) if folder.is_relative_to(root)]
    return min(limits)


def _quota_of(folder: Path) -> float:
    """Return the processors that one control group is granted, by the files of either version."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # no such files, or "max"
        return math.inf
