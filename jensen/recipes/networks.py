"""Encoders, decoders and players that the recipes share."""

from __future__ import annotations

import torch
from torch import nn

from ..core.errors import UsageError
from ..estimators.base import GradientEstimator
from ..estimators.reparameterized import Pathwise
from ..families import Columns, DiscretizedLogisticMixture, Family, Gaussian
from ..guides import Amortized
from ..models.conditionals import Given, Unconditional
from ..models.guide import Guide
from ..models.model import LatentVariableModel
from ..nets import MLP, Chain, ConvDecoder, ConvEncoder, ResidualMLP, Standardize
from ..objectives import Objective, Ramp
from ..training import Player
from .base import BuiltModel, Nets, RecipeContext, start_from_mean
from .columns import column_encoding, start_from_columns

__all__ = [
    "conv_decoder",
    "conv_encoder",
    "convolves",
    "decoder",
    "encoder",
    "family_of",
    "features",
    "gaussian_pair",
    "image_shape",
    "last",
    "play",
    "standardized",
    "warmed",
]

LARGE = 16  # pixels a side, from which images have convolutions by default
FINEST = 8  # positions a side of the finest level of convolutions, at least where patches are not the largest
LARGEST_PATCH = 4  # pixels a side of a position; the edges of larger ones would show
BLOCKS = 1  # residual blocks at each level of convolutions by default
COLOURS, BYTES = 3, 256  # channels and levels of photographs
COMPONENTS = 3  # of mixtures for their pixels, by default; six are twice as slow, and no better at equal time
NEAR = 0.01  # largest difference from a mean square of 1, which standardised columns have unless some are constant


def convolves(context: RecipeContext, nets: Nets) -> bool:
    """Return whether networks are convolutions: as the user said, or by the data.

    By default they are for images in colour or of at least 16 pixels a side. Sizes of hidden layers, which they do not
    have, ask for dense networks.
    """
    if nets.net != "auto":
        return nets.net == "conv"
    if not context.schema.is_image or tuple(nets.hidden) != tuple(Nets().hidden):
        return False
    height, width, channels = context.schema.shape
    return channels > 1 or min(height, width) >= LARGE


def family_of(context: RecipeContext, nets: Nets) -> Family:
    """Return the family of p(x | z) that the user named; by default that of the data.

    Photographs of 256 levels in three channels, of which convolutions make the parameters, have mixtures of discretised
    logistics over the channels of a pixel: given z these are far from independent.

    Raises:
        DataError: the data are outside the family's support.
        UsageError: there is no such family.
    """
    schema = context.schema
    is_photograph = schema.kind == "integers" and schema.levels == BYTES and schema.shape[2:] == (COLOURS,)
    if nets.likelihood == "auto" and is_photograph and convolves(context, nets) and nets.norm == "group":
        return DiscretizedLogisticMixture(context.dim, COLOURS, BYTES, COMPONENTS)
    return context.likelihood(nets.likelihood)


def conv_encoder(context: RecipeContext, nets: Nets, outputs: int) -> ConvEncoder:
    """Return convolutions of the data's images [..., D] -> [..., outputs]."""
    shape = image_shape(context)
    blocks, patch, norm = _convolutions(nets, shape)
    return ConvEncoder(shape, outputs, nets.width, nets.activation, blocks, patch, norm)


def conv_decoder(nets: Nets, inputs: int, shape: tuple[int, int, int], planes: int, offset: bool) -> ConvDecoder:
    """Return convolutions [..., inputs] -> [..., planes * H * W * C], with a bias of each output if `offset`."""
    blocks, patch, norm = _convolutions(nets, shape)
    return ConvDecoder(inputs, shape, planes, nets.width, nets.activation, blocks, patch, norm, offset and norm)


def _convolutions(nets: Nets, shape: tuple[int, int, int]) -> tuple[int, int, bool]:
    """Return the residual blocks at each level, the pixels a side of a position of the finest level, and the norm."""
    if nets.norm == "none":
        return nets.blocks or 0, 1, False
    patch = min(-(-min(shape[:2]) // FINEST), LARGEST_PATCH)
    return BLOCKS if nets.blocks is None else nets.blocks, patch, True


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
    if convolves(context, nets):
        return Chain((standardized(context), conv_encoder(context, nets, outputs)))
    if context.schema.kind == "mixed":
        encode = column_encoding(context.schema, context.rows)
        return Chain((encode, dense(nets, encode.outputs, outputs)))
    return Chain((standardized(context), dense(nets, context.dim, outputs)))


def last(net: nn.Module) -> nn.Linear:
    """Return the affine layer at the end of a dense network or an encoder."""
    body = net.nets[-1] if isinstance(net, Chain) else net
    return body.layers[-1] if isinstance(body, MLP) else body.head  # pyright: ignore[reportReturnType]


def features(context: RecipeContext, nets: Nets, latent: int, family: Family) -> nn.Module:
    """Return a decoder's network [..., latent] -> [..., P], which starts at the mean of the data."""
    outputs = family.size - family.shared
    if convolves(context, nets):
        net = conv_decoder(nets, latent, image_shape(context), outputs // context.dim, offset=True)
        if net.offset is not None:
            start_from_mean(net.offset, family, context.mean)
        return net
    layers = dense(nets, latent, outputs, backwards=True)
    if isinstance(family, Columns):
        start_from_columns(last(layers).bias, family, context.rows)
    else:
        start_from_mean(last(layers).bias, family, context.mean)
    return layers


def decoder(context: RecipeContext, nets: Nets, latent: int, family: Family | None = None) -> Given:
    """Return p(x | z) of this family, by default of the family that the user named."""
    chosen = family_of(context, nets) if family is None else family
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
    family = family_of(context, nets) if likelihood is None else likelihood
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
