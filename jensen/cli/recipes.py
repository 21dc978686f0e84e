"""`jensen recipes`: list the recipes."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.wording import option_flag
from .catalogue import Catalogue, Entry, catalogue
from .docstrings import as_help
from .flags import Json
from .layout import terminal_width, two_columns
from .output import print_json, print_page

__all__ = ["recipes"]


def recipes(*, json: Json = False) -> None:
    """List the recipes: what each model is, where it was published, and its options."""
    listed = catalogue()
    if json:
        print_json({"recipes": [_record(recipe) for recipe in listed.recipes.values()]})
        return
    rows = [row for recipe in listed.recipes.values() for row in _rows(recipe, listed)]
    networks = ("NETWORKS", " ".join(map(option_flag, listed.networks)))
    lines = two_columns([*rows, ("", ""), networks], terminal_width())
    print_page("\n".join([*lines, "", "next: jensen train --recipe NAME --help describes the options of a recipe"]))


def _rows(recipe: Entry, listed: Catalogue) -> Iterator[tuple[str, str]]:
    """Yield the lines of a recipe; the options of networks are named as one."""
    yield recipe.name, as_help(recipe.summary)
    yield "", recipe.paper
    options = [*map(option_flag, listed.own_options(recipe)), *(["NETWORKS"] if recipe.has_nets else [])]
    yield "", " ".join(options) or "no options"


def _record(recipe: Entry) -> dict[str, object]:
    """Return a recipe as JSON-serialisable values."""
    options = {option_flag(name): option.default for name, option in recipe.options.items()}
    return {
        "name": recipe.name,
        "title": recipe.title,
        "summary": recipe.summary,
        "paper": recipe.paper,
        "options": options,
    }
