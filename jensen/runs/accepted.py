"""The options that have an effect on a training: others are refused, and not offered as remedies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch

from ..analysis.remedies import REMEDIES, flag_names
from ..core.batch import Rows
from ..core.errors import UsageError
from ..core.modules import joined
from ..core.random import drawing_from, stream
from ..nets import ConvDecoder, ConvEncoder
from ..recipes import RECIPES, BuiltModel, Recipe, RecipeContext
from ..training import Optimizer
from .data import RunData
from .ineffective import has_effect
from .training_data import DataOptions
from .training_options import TrainingOptions

__all__ = ["accepted_options", "refuse_unused", "unused_by"]

# which a closed form does not take; "batch", which changes no result, is taken by all
FEW = 8  # rows for which a recipe is tried
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
        names -= {*unused_by(recipe, command), *_without_effect(run, recipe)}
    if run.model.likelihood.family.scale_floor is None:
        names.discard("floor")
    if run.schema.kind != "integers":
        names.discard("dequantize")
    if run.schema.kind != "real":
        names -= {"likelihood"} if run.preparation.dequantize else {"likelihood", "standardize"}
    if not run.spec["split"]["sizes"]["valid"]:
        names -= {"keep", "patience"}  # which go by validation rows
    return frozenset(names)


def _without_effect(run: RunData, recipe: Recipe) -> set[str]:
    """Return the options of remedies that change nothing beside the other options of the training, as --hidden of
    convolutions."""
    command = {name: tuple(v) if isinstance(v, list) else v for name, v in run.spec["command"].items()}
    options = {name: command.get(name, option.default) for name, option in recipe.options.items()}
    offered = {name for remedy in REMEDIES.values() for words in remedy.options for name in flag_names(words)}
    context = _few_rows(run)

    def make(chosen: dict[str, Any]) -> BuiltModel:
        with drawing_from(stream(0, "tried")):
            return recipe(context, **chosen)

    unread = {name for name in offered & set(options) if not has_effect(recipe, name, options, make)}
    is_convolved = any(isinstance(m, ConvDecoder | ConvEncoder) for m in joined(run.model, run.guide).modules())
    # sizes of dense networks would ask for these in the place of the convolutions
    return unread | {"hidden"} if options.get("net") == "auto" and is_convolved else unread


def _few_rows(run: RunData) -> RecipeContext:
    """Return what a recipe reads of data, of the kind and shape of the run's, without these."""
    schema = run.schema
    x = torch.arange(FEW * schema.size).reshape(FEW, -1).remainder(2).to(torch.get_default_dtype())
    return RecipeContext(
        schema=schema,
        mean=torch.full((schema.size,), 0.5, dtype=torch.float64),
        scale=torch.full((schema.size,), 0.5, dtype=torch.float64),
        rows=Rows(x, lambda rows, _: rows),
        steps_per_epoch=10,
        optimizer=Optimizer(),
        epochs=10,
    )
