"""The recipes' options as flags: names, values and defaults come from the recipes' signatures."""

from __future__ import annotations

import collections.abc
import difflib
import inspect
import types
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin

from ..core.errors import CorruptRunError, UsageError
from ..recipes import RECIPES, Recipe, option_names
from .settings import Settings

__all__ = ["check_recorded", "flag", "parse_options", "parse_value", "recipe_help", "refuse_unknown_flags"]

OTHERS = {"recipe", "out", "spec", "force", "json", "quiet", "help"}  # flags of jensen train that are no settings
_WORDS: dict[Any, tuple[str, str]] = {int: ("a whole number", "16"), float: ("a number", "0.5")}


def flag(name: str) -> str:
    """The flag of an option.

    Example:
        >>> flag("init_from")
        '--init-from'
    """
    return f"--{name.replace('_', '-')}"


def _train_flags() -> set[str]:
    return {f.name.replace("_", "-") for f in fields(Settings)} | OTHERS


def _nearest(name: str, known: set[str]) -> str | None:
    found = difflib.get_close_matches(name, sorted(known), 1)
    return f"Did you mean --{found[0]}?" if found else None


def refuse_unknown_flags(words: list[str]) -> None:
    """Name the nearest flag to one that neither `jensen train` nor any recipe has.

    Raises:
        UsageError: there is such a flag.
    """
    known = _train_flags() | {name.replace("_", "-") for name in option_names()}
    for word in words:
        name = word.removeprefix("--").partition("=")[0].replace("_", "-")
        if word.startswith("--") and name.removeprefix("no-") not in known:
            raise UsageError(
                f"jensen train has no option --{name}", _nearest(name, known) or "See jensen train --help."
            )


def parse_options(recipe: Recipe, given: dict[str, str]) -> dict[str, Any]:
    """The options of a recipe, from the words of the command line.

    Raises:
        UsageError: the recipe has no such option, or the value cannot be one of it.
    """
    hints, found = recipe.hints, {}
    for name, text in given.items():
        key = name.replace("-", "_")
        if key not in recipe.options:
            raise UsageError(f"recipe {recipe.name} has no option {flag(name)}", _instead(recipe, key))
        found[key] = parse_value(flag(name), text, hints[key])
    return found


def _instead(recipe: Recipe, key: str) -> str:
    """What to type in the place of an option that the recipe does not have."""
    having = [other.name for other in RECIPES.values() if key in other.options]
    if having:
        return f"Recipes that have it: {', '.join(having)}."
    near = _nearest(key.replace("_", "-"), _train_flags() | {o.replace("_", "-") for o in recipe.options})
    return near or f"The recipe's own options are {', '.join(map(flag, recipe.options))}."


def parse_value(name: str, text: str, hint: Any) -> Any:
    """A value of the annotated type: int, float, bool, str, a Literal, an optional one or a sequence of these.

    Raises:
        UsageError: the text is none.

    Example:
        >>> parse_value("--hidden", "200,200", tuple[int, ...])
        (200, 200)
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [a for a in arguments if a is not type(None)]
        return None if text.lower() == "none" and len(inner) < len(arguments) else parse_value(name, text, inner[0])
    if origin in (tuple, list, collections.abc.Sequence):
        return tuple(parse_value(name, part, arguments[0]) for part in text.split(",")) if text else ()
    if origin is Literal:
        if text not in arguments:
            raise UsageError(f"{name} {text} is not a choice", f"Choose from {', '.join(map(str, arguments))}.")
        return text
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise UsageError(f"{name} {text} is neither true nor false", f"Give {name} true.")
        return text.lower() == "true"
    if hint not in _WORDS:
        return text
    words, example = _WORDS[hint]
    try:
        return hint(text)
    except ValueError as error:
        raise UsageError(f"{name} {text} is not {words}", f"Give a number, such as {name} {example}.") from error


def check_recorded(command: dict[str, Any]) -> None:
    """Refuse a recorded command that no `jensen train` can have written.

    Raises:
        CorruptRunError: it names an unknown recipe or option.
    """
    recipe = command.get("recipe")
    known = {f.name for f in fields(Settings)} | {"data", "recipe", "out"}
    unknown = command.keys() - known - set(RECIPES[recipe].options if recipe in RECIPES else ())
    if recipe not in RECIPES or unknown:
        named = f"an unknown {min(unknown)}" if recipe in RECIPES else f"no known recipe ({recipe})"
        raise CorruptRunError(
            f"the recorded command names {named}",
            "The specification is damaged, or was written by another version of jensen.",
        )


def recipe_help() -> str:
    """The options of every recipe, with their defaults."""
    lines = ["Options of the recipes, with their defaults:"]
    for recipe in RECIPES.values():
        lines += ["", f"  --recipe {recipe.name}: {recipe.summary}"]
        lines += [f"    {flag(name)} {_default(p)}{_choices(recipe, name)}" for name, p in recipe.options.items()]
    return "\n".join(lines)


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if value is None:
        return "(a tenth of the epochs)" if parameter.name == "warmup" else "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _choices(recipe: Recipe, name: str) -> str:
    hint = recipe.hints[name]
    return f"  ({', '.join(get_args(hint))})" if get_origin(hint) is Literal else ""
