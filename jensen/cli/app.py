"""The parser: verbs are imported when they are called, and its errors are worded like all others."""

from __future__ import annotations

import re
from typing import Any

from cyclopts import App, CycloptsError, MissingArgumentError, UnusedCliTokensError

from ..core.errors import UsageError
from ..core.renames import RENAMED_OPTIONS
from ..core.version import __version__
from .layout import TwoColumns
from .output import notifier
from .verbs import VERBS

__all__ = ["run"]

RENAMED_FLAGS = {f"--{old}": f"--{new}".replace("_", "-") for old, new in RENAMED_OPTIONS.items()}


def _app() -> App:
    app = App(
        name="jensen",
        version=__version__,
        help_flags=("-h", "--help"),
        help_format="plaintext",
        help_formatter=TwoColumns(),
    )
    for verb in VERBS:
        module = verb.replace("-", "_")
        app.command(f"jensen.cli.{module}:{module}", name=verb)
    return app


def run(words: list[str]) -> Any:
    """Parse and run a command, and return what its verb returns.

    Raises:
        UsageError: the command does not parse.
    """
    words = _with_current_flags(words)
    try:
        command, bound, _ = _app().parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        if words[0] == "train":
            from .options import refuse_unknown_flags

            refuse_unknown_flags(words[1:])
        raise _usage_error(error, words[0]) from error
    result = command(*bound.args, **bound.kwargs)
    if words[0] == "train" and {"-h", "--help"} & set(words[1:]):
        from .recipe_help import recipe_help

        print(recipe_help())
    return result


def _with_current_flags(words: list[str]) -> list[str]:
    """Return the words with renamed flags by their current names, and say so on stderr."""
    current, notify = [], notifier("--quiet" in words)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in RENAMED_FLAGS:
            notify(f"{flag} is now called {RENAMED_FLAGS[flag]}")
            word = f"{RENAMED_FLAGS[flag]}{equals}{value}"
        current.append(word)
    return current


def _usage_error(error: CycloptsError, verb: str) -> UsageError:
    """Return the parser's error in the words of this command line."""
    see = f"See jensen {verb} --help." if verb in VERBS else "See jensen --help."
    if isinstance(error, UnusedCliTokensError):
        return UsageError(f"{' '.join(error.unused_tokens or ())}: more arguments than jensen {verb} takes", see)
    text = " ".join(str(error).split())
    missing = re.search(r"parameter (\S+) requires", text)
    if isinstance(error, MissingArgumentError) and missing:
        name = missing[1]
        return UsageError(f"{name} needs a value" if name.startswith("-") else f"jensen {verb} needs {name}", see)
    what, _, remedy = text.partition(". ")
    return UsageError(what.rstrip("."), remedy or see)
