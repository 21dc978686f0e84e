"""The fault log: the file with the faults of a training whose numbers stopped being finite."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import CorruptRunError
from ..training import Diagnosed, Event
from .files import write_json
from .run_folder import FAULTS
from .schemas import FaultRecord, read_record

__all__ = ["FaultLog"]


class FaultLog:
    """A listener that writes forensics.json: every fault that recovery has diagnosed, in order.

    Args:
        folder: the run's.
        command: of the training, recorded in the file.
        in_file: returns the places of training rows among the rows of the data as read.
    """

    def __init__(self, folder: Path, command: Mapping[str, Any], in_file: Callable[[Sequence[int]], list[int]]) -> None:
        self.command = command
        self.path, self.in_file, self.written = folder / FAULTS, in_file, False
        self.rows: list[int] = []

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Diagnosed):
            return
        fault, earlier = event.fault, []
        if self.path.exists():  # by a training that this one resumes: its later faults will occur again
            with contextlib.suppress(CorruptRunError):
                earlier = read_record(self.path, FaultRecord, "")["faults"][: fault.number - 1]
        places = {"data_rows": self.in_file(fault.rows), "data_batch": self.in_file(fault.batch)}
        write_json(self.path, {"command": self.command, "faults": [*earlier, {**dataclasses.asdict(fault), **places}]})
        self.written = True
        self.rows = places["data_rows"]

    def reference(self) -> str:
        """Return the last fault's rows of the data and the path of the file, in parentheses; "" without a fault."""
        few = ", ".join(str(i) for i in self.rows[:5]) + (", ..." if len(self.rows) > 5 else "")
        rows = f"row{'s' if len(self.rows) > 1 else ''} {few} of the data, from 0; " if self.rows else ""
        return f" ({rows}see {self.path})" if self.written else ""
