"""The parser: verbs are imported when they are called, and its errors are worded like all others."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from inspect import BoundArguments
from pathlib import Path
from typing import Any, get_args

from cyclopts import (
    App,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    Token,
    UnknownOptionError,
    UnusedCliTokensError,
    convert,
)

from ..core.errors import UsageError
from ..core.renames import RENAMED_OPTIONS
from ..core.version import __version__
from ..storage.run_folder import is_group, require_run
from .launched import joined_for
from .layout import TwoColumns
from .output import library_notes, notifier, print_page
from .verbs import ARGUMENTS, VERBS

__all__ = ["WITH_RECIPES", "parser", "run"]

WITH_RECIPES = ("train", "rate-distortion")  # verbs that take the options of a recipe
OF_GROUPS = ("evaluate", "resume")  # verbs whose run may be a group of runs
EXAMPLES = {"--rows": "rows.csv", "--out": "FILE"}  # values of flags that need one
RENAMED_FLAGS = {f"--{old}": f"--{new}".replace("_", "-") for old, new in RENAMED_OPTIONS.items()}


def parser(layout: TwoColumns | None = None) -> App:
    """Return the parser, which lays out help in this way."""
    app = App(
        name="jensen",
        version=__version__,
        help_flags=("-h", "--help"),
        help_format="plaintext",
        help_formatter=layout or TwoColumns(),
        default_parameter=Parameter(converter=_converted),
    )
    for verb in VERBS:
        module = verb.replace("-", "_")
        usage = " ".join(filter(None, ["Usage: jensen", verb, ARGUMENTS[verb], "[OPTIONS]"]))
        app.command(f"jensen.cli.{module}:{module}", name=verb, usage=usage)
    return app


def _converted(hint: Any, tokens: Sequence[Token]) -> Any:
    """Return words as a value of a type; the parser itself would round 1.5 to a whole number.

    Raises:
        UsageError: a word is no whole number, nor one of the words that may stand for it.
    """
    if hint is int or int in get_args(hint):
        choices = [word for part in get_args(hint) for word in get_args(part)]
        for token in tokens:
            if token.value not in choices and not _is_whole(token.value):
                kind = " or ".join(["a whole number", *choices])
                remedy = f"Give a number, such as {token.keyword} 16."
                raise UsageError(f"{token.keyword} must be {kind}, got {token.value}", remedy)
    return convert(hint, tokens)


def _is_whole(text: str) -> bool:
    """Return whether a text is a whole number, written as 30, 30.0 or 0x1e."""
    try:
        return float(text).is_integer() if "." in text else int(text, 0) is not None
    except ValueError:
        return text.isdecimal()  # 007


def run(words: list[str]) -> Any:
    """Parse and run a command, and return what its verb returns.

    Raises:
        UsageError: the command does not parse.
    """
    words = _with_current_flags(words)
    if words[0] in VERBS and {"-h", "--help"} & set(words[1:]):
        return _print_help(words)
    try:
        command, bound, _ = parser().parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        if words[0] == "train":
            from .options import refuse_unknown_flags

            refuse_unknown_flags(words[1:])
        raise _usage_error(error, words[0]) from error
    group = Path(bound.arguments.get("run", ""))
    is_of_group = words[0] in OF_GROUPS and is_group(group)
    if "run" in bound.arguments and not is_of_group:
        require_run(group)  # before the verb imports torch
    with library_notes("--quiet" in words), joined_for(words[0]):
        if is_of_group and words[0] == "evaluate":
            return _evaluate_members(command, bound, group)
        return command(*bound.args, **bound.kwargs)


def _evaluate_members(command: Callable[..., Any], bound: BoundArguments, group: Path) -> None:
    """Run a command on each member of a group that was trained to the end.

    Raises:
        UsageError: there is no such member, or the members would write one file.
    """
    from ..storage.group_record import read_group

    if bound.arguments.get("rows") is not None:
        raise UsageError(f"--rows is one file, and {group} is a group of runs", f"Give one of them: {group}/NAME.")
    states = {member["name"]: member["state"] for member in read_group(group)["members"]}
    names = [name for name, state in states.items() if state == "finished"]
    if not names:
        raise UsageError(f"no member of {group} was trained to the end", f"Train them: jensen resume {group}.")
    for name in names:
        bound.arguments["run"] = str(group / name)
        if "flags" not in bound.arguments or not bound.arguments["flags"].json:
            print_page(f"{group / name}:")
        command(*bound.args, **bound.kwargs)


def _print_help(words: list[str]) -> None:
    """Print the help of a verb, without parsing, which would take half as long again.

    That of a verb that takes the options of a recipe has the common options and the names of all recipes; or, if a
    recipe is named, its options and all others.

    Raises:
        UsageError: there is no recipe of that name.
    """
    verb = words[0]
    if verb not in WITH_RECIPES:
        parser().help_print([verb])
        return
    from .recipe_help import recipe_help, recipe_list
    from .train_flags import UNCOMMON

    name = _named_recipe(words)
    if name is None:
        parser(TwoColumns(UNCOMMON)).help_print([verb])
        print_page(recipe_list(verb))
    else:
        print_page(recipe_help(name))
        parser().help_print([verb])


def _named_recipe(words: list[str]) -> str | None:
    """Return the recipe that the words name, None if they name none."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        flag, equals, value = word.partition("=")
        if flag == "--recipe":
            return value if equals else following
    return None


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
    if isinstance(error.__cause__, UsageError):  # of `_converted`
        return error.__cause__
    see = f"See jensen {verb} --help." if verb in VERBS else "See jensen --help."
    if isinstance(error, UnusedCliTokensError):
        return UsageError(f"{' '.join(error.unused_tokens or ())}: more arguments than jensen {verb} takes", see)
    text = " ".join(str(error).split())
    missing = re.search(r"parameter (\S+) requires", text)
    if isinstance(error, MissingArgumentError) and missing:
        name = missing[1]
        see = f"Give one: {name} {EXAMPLES[name]}." if name in EXAMPLES else see
        return UsageError(f"{name} needs a value" if name.startswith("-") else f"jensen {verb} needs {name}", see)
    what, _, remedy = text.partition(". ")
    if isinstance(error, UnknownOptionError):
        remedy = _short_option(error) or remedy
    return UsageError(what.rstrip("."), remedy or see)


def _short_option(error: UnknownOptionError) -> str:
    """Return a question after an option of one letter, such as -n for --num, if no longer one is as like; else ""."""
    flag = (error.token.keyword or error.token.value).partition("=")[0].lstrip("-")
    names = [name for argument in error.argument_collection or () for name in argument.names]
    short, alike = f"-{flag[:1]}", get_close_matches(f"--{flag}", [n for n in names if n.startswith("--")], 1, 0.75)
    return f"Did you mean {short}?" if short in names and not alike else ""
