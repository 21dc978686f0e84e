"""The number of threads of a training in its specification, and what the user should know about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.wording import plural
from ..storage.files import write_json
from ..storage.run_folder import SPEC
from ..training import Event
from ..training.events import ThreadsChosen

__all__ = ["ThreadsRecorder"]

BITS = "the weights may differ in their last bits"


class ThreadsRecorder:
    """A listener that records the number of threads with which a training begins, and counts its changes.

    Args:
        folder: the run's.
        spec: the specification, which is changed and written again where a trial chose another number.
        notice: called with a sentence for the user.
    """

    def __init__(self, folder: Path, spec: dict[str, Any], notice: Callable[[str], None]) -> None:
        self.folder, self.spec, self.notice = folder, spec, notice
        self.has_begun, self.changes = False, 0

    def __call__(self, event: Event) -> None:
        if not isinstance(event, ThreadsChosen):
            return
        choices = self.spec["choices"]
        if event.step == 0 and event.threads != choices["threads"]:  # of several together only the first holds a trial
            choices["threads"] = event.threads
            write_json(self.folder / SPEC, self.spec)
        if event.before not in (None, event.threads):
            if self.has_begun:
                self.changes += 1
            else:
                self.notice(f"threads were {event.before} and are {event.threads}: {BITS}")
        self.has_begun = True

    def tell_changes(self) -> None:
        """Notice that the number changed along training, if it did: the same command may give other bits."""
        if self.changes:
            number = self.spec["choices"]["threads"]
            self.notice(
                f"the machine was busy, and the number of threads changed {plural(self.changes, 'time')}: {BITS} from "
                f"those of the same command; --threads {number} keeps the number"
            )
