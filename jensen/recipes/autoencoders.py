"""Variational autoencoders, with other weights, bounds and codes."""

from __future__ import annotations

from ..families import Gaussian
from ..guides import Deterministic
from ..models.conditionals import Unconditional
from ..models.model import LatentVariableModel
from ..objectives import Distortion, ImportanceWeighted, Rate
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import decoder, encoder, gaussian_pair, play, warmed

__all__ = ["autoencoder", "beta_vae", "iwae", "vae"]


@recipe("vae", "Kingma & Welling 2014", title="VAE")
def vae(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    warmup: int | None = None,
    points: int = 1,
) -> BuiltModel:
    """A variational autoencoder: Gaussian prior and guide, rate in closed form, weight of the rate warmed up."""
    model, guide = gaussian_pair(context, nets, latent)
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate(), points)


@recipe("beta-vae", "Higgins et al. 2017", title="beta-VAE", keep="last", missing=True)
def beta_vae(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    beta: float = 4.0,
    warmup: int | None = None,
) -> BuiltModel:
    """A VAE with weight beta on the rate: above 1 for simpler codes at a lower likelihood; below 1 it is no bound."""
    model, guide = gaussian_pair(context, nets, latent)
    return play(context, model, guide, -Distortion() - warmed(context, beta, warmup) * Rate())


@recipe("iwae", "Burda, Grosse & Salakhutdinov 2016", title="importance-weighted autoencoder")
def iwae(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    points: int = 10,
) -> BuiltModel:
    """A VAE trained on the importance-weighted bound with `points` latent points per datum."""
    model, guide = gaussian_pair(context, nets, latent)
    return play(context, model, guide, ImportanceWeighted(), points)


@recipe("autoencoder", "Rumelhart, Hinton & Williams 1986", title="autoencoder")
def autoencoder(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
) -> BuiltModel:
    """A deterministic autoencoder: each code is a point, and only the distortion counts; no bound on log p(x)."""
    model = LatentVariableModel(Unconditional(Gaussian(latent)), decoder(context, nets, latent))
    return play(context, model, Deterministic(encoder(context, nets, latent)), -Distortion())
