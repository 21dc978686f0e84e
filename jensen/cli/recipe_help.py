"""The options of one recipe, and the names of all, as parts of the help of `jensen train`."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

from ..core.wording import option_flag
from .catalogue import Option, catalogue, recipe_names
from .docstrings import as_help
from .layout import paragraphs, terminal_width, two_columns
from .option_texts import option_text

__all__ = ["recipe_help", "recipe_list"]

METAVARS: dict[Any, str] = {int: "INT", float: "FLOAT", bool: "true|false", str: "STR"}


def recipe_list(verb: str) -> str:
    """Return the names of all recipes, and the commands that describe them, for `jensen train --help`."""
    width = terminal_width()
    lines = [f"  {line}" for line in paragraphs(", ".join(recipe_names()), width - 2)]
    rows = [
        (f"jensen {verb} --recipe NAME --help", "the options of that recipe, and all others"),
        ("jensen recipes", "what each recipe is, and where it was published"),
    ]
    return "\n".join(["Recipes:", *lines, "", "More:", *two_columns(rows, width)])


def recipe_help(name: str) -> str:
    """Return what a recipe is, its publication, and its options with their defaults.

    Raises:
        UsageError: there is no recipe of that name.
    """
    listed, width = catalogue(), terminal_width()
    recipe = listed.find(name)
    own = {k: (option, option_text(name, k)) for k, option in listed.own_options(recipe).items()}
    networks = {k: (option, listed.texts[k]) for k, option in listed.networks.items()} if recipe.has_nets else {}
    lines = paragraphs(f"{name}: {as_help(recipe.summary)}", width)
    if recipe.paper:
        lines += paragraphs(f"Publication: {recipe.paper}", width)
    for title, options in ((f"Options of {name}:", own), ("Networks:", networks)):
        if options:
            lines += ["", title, *two_columns(_rows(options), width)]
    return "\n".join([*lines, ""])


def _rows(options: Mapping[str, tuple[Option, str]]) -> Iterator[tuple[str, str]]:
    """Yield flag and description of each option."""
    for name, (option, text) in options.items():
        parts = [text, _choices(option.hint), f"[default: {_default(name, option.default)}]"]
        yield f"{option_flag(name)} {_metavar(option.hint)}", " ".join(filter(None, parts))


def _metavar(hint: Any) -> str:
    """Return the kind of value that a flag takes."""
    if get_origin(hint) in (Union, types.UnionType):
        return _metavar(next(a for a in get_args(hint) if a is not type(None)))
    if get_origin(hint) in (tuple, list, Sequence):
        kind = _metavar(get_args(hint)[0])
        return f"{kind},{kind},..."
    return "CHOICE" if get_origin(hint) is Literal else METAVARS.get(hint, "STR")


def _default(name: str, value: Any) -> str:
    """Return the default of an option as it is typed."""
    if value is None:
        return "a tenth of the epochs" if name == "warmup" else "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _choices(hint: Any) -> str:
    """Return the choices of a literal type, in brackets."""
    return f"({', '.join(get_args(hint))})" if get_origin(hint) is Literal else ""
