"""Progress of a training in Python: one line that is updated, in a notebook or on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..core.characters import as_one_line
from ..core.wording import plural
from ..training import EpochEnded, Event, Started, Stopped
from ..training.events import Measures, Progressed, Recovered, ThreadsChosen
from .training_line import GAP, format_duration, main_measure, training_line

__all__ = ["Line", "LineOfTraining", "Progress", "is_interactive", "shown_progress", "standard_error"]

EVERY = 0.2  # seconds between updates
WIDTH = 110  # columns in a notebook, which wraps longer lines
Line = Callable[[str], None]  # shows a text in the place of the last one
Progress = bool | Callable[[Event], None] | None


@contextmanager
def shown_progress(progress: Progress) -> Iterator[tuple[Callable[[Event], None], ...]]:
    """Yield the listeners that show the progress of a training.

    Args:
        progress: None for a line in notebooks and interactive sessions, and nothing in programs; True for a line
            anywhere, False for none; or a listener of your own, which is called with every event.
    """
    if callable(progress):
        yield (progress,)
        return
    console = standard_error()
    wanted = console.is_jupyter or (console.is_terminal and is_interactive()) if progress is None else progress
    if not wanted:
        yield ()
        return
    with nullcontext(_notebook_line()) if console.is_jupyter else _terminal_line(console) as line:
        width = WIDTH if console.is_jupyter else console.width - 1
        yield (LineOfTraining(line, width),)


def standard_error() -> Console:
    """Return the console that progress is shown on."""
    return Console(stderr=True)


def is_interactive() -> bool:
    """Return whether somebody types at a prompt of Python."""
    return bool(sys.flags.interactive) or "ps1" in vars(sys)


def _notebook_line() -> Line:
    """Return a line in the output of a cell: one output, which is updated."""
    from IPython.display import display  # pyright: ignore[reportMissingImports]

    handle: list[Any] = []

    def show(text: str) -> None:
        content = {"text/plain": as_one_line(text)}
        if handle:
            handle[0].update(content, raw=True)
        else:
            handle.append(display(content, raw=True, display_id=True))

    return show


@contextmanager
def _terminal_line(console: Console) -> Iterator[Line]:
    """Yield a line on a terminal; where there is none, its last text is printed at the end."""
    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        yield lambda text: live.update(Text(as_one_line(text), no_wrap=True, overflow="ellipsis"), refresh=True)


class LineOfTraining:
    """A listener that shows a training in one line, and how it ended.

    Args:
        line: shows a text in the place of the last one.
        width: of the line, in columns.
    """

    def __init__(self, line: Line, width: int) -> None:
        self.line, self.width = line, width
        self.last = 0.0
        self.started: Started | None = None
        self.valid: Measures | None = None  # of the last epoch that has ended
        self.ended: dict[int, EpochEnded] = {}  # by epoch
        self.threads: ThreadsChosen | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                self.started, self.valid, self.ended = event, None, {}
            case Progressed():
                self._update(event)
            case EpochEnded():
                self.valid = event.valid
                self.ended[event.epoch] = event
                self._update(event)
            case ThreadsChosen():
                self.threads = event
            case Recovered():
                self.valid = None
            case Stopped():
                self.line(self._outcome(event))
            case _:
                pass

    def _update(self, event: Progressed | EpochEnded) -> None:
        """Show the state of training, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self.last < EVERY:
            return
        self.last = now
        epochs, steps = (1, 1) if self.started is None else (self.started.epochs, self.started.steps_per_epoch)
        busy = self.threads is not None and self.threads.busy
        words = f"busy: {plural(self.threads.threads, 'thread')}" if busy and self.threads is not None else None
        fraction = event.step / max(epochs * steps, 1)
        self.line(training_line(event, epochs, fraction, self.valid, self.width, words))

    def _outcome(self, event: Stopped) -> str:
        """Return how training ended: its epochs and time, and the measures of the weights that it kept."""
        epochs = event.epoch if self.started is None else self.started.epochs
        reason = {"finished": "trained", "interrupted": "interrupted"}.get(event.reason, event.reason)
        parts = [f"{reason}: epoch {event.epoch}/{epochs} in {format_duration(event.seconds)}"]
        kept = self.ended.get(event.kept_epoch)
        if kept is not None:
            measures, rows = (kept.train, "training") if kept.valid is None else (kept.valid, "validation")
            name = "objective" if measures.bound is None else "bound"
            parts.append(f"{rows} {name} {main_measure(measures)} nats per datum")
            if event.kept_epoch != event.epoch:
                parts.append(f"weights of epoch {event.kept_epoch}")
        return GAP.join(parts)
