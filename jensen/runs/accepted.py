"""The options that have an effect on a training: others are refused, and not offered as remedies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..core.errors import UsageError
from ..recipes import RECIPES, Recipe
from .data import RunData
from .training_data import DataOptions
from .training_options import TrainingOptions

__all__ = ["accepted_options", "refuse_unused", "unused_by"]

# which a closed form does not take; "batch", which changes no result, is taken by all
OF_STEPS = ("lr", "optimizer", "schedule", "clip", "spikes", "average", "precision")


def unused_by(recipe: Recipe, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of training options that a recipe with these options ignores: those of steps, in a closed form.

    Example:
        >>> unused_by(RECIPES["gmm"], {"fit": "em"})[:2], unused_by(RECIPES["gmm"], {"fit": "gradient"})
        (('lr', 'optimizer'), ())
    """
    if "fit" not in recipe.options or options.get("fit", recipe.options["fit"].default) == "gradient":
        return ()
    return OF_STEPS


def refuse_unused(recipe: Recipe, training: TrainingOptions, options: Mapping[str, Any]) -> None:
    """Refuse training options that the recipe would ignore.

    Raises:
        UsageError: naming the first.
    """
    defaults = TrainingOptions()
    for name in unused_by(recipe, options):
        if getattr(training, name) != getattr(defaults, name):
            raise UsageError(
                f"--{name} is of gradient steps, and {recipe.name} takes steps in closed form, over all data at once",
                f"Leave --{name} out, or use --fit gradient.",
            )


def accepted_options(run: RunData) -> frozenset[str]:
    """Return the names of options that have an effect on another training: of the recipe, the data and the fit."""
    command = run.spec["command"]
    names = {f.name for options in (DataOptions, TrainingOptions) for f in fields(options)}
    recipe = RECIPES.get(str(command.get("recipe")))
    names |= set() if recipe is None else set(recipe.options)
    if recipe is not None:
        names -= {*unused_by(recipe, command)}
    if run.model.likelihood.family.scale_floor is None:
        names.discard("floor")
    if run.schema.kind != "integers":
        names.discard("dequantize")
    if run.schema.kind != "real":
        names -= {"likelihood"} if run.preparation.dequantize else {"likelihood", "standardize"}
    if not run.spec["split"]["sizes"]["valid"]:
        names -= {"keep", "patience"}  # which go by validation rows
    return frozenset(names)
