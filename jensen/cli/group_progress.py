"""Progress of a group of trainings: one line, which begins with the members that are done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..runs.training_line import GAP, training_line
from .progress import ProgressLine, TrainingProgress

if TYPE_CHECKING:
    from ..training.events import EpochEnded, Progressed

__all__ = ["GroupProgress"]

LONGEST = 24  # columns of the name of a member, so that the training has the rest


class GroupProgress(TrainingProgress):
    """A listener that shows the events of the member that is trained.

    Args:
        line: shows them.
    """

    def __init__(self, line: ProgressLine) -> None:
        super().__init__(line)
        self.phase = ""

    def begin(self, phase: str) -> None:
        """Take the member that is trained next, and how many are done, as `jensen.train` says them."""
        name, _, rest = phase.partition(", ")
        short = name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."
        done, of = rest.removesuffix(" done").split(" of ")
        self.phase, self.valid = f"{done}/{of} done{GAP}{short}", None

    def _text(self, event: Progressed | EpochEnded) -> str:
        if not self.phase:
            return super()._text(event)
        epochs, steps = (1, 1) if self.started is None else (self.started.epochs, self.started.steps_per_epoch)
        fraction = event.step / max(epochs * steps, 1)
        width = self.line.columns - 1 - len(self.phase) - len(GAP) if self.line.in_place else None
        return f"{self.phase}{GAP}{training_line(event, epochs, fraction, self.valid, width, self.busy)}"
