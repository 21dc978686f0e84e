"""The recipes and their options, as lists for the terminal."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin

from ..recipes import RECIPES, Nets, Recipe, option_flag
from .docstrings import as_help, attribute_texts
from .layout import paragraphs, terminal_width, two_columns

__all__ = ["network_options", "own_options", "recipe_help"]

NETWORKS = {f.name for f in fields(Nets)}


def own_options(recipe: Recipe) -> dict[str, inspect.Parameter]:
    """Return the options of a recipe without those that all recipes with networks share."""
    return {name: parameter for name, parameter in recipe.options.items() if not (recipe.has_nets and name in NETWORKS)}


def recipe_help() -> str:
    """Return the options of all recipes, with their defaults, for `jensen train --help`."""
    width = terminal_width()
    without = ", ".join(name for name, recipe in RECIPES.items() if not recipe.has_nets)
    rows = [(name, text) for recipe in RECIPES.values() for name, text in _recipe_rows(recipe)]
    return "\n".join(
        [
            *paragraphs(f"Networks, of all recipes but {without}:", width),
            *two_columns(network_options(), width),
            "",
            "Recipes, with the defaults of their own options:",
            *two_columns(rows, width),
        ]
    )


def network_options() -> Iterator[tuple[str, str]]:
    """Yield flag and description of each option of networks."""
    texts, parameters = attribute_texts(Nets), inspect.signature(Nets).parameters
    hints = next(recipe for recipe in RECIPES.values() if recipe.has_nets).hints
    for name in (f.name for f in fields(Nets)):
        yield option_flag(name), f"{texts[name]}{_choices(hints[name])} [default: {_default(parameters[name])}]"


def _recipe_rows(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield the summary of a recipe, and the options that it does not share."""
    yield recipe.name, as_help(recipe.summary)
    options = [
        f"{option_flag(name)} {_default(p)}{_choices(recipe.hints[name])}" for name, p in own_options(recipe).items()
    ]
    if options:
        yield "", "; ".join(options)


def _default(parameter: inspect.Parameter) -> str:
    """Return the default of an option as it is typed."""
    value = parameter.default
    if value is None:
        return "a tenth of the epochs" if parameter.name == "warmup" else "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _choices(hint: Any) -> str:
    """Return the choices of a literal type, in brackets."""
    return f" ({', '.join(get_args(hint))})" if get_origin(hint) is Literal else ""
