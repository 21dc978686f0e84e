"""Models that learn from data with missing entries."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from ..core.errors import UsageError
from ..families import Gaussian
from ..guides import Masked
from ..models.conditionals import Given, Unconditional
from ..models.model import LatentVariableModel
from ..nets import Chain, Standardize
from ..objectives import ImportanceWeighted
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import decoder, dense, gaussian_pair, play, standardized
from .patterns import with_missing_model, with_nodes

__all__ = ["miwae"]


@recipe("miwae", "Mattei & Frellsen 2019", title="MIWAE", most=160, missing=True)
def miwae(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    points: int = 20,
    sees_mask: bool = False,
    missing_model: Literal["random", "self"] = "random",
) -> BuiltModel:
    """A VAE trained on the importance-weighted bound of the observed entries, to impute the missing ones."""
    family = with_nodes(context, nets, missing_model)
    if not sees_mask:
        model, guide = gaussian_pair(context, nets, latent, family)
        return play(context, with_missing_model(context, model, missing_model), guide, ImportanceWeighted(), points)
    if nets.net == "conv":
        raise UsageError("--net must be mlp with --sees-mask, got conv", "Use --net mlp, or leave --sees-mask out.")
    nets = replace(nets, net="mlp")
    of_x, zero = standardized(context), torch.zeros(context.dim)
    scale = Standardize(2 * context.dim).set(torch.cat([of_x.mean, zero]), torch.cat([of_x.scale, zero + 1]))
    q = Given(Chain((scale, dense(nets, 2 * context.dim, 2 * latent))), Gaussian(latent))
    model = LatentVariableModel(Unconditional(Gaussian(latent)), decoder(context, nets, latent, family))
    model = with_missing_model(context, model, missing_model)
    return play(context, model, Masked(q), ImportanceWeighted(), points)
