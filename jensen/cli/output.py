"""Output: results on stdout, everything else on stderr, colour on terminals only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

__all__ = ["notifier", "print_error", "print_json", "print_lines", "print_stderr"]


def _styled(text: str, code: str, stream: TextIO) -> str:
    """Return the text with an ANSI style, if the stream is a terminal that shows it."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{code}m{text}\x1b[0m"


def print_stderr(text: str, end: str = "\n") -> None:
    """Print on stderr; a stream that is closed or full is replaced, and work continues.

    What the buffer of such a stream still holds would fail again when the interpreter exits, and change the exit code.
    """
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except RuntimeError:
        pass  # a signal handler cannot write while a write is in progress
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stderr.fileno())
            os.close(null)


def print_error(what: str, remedy: str = "") -> None:
    """Print an error on stderr: what happened, then what to do."""
    print_stderr(f"{_styled('error:', '1;31', sys.stderr)} {what}")
    if remedy:
        print_stderr(f"       {remedy}")


def notifier(quiet: bool) -> Callable[[str], None]:
    """Return a function that prints a note on stderr, or nothing if `quiet`."""

    def notify(text: str) -> None:
        if not quiet:
            print_stderr(f"{_styled('note:', '33', sys.stderr)} {text}")

    return notify


def print_lines(lines: Iterable[str]) -> None:
    """Print the lines of a result; the first, which holds the number, is emphasised."""
    first, *others = lines
    print(_styled(first, "1", sys.stdout))
    for line in others:
        print(line)


def print_json(record: Any) -> None:
    """Print one JSON object on one line."""
    import msgspec

    print(msgspec.json.encode(record, enc_hook=_plain).decode())


def _plain(value: Any) -> Any:
    """Return a path as text.

    Raises:
        TypeError: JSON cannot hold the value.
    """
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
