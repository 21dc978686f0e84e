"""The machine that is measured: its processors, its load, and a neighbour that keeps half of it busy."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Neighbour", "Starved", "facts", "load", "pin", "processors"]

IDLE = 0.5  # a machine with a higher load average is busy
SHARE = 0.9  # of its processor that a busy neighbour has when nothing else runs


class Starved(Exception):
    """The neighbour does not get its processor: something else runs there, or it cannot be started."""


def processors(most: int) -> list[int]:
    """The first processors that this process may use."""
    allowed = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else list(range(os.cpu_count() or 1))
    return allowed[:most]


def pin(wanted: list[int], process: int = 0) -> None:
    """Keep a process, by default this one, to these processors, where the system can."""
    if sys.platform == "linux":
        os.sched_setaffinity(process, wanted)


def load() -> float:
    """The number of processes that wanted to run, averaged over the last minute."""
    return os.getloadavg()[0]


def facts(used: list[int]) -> dict[str, Any]:
    """What a reader has to know of the machine."""
    name = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.exists():
        lines = about.read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return {
        "processor": name,
        "processors": os.cpu_count(),
        "used": len(used),
        "system": platform.platform(terse=True),
        "load": load(),
    }


class Neighbour:
    """Processes that do nothing but compute, each on one processor of its own: the last half of those measured.

    Raises:
        Starved: on entering, they do not get their processors although nobody else was started.
    """

    def __init__(self, used: list[int]) -> None:
        self.places = used[-max(1, len(used) // 2) :]
        self.processes: list[subprocess.Popen[bytes]] = []
        self.began = self.before = 0.0

    def __enter__(self) -> Neighbour:
        for place in self.places:
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            self.processes.append(process)
            pin([place], process.pid)
        time.sleep(0.2)  # the interpreter starts
        self.mark()
        time.sleep(0.5)
        if (share := self.share()) < SHARE:
            self.__exit__(None, None, None)
            raise Starved(f"it got {share:.0%} of its processor before anything else was started")
        self.mark()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def mark(self) -> None:
        """Count from now on."""
        self.began, self.before = time.perf_counter(), self._computed()

    def share(self) -> float:
        """The share of their processors that they had since the last mark.

        Raises:
            Starved: one of them has ended.
        """
        if any(process.poll() is not None for process in self.processes):
            raise Starved("it has ended")
        wall = time.perf_counter() - self.began
        return (self._computed() - self.before) / wall / len(self.processes)

    def _computed(self) -> float:
        """Seconds of processor time that they have had."""
        ticks = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")
