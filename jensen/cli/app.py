"""The parser: verbs are imported by name when they are called, and what it refuses is said in jensen's words."""

from __future__ import annotations

import re
from typing import Any

from cyclopts import App, CycloptsError, MissingArgumentError, UnusedCliTokensError

from ..core.errors import UsageError
from ..core.version import __version__
from .verbs import VERBS

__all__ = ["run"]


def _app() -> App:
    app = App(name="jensen", version=__version__, help_flags=("-h", "--help"), help_formatter="plain")
    for verb, what in VERBS.items():
        module = verb.replace("-", "_")
        app.command(f"jensen.cli.{module}:{module}", name=verb, help=f"{what[0].upper()}{what[1:]}.")
    return app


def run(words: list[str]) -> None:
    """Parse and run a command.

    Raises:
        UsageError: the command does not parse.
    """
    try:
        command, bound, _ = _app().parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        if words[0] == "train":
            from .options import refuse_unknown_flags

            refuse_unknown_flags(words[1:])
        raise _in_our_words(error, words[0]) from error
    result: Any = command(*bound.args, **bound.kwargs)
    if words[0] == "train" and {"-h", "--help"} & set(words[1:]):
        from .options import recipe_help

        print(recipe_help())
    return result


def _in_our_words(error: CycloptsError, verb: str) -> UsageError:
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
