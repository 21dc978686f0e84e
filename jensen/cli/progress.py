"""Progress on stderr: one line, rewritten in place on a terminal, and printed every ten seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType

from ..core.wording import fixed
from ..training.events import EpochEnded, Event, Measures, Progressed, Recovered, Started
from .output import print_stderr

__all__ = ["ProgressLine", "TrainingProgress", "format_duration", "progress_bar"]

IN_PLACE, PLAIN = 0.1, 10.0  # seconds between updates, on a terminal and elsewhere
WIDTH = 12
GAP = "  "  # between the parts of a line


def progress_bar(fraction: float) -> str:
    """Return a bar of twelve characters.

    Example:
        >>> progress_bar(0.5)
        '━━━━━━──────'
    """
    full = round(WIDTH * min(max(fraction, 0.0), 1.0))
    return "━" * full + "─" * (WIDTH - full)


def format_duration(seconds: float) -> str:
    """Return a time in minutes and seconds, with hours if there are any.

    Example:
        >>> format_duration(75), format_duration(3700)
        ('1:15', '1:01:40')
    """
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}:{seconds:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


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
        self.phase, self.done = 1, 0.0
        self.phase_start = (self.began, 0.0)  # time and fraction at the first report of this phase

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.shown and self.in_place:
            print_stderr("\r\x1b[K", end="")

    def update(self, text: str) -> None:
        """Show the text in the line, unless it was updated a moment ago."""
        now = time.monotonic()
        if self.quiet or now - self.last < (IN_PLACE if self.in_place else PLAIN):
            return
        self.last, self.shown = now, True
        if not self.in_place:
            print_stderr(text)
            return
        try:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        except OSError:
            columns = 80
        print_stderr(f"\r{_shortened(text, columns - 1)}\x1b[K", end="")

    def print_above(self, text: str) -> None:
        """Print the text on a line of its own, which stays."""
        erase = "\r\x1b[K" if self.in_place and self.shown else ""
        if not self.quiet:
            print_stderr(f"{erase}{text}")

    def task(self, name: str) -> Callable[[float], None]:
        """Return a progress callback, 0 to 1, that shows a task with its remaining time."""
        return lambda done: self.update_task(name, done)

    def update_task(self, name: str, done: float) -> None:
        """Show the fraction of a task that is done, and its remaining time.

        A fraction that does not grow begins a new phase, with its own clock: an evaluation may anneal several times, at
        different speeds.
        """
        now = time.monotonic()
        if done <= self.done and self.done > 0:
            self.phase, self.phase_start = self.phase + 1, (now, done)
        self.done = done
        start, done_at_start = self.phase_start
        left = ""
        if done > done_at_start:
            left = f"  {format_duration((now - start) * (1 - done) / (done - done_at_start))} left"
        title = name if self.phase == 1 else f"{name}, phase {self.phase}"
        self.update(f"{title} {progress_bar(done)} {done:4.0%}{left}")


class TrainingProgress:
    """A listener that shows the events of training.

    Args:
        line: shows them.
    """

    def __init__(self, line: ProgressLine) -> None:
        self.line = line
        self.started = Started(1, 1, 1)
        self.valid: Measures | None = None  # of the last epoch that has ended

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                self.started = event
            case Progressed():
                self.line.update(self._text(event))
            case EpochEnded():
                self.valid = event.valid
                self.line.update(self._text(event))
            case Recovered():
                self.valid = None
                self.line.print_above(
                    f"{event.what}: back to step {event.step:,}, with learning rates times {event.factor:g}"
                    f" (recovery {event.count})"
                )
            case _:
                pass

    def _text(self, event: Progressed | EpochEnded) -> str:
        """Return epoch, remaining time, measures, speed and step, the most important first."""
        epochs, total = self.started.epochs, self.started.epochs * self.started.steps_per_epoch
        bar = progress_bar(event.step / max(total, 1))
        train, speed = event.train, event.data_per_second
        parts = [
            f"epoch {event.epoch}/{epochs} {bar} {format_duration(event.seconds_left)} left",
            f"{'objective' if train.bound is None else 'bound'} {_main_measure(train)} nats",
            None if self.valid is None else f"validation {_main_measure(self.valid)}",
            None if train.rate is None else f"rate {fixed(train.rate, 2)}",
            None if train.distortion is None else f"distortion {fixed(train.distortion, 2)}",
            None if event.beta in (None, 1) else f"beta {event.beta:.3g}",
            f"{speed / 1000:.3g}k data/s" if speed >= 1000 else f"{speed:.3g} data/s",
            f"step {event.step:,}",
        ]
        return GAP.join(filter(None, parts))


def _shortened(text: str, width: int) -> str:
    """Return a text without the last parts, separated by gaps, that exceed the width; half a number would mislead."""
    if len(text) <= width:
        return text
    whole, _, _ = text[: width + len(GAP)].rpartition(GAP)
    return whole or text[:width]


def _main_measure(m: Measures) -> str:
    """Return the bound, or the objective if training has no bound."""
    return f"{fixed(m.objective if m.bound is None else m.bound, 2)}"
