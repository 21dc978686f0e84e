"""Guides beyond the diagonal Gaussian."""

from __future__ import annotations

from torch import nn

from ..conditionals import Given, Unconditional
from ..families import Family, FullGaussian, Gaussian, LowRankGaussian, Mixture
from ..flows import Autoregressive, Flow, SplineCoupling, Stack
from ..guides import Amortized, Flowing
from ..model import LatentVariableModel
from ..objectives import Distortion, Elbo, Rate
from ..stratified import Stratified
from .base import Made, Nets, Setting, recipe
from .networks import decoder, encoder, gaussian_pair, play, warmed

__all__ = ["full_covariance", "iaf", "low_rank", "mixture_posterior", "spline_posterior"]

CONTEXT = 64  # features of the data that a flow sees


def _pair(setting: Setting, nets: Nets, latent: int, family: Family) -> tuple[LatentVariableModel, Amortized]:
    """A standard normal prior, a decoder, and a guide of this family."""
    model = LatentVariableModel(Unconditional(Gaussian(latent)), decoder(setting, nets, latent))
    return model, Amortized(Given(encoder(setting, nets, family.size), family))


@recipe("full-covariance", "Rezende, Mohamed & Wierstra 2014")
def full_covariance(setting: Setting, nets: Nets, *, latent: int = 16, warmup: int | None = None) -> Made:
    """A VAE whose guide is a Gaussian with any covariance."""
    model, guide = _pair(setting, nets, latent, FullGaussian(latent))
    return play(setting, model, guide, -Distortion() - warmed(setting, 1.0, warmup) * Rate())


@recipe("low-rank", "Rezende, Mohamed & Wierstra 2014")
def low_rank(setting: Setting, nets: Nets, *, latent: int = 16, rank: int = 2, warmup: int | None = None) -> Made:
    """A VAE whose guide is a Gaussian with a diagonal covariance and a few directions more."""
    model, guide = _pair(setting, nets, latent, LowRankGaussian(latent, rank))
    return play(setting, model, guide, -Distortion() - warmed(setting, 1.0, warmup) * Rate())


@recipe("mixture-posterior", "Morningstar et al. 2021")
def mixture_posterior(setting: Setting, nets: Nets, *, latent: int = 16, components: int = 3) -> Made:
    """A VAE whose guide is a mixture of Gaussians, as many points from each component."""
    model, guide = _pair(setting, nets, latent, Mixture(Gaussian(latent), components))
    return play(setting, model, guide, Elbo(), Stratified(1))


def _flowing(setting: Setting, nets: Nets, latent: int, flow: Flow, warmup: int | None) -> Made:
    model, guide = gaussian_pair(setting, nets, latent)
    context: nn.Module | None = encoder(setting, nets, flow.context) if flow.context else None
    objective = -Distortion() - warmed(setting, 1.0, warmup) * Rate()
    return play(setting, model, Flowing(guide, flow, context), objective)


@recipe("iaf", "Kingma et al. 2016")
def iaf(setting: Setting, nets: Nets, *, latent: int = 16, flows: int = 2, warmup: int | None = None) -> Made:
    """A VAE whose guide is bent by inverse autoregressive flows: rich, and scored at its own points only."""
    stack = Stack([Autoregressive(latent, CONTEXT, flip=bool(i % 2)) for i in range(flows)])
    return _flowing(setting, nets, latent, stack, warmup)


@recipe("spline-posterior", "Durkan et al. 2019")
def spline_posterior(
    setting: Setting, nets: Nets, *, latent: int = 16, flows: int = 2, warmup: int | None = None
) -> Made:
    """A VAE whose guide is bent by rational-quadratic spline couplings, and scored at any point."""
    stack = Stack([SplineCoupling(latent, CONTEXT, flip=bool(i % 2)) for i in range(flows)])
    return _flowing(setting, nets, latent, stack, warmup)
