"""Progress on stderr: one line, rewritten in place on a terminal, and printed every ten seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from ..core.characters import as_one_line
from ..core.wording import fixed, plural
from .output import print_stderr

if TYPE_CHECKING:
    from ..training.events import EpochEnded, Event, Measures, Progressed, Started, ThreadsChosen

__all__ = ["ProgressLine", "TrainingProgress", "format_duration", "progress_bar", "training_line"]

IN_PLACE, PLAIN = 0.1, 10.0  # seconds between updates, on a terminal and elsewhere
PACED = 1.0  # seconds of a phase before its pace is known: the first reports come within a moment of its start
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
        print_stderr(_shortened(as_one_line(text), columns - 1), start="\r", end="\x1b[K")

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


def _shortened(text: str, width: int) -> str:
    """Return a text without the last parts, separated by gaps, that exceed the width; half a number would mislead."""
    if len(text) <= width:
        return text
    whole, _, _ = text[: width + len(GAP)].rpartition(GAP)
    return whole or text[:width]


def training_line(
    event: Progressed | EpochEnded,
    epochs: int,
    fraction: float,
    valid: Measures | None,
    width: int | None,
    busy: str | None = None,
) -> str:
    """Return the line of a training in the longest form that fits.

    Epoch, time left, bound, validation bound and speed come first. Where they do not fit, the bar goes, then words, and
    then the last of them; rate, distortion, beta and step are shown where there is room.

    Args:
        event: the state of training.
        epochs: in all.
        fraction: of the training that is done.
        valid: measures of the validation rows, if there are any yet.
        width: columns of the terminal; None for no limit.
        busy: said after the speed where other processes slow the machine down, such as "busy: 1 thread".
    """
    train, left = event.train, f"{format_duration(event.seconds_left)} left"
    name, value = ("objective" if train.bound is None else "bound"), _main_measure(train)
    held = None if valid is None else _main_measure(valid)
    epoch = f"epoch {event.epoch}/{epochs}"
    long = [
        f"{epoch} {progress_bar(fraction)} {left}",
        f"{name} {value}",
        held and f"valid {held}",
        _speed(event.data_per_second),
        busy and f"machine {busy}",
    ]
    extra = [
        None if train.rate is None else f"rate {fixed(train.rate, 2)}",
        None if train.distortion is None else f"distortion {fixed(train.distortion, 2)}",
        None if event.beta in (None, 1) else f"beta {event.beta:.3g}",
        f"step {event.step:,}",
    ]
    if width is None:
        return _joined([*long, *extra])
    middle = [f"{epoch}{GAP}{left}", *long[1:4], busy]
    short = [f"{event.epoch}/{epochs}{GAP}{left}", value, held and f"valid {held}", long[3], busy]
    shortest = [*short[:4], busy and busy.partition(":")[0]]
    forms = [[*long, *extra[:n]] for n in range(len(extra), -1, -1)] + [middle, short, shortest]
    fitting = next((_joined(form) for form in forms if len(_joined(form)) <= width), None)
    if fitting is None:
        fitting = _shortened(_joined(short), width) if len(str(short[0]).split(GAP)[0]) <= width else f"{fraction:.0%}"
    return fitting


def _joined(parts: Sequence[str | None]) -> str:
    """Return the parts that there are, with gaps between them."""
    return GAP.join(filter(None, parts))


def _speed(per_second: float) -> str:
    """Return data per second, in thousands from 1,000 on and in millions from a million on.

    Example:
        >>> _speed(950.0), _speed(23_400.0), _speed(4.2e6)
        ('950/s', '23.4k/s', '4.2M/s')
    """
    for unit, name in ((1e6, "M"), (1e3, "k")):
        if per_second >= 0.9995 * unit:
            return f"{per_second / unit:.3g}{name}/s"
    return f"{per_second:.3g}/s"


def _main_measure(m: Measures) -> str:
    """Return the bound, or the objective if training has no bound."""
    return f"{fixed(m.objective if m.bound is None else m.bound, 2)}"
