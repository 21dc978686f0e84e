"""Autoregressive models, without latents and as decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from ..core.errors import UsageError
from ..estimators.reparameterized import Pathwise
from ..families import Bernoulli, DiscretizedLogisticMixture, Gaussian, Mixture, Product
from ..guides import Exact
from ..models.autoregressive import ChainRule
from ..models.conditionals import Unconditional
from ..models.model import LatentVariableModel
from ..nets import Causal, CausalConv, CausalMLP
from ..objectives import Distortion, Elbo, FreeBits
from ..training import Player
from .base import BuiltModel, Nets, RecipeContext, recipe, start_from_mean
from .likelihoods import likelihood_of
from .networks import conv_decoder, convolves, dense, gaussian_pair, play, standardized

__all__ = ["made", "pixel_vae", "pixelcnn"]


@recipe("made", "Germain et al. 2015", title="MADE", epochs=100)
def made(
    context: RecipeContext,
    *,
    hidden: Sequence[int] = (500,),
    components: int = 5,
    activation: str = "silu",
    likelihood: str = "auto",
) -> BuiltModel:
    """A masked autoregressive network, one feature after another: exact likelihood, no latents."""
    family = in_order(context, likelihood, components, 1)
    net = CausalMLP(context.dim, 1, family.part.size, hidden=hidden, activation=activation)
    return _without_latents(context, net, family)


@recipe("pixelcnn", "van den Oord et al. 2016", title="PixelCNN", epochs=60)
def pixelcnn(
    context: RecipeContext, *, width: int = 16, depth: int = 5, components: int = 5, likelihood: str = "auto"
) -> BuiltModel:
    """Gated causal convolutions, one pixel after another: exact likelihood, no latents."""
    net, family = _convolutions(context, width, depth, components, likelihood)
    return _without_latents(context, net, family)


@recipe("pixel-vae", "Gulrajani et al. 2017", title="PixelVAE", epochs=60)
def pixel_vae(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    planes: int = 8,
    depth: int = 1,
    components: int = 5,
    nats: float = 5.0,
) -> BuiltModel:
    """A VAE whose decoder also sees the pixels just drawn; some nats of rate are free, so that z is not ignored."""
    model, guide = gaussian_pair(context, nets, latent, Gaussian(context.dim))
    net, family = _convolutions(context, nets.width, depth, components, nets.likelihood, planes, 1)
    start_from_mean(net.bias, family, context.mean)
    p = ChainRule(net, family, _latent_planes(context, nets, latent, planes), standardized(context))
    model = LatentVariableModel(model.prior, p)
    return play(context, model, guide, -Distortion() - FreeBits(nats))


def in_order(context: RecipeContext, likelihood: str, components: int, channels: int) -> Product:
    """Return the family of the positions, of so many channels each: a mixture, except for bits.

    Raises:
        UsageError: the family has parameters that do not come from the network.
        DataError: the data are outside its support.
    """
    schema = context.schema
    one = replace(schema, shape=(1, 1, channels) if schema.is_image else (1,), names=None)
    coupled = schema.kind == "integers" and channels > 1 and likelihood == "auto"
    name = "discretized-logistic-mixture" if coupled else likelihood
    part = likelihood_of(name, one, context.rows, context.learned_floor, context.number)
    if part.shared:
        raise UsageError(
            f"--likelihood {likelihood} has parameters that do not come from the network", "Use --likelihood auto."
        )
    if components > 1 and not isinstance(part, Bernoulli | DiscretizedLogisticMixture):
        part = Mixture(part, components)
    return Product(part, context.dim // channels)


def _without_latents(context: RecipeContext, net: Causal, family: Product) -> BuiltModel:
    """Return a model that is the autoregressive network alone."""
    start_from_mean(net.bias, family, context.mean)
    model = LatentVariableModel(Unconditional(Gaussian(0)), ChainRule(net, family, before=standardized(context)))
    return BuiltModel(model, Exact(model), [Player(Elbo(), list(net.parameters()), Pathwise(1), context.optimizer)])


def _convolutions(
    context: RecipeContext, width: int, depth: int, components: int, likelihood: str, planes: int = 0, first: int = 3
) -> tuple[CausalConv, Product]:
    """Return causal convolutions of an image with `planes` planes of context, and the family of its pixels."""
    if not context.schema.is_image:
        raise UsageError("pixels need images, and these data are a table", "Use --recipe made.")
    height, wide, channels = context.schema.shape
    family = in_order(context, likelihood, components, channels)
    return CausalConv((height, wide), channels, family.part.size, planes, width, depth, first=first), family


def _latent_planes(context: RecipeContext, nets: Nets, latent: int, planes: int) -> nn.Module:
    """Return a network [..., latent] -> [..., H * W * planes]."""
    height, width, _ = context.schema.shape
    if convolves(context, nets):
        return conv_decoder(nets, latent, (height, width, planes), 1, offset=False)
    return dense(nets, latent, height * width * planes, backwards=True)
