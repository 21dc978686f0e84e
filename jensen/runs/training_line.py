"""The state of a training in one line, in the longest form that fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.wording import fixed

__all__ = ["GAP", "format_duration", "main_measure", "progress_bar", "shortened", "training_line"]

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


def shortened(text: str, width: int) -> str:
    """Return a text without the last parts, separated by gaps, that exceed the width; half a number would mislead."""
    if len(text) <= width:
        return text
    whole, _, _ = text[: width + len(GAP)].rpartition(GAP)
    return whole or text[:width]


def training_line(
    event: Any,
    epochs: int,
    fraction: float,
    valid: Any,
    width: int | None,
    busy: str | None = None,
) -> str:
    """Return the line of a training in the longest form that fits.

    Epoch, time left, bound, validation bound and speed come first. Where they do not fit, the bar goes, then words, and
    then the last of them; rate, distortion, beta and step are shown where there is room.

    Args:
        event: `Progressed` or `EpochEnded`, which are not named here, so that the command line starts without torch.
        epochs: in all.
        fraction: of the training that is done.
        valid: `Measures` of the validation rows, or None.
        width: columns of the terminal; None for no limit.
        busy: said after the speed where other processes slow the machine down, such as "busy: 1 thread".
    """
    train, left = event.train, f"{format_duration(event.seconds_left)} left"
    name, value = ("objective" if train.bound is None else "bound"), main_measure(train)
    held = None if valid is None else main_measure(valid)
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
        fitting = shortened(_joined(short), width) if len(str(short[0]).split(GAP)[0]) <= width else f"{fraction:.0%}"
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


def main_measure(m: Any) -> str:
    """Return the bound, or the objective if training has no bound."""
    return f"{fixed(m.objective if m.bound is None else m.bound, 2)}"
