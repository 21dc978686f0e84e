"""Help texts of options, read from the `Attributes:` section of their dataclass, where each is described once."""

from __future__ import annotations

import inspect
import re

__all__ = ["as_help", "attribute_texts", "described"]

_ENTRY = re.compile(r" {4}(\w+(?:, \w+)*): (.*)")
_CONTINUATION = re.compile(r" {8,}(.*)")


def attribute_texts(options: type) -> dict[str, str]:
    """Return the description of each attribute of a class, on one line.

    An option that another's text names in backticks is named by its flag.

    Example:
        >>> class Options:
        ...     '''Options of a walk.
        ...
        ...     Attributes:
        ...         steps: number of steps; at most
        ...             `limit`.
        ...         limit: largest number of steps.
        ...     '''
        >>> attribute_texts(Options)
        {'steps': 'number of steps; at most --limit', 'limit': 'largest number of steps'}
    """
    return described(inspect.getdoc(options) or "")


def described(docstring: str) -> dict[str, str]:
    """Return the description of each attribute that a docstring, without its indentation, holds."""
    texts: dict[str, str] = {}
    names: list[str] = []
    _, _, section = docstring.partition("Attributes:\n")
    for line in section.splitlines():
        if entry := _ENTRY.fullmatch(line):
            names = entry[1].split(", ")
            texts |= dict.fromkeys(names, entry[2])
        elif names and (continuation := _CONTINUATION.fullmatch(line)):
            texts |= {name: f"{texts[name]} {continuation[1]}" for name in names}
        elif line.strip():
            break
    return {name: re.sub(r"(?<!\.)\.$", "", as_help(text)) for name, text in texts.items()}


def as_help(text: str) -> str:
    """Return a sentence of a docstring for the terminal: options as flags, without quotes.

    Example:
        >>> as_help("`init_from` is a run, or `None`; see `RUN/spec.json`.")
        '--init-from is a run, or none; see RUN/spec.json.'
    """
    text = text.replace("`None`", "none")
    text = re.sub(r"`([a-z]\w*)`", lambda m: f"--{m[1].replace('_', '-')}", text)
    return text.replace('"', "").replace("`", "")
