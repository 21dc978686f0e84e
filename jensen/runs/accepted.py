"""The options that another training of a run's model would accept."""

from __future__ import annotations

from dataclasses import fields

from ..recipes import RECIPES
from .data import RunData
from .training_data import DataOptions
from .training_options import TrainingOptions

__all__ = ["accepted_options"]

OF_STEPS = {"lr", "clip", "warmup", "optimizer", "batch"}  # which a closed form does not take


def accepted_options(run: RunData) -> frozenset[str]:
    """Return the names of options that have an effect on another training: of the recipe, the data and the fit."""
    command = run.spec["command"]
    names = {f.name for options in (DataOptions, TrainingOptions) for f in fields(options)}
    recipe = RECIPES.get(str(command.get("recipe")))
    names |= set() if recipe is None else set(recipe.options)
    if command.get("fit", "gradient") != "gradient":
        names -= OF_STEPS
    if run.model.likelihood.family.scale_floor is None:
        names.discard("floor")
    if run.schema.kind != "integers":
        names.discard("dequantize")
    if run.schema.kind != "real":
        names -= {"likelihood"} if run.preparation.dequantize else {"likelihood", "standardize"}
    if not run.spec["split"]["sizes"]["valid"]:
        names -= {"keep", "patience"}  # which go by validation rows
    return frozenset(names)
