"""The parameters of estimators as arguments of `jensen.train`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral
from typing import Any

from sklearn.utils import check_random_state

from ..core.errors import UsageError
from ..recipes import Recipe, find
from ..runs.calls import option_names
from ..runs.data_options import DataOptions
from ..runs.training_options import TrainingOptions

__all__ = ["AUTO", "MOST_SEED", "recipe_of", "seed_of", "settings_of_run", "training_options"]

AUTO = "auto"
MOST_SEED = 2**31 - 1
OWN = {"seed": "random_state", "labels": "y of fit"}  # options that have a place of their own


def seed_of(random_state: Any) -> int:
    """Return the seed that a `random_state` stands for: itself, or a draw from the generator.

    Raises:
        ValueError: it is neither None, nor a whole number from 0, nor a RandomState.

    Example:
        >>> seed_of(3)
        3
    """
    generator = check_random_state(random_state)  # refuses what is no seed
    return int(random_state) if isinstance(random_state, Integral) else int(generator.randint(MOST_SEED))


def recipe_of(recipe: Any) -> Recipe | None:
    """Return a recipe by name; None for "auto".

    Raises:
        UsageError: there is none of that name.
    """
    if not isinstance(recipe, str):
        raise UsageError(f"recipe must be a name, got {recipe!r}", 'Give one of `jensen recipes`, or "auto".')
    return None if recipe == AUTO else find(recipe)


def training_options(parameters: Mapping[str, Any], option_of: Mapping[str, str], options: Any) -> dict[str, Any]:
    """Return the options of a training: the parameters that are not None, and those in `options`.

    Args:
        parameters: values by name.
        option_of: options by the parameter that sets them.
        options: further ones.

    Raises:
        UsageError: `options` is no dictionary of names, or has one that a parameter has.
    """
    given = {} if options is None else options
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise UsageError(
            f"options must be a dictionary of options by name, got {given!r}",
            "Give it as options={'hidden': (64, 64)}.",
        )
    places = {option: name for name, option in option_of.items()} | OWN
    for name in given:
        if name in places:
            raise UsageError(f"options has {name!r}, which is set by {places[name]}", "Set it there.")
    return {option_of[name]: value for name, value in parameters.items() if value is not None} | dict(given)


def settings_of_run(command: Mapping[str, Any], explicit: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters, and the other options that are not at their defaults, of the command that a run records.

    Args:
        command: of the run.
        explicit: names of options that are parameters.
    """
    recipe = find(str(command["recipe"]))
    defaults = {f.name: f.default for kind in (DataOptions, TrainingOptions) for f in fields(kind)}
    defaults |= {name: option.default for name, option in recipe.options.items()}
    defaults["lr"] = defaults["lr"] if recipe.lr is None else recipe.lr
    changed = {k: _plain(command[k]) for k in option_names(recipe) & command.keys() - OWN.keys()}
    changed = {k: v for k, v in changed.items() if v != _plain(defaults.get(k))}
    return {k: v for k, v in changed.items() if k in explicit}, {k: v for k, v in changed.items() if k not in explicit}


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
