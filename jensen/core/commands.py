"""Commands that are printed to be repeated: quoted, so that a shell reads the words that were meant."""

from __future__ import annotations

import os
import shlex
from typing import Any

__all__ = ["command_line"]


def command_line(verb: str, *paths: str | os.PathLike[str], **options: Any) -> str:
    """Return a command of `jensen` as a shell takes it.

    Args:
        verb: of the command.
        paths: its arguments; one that begins with a dash is written as a path, since it would be taken for an option.
        **options: by the names of their flags with underscores; None and False are left out, True is a flag without a
            value, and a pair of numbers is height and width.

    Example:
        >>> command_line("train", "my data.csv", labels="kind", size=(8, 8), quiet=True)
        "jensen train 'my data.csv' --labels kind --size 8,8 --quiet"
        >>> command_line("evaluate", "-run")
        'jensen evaluate ./-run'
    """
    words = ["jensen", verb, *(_as_path(os.fspath(path)) for path in paths)]
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if value is None or value is False:
            continue
        text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
        if value is True:
            words.append(flag)
        elif text.startswith("-") or not text:
            words.append(f"{flag}={text}")
        else:
            words += [flag, text]
    return " ".join(map(_quoted, words))


def _as_path(word: str) -> str:
    return f".{os.sep}{word}" if word.startswith("-") else word


def _quoted(word: str) -> str:
    """Return a word in quotes where a shell needs them; control characters as escapes, which a terminal can show."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    shown = (c if c.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(c)) for c in escaped)
    return f"$'{''.join(shown)}'"
