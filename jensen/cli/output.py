"""What verbs say, and where: results on stdout, all else on stderr, colour on terminals only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

__all__ = ["complain", "emit", "notices", "plural", "say", "show"]


def _styled(text: str, code: str, stream: TextIO) -> str:
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{code}m{text}\x1b[0m"


def say(text: str, end: str = "\n") -> None:
    """Say something on stderr; where that takes nothing, since its reader has gone or its disk is full, work goes on.

    Such a stream is given up: what its buffer still holds would fail again when the interpreter ends, and change the
    exit code.
    """
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except RuntimeError:
        pass  # a signal that came while something else was being written cannot speak
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            void = os.open(os.devnull, os.O_WRONLY)
            os.dup2(void, sys.stderr.fileno())
            os.close(void)


def complain(what: str, remedy: str = "") -> None:
    """An error: what happened, then what to do."""
    say(f"{_styled('error:', '1;31', sys.stderr)} {what}")
    if remedy:
        say(f"       {remedy}")


def notices(quiet: bool) -> Callable[[str], None]:
    """A function that tells the user something on stderr, or nothing if quiet."""

    def tell(text: str) -> None:
        if not quiet:
            say(f"{_styled('note:', '33', sys.stderr)} {text}")

    return tell


def show(lines: Iterable[str]) -> None:
    """Result lines, the first of them the number."""
    first, *others = lines
    print(_styled(first, "1", sys.stdout))
    for line in others:
        print(line)


def emit(record: Any) -> None:
    """One JSON object, on one line."""
    import msgspec

    print(msgspec.json.encode(record, enc_hook=_plain).decode())


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def plural(n: int, noun: str) -> str:
    """A number with its noun.

    Example:
        >>> plural(1, "row"), plural(1797, "row")
        ('1 row', '1,797 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
