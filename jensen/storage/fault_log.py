"""The file that says where a training stopped being finite, and through what."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import CorruptRunError
from ..training import Diagnosed, Event
from .run_folder import FORENSICS, write_json
from .schemas import ForensicsRecord, read_record

__all__ = ["Forensics"]


class Forensics:
    """Listens to training, and writes forensics.json: every fault that first aid took apart, in order.

    Args:
        folder: the run's.
        command: that the training was asked by.
        in_file: where training rows are among the rows of the data as read.
    """

    def __init__(self, folder: Path, command: Mapping[str, Any], in_file: Callable[[Sequence[int]], list[int]]) -> None:
        self.command = command
        self.path, self.in_file, self.written = folder / FORENSICS, in_file, False
        self.rows: list[int] = []

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Diagnosed):
            return
        finding, known = event.finding, []
        if self.path.exists():  # by a training that this one resumes; what it met from this fault on is met again
            with contextlib.suppress(CorruptRunError):
                known = read_record(self.path, ForensicsRecord, "")["faults"][: finding.number - 1]
        where = {"data_rows": self.in_file(finding.rows), "data_batch": self.in_file(finding.batch)}
        write_json(self.path, {"command": self.command, "faults": [*known, {**dataclasses.asdict(finding), **where}]})
        self.written = True
        self.rows = where["data_rows"]

    def where(self) -> str:
        """Which rows of the data are meant, and where more is said; nothing if no fault was met."""
        few = ", ".join(str(i) for i in self.rows[:5]) + (", ..." if len(self.rows) > 5 else "")
        rows = f"row{'s' if len(self.rows) > 1 else ''} {few} of the data, from 0; " if self.rows else ""
        return f" ({rows}see {self.path})" if self.written else ""
