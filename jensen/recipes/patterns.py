"""Models of which entries are missing: at random, or by their own values."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from ..core.errors import UsageError
from ..families import Columns, Family
from ..models.masking import SelfMasked, can_be_masked
from ..models.model import LatentVariableModel
from .base import Nets, RecipeContext
from .columns import column_families, holed_columns

__all__ = ["MissingModel", "with_missing_model", "with_nodes"]

MissingModel = Literal["random", "self"]


def with_nodes(context: RecipeContext, nets: Nets, missing_model: MissingModel) -> Family:
    """Return the family that the user named; where entries are missing by their values, "auto" avoids families of a
    mixed table under which that has no sum."""
    if missing_model == "self" and context.schema.kind == "mixed" and nets.likelihood in ("auto", "columns"):
        return column_families(context.schema, context.rows, context.learned_floor(), self_masked=True)
    return context.likelihood(nets.likelihood)


def with_missing_model(
    context: RecipeContext, model: LatentVariableModel, missing_model: MissingModel
) -> LatentVariableModel:
    """Return the model itself where entries are missing at random; else with `SelfMasked` about its likelihood.

    The columns are those with a missing entry in the training rows. It starts at missingness at random.

    Args:
        context: of the recipe.
        model: with a likelihood p(x | z) of features that are independent.
        missing_model: "random" or "self".

    Raises:
        UsageError: there is no such model, no entry is missing, or expectations under a column's family have no sum.
    """
    if missing_model not in get_args(MissingModel):
        given = f"--missing-model must be random or self, got {missing_model}"
        raise UsageError(given, "Give self where cells are missing because of their values.")
    if missing_model == "random":
        return model
    columns, mask = holed_columns(context.rows), context.rows.mask
    if not columns or mask is None:
        raise UsageError(
            "no entry of the training rows is missing, so nothing says which would be", "Leave --missing-model out."
        )
    _check_families(context, model.likelihood.family, columns)
    index = torch.arange(len(context.rows), device=context.rows.device)
    likelihood = SelfMasked(model.likelihood, columns).set(context.rows.take(index).x, mask)
    return LatentVariableModel(model.prior, likelihood)


def _check_families(context: RecipeContext, family: Family, columns: tuple[int, ...]) -> None:
    """Refuse columns with missing entries under whose family the probability that these are missing has no sum.

    Raises:
        UsageError: naming the first of them.
    """
    pairs = zip(family.families, family.places, strict=True) if isinstance(family, Columns) else ()
    for own, places in pairs or ((family, range(family.dim)),):
        bad = next((c for c in places if c in columns), None)
        if bad is None or can_be_masked(own):
            continue
        name = context.schema.names[bad] if context.schema.names else f"number {bad}"
        remedy = f"--families {name}=integer-mixture" if isinstance(family, Columns) else "--likelihood gaussian"
        raise UsageError(
            f"--missing-model self needs the probability that a value is missing under p(x | z), which has no sum or "
            f"quadrature under {own.phrase} (column {name})",
            f"Use another family, such as {remedy}, or leave --missing-model out.",
        )
