"""Models whose objective depends on the distribution of all codes of a batch."""

from __future__ import annotations

from typing import Literal

from ..families import Gaussian
from ..guides import Deterministic
from ..models.conditionals import Unconditional
from ..models.model import LatentVariableModel
from ..objectives import DIP, MMD, Distortion, Rate, TotalCorrelation
from .base import BuiltModel, Nets, RecipeContext, recipe
from .networks import decoder, encoder, gaussian_pair, play

__all__ = ["beta_tcvae", "dip_vae", "info_vae", "wae_mmd"]


@recipe("beta-tcvae", "Chen et al. 2018", title="beta-TCVAE", keep="last")
def beta_tcvae(context: RecipeContext, nets: Nets, *, latent: int = 16, beta: float = 4.0) -> BuiltModel:
    """A VAE with weight beta on the total correlation, the dependence among the features of all codes."""
    objective = -Distortion() - Rate() - (beta - 1.0) * TotalCorrelation()
    return play(context, *gaussian_pair(context, nets, latent), objective)


@recipe("dip-vae", "Kumar, Sattigeri & Balakrishnan 2018", title="DIP-VAE", keep="last")
def dip_vae(
    context: RecipeContext,
    nets: Nets,
    *,
    latent: int = 16,
    of: Literal["means", "points"] = "means",
    off: float = 10.0,
    diagonal: float = 100.0,
) -> BuiltModel:
    """A VAE with a penalty on the covariance of the codes (of their means: DIP-VAE-I, of points: DIP-VAE-II)."""
    return play(context, *gaussian_pair(context, nets, latent), -Distortion() - Rate() - DIP(of, off, diagonal))


@recipe("wae-mmd", "Tolstikhin et al. 2018", title="Wasserstein autoencoder", keep="last")
def wae_mmd(context: RecipeContext, nets: Nets, *, latent: int = 16, weight: float = 100.0) -> BuiltModel:
    """An autoencoder whose codes are matched to the prior by the maximum mean discrepancy; no bound on log p(x)."""
    model = LatentVariableModel(Unconditional(Gaussian(latent)), decoder(context, nets, latent))
    guide = Deterministic(encoder(context, nets, latent))
    return play(context, model, guide, -Distortion() - weight * MMD())


@recipe("info-vae", "Zhao, Song & Ermon 2019", title="InfoVAE", keep="last")
def info_vae(
    context: RecipeContext, nets: Nets, *, latent: int = 16, alpha: float = 0.5, weight: float = 100.0
) -> BuiltModel:
    """A VAE with weight 1 - alpha on the rate, and a penalty on the discrepancy between all codes and the prior."""
    return play(context, *gaussian_pair(context, nets, latent), -Distortion() - (1 - alpha) * Rate() - weight * MMD())
