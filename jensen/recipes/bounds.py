"""The model and guide of a VAE, trained on other bounds or with other gradient estimators."""

from __future__ import annotations

from ..core.errors import UsageError
from ..estimators.reparameterized import DoublyReparameterized, StickTheLanding
from ..objectives import Capacity, Distortion, Elbo, FreeBits, ImportanceWeighted, Rate, Renyi
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import gaussian_pair, play, warmed

__all__ = ["capacity", "dreg", "free_bits", "renyi", "sigma_vae", "sticking_the_landing"]


@recipe("dreg", "Tucker et al. 2019", title="importance-weighted autoencoder", most=240)
def dreg(context: RecipeContext, nets: Nets, *, latent: int = 16, points: int = 10) -> BuiltModel:
    """The importance-weighted bound with doubly reparameterised gradients, whose noise falls with more points."""
    return play(context, *gaussian_pair(context, nets, latent), ImportanceWeighted(), DoublyReparameterized(points))


@recipe("sticking-the-landing", "Roeder, Wu & Duvenaud 2017", title="VAE")
def sticking_the_landing(context: RecipeContext, nets: Nets, *, latent: int = 16, points: int = 1) -> BuiltModel:
    """A VAE without the score term in its gradient, which has no variance once the guide is the posterior."""
    return play(context, *gaussian_pair(context, nets, latent), Elbo(), StickTheLanding(points))


@recipe("renyi", "Li & Turner 2016", title="Renyi VAE")
def renyi(context: RecipeContext, nets: Nets, *, latent: int = 16, alpha: float = 0.5, points: int = 10) -> BuiltModel:
    """A VAE trained on Renyi's bound: alpha 1 is the ELBO, alpha 0 the importance-weighted bound."""
    return play(context, *gaussian_pair(context, nets, latent), Renyi(alpha), points)


@recipe("free-bits", "Kingma et al. 2016", title="VAE with free bits", keep="last")
def free_bits(context: RecipeContext, nets: Nets, *, latent: int = 16, nats: float = 0.25) -> BuiltModel:
    """A VAE in which the first nats of each feature's rate are free, so that no feature is left unused."""
    return play(context, *gaussian_pair(context, nets, latent), -Distortion() - FreeBits(nats, 1))


@recipe("capacity", "Burgess et al. 2018", title="VAE of controlled capacity", keep="last")
def capacity(
    context: RecipeContext, nets: Nets, *, latent: int = 16, nats: float = 25.0, gamma: float = 10.0
) -> BuiltModel:
    """A VAE whose rate is held near a target in nats: the objective pays gamma |rate - nats|."""
    return play(context, *gaussian_pair(context, nets, latent), -Distortion() - Capacity(nats, gamma))


@recipe("sigma-vae", "Rybkin, Daniilidis & Levine 2021", title="sigma-VAE", density=True)
def sigma_vae(context: RecipeContext, nets: Nets, *, latent: int = 16, warmup: int | None = None) -> BuiltModel:
    """A VAE with one noise scale for all data, always at its optimum, which balances distortion and rate."""
    if nets.likelihood not in ("auto", "gaussian-optimal"):
        raise UsageError(
            f"--likelihood of sigma-vae must be gaussian-optimal, got {nets.likelihood}",
            "Leave --likelihood out, or use --recipe vae.",
        )
    model, guide = gaussian_pair(context, nets, latent, context.likelihood("gaussian-optimal"))
    return play(context, model, guide, -Distortion() - warmed(context, 1.0, warmup) * Rate())
