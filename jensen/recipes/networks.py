"""Encoders, decoders and players that the recipes share."""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import UsageError
from ..estimators.base import GradientEstimator
from ..estimators.reparameterized import Pathwise
from ..families import Columns, Family, Gaussian
from ..guides import Amortized
from ..models.conditionals import Given, Unconditional
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..nets import MLP, Chain, ConvDecoder, ConvEncoder, ResidualMLP, Standardize
from ..objectives import Objective, Ramp
from ..training import Player
from .base import BuiltModel, Nets, RecipeContext, start_from_mean
from .columns import column_encoding, start_from_columns

__all__ = ["decoder", "encoder", "features", "gaussian_pair", "image_shape", "last", "play", "standardized", "warmed"]

NEAR = 0.01  # largest difference from a mean square of 1, which standardised columns have unless some are constant


def dense(nets: Nets, inputs: int, outputs: int, *, backwards: bool = False) -> MLP | ResidualMLP:
    """Return a dense network [..., inputs] -> [..., outputs], with residual blocks if asked for."""
    if nets.blocks:
        return ResidualMLP(inputs, outputs, nets.hidden[0] if nets.hidden else outputs, nets.blocks, nets.activation)
    hidden = tuple(nets.hidden)[::-1] if backwards else tuple(nets.hidden)
    return MLP(inputs, outputs, hidden, nets.activation)


def standardized(context: RecipeContext) -> Standardize:
    """Return the standardisation of inputs: centring, and scaling unless they are binary or standardised already."""
    unscaled = context.schema.kind == "real" and abs(float(context.scale.square().mean()) - 1) > NEAR
    scaled = unscaled or context.schema.kind == "integers"
    return Standardize(context.dim).set(context.mean, context.scale if scaled else torch.ones_like(context.scale))


def encoder(context: RecipeContext, nets: Nets, outputs: int) -> nn.Module:
    """Return an encoder [B, D] -> [B, outputs] that standardises its inputs."""
    if context.schema.kind == "mixed" and nets.net == "mlp":
        encode = column_encoding(context.schema, context.rows)
        return Chain((encode, dense(nets, encode.outputs, outputs)))
    if nets.net == "mlp":
        return Chain((standardized(context), dense(nets, context.dim, outputs)))
    body = ConvEncoder(image_shape(context), outputs, nets.width, nets.activation, nets.blocks)
    return Chain((standardized(context), body))


def last(net: nn.Module) -> nn.Linear:
    """Return the affine layer at the end of a dense network or an encoder."""
    body = net.nets[-1] if isinstance(net, Chain) else net
    return body.layers[-1] if isinstance(body, MLP) else body.head  # pyright: ignore[reportReturnType]


def features(context: RecipeContext, nets: Nets, latent: int, family: Family) -> nn.Module:
    """Return a decoder's network [..., latent] -> [..., P]; if dense, it starts at the mean of the data."""
    outputs = family.size - family.shared
    if nets.net == "mlp":
        layers = dense(nets, latent, outputs, backwards=True)
        if isinstance(family, Columns):
            start_from_columns(last(layers).bias, family, context.rows)
        else:
            start_from_mean(last(layers).bias, family, context.mean)
        return layers
    planes = outputs // context.dim
    return ConvDecoder(latent, image_shape(context), planes, nets.width, nets.activation, nets.blocks)


def decoder(context: RecipeContext, nets: Nets, latent: int, family: Family | None = None) -> Given:
    """Return p(x | z) of this family, by default of the family that the user named."""
    chosen = context.likelihood(nets.likelihood) if family is None else family
    return Given(features(context, nets, latent, chosen), chosen)


def image_shape(context: RecipeContext) -> tuple[int, int, int]:
    """Return (H, W, C).

    Raises:
        UsageError: the data are a table.
    """
    if not context.schema.is_image:
        raise UsageError("--net conv needs images, and these data are a table", "Use --net mlp.")
    height, width, channels = context.schema.shape
    return height, width, channels


def gaussian_pair(
    context: RecipeContext, nets: Nets, latent: int, likelihood: Family | None = None
) -> tuple[LatentVariableModel, Amortized]:
    """Return a model with a standard normal prior, and a diagonal Gaussian guide.

    Args:
        context, nets, latent: of the recipe.
        likelihood: the family of p(x | z); by default the one that the user named.
    """
    family = context.likelihood(nets.likelihood) if likelihood is None else likelihood
    q = Given(encoder(context, nets, 2 * latent), Gaussian(latent))
    return LatentVariableModel(Unconditional(Gaussian(latent)), decoder(context, nets, latent, family)), Amortized(q)


def warmed(context: RecipeContext, weight: float, warmup: int | None) -> float | Ramp:
    """Return a weight that rises from 0 over the first `warmup` epochs, by default a tenth of all.

    It leaves fewer features unused than the full weight from the start (Bowman et al., 2016; Sonderby et al., 2016).
    """
    epochs = context.epochs // 10 if warmup is None else warmup
    return Ramp(weight, epochs * context.steps_per_epoch) if epochs else weight


def play(
    context: RecipeContext,
    model: LatentVariableModel,
    guide: Guide,
    objective: Objective,
    estimator: GradientEstimator | int = 1,
) -> BuiltModel:
    """Return model and guide with one player for all parameters; an integer estimator k stands for `Pathwise(k)`."""
    parameters = list(dict.fromkeys([*model.parameters(), *guide.parameters()]))
    if isinstance(estimator, int):
        estimator = Pathwise(estimator)
    return BuiltModel(model, guide, [Player(objective, parameters, estimator, context.optimizer)])
