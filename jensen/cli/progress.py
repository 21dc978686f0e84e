"""Progress on stderr: one line, rewritten in place on a terminal, and printed every ten seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from ..core.characters import as_one_line
from ..core.wording import plural
from ..runs.training_line import GAP, format_duration, progress_bar, shortened, training_line
from .output import print_stderr

if TYPE_CHECKING:
    from ..training.events import EpochEnded, Event, Measures, Progressed, Started, ThreadsChosen

__all__ = ["ProgressLine", "TrainingProgress"]

IN_PLACE, PLAIN = 0.1, 10.0  # seconds between updates, on a terminal and elsewhere
PACED = 1.0  # seconds of a phase before its pace is known: the first reports come within a moment of its start


class ProgressLine:
    """A line of progress, as a context: it is erased when the context ends.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.in_place = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.began = time.monotonic()
        self.last = self.began if not self.in_place else 0.0
        self.shown = False
        self.name, self.phase, self.done = "", 1, 0.0
        self.phase_start = (self.began, 0.0)  # time and fraction at the first report of this phase

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def clear(self) -> None:
        """Erase the line; the next update shows it again."""
        if self.shown and self.in_place:
            print_stderr("", start="\r\x1b[K", end="")
            self.shown = False

    def update(self, text: str) -> None:
        """Show the text in the line, unless it was updated a moment ago."""
        now = time.monotonic()
        if self.quiet or now - self.last < (IN_PLACE if self.in_place else PLAIN):
            return
        self.last, self.shown = now, True
        if not self.in_place:
            print_stderr(as_one_line(text))
            return
        columns = self.columns
        print_stderr(shortened(as_one_line(text), columns - 1), start="\r", end="\x1b[K")

    @property
    def columns(self) -> int:
        """The width of the terminal; 80 if stderr is none."""
        try:
            return os.get_terminal_size(sys.stderr.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def print_above(self, text: str) -> None:
        """Print the text on a line of its own, which stays."""
        erase = "\r\x1b[K" if self.in_place and self.shown else ""
        if not self.quiet:
            print_stderr(as_one_line(text), start=erase)

    def task(self, name: str) -> Callable[[float], None]:
        """Return a progress callback, 0 to 1, that shows a task with its remaining time."""
        return lambda done: self.update_task(name, done)

    def update_task(self, name: str, done: float) -> None:
        """Show the fraction of a task that is done, and its remaining time.

        A fraction that does not grow begins a new phase, with its own clock: an evaluation may anneal several times, at
        different speeds.
        """
        now = time.monotonic()
        if self.name not in ("", name):  # another task, with its own clock
            self.phase, self.done, self.phase_start = 1, 0.0, (now, done)
        self.name = name
        if done <= self.done and self.done > 0:
            self.phase, self.phase_start = self.phase + 1, (now, done)
        self.done = done
        start, done_at_start = self.phase_start
        left = ""
        if done > done_at_start and now - start >= PACED:
            left = f"  {format_duration((now - start) * (1 - done) / (done - done_at_start))} left"
        title = name if self.phase == 1 else f"{name}, phase {self.phase}"
        share = f"{done:4.0%}"
        whole = f"{title} {progress_bar(done)} {share}{left}"
        room = self.columns - 1 if self.in_place else len(whole)
        end = f"{GAP}{share.strip()}{left}"
        forms = (whole, f"{title}{end}", f"{title.split()[0]}{end}")
        self.update(next((form for form in forms if len(form) <= room), forms[-1]))


class TrainingProgress:
    """A listener that shows the events of training.

    Args:
        line: shows them.
    """

    def __init__(self, line: ProgressLine) -> None:
        self.line = line
        self.started: Started | None = None
        self.valid: Measures | None = None  # of the last epoch that has ended
        self.threads: ThreadsChosen | None = None

    def __call__(self, event: Event) -> None:
        from ..training.events import EpochEnded, Progressed, Recovered, Started, ThreadsChosen

        match event:
            case Started():
                self.started = event
            case Progressed():
                self.line.update(self._text(event))
            case EpochEnded():
                self.valid = event.valid
                self.line.update(self._text(event))
            case ThreadsChosen():
                self.threads = event
            case Recovered():
                self.valid = None
                self.line.print_above(
                    f"{event.what}: back to step {event.step:,}, with learning rates times {event.factor:g}"
                    f" (recovery {event.count})"
                )
            case _:
                pass

    def _text(self, event: Progressed | EpochEnded) -> str:
        """Return the line in the longest form that fits the terminal; elsewhere, with all measures."""
        epochs, steps = (1, 1) if self.started is None else (self.started.epochs, self.started.steps_per_epoch)
        fraction = event.step / max(epochs * steps, 1)
        width = self.line.columns - 1 if self.line.in_place else None
        return training_line(event, epochs, fraction, self.valid, width, self.busy)

    @property
    def busy(self) -> str | None:
        """The number of threads beside a busy machine, in words; None on a quiet one."""
        last = self.threads
        return f"busy: {plural(last.threads, 'thread')}" if last is not None and last.busy else None
