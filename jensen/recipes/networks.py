"""What all recipes with networks share: their options, and the encoders and decoders made from them."""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import UsageError
from ..estimators.base import GradientEstimator
from ..estimators.reparameterized import Pathwise
from ..families import Family, Gaussian
from ..guides import Amortized
from ..models.conditionals import Given, Unconditional
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..nets import MLP, Chain, ConvDecoder, ConvEncoder, ResidualMLP, Standardize
from ..objectives import Objective, Ramp
from ..training import Player
from .base import BuiltModel, Nets, RecipeContext, start_from_mean

__all__ = ["decoder", "encoder", "features", "gaussian_pair", "image_shape", "last", "play", "standardized", "warmed"]

NEAR = 0.01  # of a mean square of one, which standardised columns have unless some are constant


def dense(nets: Nets, inputs: int, outputs: int, *, backwards: bool = False) -> MLP | ResidualMLP:
    """A dense net of the asked kind [..., inputs] -> [..., outputs]."""
    if nets.blocks:
        return ResidualMLP(inputs, outputs, nets.hidden[0] if nets.hidden else outputs, nets.blocks, nets.activation)
    hidden = tuple(nets.hidden)[::-1] if backwards else tuple(nets.hidden)
    return MLP(inputs, outputs, hidden, nets.activation)


def standardized(context: RecipeContext) -> Standardize:
    """The data centred; integers, and reals that were not standardised before, are also scaled."""
    unscaled = context.schema.kind == "real" and abs(float(context.scale.square().mean()) - 1) > NEAR
    scaled = unscaled or context.schema.kind == "integers"
    return Standardize(context.dim).set(context.mean, context.scale if scaled else torch.ones_like(context.scale))


def encoder(context: RecipeContext, nets: Nets, outputs: int) -> nn.Module:
    """Standardised inputs, then a net [B, D] -> [B, outputs]."""
    if nets.net == "mlp":
        return Chain((standardized(context), dense(nets, context.dim, outputs)))
    body = ConvEncoder(image_shape(context), outputs, nets.width, nets.activation, nets.blocks)
    return Chain((standardized(context), body))


def last(net: nn.Module) -> nn.Linear:
    """The affine layer that a dense net, or an encoder, ends in."""
    body = net.nets[-1] if isinstance(net, Chain) else net
    return body.layers[-1] if isinstance(body, MLP) else body.head  # pyright: ignore[reportReturnType]


def features(context: RecipeContext, nets: Nets, latent: int, family: Family) -> nn.Module:
    """A decoder's net [..., latent] -> [..., P], started from the data's average where its last layer is dense."""
    outputs = family.size - family.shared
    if nets.net == "mlp":
        layers = dense(nets, latent, outputs, backwards=True)
        start_from_mean(last(layers).bias, family, context.mean)
        return layers
    planes = outputs // context.dim
    return ConvDecoder(latent, image_shape(context), planes, nets.width, nets.activation, nets.blocks)


def decoder(context: RecipeContext, nets: Nets, latent: int, family: Family | None = None) -> Given:
    """p(x | z), of the family that the user named, or of this one."""
    chosen = context.likelihood(nets.likelihood) if family is None else family
    return Given(features(context, nets, latent, chosen), chosen)


def image_shape(context: RecipeContext) -> tuple[int, int, int]:
    """(H, W, C).

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
    """A standard normal prior, a decoder (of this family, or of the one that was named), a diagonal Gaussian guide."""
    family = context.likelihood(nets.likelihood) if likelihood is None else likelihood
    q = Given(encoder(context, nets, 2 * latent), Gaussian(latent))
    return LatentVariableModel(Unconditional(Gaussian(latent)), decoder(context, nets, latent, family)), Amortized(q)


def warmed(context: RecipeContext, weight: float, warmup: int | None) -> float | Ramp:
    """A weight that rises from 0 over the first `warmup` epochs; unless told otherwise a tenth of all, so that it ends.

    Fewer features are left unused than with the full weight at once (Bowman et al., 2016; Sonderby et al., 2016).
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
    """One player that trains everything; a number of points means that many, with gradients through them."""
    everything = list(dict.fromkeys([*model.parameters(), *guide.parameters()]))
    how = Pathwise(estimator) if isinstance(estimator, int) else estimator
    return BuiltModel(model, guide, [Player(objective, everything, how, context.optimizer)])
