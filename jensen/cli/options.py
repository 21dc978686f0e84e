"""The options of recipes as flags: names, types, choices and defaults come from the signatures of the recipes."""

from __future__ import annotations

import collections.abc
import difflib
import types
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin

from ..core.errors import CorruptRunError, UsageError
from ..core.wording import option_flag
from .catalogue import Entry, catalogue
from .train_flags import TrainFlags

__all__ = [
    "check_recorded",
    "parse_options",
    "parse_value",
    "possible_recipes",
    "refuse_unknown_flags",
    "unknown_option_remedy",
]

OWN_FLAGS = {"recipe", "out", "spec", "seeds", "sweep", "force", "json", "quiet", "help"}  # of jensen train itself
UNNAMED = ("vae", "table", "table-gmm")  # the recipes of which the data choose one where none is named
_NUMBERS: dict[Any, tuple[str, str]] = {int: ("a whole number", "16"), float: ("a number", "0.5")}


def _shared_options() -> set[str]:
    """Return the names of the options of training that do not depend on the recipe."""
    return {f.name for f in fields(TrainFlags)}  # pyright: ignore[reportArgumentType]


def _nearest(name: str, options: set[str]) -> str | None:
    """Return a remedy that names the option most like `name`, None if there is none like it."""
    nearest = difflib.get_close_matches(name, sorted(options), 1)
    return f"Did you mean {option_flag(nearest[0])}?" if nearest else None


def refuse_unknown_flags(words: list[str]) -> None:
    """Refuse flags that neither `jensen train` nor any recipe has.

    Raises:
        UsageError: naming the flag, and the nearest one that exists.
    """
    options = _shared_options() | OWN_FLAGS | catalogue().option_names
    for word in words:
        name = word.removeprefix("--").partition("=")[0].replace("-", "_")
        if word.startswith("--") and name.removeprefix("no_") not in options:
            remedy = _nearest(name, options) or "See jensen train --help."
            raise UsageError(f"jensen train has no option {option_flag(name)}", remedy)


def possible_recipes(name: str | None) -> list[Entry]:
    """Return the recipe of this name; those that the data may choose, where none is named."""
    return [catalogue().find(each) for each in (UNNAMED if name is None else (name,))]


def parse_options(name: str | None, given: dict[str, str]) -> dict[str, Any]:
    """Return the options of a recipe from the words of the command line.

    Args:
        name: of the recipe; None where the data choose it.
        given: the words, by flag without its hyphens.

    Raises:
        UsageError: there is no such recipe or option, or a value is not of its type.
    """
    recipes, values = possible_recipes(name), {}
    for flag_name, text in given.items():
        name = flag_name.replace("-", "_")
        recipe = next((r for r in recipes if name in r.options), None)
        if recipe is None:
            remedy = unknown_option_remedy(recipes[0], name)
            raise UsageError(f"recipe {recipes[0].name} has no option {option_flag(name)}", remedy)
        values[name] = parse_value(option_flag(name), text, recipe.options[name].hint)
    return values


def unknown_option_remedy(recipe: Entry, name: str) -> str:
    """Return the remedy for an option that the recipe does not have."""
    others = [other.name for other in catalogue().recipes.values() if name in other.options]
    if others:
        return f"Recipes that have it: {', '.join(others)}."
    nearest = _nearest(name, _shared_options() | OWN_FLAGS | recipe.options.keys())
    return nearest or f"The recipe's own options are {', '.join(map(option_flag, recipe.options))}."


def parse_value(name: str, text: str, hint: Any) -> Any:
    """Return a text as a value of a type: int, float, bool, str, a Literal, or a union or sequence of these.

    Raises:
        UsageError: the text is not of that type.

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
        choices = ", ".join(map(str, arguments))
        if text not in arguments:
            raise UsageError(f"{name} must be one of {choices}, got {text}", f"Choose from {choices}.")
        return text
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise UsageError(f"{name} must be true or false, got {text}", f"Give {name} true.")
        return text.lower() == "true"
    if hint not in _NUMBERS:
        return text
    kind, example = _NUMBERS[hint]
    try:
        return hint(text)
    except ValueError as error:
        raise UsageError(f"{name} must be {kind}, got {text}", f"Give a number, such as {name} {example}.") from error


def check_recorded(command: dict[str, Any]) -> None:
    """Refuse a recorded command that no `jensen train` can have written.

    Raises:
        CorruptRunError: it names an unknown recipe or option.
    """
    remedy = "The specification is damaged, or was written by another version of jensen."
    recipes, recipe = catalogue().recipes, command.get("recipe")
    if not isinstance(recipe, str) or recipe not in recipes:
        raise CorruptRunError(f"the recorded command names no known recipe ({recipe})", remedy)
    unknown = command.keys() - _shared_options() - {"data", "recipe", "out"} - recipes[recipe].options.keys()
    if unknown:
        raise CorruptRunError(f"the recorded command names an unknown option ({min(unknown)})", remedy)
