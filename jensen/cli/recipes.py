"""`jensen recipes`: list the recipes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from ..recipes import RECIPES, Nets, Recipe, option_flag
from .docstrings import as_help
from .flags import Json
from .layout import terminal_width, two_columns
from .output import print_json
from .recipe_help import own_options

__all__ = ["recipes"]


def recipes(*, json: Json = False) -> None:
    """List the recipes: what each model is, where it was published, and its options."""
    if json:
        print_json({"recipes": [_record(recipe) for recipe in RECIPES.values()]})
        return
    rows = [row for recipe in RECIPES.values() for row in _rows(recipe)]
    networks = ("NETWORKS", " ".join(option_flag(f.name) for f in fields(Nets)))
    for line in two_columns([*rows, ("", ""), networks], terminal_width()):
        print(line)
    print("\nnext: jensen train DATA --recipe NAME; the defaults are in jensen train --help")


def _rows(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Yield the lines of a recipe; the options of networks are named as one."""
    yield recipe.name, as_help(recipe.summary)
    yield "", recipe.paper
    options = [*map(option_flag, own_options(recipe)), *(["NETWORKS"] if recipe.has_nets else [])]
    yield "", " ".join(options) or "no options"


def _record(recipe: Recipe) -> dict[str, object]:
    """Return a recipe as JSON-serialisable values."""
    options = {option_flag(name): parameter.default for name, parameter in recipe.options.items()}
    return {
        "name": recipe.name,
        "title": recipe.title,
        "summary": recipe.summary,
        "paper": recipe.paper,
        "options": options,
    }
