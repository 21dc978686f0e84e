"""Amortised guides beyond the diagonal Gaussian: covariances, mixtures, flows."""

from __future__ import annotations

import torch
from torch import nn

from ..estimators.stratified import Stratified
from ..families import Family, FullGaussian, Gaussian, LowRankGaussian, Mixture
from ..flows import Autoregressive, Flow, SplineCoupling, Stack
from ..guides import Amortized, Flowing
from ..models.conditionals import Given, Unconditional
from ..models.model import LatentVariableModel
from ..objectives import Distortion, Rate
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import decoder, encoder, gaussian_pair, last, play, warmed

__all__ = ["full_covariance", "iaf", "low_rank", "mixture_posterior", "spline_posterior"]

CONTEXT = 64  # features that summarise x for a flow
NEAR = 0.1  # factor on the usual initial weights of a network's last layer


def _pair(
    context: RecipeContext, nets: Nets, latent: int, family: Family
) -> tuple[LatentVariableModel, Amortized, nn.Linear]:
    """Return a model with a standard normal prior, a guide of this family, and the layer of the guide's parameters."""
    net = encoder(context, nets, family.size)
    model = LatentVariableModel(Unconditional(Gaussian(latent)), decoder(context, nets, latent))
    return model, Amortized(Given(net, family)), last(net)


@torch.no_grad()
def _shrink(layer: nn.Linear, start: int, by: float) -> None:
    """Scale the initial weights of the outputs from `start` on.

    A richer guide thus starts near the diagonal one. With the usual initial weights, its correlations would start as
    noise, to which the decoder adapts by using the latent less.
    """
    for values in (layer.weight, layer.bias):
        values[start:].mul_(by)


@torch.no_grad()
def _gather(layer: nn.Linear, components: int) -> None:
    """Start all components near the first, with equal weights; apart, each would learn a whole encoder of its own."""
    for values in (layer.weight, layer.bias):
        values[:components] = 0.0
        each = values[components:].unflatten(0, (components, -1))
        each.lerp_(each[:1].clone(), 1 - NEAR)


@recipe("full-covariance", "Rezende, Mohamed & Wierstra 2014", title="VAE with a full-covariance guide")
def full_covariance(context: RecipeContext, nets: Nets, *, latent: int = 16, warmup: int | None = None) -> BuiltModel:
    """A VAE whose guide is a Gaussian with a full covariance matrix."""
    model, guide, layer = _pair(context, nets, latent, FullGaussian(latent))
    _shrink(layer, 2 * latent, 0.0)
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())


@recipe("low-rank", "Rezende, Mohamed & Wierstra 2014", title="VAE with a low-rank guide")
def low_rank(
    context: RecipeContext, nets: Nets, *, latent: int = 16, rank: int = 2, warmup: int | None = None
) -> BuiltModel:
    """A VAE whose guide is a Gaussian with a covariance that is diagonal plus low-rank."""
    model, guide, layer = _pair(context, nets, latent, LowRankGaussian(latent, rank))
    _shrink(layer, 2 * latent, NEAR)  # not zero, where the directions have no gradient
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())


@recipe("mixture-posterior", "Morningstar et al. 2021", title="VAE with a mixture guide")
def mixture_posterior(
    context: RecipeContext, nets: Nets, *, latent: int = 16, components: int = 3, warmup: int | None = None
) -> BuiltModel:
    """A VAE whose guide is a mixture of Gaussians, sampled in equal numbers from each component."""
    model, guide, layer = _pair(context, nets, latent, Mixture(Gaussian(latent), components))
    _gather(layer, components)
    objective = -Distortion() - warmed(context, 1.0, warmup) * Rate()
    return play(context, model, guide, objective, Stratified(1))


def _flowing(context: RecipeContext, nets: Nets, latent: int, flow: Flow, warmup: int | None) -> BuiltModel:
    model, guide = gaussian_pair(context, nets, latent)
    summary: nn.Module | None = encoder(context, nets, flow.context) if flow.context else None
    objective = -Distortion() - warmed(context, 1.0, warmup) * Rate()
    return play(context, model, Flowing(guide, flow, summary), objective)


@recipe("iaf", "Kingma et al. 2016", title="VAE with inverse autoregressive flows")
def iaf(
    context: RecipeContext, nets: Nets, *, latent: int = 16, flows: int = 2, warmup: int | None = None
) -> BuiltModel:
    """A VAE whose guide is transformed by inverse autoregressive flows; its density is known only at its samples."""
    stack = Stack([Autoregressive(latent, CONTEXT, flip=bool(i % 2)) for i in range(flows)])
    return _flowing(context, nets, latent, stack, warmup)


@recipe("spline-posterior", "Durkan et al. 2019", title="VAE with spline flows")
def spline_posterior(
    context: RecipeContext, nets: Nets, *, latent: int = 16, flows: int = 2, warmup: int | None = None
) -> BuiltModel:
    """A VAE whose guide is transformed by rational-quadratic spline couplings; its density is known everywhere."""
    stack = Stack([SplineCoupling(latent, CONTEXT, flip=bool(i % 2)) for i in range(flows)])
    return _flowing(context, nets, latent, stack, warmup)
