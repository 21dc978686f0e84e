"""Output: results on stdout, everything else on stderr, colour on terminals only.

All text goes through here: control characters of names and messages are escaped, so that no file can write to the
terminal; what the encoding of a stream lacks is replaced. A stream that is closed or full does not stop the work: what
it missed is known at the end (`stdout_failure`).
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

from ..core.characters import as_one_line, encodable, escaped_json, visible

__all__ = [
    "library_notes",
    "notifier",
    "occupy_standard_streams",
    "print_error",
    "print_json",
    "print_lines",
    "print_page",
    "print_stderr",
    "silent",
    "stdout_failure",
    "table_writer",
    "text_bytes",
]

_failures: list[OSError] = []  # of stdout, in this command
_silent = ContextVar("whether nothing is printed", default=False)


@contextmanager
def silent(quiet: bool) -> Iterator[None]:
    """A scope in which nothing is printed, if `quiet`: of several processes that work together one speaks."""
    token = _silent.set(quiet)
    try:
        yield
    finally:
        _silent.reset(token)


def occupy_standard_streams() -> None:
    """Give the numbers of closed standard streams to the null device, lest a file that is opened later takes one.

    It is called once, before a command; a closed stdout is remembered as a failure.
    """
    _failures.clear()
    if sys.stdout is not None and sys.stderr is not None and sys.stdin is not None:
        return
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(handle)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # open until the process ends
        _failures.append(BrokenPipeError("stdout is closed"))
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def stdout_failure() -> OSError | None:
    """Return the first error of stdout in this command, after writing what is still buffered; None if there is none."""
    _write(sys.stdout, "", _stdout_failed)
    return _failures[0] if _failures else None


def _stdout_failed(error: OSError | ValueError) -> None:
    """Remember an error of stdout; what its buffer holds would fail again when the interpreter exits."""
    _failures.append(error if isinstance(error, OSError) else BrokenPipeError(str(error)))
    _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    """Connect a stream that takes nothing with the null device."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _write(stream: TextIO, text: str, failed: Callable[[OSError | ValueError], None]) -> None:
    """Write text in the encoding of a stream."""
    if _silent.get():
        return
    try:
        stream.write(encodable(text, stream.encoding))
        stream.flush()
    except RuntimeError:
        pass  # a signal handler cannot write while a write is in progress
    except (OSError, ValueError) as error:
        failed(error)


def _styled(text: str, code: str, stream: TextIO) -> str:
    """Return the text with an ANSI style, if the stream is a terminal that shows it."""
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{code}m{text}\x1b[0m"


def print_stderr(text: str, end: str = "\n", start: str = "") -> None:
    """Print on stderr; a stream that is closed or full is replaced, and work continues.

    Args:
        text: lines; other control characters are escaped.
        end, start: written as they are, for the control of a line on the terminal.
    """
    _write(sys.stderr, f"{start}{visible(text)}{end}", lambda error: _discard(sys.stderr))


def _print_stderr_line(label: str, code: str, text: str) -> None:
    """Print a line on stderr with a styled label."""
    print_stderr(as_one_line(text), start=f"{_styled(label, code, sys.stderr)} ")


def print_error(what: str, remedy: str = "") -> None:
    """Print an error on stderr: what happened, then what to do."""
    _print_stderr_line("error:", "1;31", what)
    if remedy:
        print_stderr(as_one_line(remedy), start="       ")


def notifier(quiet: bool) -> Callable[[str], None]:
    """Return a function that prints a note on stderr, or nothing if `quiet`."""

    def notify(text: str) -> None:
        if not quiet:
            _print_stderr_line("note:", "33", text)

    return notify


def print_page(text: str) -> None:
    """Print lines of text on stdout, such as help."""
    _write(sys.stdout, f"{visible(text)}\n", _stdout_failed)


def print_lines(lines: Iterable[str], emphasised: bool = True) -> None:
    """Print the lines of a result.

    Args:
        lines: the first holds the number.
        emphasised: whether it is; not where it was printed before, and these are the others.
    """
    first, *others = map(as_one_line, lines)
    text = "\n".join([_styled(first, "1", sys.stdout) if emphasised else first, *others])
    _write(sys.stdout, f"{text}\n", _stdout_failed)


def print_json(record: Any) -> None:
    """Print one JSON object on one line; characters that a terminal would obey, or its encoding lacks, are escaped."""
    text = as_one_line(_encoded(record), escaped_json)
    if encodable(text, sys.stdout.encoding) != text:
        text = re.sub(r"[^\x00-\x7f]", lambda match: escaped_json(match[0]), text)
    _write(sys.stdout, f"{text}\n", _stdout_failed)


class _TableWriter:
    """Takes the text of a table: cells are data, and keep their bytes where no terminal shows them."""

    def write(self, text: str) -> int:
        """Write on stdout.

        Raises:
            OSError: it is closed or full.
        """
        try:
            return self._write(text, sys.stdout)
        except OSError as error:
            raise OSError(error.errno, error.strerror, "stdout") from error  # EPIPE is a BrokenPipeError again

    def _write(self, text: str, stream: TextIO) -> int:
        """Write on a stream."""
        if _silent.get():
            return len(text)
        if stream.isatty() or not isinstance(stream, io.TextIOWrapper):
            return stream.write(encodable(visible(text), stream.encoding) if stream.isatty() else text)
        stream.flush()
        return stream.buffer.write(text_bytes(text))


def table_writer() -> _TableWriter:
    """Return the stream of a table on stdout."""
    return _TableWriter()


def text_bytes(text: str) -> bytes:
    """Return text as UTF-8; a file name that is not UTF-8 has the bytes that it has on disk."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace")


def _encoded(record: Any) -> str:
    """Return a record as JSON; numbers that are not finite are null."""
    import msgspec

    try:
        return msgspec.json.encode(record, enc_hook=_plain).decode()
    except UnicodeEncodeError:  # a file name that is not UTF-8
        import json

        text = json.dumps(msgspec.to_builtins(record, enc_hook=_plain))
        return json.dumps(json.loads(text, parse_constant=lambda name: None))


def _plain(value: Any) -> Any:
    """Return a path as text.

    Raises:
        TypeError: JSON cannot hold the value.
    """
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


class _AsNotes(logging.Handler):
    """Prints what libraries log as notes."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.notify = notify

    def emit(self, record: logging.LogRecord) -> None:
        self.notify(f"{record.name}: {record.getMessage()}")


@contextmanager
def library_notes(quiet: bool) -> Iterator[None]:
    """Print warnings and log messages of libraries as notes within a scope, or nothing if `quiet`."""
    notify, last = notifier(quiet), logging.lastResort

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        notify(f"{category.__name__}: {message}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        logging.lastResort = _AsNotes(notify)
        try:
            yield
        finally:
            logging.lastResort = last
