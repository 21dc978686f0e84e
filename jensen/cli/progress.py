"""One line of progress on stderr: rewritten in place on a terminal, a line about every ten seconds elsewhere."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType

from ..training.events import EpochEnded, Event, Measures, Progressed, Recovered, Started
from .output import say

__all__ = ["Line", "Training", "bar", "clock"]

IN_PLACE, PLAIN = 0.1, 10.0  # seconds between updates
WIDTH = 12


def bar(fraction: float) -> str:
    """A bar of twelve characters.

    Example:
        >>> bar(0.5)
        '━━━━━━──────'
    """
    full = round(WIDTH * min(max(fraction, 0.0), 1.0))
    return "━" * full + "─" * (WIDTH - full)


def clock(seconds: float) -> str:
    """A time, as a clock shows it.

    Example:
        >>> clock(75), clock(3700)
        ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


class Line:
    """The line, as a context: it is wiped when the context ends.

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
        self.since = (self.began, 0.0)  # when this phase was first heard of, and how much of it was done

    def __enter__(self) -> Line:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.shown and self.in_place:
            say("\r\x1b[K", end="")

    def show(self, text: str) -> None:
        """Show the text, unless something was shown a moment ago."""
        now = time.monotonic()
        if self.quiet or now - self.last < (IN_PLACE if self.in_place else PLAIN):
            return
        self.last, self.shown = now, True
        if not self.in_place:
            say(text)
            return
        try:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        except OSError:
            columns = 80
        say(f"\r{text[: columns - 1]}\x1b[K", end="")

    def say(self, text: str) -> None:
        """Show the text on a line of its own, which stays."""
        wipe = "\r\x1b[K" if self.in_place and self.shown else ""
        if not self.quiet:
            say(f"{wipe}{text}")

    def fraction(self, what: str, done: float) -> None:
        """Show how much of a long task is done, and how long the rest will take.

        A fraction that does not grow begins another phase, with a number and a clock of its own: evaluating may anneal
        again and again, and what came before says nothing of how long the next time takes.
        """
        now = time.monotonic()
        if done <= self.done and self.done > 0:
            self.phase, self.since = self.phase + 1, (now, done)
        self.done = done
        start, had = self.since
        left = f"  {clock((now - start) * (1 - done) / (done - had))} left" if done > had else ""
        name = what if self.phase == 1 else f"{what}, phase {self.phase}"
        self.show(f"{name} {bar(done)} {done:4.0%}{left}")


class Training:
    """Listens to training, and says where it is on a line.

    Args:
        line: where.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        self.started = Started(1, 1, 1)
        self.valid: Measures | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case Started():
                self.started = event
            case Progressed():
                self.line.show(self._text(event))
            case EpochEnded():
                self.valid = event.valid
                self.line.show(self._text(event))
            case Recovered():
                self.valid = None
                self.line.say(
                    f"{event.what}: back to step {event.step:,}, with learning rates times {event.factor:g}"
                    f" (recovery {event.count})"
                )
            case _:
                pass

    def _text(self, event: Progressed | EpochEnded) -> str:
        total = self.started.epochs * self.started.steps_per_epoch
        words = [f"epoch {event.epoch}/{self.started.epochs} {bar(event.step / max(total, 1))} step {event.step:,}"]
        words += [_measures(event.train)]
        if self.valid is not None:
            words.append(f"validation {_headline(self.valid)}")
        if event.beta is not None and event.beta != 1:
            words.append(f"beta {event.beta:.3g}")
        rate = event.data_per_second
        words.append(f"{rate / 1000:.3g}k data/s" if rate >= 1000 else f"{rate:.3g} data/s")
        words.append(f"{clock(event.seconds_left)} left")
        return "  ".join(words)


def _headline(m: Measures) -> str:
    return f"{m.objective if m.bound is None else m.bound:.2f}"


def _measures(m: Measures) -> str:
    name = "objective" if m.bound is None else "bound"
    rate = "" if m.rate is None else f"  rate {m.rate:.2f}"
    distortion = "" if m.distortion is None else f"  distortion {m.distortion:.2f}"
    return f"{name} {_headline(m)} nats{rate}{distortion}"
